"""What every task keeps to, of the paper or as a user would write it: what it draws, how it judges, and its value."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import SMALL_TASKS, flatten, make_keys, random_network, trial
from small_tasks import BATCH, HPARAMS, every_drawn_task, every_task, shared, spec_of, task_batch_size

from rnn_capacity.model import network
from rnn_capacity.tasks import SPLITS, TASKS, Source, Task
from rnn_capacity.training import steps


def task_hparams(task, **overrides):
    return {name: np.float32(overrides.get(name, HPARAMS[name])) for name in task.hparam_names}


def num_examples(batch):
    return batch.weights_b.shape[-1]


class Draws(NamedTuple):
    """All that is drawn in a trial, as one program, and a list that grows each time it is traced."""

    run: Callable
    traced: list


def draws_of(task, traced):
    def draw(key, hparams, step, shared):
        traced.append(1)
        data = task.data(key)
        source = lambda split: Source(jnp.int32(SPLITS.index(split)), shared, hparams)
        sample = task.sample(data, step, task_batch_size(task), source("train"))
        return {"sample": sample} | {split: task.examples(data, source(split)) for split in SPLITS}

    return draw


@functools.cache
def compiled_draws(task):
    traced = []
    return Draws(jax.jit(draws_of(task, traced)), traced)


def draws(task, seed=0, step=0, **hparams):
    """Batches, by `sample` and by split."""
    run, _ = compiled_draws(task)
    return jax.device_get(run(make_keys(seed=seed).task, task_hparams(task, **hparams), np.int32(step), shared(task)))


def test_every_task_has_a_small_one_here_and_its_name_is_its_key():
    assert SMALL_TASKS.keys() == TASKS.keys()
    for name, kind in TASKS.items():
        assert type(SMALL_TASKS[name]) is kind
        assert kind.name == name
        assert issubclass(kind, Task)


# --- What is drawn ----------------------------------------------------------------------------------------------------


@every_task
def test_a_batch_has_its_examples_last_and_inputs_of_the_sizes_that_the_task_says(task):
    for kind, batch in draws(task).items():
        expected = BATCH if kind == "sample" else getattr(task, "num_held_out", None)
        if task.one_set:
            expected = task.max_mappings
        num_steps, num_inputs, _ = batch.x_tib.shape
        assert 1 <= num_steps <= task.unroll
        assert num_inputs == task.num_inputs
        assert {a.shape[-1] for a in jax.tree.leaves(batch)} == {expected}
        assert batch.weights_b.shape == (expected,)
        assert batch.weights_b.dtype == jnp.float32
        assert batch.x_tib.dtype in (jnp.float32, jnp.int8)
        if batch.x_tib.dtype == jnp.int8:  # one-hot, or bits
            assert set(np.unique(batch.x_tib)) in ({0, 1}, {-1, 1})
        chex.assert_tree_all_finite(batch)
        assert (np.asarray(batch.weights_b) >= 0).all()
        assert np.asarray(batch.weights_b).sum() > 0


@every_task
def test_weights_of_zero_come_last(task):
    for batch in draws(task).values():
        is_real = np.asarray(batch.weights_b) > 0
        assert (np.diff(is_real.astype(int)) <= 0).all()


@every_task
def test_the_key_decides_what_is_drawn(task):
    once, again, other = draws(task, seed=0), draws(task, seed=0), draws(task, seed=1)
    chex.assert_trees_all_equal(once, again)
    for kind in once:
        assert not np.array_equal(once[kind].x_tib, other[kind].x_tib)


@every_drawn_task
def test_every_step_and_split_draws_its_own(task):
    first, second = draws(task, step=0), draws(task, step=1)
    held_out = [first[split].x_tib[..., :BATCH] for split in SPLITS]
    inputs = [first["sample"].x_tib, second["sample"].x_tib, *held_out]
    assert len({np.asarray(x_tib).tobytes() for x_tib in inputs}) == 5
    for split in SPLITS:  # held out is held fixed
        chex.assert_trees_all_equal(first[split], second[split])


def test_the_splits_of_memorization_and_all_its_steps_are_one_set():
    task = SMALL_TASKS["memorization"]
    first, second = draws(task, step=0), draws(task, step=1)
    assert task.one_set
    for batch in (*first.values(), *second.values()):
        chex.assert_trees_all_equal(batch, first["sample"])


@every_task
def test_trials_side_by_side_draw_what_each_draws_alone(task):
    keys, hparams = make_keys(3).task, task_hparams(task)
    together = jax.jit(jax.vmap(draws_of(task, []), in_axes=(0, None, None, None)))
    found = jax.device_get(together(keys, hparams, np.int32(3), shared(task)))
    run, _ = compiled_draws(task)
    for k in range(3):
        alone = jax.device_get(run(keys[k], hparams, np.int32(3), shared(task)))
        for a, b in zip(jax.tree.leaves(trial(found, k)), jax.tree.leaves(alone), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    assert not np.array_equal(found["sample"].x_tib[0], found["sample"].x_tib[1])


OTHER = {"num_mappings": 5.0, "compute_steps": 5.0, "largest": 3.0}


@every_task
def test_new_values_of_the_hparams_and_steps_trace_nothing_again(task):
    _, traced = compiled_draws(task)
    before = draws(task)
    for step in (1, 7):
        draws(task, step=step)
    after = draws(task, **{name: OTHER[name] for name in task.hparam_names})
    assert len(traced) == 1
    for kind in before:  # and what the task reads, it uses
        same = flatten(before[kind]).tobytes() == flatten(after[kind]).tobytes()
        assert same == (not task.hparam_names)


# --- How it is judged -------------------------------------------------------------------------------------------------


@every_task
def test_a_networks_outputs_are_what_the_task_judges(task):
    spec = spec_of(task)
    for kind, batch in draws(task).items():
        outputs = jax.eval_shape(lambda x_tib: network.apply(random_network(spec), spec, {}, x_tib), batch.x_tib)
        assert outputs.shape == (task.read_steps, task.num_outputs, num_examples(batch)), kind
        assert 1 <= task.read_steps <= task.unroll
        loss_b = jax.eval_shape(task.loss, outputs, batch)
        assert (loss_b.shape, loss_b.dtype) == ((num_examples(batch),), jnp.float32)
        score = jax.eval_shape(task.score, outputs, batch)
        assert task.measure in score
        assert {(a.shape, a.dtype) for a in score.values()} == {((), jnp.dtype("float32"))}


@every_task
def test_the_loss_of_a_split_is_the_weighted_mean_of_losses_that_are_not_negative(task):
    spec, hparams, params = spec_of(task), task_hparams(task), random_network(spec_of(task))
    in_blocks = dataclasses.replace(spec, block_size=num_examples(draws(task)["eval"]) // 2)
    data = jax.jit(task.data)(make_keys().task)
    evaluate = lambda spec: functools.partial(steps.evaluate, spec, shared(task), data)

    @jax.jit
    def judged(split, params, batch):
        outputs_tob = network.apply(params, spec, {}, batch.x_tib)
        loss_b, score = task.loss(outputs_tob, batch), task.score(outputs_tob, batch)
        return loss_b, score, [evaluate(s)(split, hparams, params) for s in (spec, in_blocks)]

    for split in SPLITS:
        batch = draws(task)[split]
        loss_b, score, evaluated = judged(jnp.int32(SPLITS.index(split)), params, batch)
        assert np.isfinite(loss_b).all()
        assert (np.asarray(loss_b) >= 0).all()
        assert np.ptp(loss_b) > 1e-3
        expected = np.average(np.asarray(loss_b, np.float64), weights=batch.weights_b)
        for mean_loss, same_score in evaluated:
            np.testing.assert_allclose(mean_loss, expected, rtol=1e-5)
            assert same_score.keys() == score.keys()
            np.testing.assert_allclose(flatten(same_score), flatten(score), rtol=1e-5, atol=1e-6)
        assert all(np.isfinite(value) for value in score.values())


@pytest.mark.parametrize("task", SMALL_TASKS.values(), ids=SMALL_TASKS.keys())  # the user's has no weighted score
def test_padding_of_weight_zero_changes_neither_the_loss_nor_the_score(task):
    batch = draws(task)["eval"]
    count = num_examples(batch)
    weights_b = np.where(np.arange(count) < count // 2, np.asarray(batch.weights_b), 0)
    batch = batch._replace(weights_b=jnp.asarray(weights_b, jnp.float32))
    rng = np.random.default_rng(0)
    outputs_tob = rng.normal(size=(task.read_steps, task.num_outputs, count)).astype(np.float32)
    other_tob = np.where(weights_b > 0, outputs_tob, 9 * outputs_tob[..., ::-1])
    both = [(task.loss(outputs, batch), task.score(outputs, batch)) for outputs in (outputs_tob, other_tob)]
    (loss_b, score), (other_loss_b, other_score) = both
    real = weights_b > 0
    np.testing.assert_allclose(np.asarray(loss_b)[real], np.asarray(other_loss_b)[real], rtol=1e-6)
    assert not np.allclose(np.asarray(loss_b)[~real], np.asarray(other_loss_b)[~real])
    np.testing.assert_allclose(flatten(score), flatten(other_score), rtol=1e-5, atol=1e-6)


def hot(codes, num_symbols):
    """Logits that leave no doubt, (..., num_symbols, b)."""
    return 50.0 * (np.asarray(codes)[..., None, :] == np.arange(num_symbols)[:, None])


PERFECT = {  # outputs_tob of who knows the answers
    "memorization": lambda task, targets: 100 * np.asarray(targets)[None, None] - 50,
    "recall": lambda task, targets: targets[None],
    "random_functions": lambda task, targets: targets[None],
    "text8": lambda task, targets: hot(targets, 27),
    "parentheses": lambda task, targets: hot(targets, task.max_count + 1).reshape(1, task.num_outputs, -1),
    "arithmetic": lambda task, targets: hot(targets, 12),
    "association": lambda task, targets: hot(targets, task.num_values),
    "adding": lambda task, targets: np.stack([targets["sum"]] * 2)[:, None],
}
BEST = {"accuracy": 1, "characters": 1, "sequences": 1, "squared_error": 0, "bits_per_char": 0, "worst": 0}
NO_SKILL = {  # the loss of who says 0 to all
    "memorization": np.log(2),
    "text8": np.log(27),
    "parentheses": 2 * np.log(4),
    "arithmetic": np.log(12),
    "association": np.log(3),
}


@every_task
@pytest.mark.parametrize("split", SPLITS)
def test_who_knows_the_answers_has_no_loss_and_a_perfect_score(task, split):
    batch = draws(task)[split]
    outputs_tob = jnp.asarray(PERFECT[task.name](task, batch.targets), jnp.float32)
    assert outputs_tob.shape == (task.read_steps, task.num_outputs, num_examples(batch))
    np.testing.assert_allclose(task.loss(outputs_tob, batch), 0, atol=1e-6)
    score = {name: float(value) for name, value in task.score(outputs_tob, batch).items()}
    of_labels = task.name == "memorization"  # of each one bit; of associative recall two values of three
    best = BEST | {"bits": float(batch.weights_b.sum()) if of_labels else 2 * np.log2(3)}
    assert score == pytest.approx({name: best[name] for name in score}, abs=1e-6)
    nothing = np.zeros_like(outputs_tob)
    if task.name in NO_SKILL:
        np.testing.assert_allclose(task.loss(nothing, batch), NO_SKILL[task.name], rtol=1e-5)
    else:
        assert float(jnp.mean(task.loss(nothing, batch))) > 0.1
    ignorant = float(task.score(nothing, batch)[task.measure])
    assert abs(ignorant - best[task.measure]) > 0.1


# --- As a value -------------------------------------------------------------------------------------------------------


@every_task
def test_equal_fields_make_equal_tasks_that_compile_once_and_plain_json_holds_them(task):
    fields = json.loads(json.dumps(dataclasses.asdict(task)))
    again, longer = type(task)(**fields), type(task)(**(fields | {"unroll": task.unroll + 1}))
    assert again is not task
    assert (again, hash(again)) == (task, hash(task))
    assert longer != task
    assert (spec_of(again), hash(spec_of(again))) == (spec_of(task), hash(spec_of(task)))
    assert spec_of(longer) != spec_of(task)


@every_task
def test_a_field_from_numpy_is_as_good_as_a_plain_number(task):
    fields = dataclasses.asdict(task)
    from_numpy = {
        name: np.asarray(value)[()] if isinstance(value, int | float) else value for name, value in fields.items()
    }
    assert any(isinstance(value, np.generic) for value in from_numpy.values())
    again = type(task)(**from_numpy)
    assert again == task
    assert json.dumps(dataclasses.asdict(again)) == json.dumps(fields)


@every_task
def test_a_task_cannot_be_changed(task):
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.unroll = 1


@every_task
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "5"])
def test_an_unroll_that_is_no_positive_integer_is_refused_by_name(task, value):
    with pytest.raises(ValueError, match=f"^unroll: {value!r} given; it must be a whole number of at least 1$"):
        dataclasses.replace(task, unroll=value)


@every_drawn_task
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "5"])
def test_a_number_held_out_that_is_no_positive_integer_is_refused_by_name(task, value):
    with pytest.raises(ValueError, match=f"^num_held_out: {value!r} given; it must be a whole number of at least 1$"):
        dataclasses.replace(task, num_held_out=value)


@every_drawn_task
def test_a_task_that_draws_its_examples_must_be_told_how_many(task):
    with pytest.raises(ValueError, match=rf"^batch_size: None given; {task.name} draws its examples"):
        spec_of(task, batch_size=None)
    assert spec_of(task, batch_size=task.batch_size).batch_size == task.batch_size


@every_task
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_a_batch_size_that_is_no_positive_integer_is_refused_by_name(task, value):
    with pytest.raises(ValueError, match=f"^batch_size: {value!r} given; it must be a whole number of at least 1$"):
        spec_of(task, batch_size=value)
