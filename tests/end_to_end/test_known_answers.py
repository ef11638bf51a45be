"""Answers that are known beforehand, through the same harness that measures recurrent cells."""

import math

import jax
import numpy as np
import pytest
from helpers import begin, evaluate, make_hparams, make_keys
from scipy.optimize import linprog

from rnn_capacity import Cell, measure_capacity
from rnn_capacity.cells import CELLS, initializers
from rnn_capacity.model.spec import Spec
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.training import program, steps

pytestmark = pytest.mark.usefixtures("optimized")


# A linear threshold unit, as a user would write it: no carry, one step.
def init(key, num_inputs, num_units, hparams):
    return {"w": initializers.rectangular(key, num_inputs, num_units, hparams)}


def apply(params, carry, x, _):
    return carry, params["w"] @ x


perceptron = Cell("perceptron", init, lambda params: (), apply)


def cover(num_points, num_dimensions):
    """The fraction of labellings of points in general position that a hyperplane separates (Cover 1965)."""
    return 2 * sum(math.comb(num_points - 1, k) for k in range(num_dimensions)) / 2**num_points


def separable(x_pi, labels_p):
    """Whether some affine function has the labels as its signs, by linear programming."""
    signed = np.where(labels_p[:, None] > 0.5, 1, -1) * np.c_[x_pi, np.ones(len(x_pi))]
    found = linprog(np.zeros(signed.shape[1]), A_ub=-signed, b_ub=-np.ones(len(signed)), bounds=(None, None))
    return found.status == 0


def test_perceptron_separates_the_fraction_of_random_sets_that_cover_says():
    num_inputs, num_sets = 20, 100
    num_dimensions = num_inputs + 1  # with the readout's bias
    sizes = [round(ratio * num_dimensions) for ratio in (1.5, 2, 2.5)]
    num_mappings = np.repeat(sizes, num_sets)
    spec = Spec(
        cell=perceptron,
        task=Memorization(num_inputs=num_inputs, unroll=1, max_mappings=64),
        num_units=1,
        train_steps=4000,
        optimizer="adam",
    )
    num_trials = len(num_mappings)
    hparams = make_hparams(perceptron, num_trials, num_mappings=num_mappings, learning_rate=0.1, input_scale=0.1, l2=0)
    keys = make_keys(num_trials)
    outcome, _ = program.advance(spec, hparams, keys, devices=jax.local_devices()[:2])
    separated = outcome.score["eval"]["accuracy"] == 1

    truth = []
    for key, b in zip(keys.task, num_mappings, strict=True):
        data = spec.task.data(key)
        truth.append(separable(np.asarray(data.x_ib[:, :b]).T, np.asarray(data.labels_b[:b])))
    assert np.mean(separated == truth) > 0.97
    assert not np.any(separated & ~np.array(truth))
    for i, size in enumerate(sizes):
        expected = cover(size, num_dimensions)
        error = math.sqrt(expected * (1 - expected) / num_sets)
        assert abs(separated[i * num_sets : (i + 1) * num_sets].mean() - expected) < 3 * error, size


def test_cover_is_one_half_at_two_points_a_dimension():
    assert cover(42, 21) == 0.5


def test_perceptron_stores_about_two_bits_a_parameter():
    result = measure_capacity(
        perceptron,
        num_params=102,
        num_inputs=100,
        unroll=1,
        train_steps=3000,
        num_trials=12,
        num_repeats=0,
        progress=False,
    )
    assert result.num_params == 102
    assert 1.8 < result.bits_per_param < 2.2


def test_shuffled_labels_give_the_chance_level():
    """A network that has stored its labels knows nothing of others."""
    num_mappings, train_steps = 200, 1500
    spec = Spec(
        cell=CELLS["rnn"],
        task=Memorization(num_inputs=20, max_mappings=256),
        num_units=8,
        train_steps=train_steps,
    )
    hparams = make_hparams(spec.cell, num_mappings=num_mappings)
    data, state = begin(spec, hparams, make_keys())
    state = steps.train_chunk(spec, (), data, 0, train_steps, hparams, state)
    _, score = evaluate(spec, data, state.params, hparams)
    order = np.random.default_rng(0).permutation(num_mappings)
    shuffled = data._replace(labels_b=data.labels_b.at[:num_mappings].set(data.labels_b[order]))
    _, chance = evaluate(spec, shuffled, state.params, hparams)
    assert score["bits"] > 0.9 * num_mappings
    assert chance["bits"] < 0.05 * num_mappings


def bits_per_param_after(unroll, num_params, train_steps, num_trials):
    return measure_capacity(
        "rnn",
        num_params=num_params,
        unroll=unroll,
        train_steps=train_steps,
        num_trials=num_trials,
        num_repeats=0,
        progress=False,
    ).bits_per_param


def test_bits_grow_with_the_first_steps():
    one, two = (bits_per_param_after(unroll, num_params=200, train_steps=1500, num_trials=8) for unroll in (1, 2))
    assert two > one + 0.1


@pytest.mark.science
def test_bits_grow_with_one_two_and_five_steps():
    one, two, five = (bits_per_param_after(unroll, 500, train_steps=10_000, num_trials=16) for unroll in (1, 2, 5))
    print(f"T = 1: {one:.2f}, T = 2: {two:.2f}, T = 5: {five:.2f} bits per parameter")
    assert one < two < five
