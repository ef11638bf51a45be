"""Recall: the moments and bounds of its vectors, draws that are apart, and the error that the paper's line is about."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rnn_capacity.tasks.base import SPLITS, Source
from rnn_capacity.tasks.recall import Recall, line


def source(split="train"):
    return Source(split=jnp.int32(SPLITS.index(split)), shared=(), hparams={})


@functools.partial(jax.jit, static_argnums=0)
def compiled_examples(task, key, given):
    return task.examples(task.data(key), given)


@functools.partial(jax.jit, static_argnums=0)
def compiled_sample(task, key, step):
    return task.sample(task.data(key), step, 8, source())


def example_batch(task, split="eval", seed=0):
    return compiled_examples(task, jax.random.key(seed), source(split))


def sample_batch(task, step, seed=0):
    return compiled_sample(task, jax.random.key(seed), jnp.int32(step))


# --- What is drawn ----------------------------------------------------------------------------------------------------


def test_sizes_are_the_papers_and_follow_from_the_fields():
    task = Recall()
    assert (task.num_inputs, task.num_outputs, task.unroll, task.read_steps, task.batch_size) == (64, 64, 12, 1, 64)
    assert Recall(num_inputs=5).num_outputs == 5
    assert task == Recall(unroll=12)
    assert hash(task) == hash(Recall(unroll=12))


def test_a_vector_is_shown_at_one_step_and_is_what_should_come_back():
    batch = example_batch(Recall(num_inputs=5, num_held_out=30))
    assert batch.x_tib.shape == (1, 5, 30)
    assert batch.x_tib.dtype == np.float32
    np.testing.assert_array_equal(batch.targets, batch.x_tib[0])
    np.testing.assert_array_equal(batch.weights_b, np.ones(30))


def test_components_are_uniform_of_variance_one():
    x = np.asarray(example_batch(Recall(num_inputs=10, num_held_out=5000)).targets, np.float64)
    assert np.abs(x).max() <= np.sqrt(3) * (1 + 1e-6)
    assert np.abs(x).max() > 1.73  # of 50,000, one is almost surely within 0.1 % of a bound
    assert np.abs(x.mean(axis=1)).max() < 5 / np.sqrt(5000)
    fourth = 9 / 5  # of the uniform distribution on +-sqrt(3)
    assert np.abs((x**2).mean(axis=1) - 1).max() < 5 * np.sqrt((fourth - 1) / 5000)
    assert stats.kstest(x.ravel(), stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).cdf).pvalue > 1e-3


def test_components_and_examples_are_independent():
    x = np.asarray(example_batch(Recall(num_inputs=10, num_held_out=5000)).targets, np.float64)
    pairs = ~np.eye(10, dtype=bool)
    for a in (x, x**2 - 1):
        a = a / a.std()
        assert np.abs((a @ a.T / 5000)[pairs]).max() < 5 / np.sqrt(5000)
        assert np.abs((a[:, 1:] * a[:, :-1]).mean(axis=1)).max() < 5 / np.sqrt(4999)


def test_every_step_split_and_key_has_its_own_vectors_and_a_key_always_the_same():
    task = Recall(num_inputs=3, num_held_out=8)
    draws = [sample_batch(task, 0), sample_batch(task, 1), sample_batch(task, 0, seed=1)]
    draws += [example_batch(task, split) for split in SPLITS] + [example_batch(task, seed=1)]
    numbers = np.concatenate([np.ravel(batch.targets) for batch in draws])
    assert len(np.unique(numbers)) == numbers.size == 7 * 24
    np.testing.assert_array_equal(sample_batch(task, 1).x_tib, draws[1].x_tib)
    np.testing.assert_array_equal(example_batch(task, "valid").x_tib, draws[4].x_tib)


def test_trials_side_by_side_draw_what_each_draws_alone():
    task = Recall(num_inputs=3)
    keys = jnp.stack([jax.random.key(seed) for seed in (0, 1)])
    draw = jax.jit(jax.vmap(lambda key: task.sample(task.data(key), jnp.int32(4), 8, source())))
    together = draw(keys)
    for seed in (0, 1):
        np.testing.assert_array_equal(together.x_tib[seed], sample_batch(task, 4, seed=seed).x_tib)


# --- How it is judged -------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_square_over_components_as_worked_out_by_hand():
    task = Recall(num_inputs=2)
    batch = example_batch(task)._replace(targets=jnp.array([[1.0, 0.5], [-1.0, 0.0]]), weights_b=jnp.array([3.0, 1.0]))
    outputs_tob = jnp.array([[[1.0, 1.5], [1.0, -1.0]]])
    np.testing.assert_allclose(task.loss(outputs_tob, batch), [2.0, 1.0], rtol=1e-6)  # (0 + 4) / 2, (1 + 1) / 2
    np.testing.assert_allclose(task.score(outputs_tob, batch)["squared_error"], 1.75, rtol=1e-6)


def test_padding_of_weight_zero_does_not_count():
    task = Recall(num_inputs=4, num_held_out=6)
    batch = example_batch(task)
    padded = batch._replace(weights_b=jnp.array([1.0, 1, 1, 1, 0, 0]))
    outputs_tob = np.random.default_rng(0).normal(size=(1, 4, 6)).astype(np.float32)
    expected = np.mean((outputs_tob[0, :, :4] - np.asarray(batch.targets)[:, :4]) ** 2)
    np.testing.assert_allclose(task.score(outputs_tob, padded)["squared_error"], expected, rtol=1e-6)


@pytest.mark.parametrize("num_kept", [0, 1, 7, 15, 20])
def test_who_keeps_some_of_the_numbers_is_on_the_papers_line(num_kept):
    task = Recall(num_inputs=20, num_held_out=4000)
    batch = example_batch(task)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))
    basis = rotation[:, :num_kept].astype(np.float32)  # what a linear network of so many units can give back
    error = task.score((basis @ (basis.T @ np.asarray(batch.targets)))[None], batch)[task.measure]
    assert error == pytest.approx(line(num_kept, 20), abs=5 * np.sqrt(0.8 / (20 * 4000)))


def test_the_line_falls_to_zero_where_the_units_are_as_many_as_the_inputs():
    assert line(0, 64) == 1
    assert line(16, 64) == 0.75
    assert line(64, 64) == line(65, 64) == line(1000, 64) == 0
    units = np.array([1, 32, 64, 100])
    np.testing.assert_array_equal(line(units, 64), [63 / 64, 0.5, 0, 0])
    np.testing.assert_array_equal(line(3, np.array([2, 4, 12])), [0, 0.25, 0.75])


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["unroll", "num_inputs", "num_held_out"])
@pytest.mark.parametrize("value", [0, -3, 1.5, "12", True, None])
def test_a_field_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field}: {value!r} given; it must be a whole number of at least 1$"):
        Recall(**{field: value})
