"""Training: the optimizers' rules, and trials that are pure functions however many run at once, and wherever."""

import dataclasses
import functools
import itertools
import subprocess
import sys
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    ROOT,
    SMALL_TASKS,
    begin,
    count_compilations,
    count_events,
    evaluate,
    flatten,
    make_hparams,
    make_keys,
    make_spec,
    noisy,
    train_step,
    train_trial,
    trial,
)

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.model import network
from rnn_capacity.model.spec import BRANCHES, OPTIMIZERS
from rnn_capacity.tasks import Batch, DrawnTask
from rnn_capacity.tasks.base import Source
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.training import optimizers, program, sharding, steps
from rnn_capacity.training.trial import Keys

RNN = CELLS["rnn"]


# --- Optimizers -------------------------------------------------------------------------------------------------------

RUN = 5  # steps
FAN_IN = np.array([3] * 9 + [4] * 12 + [20] * 6 + [3] * 3 + [20])  # of W_h, W_x, b and h_0, and of the readout


@functools.cache
def _problem():
    """Weights, data, and the gradient of the loss at any weights, all float64."""
    spec = make_spec(RNN, num_units=3, num_inputs=4, unroll=1, train_steps=RUN)
    data = spec.task.data(make_keys().task)
    params = noisy(network.init(jax.random.key(0), spec, make_hparams(RNN)))
    with jax.enable_x64(True):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        _, unflatten = jax.flatten_util.ravel_pytree(params)
        gradient = jax.jit(jax.grad(lambda flat: evaluate(spec, data, unflatten(flat), {"num_mappings": 9})[0]))
    return params, data, gradient


def _reference_run(optimizer, schedule, hparams, weights, gradient, fan_in):
    """The update rules in NumPy, from the papers that they are from."""
    velocity, square, first, second = (np.zeros_like(weights) for _ in range(4))
    momentum = 1 / (1 + np.exp(-hparams["momentum_logit"]))
    decay = hparams["squared_gradient_decay"]
    for step in range(RUN):
        g = np.asarray(gradient(weights)) + hparams["l2"] * weights
        norm = np.sqrt((g**2).sum())
        if norm > hparams["gradient_clip"]:
            g = g * hparams["gradient_clip"] / norm
        if optimizer == "momentum":
            velocity = momentum * velocity + g
            g = velocity
        elif optimizer == "rmsprop":
            square = decay * square + (1 - decay) * g**2
            g = g / np.sqrt(square / (1 - decay ** (step + 1)) + 1e-8)
        elif optimizer == "adam":
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g**2
            g = (first / (1 - 0.9 ** (step + 1))) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        if schedule == "exponential":
            rate = hparams["learning_rate"] * hparams["learning_rate_decay"] ** (step / RUN)
        else:
            rate = hparams["learning_rate"] * (1 + np.cos(np.pi * step / RUN)) / 2
        rate = rate * min(1, (step + 1) / (hparams["learning_rate_warm_up"] * RUN + 1))
        weights = weights - rate * (g * (20 / fan_in) ** hparams["fan_in_power"] + hparams["weight_decay"] * weights)
    return weights


@pytest.mark.parametrize(
    ("optimizer", "schedule"), [(optimizer, "exponential") for optimizer in OPTIMIZERS] + [("adam", "cosine")]
)
def test_an_optimizer_equals_its_rule_in_numpy(optimizer, schedule):
    params, data, gradient = _problem()
    spec = make_spec(RNN, num_units=3, num_inputs=4, unroll=1, train_steps=RUN, optimizer=optimizer, schedule=schedule)
    with jax.enable_x64(True):
        base = make_hparams(
            RNN,
            learning_rate=0.05,
            learning_rate_decay=0.02,
            num_mappings=9,
            l2=0.0,
            gradient_clip=1e3,
        )
        beyond = {"learning_rate_warm_up": 0.5, "weight_decay": 0.4, "fan_in_power": 0.7}
        step = jax.jit(functools.partial(train_step, spec, ()))
        start, results = flatten(params), []
        for changed in ({}, {"l2": 0.1}, {"gradient_clip": 0.1, "l2": 0.1}, {"momentum_logit": 0.5}, beyond):
            hparams = base | {name: np.float64(value) for name, value in changed.items()}
            state = steps.before_training(spec, hparams, params)
            for n in range(RUN):
                state = step(data, n, hparams, state)
            expected = _reference_run(optimizer, schedule, hparams, start, gradient, FAN_IN)
            results.append(flatten(state.params))
            np.testing.assert_allclose(results[-1], expected, rtol=1e-6, atol=1e-7)
            assert bool(state.feasible)
    differs = [np.abs(result - results[0]).max() > 1e-4 for result in results]
    _moved, with_l2, clipped, other_momentum, with_what_is_beyond = differs
    assert np.abs(results[0] - start).max() > 1e-2
    assert with_l2
    assert with_what_is_beyond
    assert clipped or optimizer == "adam"
    assert other_momentum == (optimizer == "momentum")


def test_blocks_of_examples_change_neither_loss_nor_gradient_nor_score():
    specs = [make_spec(CELLS["ugrnn"], max_mappings=16, unroll=2, block_size=size) for size in (None, 4)]
    data = specs[0].task.data(make_keys().task)

    def both(spec, params, hparams):
        batch = spec.task.examples(data, Source(0, (), hparams))
        return steps.loss_and_gradient(spec, hparams, params, batch), evaluate(spec, data, params, hparams)

    whole, in_blocks = (jax.jit(functools.partial(both, spec)) for spec in specs)
    params = noisy(network.init(jax.random.key(0), specs[0], make_hparams(specs[0].cell)))
    for num_mappings in (3, 8, 13, 16):
        hparams = {"num_mappings": np.float32(num_mappings)}
        blocks = flatten(in_blocks(params, hparams))
        np.testing.assert_allclose(blocks, flatten(whole(params, hparams)), rtol=1e-5, atol=1e-6)


# --- Many trials ------------------------------------------------------------------------------------------------------


def small_spec(cell=RNN, **fields):
    defaults = {
        "num_units": 4,
        "num_inputs": 5,
        "unroll": 2,
        "train_steps": 120,
        "max_mappings": 14,
        "nonlinearity": "relu",
    }
    return make_spec(cell, **(defaults | fields))


def train_on(num_devices, spec, hparams, keys, **kwargs):
    return program.advance(spec, hparams, keys, devices=jax.devices()[:num_devices], **kwargs)[0]


def take(tree, *index):
    return jax.tree.map(lambda a: a[np.array(index)], tree)


def four_trials():
    """Trials that differ in everything: hparams, data, weights."""
    spread = np.linspace(0.5, 1.5, 4, dtype=np.float32)
    num_mappings = np.float32([6, 9, 11, 14])
    hparams = make_hparams(RNN, 4, learning_rate=0.03 * spread, num_mappings=num_mappings, input_scale=spread)
    return hparams, make_keys(4)


@functools.cache
def outcomes_of_four_trials():
    return train_on(2, small_spec(), *four_trials())


def test_the_trainer_equals_a_loop_of_single_trials_and_reports_no_padding():
    spec, (hparams, keys) = small_spec(), four_trials()
    outcomes = train_on(2, spec, take(hparams, 0, 1, 2), take(keys, 0, 1, 2))  # on 2 devices: one is padding
    assert {a.shape for a in jax.tree.leaves(outcomes)} == {(3,)}
    assert len(set(outcomes.loss["eval"])) == 3
    alone = jax.jit(functools.partial(train_trial, spec))
    expected = [alone(trial(hparams, k), trial(keys, k)) for k in range(3)]
    for k in range(3):
        np.testing.assert_allclose(flatten(trial(outcomes, k)), flatten(expected[k]), rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("optimized")
def test_the_same_run_twice_gives_the_same_bits():
    expected = outcomes_of_four_trials()
    assert expected.feasible.all()
    assert len(set(expected.loss["eval"])) == 4
    chex.assert_trees_all_equal(train_on(2, small_spec(), *four_trials()), expected)


@pytest.mark.parametrize("num_devices", [1, 4])
def test_any_number_of_devices_gives_the_same_bits(num_devices):
    chex.assert_trees_all_equal(train_on(num_devices, small_spec(), *four_trials()), outcomes_of_four_trials())


@pytest.mark.parametrize("batch", [(0, 1, 2), (3, 0), (2,)], ids=str)
def test_any_batching_and_order_of_the_trials_gives_the_same_bits(batch):
    hparams, keys = four_trials()
    outcomes = train_on(2, small_spec(), take(hparams, *batch), take(keys, *batch))
    chex.assert_trees_all_equal(outcomes, take(outcomes_of_four_trials(), *batch))


@pytest.mark.usefixtures("optimized")
def test_data_and_initial_weights_are_the_same_bits_on_any_number_of_devices_in_any_batches():
    spec, (hparams, keys) = small_spec(), four_trials()

    def begin(n, hparams, keys):
        trials = program.TrialProgram(spec, jax.devices()[:n])
        return trials.data(keys.task), trials.begin(hparams, keys.network)

    one = begin(1, hparams, keys)
    chex.assert_trees_all_equal(begin(4, hparams, keys), one)
    chex.assert_trees_all_equal(begin(2, take(hparams, 3, 1), take(keys, 3, 1)), take(one, 3, 1))
    data, state = one
    for drawn in (data.x_ib, state.params["layers"][0]["W_h"]):
        assert len({np.asarray(a).tobytes() for a in drawn}) == 4


def test_trials_of_one_task_key_share_their_data_and_learn_the_same_as_with_a_copy_each():
    spec, (hparams, keys) = small_spec(), four_trials()
    one_key = keys._replace(task=take(keys.task, 0, 0, 0, 0))
    for num_devices, shared in ((1, 1), (2, 2), (4, 4)):
        data = program.TrialProgram(spec, jax.devices()[:num_devices]).data(one_key.task)
        assert {len(a) for a in jax.tree.leaves(data)} == {shared}
    together = train_on(1, spec, hparams, one_key)
    chex.assert_trees_all_equal(train_on(4, spec, hparams, one_key), together)
    for k in range(4):
        alone = train_on(1, spec, take(hparams, k), take(one_key, k))
        chex.assert_trees_all_equal(alone, take(together, k))
    # One that differs: each has its own again.
    mixed = keys._replace(task=take(keys.task, 0, 0, 0, 1))
    data = program.TrialProgram(spec, jax.devices()[:1]).data(mixed.task)
    assert {len(a) for a in jax.tree.leaves(data)} == {4}
    chex.assert_trees_all_equal(take(train_on(1, spec, hparams, mixed), 0, 1, 2), take(together, 0, 1, 2))


def test_trials_of_all_branches_are_one_program_and_learn_as_each_does_in_its_own():
    searched = small_spec(**BRANCHES, train_steps=50, unroll=4)
    names = list(itertools.product(*BRANCHES.values()))[::9]
    hparams, keys = make_hparams(RNN, len(names), learning_rate=0.01), make_keys(len(names))
    chosen = {field: np.float32([BRANCHES[field].index(each[n]) for each in names]) for n, field in enumerate(BRANCHES)}
    with count_events(program.LOWERED) as lowered:
        together = train_on(1, searched, hparams | chosen, keys)
    assert lowered == [1]
    for k, each in enumerate(names):
        spec = dataclasses.replace(searched, **dict(zip(BRANCHES, each, strict=True)))
        alone = train_on(1, spec, *take((hparams, keys), k))
        np.testing.assert_allclose(flatten(take(together, k)), flatten(alone), rtol=1e-3, atol=1e-4)


def test_results_do_not_depend_on_where_chunks_end(monkeypatch):
    expected = outcomes_of_four_trials()
    monkeypatch.setattr(program, "FIRST_CHUNK", 7)
    ends = []
    outcomes = train_on(2, small_spec(), *four_trials(), on_chunk=lambda step, _: ends.append(step))
    assert ends[0] == 7
    chex.assert_trees_all_equal(outcomes, expected)


@pytest.mark.parametrize("together", [None, 4])
def test_a_program_as_on_an_accelerator_trains_as_on_a_cpu(monkeypatch, together):
    """A GPU's trials side by side, a TPU's in groups; each step of a long unroll is made again for the gradient."""
    spec = small_spec(task=Memorization(num_inputs=5, unroll=17, max_mappings=16), train_steps=5)
    hparams, keys = make_hparams(RNN, 8), make_keys(8)
    expected = train_on(1, spec, hparams, keys)
    monkeypatch.setattr(sharding, "SIDE_BY_SIDE", {} if together is None else {"cpu": together})
    monkeypatch.setattr(sharding, "KEEPS_STEPS", set())
    program.trial_program.cache_clear()
    found = train_on(1, spec, hparams, keys)
    program.trial_program.cache_clear()
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def test_on_a_cpu_blocks_are_smaller_where_examples_leave_much_for_the_gradient():
    size = lambda **fields: program.in_blocks(small_spec(**fields), jax.devices()).block_size
    long = Memorization(num_inputs=5, unroll=50, max_mappings=512)
    assert [size(), size(num_units=40), size(num_units=40, task=long), size(num_units=80, task=long, depth=4)] == [
        512,
        512,
        512,
        128,
    ]
    assert size(num_units=80, task=long, depth=4, block_size=512) == 512


def test_the_task_key_decides_the_data_and_the_network_key_the_weights():
    hparams = make_hparams(RNN)
    begun = jax.jit(functools.partial(begin, small_spec()))
    (a, b), (c, d) = make_keys(seed=0), make_keys(seed=1)
    (data, state), (same_data, other_state), (other_data, same_state) = (
        begun(hparams, keys) for keys in (Keys(a, b), Keys(a, d), Keys(c, b))
    )
    chex.assert_trees_all_equal(data, same_data)
    chex.assert_trees_all_equal(state, same_state)
    assert not np.array_equal(data.x_ib, other_data.x_ib)
    assert not np.allclose(flatten(state.params), flatten(other_state.params))


def _plain_cell(name, apply):
    """A cell of one matrix of ones: quick to compile."""
    init = lambda key, num_inputs, num_units, hparams: {
        "W": jnp.ones((num_units, num_inputs)),
        "h_0": jnp.zeros(num_units),
    }
    return Cell(name, init, lambda params: params["h_0"], apply)


def test_new_values_of_the_hparams_compile_nothing():
    traced = []

    class Counted(Memorization):
        def data(self, key):
            traced.append(1)
            return super().data(key)

    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = small_spec(cell, task=Counted(num_inputs=5, unroll=1, max_mappings=14))
    hparams, keys = make_hparams(cell, 4), make_keys(4)
    with count_compilations() as compiled:
        first = train_on(2, spec, hparams, keys)
    num_traced = len(traced)
    assert num_traced >= 1
    assert compiled[0] >= 1
    other = {name: (0.9 * value).astype(np.float32) for name, value in hparams.items()}
    other["bias_init"] = np.float32([0, 1, 0, 1])
    keys = make_keys(4, seed=1)
    with count_compilations() as compiled:
        second = train_on(2, spec, other, keys)
    assert compiled == [0]
    assert len(traced) == num_traced
    assert not np.allclose(first.loss["eval"], second.loss["eval"])


@pytest.mark.parametrize(
    ("seconds", "ends"),  # of a step
    [(5.0, [1, 2, 3, 4]), (0.3, [1, 5, 9, 13]), (0.06, [1, 9, 26, 43]), (0.001, [1, 9, 73, 120])],
)
def test_chunks_take_a_second_however_long_a_step_is_and_the_first_is_one_step(monkeypatch, seconds, ends):
    now, told, compiled = [0.0], [], program.TrialProgram.compile

    def compile_timed(*given):
        found = compiled(*given)

        def run(given, *trials):
            now[0] += seconds * int(given[2] - given[1])
            return found.advance(given, *trials)

        run.memory_analysis = found.advance.memory_analysis
        return found._replace(advance=run)

    monkeypatch.setattr(program.TrialProgram, "compile", compile_timed)
    monkeypatch.setattr(program, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    train_on(2, small_spec(), *four_trials(), on_chunk=lambda step, _: told.append(step))
    assert told[: len(ends)] == ends
    assert told[-1] == 120


def test_what_is_lowered_and_trained_is_told_to_whoever_measures():
    """So that a benchmark replaces nothing to time it."""
    told, spec = [], small_spec(num_units=11)
    listen = lambda event, seconds, **_: told.append((event, seconds))
    jax.monitoring.register_event_duration_secs_listener(listen)
    for _ in range(2):
        chunks = []
        train_on(2, spec, *four_trials(), on_chunk=lambda step, _, chunks=chunks: chunks.append(step))
    jax.monitoring.unregister_event_duration_listener(listen)
    seconds = lambda event: [taken for name, taken in told if name == event]
    assert len(seconds(program.LOWERED)) == 1  # compiled once
    assert len(seconds(program.TRAINED)) >= 2 * len(chunks) - 2
    assert min(seconds(program.TRAINED) + seconds(program.LOWERED)) > 0


def test_a_program_is_lowered_from_shapes_alone_for_devices_that_run_nothing():
    """What it will need is known before anything is made, and it is the program that trains."""
    spec, (hparams, keys) = small_spec(), four_trials()
    trials = program.TrialProgram(spec, jax.devices()[:2])
    before = len(jax.live_arrays())
    lowered = trials.lower(4, hparams, 4)
    assert len(jax.live_arrays()) <= before
    compiled = trials.compile(4, hparams, 4)
    assert [one.compile().memory_analysis().temp_size_in_bytes for one in lowered] == [
        one.memory_analysis().temp_size_in_bytes for one in compiled
    ]
    data, state = trials.data(keys.task), trials.begin(hparams, keys.network)
    state = compiled.advance((trials.shared(), np.int32(0), np.int32(120)), data, hparams, state)
    loss, _ = compiled.evaluate((trials.shared(), np.int32(2)), data, hparams, state.params)
    chex.assert_trees_all_equal(loss, outcomes_of_four_trials().loss["eval"])


def test_beside_the_chunks_no_copy_of_the_states_stays_in_memory():
    spec, count = small_spec(num_units=9, optimizer="sgd"), []
    held = lambda: sum(a.shape == (4, 9, 9) for a in jax.live_arrays())  # one of these to a state
    train_on(2, spec, *four_trials(), on_chunk=lambda *_: count.append(held()))
    assert len(count) >= 2
    assert set(count) == {1}


def test_after_each_chunk_the_step_is_told_with_where_the_trials_stand():
    seen = []
    train_on(2, small_spec(), *four_trials(), on_chunk=lambda *told: seen.append(told))
    steps = [step for step, _ in seen]
    assert len(steps) >= 2
    assert steps[0] == program.FIRST_CHUNK
    assert (np.diff(steps) > 0).all()
    assert steps[-1] == 120
    norms = [np.linalg.norm(flatten(state.params)) for _, state in seen]
    assert len(set(norms)) == len(norms)


def test_the_untrained_score_is_that_of_the_initial_weights():
    spec, (hparams, keys) = small_spec(), four_trials()
    outcomes = outcomes_of_four_trials()
    untrained = jax.jit(lambda hparams, key: evaluate(spec, *_begun(spec, hparams, key), hparams)[1])
    scores = [untrained(trial(hparams, k), trial(keys, k)) for k in range(4)]
    for k in range(4):
        np.testing.assert_allclose(
            flatten(scores[k]), flatten(trial(outcomes.untrained_score, k)), rtol=1e-5, atol=1e-5
        )
    assert (outcomes.score["eval"]["bits"] > outcomes.untrained_score["bits"]).all()


def _begun(spec, hparams, key):
    data, state = begin(spec, hparams, key)
    return data, state.params


def test_a_small_rnn_learns_a_small_set_of_mappings_from_minibatches():
    spec = make_spec(RNN, num_units=8, num_inputs=8, unroll=2, max_mappings=24, train_steps=400, batch_size=8)
    outcomes = train_on(2, spec, make_hparams(RNN, 2, num_mappings=20), make_keys(2))
    assert outcomes.feasible.all()
    assert (outcomes.score["eval"]["accuracy"] > 0.95).all()
    assert (outcomes.loss["eval"] < 0.2).all()
    assert (outcomes.score["eval"]["bits"] > 13).all()
    assert (outcomes.score["eval"]["bits"] <= 20).all()
    assert (outcomes.untrained_score["accuracy"] < 0.9).all()


def test_a_small_rnn_learns_a_small_set_of_mappings_from_full_batches():
    outcomes = outcomes_of_four_trials()
    assert outcomes.feasible.all()
    assert (outcomes.score["eval"]["accuracy"] > 0.95).all()
    assert (outcomes.score["eval"]["bits"] > outcomes.untrained_score["bits"]).all()


# --- Trials that diverge ----------------------------------------------------------------------------------------------

DIVERGING = {
    "a huge learning rate": {"learning_rate": 1e15, "gradient_clip": 1e30},
    "a huge scale": {"recurrent_scale": 1e30, "input_scale": 1e30},
    "a scale that is no number": {"recurrent_scale": np.nan},
}


@pytest.mark.parametrize("diverging", DIVERGING.values(), ids=DIVERGING.keys())
def test_a_trial_that_diverges_is_infeasible_and_changes_no_bit_of_another(diverging):
    expected = outcomes_of_four_trials()
    assert expected.feasible.all()
    hparams, keys = four_trials()
    for name, value in diverging.items():
        hparams[name][1] = value
    outcomes = train_on(2, small_spec(), hparams, keys)
    np.testing.assert_array_equal(outcomes.feasible, [True, False, True, True])
    chex.assert_trees_all_equal(take(outcomes, 0, 2, 3), take(expected, 0, 2, 3))
    without = train_on(2, small_spec(), take(hparams, 0, 2, 3), take(keys, 0, 2, 3))
    chex.assert_trees_all_equal(take(outcomes, 0, 2, 3), without)


def test_a_trial_that_diverged_stands_still():
    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = small_spec(cell, optimizer="momentum", unroll=1)
    hparams, key = make_hparams(cell, learning_rate=1e10, gradient_clip=1e10), make_keys()
    data, state = begin(spec, hparams, key)
    step = jax.jit(functools.partial(train_step, spec, (), data))
    states = [state]
    while states[-1].feasible and len(states) < 20:
        states.append(step(len(states) - 1, hparams, states[-1]))
    assert 2 < len(states) < 20  # some steps were taken before it diverged
    good, last = states[-2], states[-1]
    assert good.feasible
    assert not last.feasible
    chex.assert_trees_all_equal((last.params, last.optimizer_state), (good.params, good.optimizer_state))
    chunk = jax.jit(functools.partial(steps.train_chunk, spec, (), data))
    later = chunk(jnp.int32(len(states) - 1), jnp.int32(50), make_hparams(cell, learning_rate=0.0), last)
    assert not later.feasible
    chex.assert_trees_all_equal((later.params, later.optimizer_state), (good.params, good.optimizer_state))
    beside = jax.jit(functools.partial(steps.train_chunk, spec, (), data, alone=False))
    later = beside(jnp.int32(len(states) - 1), jnp.int32(50), make_hparams(cell, learning_rate=0.0), last)
    chex.assert_trees_all_equal((later.params, later.optimizer_state), (good.params, good.optimizer_state))
    running = chunk(jnp.int32(0), jnp.int32(50), make_hparams(cell), state)  # while a trial that has not goes on
    assert running.feasible
    assert not np.allclose(flatten(running.params), flatten(state.params))


def test_a_trial_whose_last_step_overflows_is_infeasible():
    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = small_spec(cell, optimizer="sgd", train_steps=1, unroll=1)
    hparams = make_hparams(cell, 2, gradient_clip=1e30, learning_rate=np.float32([0.01, 1e30]))
    outcomes = train_on(2, spec, hparams, make_keys(2))
    np.testing.assert_array_equal(outcomes.feasible, [True, False])


def test_a_cell_that_returns_nan_is_infeasible_and_no_crash():
    cell = _plain_cell("nan", lambda params, h, x, s: (h, params["W"] @ x * jnp.nan))
    outcomes = train_on(2, small_spec(cell), make_hparams(cell, 3), make_keys(3))
    np.testing.assert_array_equal(outcomes.feasible, [False, False, False])


def test_a_cell_that_breaks_its_contract_is_refused_before_anything_is_compiled():
    apply = lambda params, h, x, s: (jnp.concatenate([h, h]), h)
    spec = small_spec(_plain_cell("grows", apply))
    hparams, keys = make_hparams(spec.cell, 2), make_keys(2)
    with count_compilations() as compiled, pytest.raises(ValueError, match=r"^cell: 'grows' changes its carry"):
        train_on(2, spec, hparams, keys)
    assert compiled == [0]


@pytest.mark.parametrize(
    ("name", "reads"), [("memorization", ["num_mappings"]), ("arithmetic", ["compute_steps"]), ("recall", [])]
)
def test_hparams_that_are_missing_are_told_by_name_the_tasks_own_too(name, reads):
    task = SMALL_TASKS[name]
    spec = make_spec(RNN, task=task, batch_size=task.batch_size)
    given = {name: value for name, value in make_hparams(RNN, 2).items() if name not in ("l2", *reads)}
    missing = ", ".join(["l2", *reads])
    known = ", ".join([*optimizers.HPARAM_NAMES, *reads])
    keys = make_keys(2)
    with count_compilations() as compiled, pytest.raises(ValueError, match=r"^hparams: ") as error:
        train_on(2, spec, given, keys)
    assert str(error.value) == f"hparams: {missing} not given; training reads {known}"
    assert compiled == [0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table(DrawnTask):
    """Asks for the number at a random place of a table that all trials share; its score is the table's sum."""

    name = "table"
    measure = "sum"
    num_inputs = 1
    num_outputs = 1

    first: int = 100  # number of the table

    def shared(self):
        return {"table": self.first + np.arange(6, dtype=np.float32)}

    def draw(self, key, num_examples, source):
        table = source.shared["table"]
        index_b = jax.random.randint(key, (num_examples,), 0, len(table))
        x_tib, sum_b = index_b[None, None].astype(float), jnp.full(num_examples, table.sum())
        return Batch(x_tib, (table[index_b], sum_b), jnp.ones(num_examples))

    def loss(self, outputs_tob, batch):
        return 0 * outputs_tob[-1, 0] + batch.targets[0]

    def score(self, outputs_tob, batch):
        return {"sum": batch.targets[1].max(), "least": batch.targets[0].min(), "most": batch.targets[0].max()}


@pytest.mark.parametrize("first", [100, 200])  # a task of other fields shares other data
def test_what_a_task_shares_is_seen_by_every_trial_on_every_device(first):
    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = make_spec(cell, task=Table(unroll=1, num_held_out=200, first=first), batch_size=4, train_steps=1)
    outcomes = train_on(4, spec, make_hparams(cell, 7), make_keys(7))
    assert outcomes.feasible.all()
    for score in (outcomes.untrained_score, *outcomes.score.values()):
        np.testing.assert_array_equal(score["sum"], np.full(7, 6 * first + 15))
        np.testing.assert_array_equal(score["least"], np.full(7, first))
        np.testing.assert_array_equal(score["most"], np.full(7, first + 5))
    alone = jax.jit(functools.partial(train_trial, spec))(trial(make_hparams(cell, 7), 3), trial(make_keys(7), 3))
    chex.assert_trees_all_equal(alone.score, trial(outcomes.score, 3))


def test_large_orthogonal_matrices_of_several_gates_are_made_on_two_devices():
    """Their decomposition once waited forever; so it runs in a process of its own."""
    program = (
        "import sys; sys.path.insert(0, 'tests'); import jax; jax.config.update('jax_num_cpu_devices', 2);"
        "from helpers import make_hparams, make_keys, make_spec; "
        "from rnn_capacity import CELLS; from rnn_capacity.training.program import TrialProgram;"
        "spec = make_spec(CELLS['gru'], num_units=96);"
        "program = TrialProgram(spec, jax.devices());"
        "print(program.begin(make_hparams(spec.cell, 4), make_keys(4).network).params['layers'][0]['W_h'].shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "(4, 192, 96)", done.stderr
