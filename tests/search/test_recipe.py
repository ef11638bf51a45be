"""How the quick space depends on size and steps: the ranges hold what docs/measurements.md says was measured best."""

import pytest

from rnn_capacity.cells import CELLS
from rnn_capacity.search import recipe
from rnn_capacity.search.space import space_for, tuned

# The best rate that was measured, by cell, parameters and steps (benchmarks/recipe.py).
BEST = [
    ("rnn", 79, 10_000, 0.01),
    ("rnn", 991, 3_000, 0.05),
    ("rnn", 991, 10_000, 0.05),
    ("rnn", 991, 25_000, 0.05),
    ("rnn", 3_901, 10_000, 0.034),
    ("lstm", 953, 10_000, 0.05),
    ("irnn", 469, 10_000, 0.015),
    ("irnn", 991, 10_000, 0.025),
]


@pytest.mark.parametrize(("cell", "num_params", "train_steps", "rate"), BEST)
def test_the_best_rate_that_was_measured_is_inside_the_range(cell, num_params, train_steps, rate):
    searched = space_for(CELLS[cell], num_params=num_params, train_steps=train_steps)["learning_rate"]
    assert searched.low < rate < searched.high


@pytest.mark.parametrize(("train_steps", "scale"), [(3_000, 3.5), (10_000, 7.0), (25_000, 7.0), (100_000, 7.0)])
def test_the_best_scale_of_a_readout_that_was_measured_is_inside_the_range(train_steps, scale):
    searched = space_for(CELLS["rnn"], train_steps=train_steps)["readout_scale"]
    assert searched.low < scale < searched.high


def test_rates_rise_with_the_size_up_to_1000_parameters_and_fall_beyond():
    at = lambda *sizes: [recipe.learning_rate(0.045, n) for n in sizes]
    rising, falling = at(10, 100, 1_000), at(1_000, 10_000, 10**6)
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert rising[-1] == falling[0] == max(rising)


@pytest.mark.parametrize("num_params", [1, 100, 10**7])
def test_at_any_size_the_same_is_tuned(num_params):
    assert set(tuned(space_for(CELLS["gru"], num_params=num_params))) == set(tuned(space_for(CELLS["gru"])))
