"""Training: trials are pure functions, however many run at once and wherever, and they learn."""

import dataclasses
import functools
import itertools

import chex
import jax
import numpy as np
import pytest
from helpers import begin, count_events, evaluate, flatten, make_hparams, make_keys, make_spec, train_trial, trial
from small_trials import RNN, four_trials, small_spec, take, train_on

from rnn_capacity.model.spec import BRANCHES
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.training import program, sharding
from rnn_capacity.training.trial import Keys


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
