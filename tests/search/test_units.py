"""Values of Optuna's distributions as coordinates from 0 to 1, and back."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rnn_capacity.search import units

COUNTED = {
    "choices": CategoricalDistribution((None, True, 3, 0.5, "s", float("nan"))),
    "integers": IntDistribution(-3, 40),
    "integers with steps": IntDistribution(5, 96, step=7),
    "logarithmic integers": IntDistribution(1, 300, log=True),
    "floats with steps": FloatDistribution(-0.3, 0.9, step=0.1),
    "few": IntDistribution(2, 3),
}
CONTINUOUS = {"linear": FloatDistribution(-2.0, 6.0), "logarithmic": FloatDistribution(1e-9, 1e3, log=True)}


def values_of(distribution):
    """All of them, as Optuna has them."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low + i * distribution.step for i in range(units.num_values(distribution))]


@pytest.mark.parametrize("distribution", COUNTED.values(), ids=COUNTED)
def test_each_value_has_a_cell_and_stands_in_its_middle(distribution):
    values = values_of(distribution)
    coordinates = [units.to_unit(distribution, value) for value in values]
    assert (np.diff(coordinates) > 0).all()
    edges = np.concatenate([[0.0], (np.array(coordinates[1:]) + coordinates[:-1]) / 2, [1.0]])
    if not units.ends(distribution)[2]:
        np.testing.assert_allclose(np.diff(edges), 1 / len(values))
    for number, (value, u) in enumerate(zip(values, coordinates, strict=True)):
        found = units.from_unit(distribution, u)
        assert units.index_of(distribution, found) == units.index_of(distribution, value) == number
        assert type(found) is type(value)
        assert units.unit_of(distribution, number) == u


@pytest.mark.parametrize("distribution", [*COUNTED.values(), *CONTINUOUS.values()], ids=[*COUNTED, *CONTINUOUS])
def test_whatever_the_coordinate_the_value_is_possible(distribution):
    """As Optuna has it: else it would draw another at random."""
    for u in [0.0, 1e-17, np.nextafter(1.0, 0.0), 1.0, *np.random.default_rng(0).random(200)]:
        value = units.from_unit(distribution, u)
        optuna.trial.create_trial(params={"x": value}, distributions={"x": distribution}, value=0.0)  # or it raises


def test_logarithmic_integers_are_drawn_as_often_as_their_share_of_the_scale():
    """As Optuna's own samplers have it: n from n - 1/2 to n + 1/2."""
    distribution = IntDistribution(1, 10, log=True)
    drawn = units.index_at(distribution, (np.arange(100_000) + 0.5) / 100_000) + 1
    share = np.diff(np.log(np.arange(0.5, 11))) / np.log(10.5 / 0.5)
    np.testing.assert_allclose(np.bincount(drawn.astype(int))[1:] / 100_000, share, atol=2e-5)


@pytest.mark.parametrize("distribution", CONTINUOUS.values(), ids=CONTINUOUS)
def test_a_continuum_goes_through_and_back(distribution):
    assert units.num_values(distribution) == 0
    for u in (0.0, 0.3, 1.0):
        assert units.to_unit(distribution, units.from_unit(distribution, u)) == pytest.approx(u, abs=1e-12)


def test_integers_beyond_the_precision_of_floats_stay_within_their_range():
    distribution = IntDistribution(0, 2**62)
    assert [units.from_unit(distribution, u) for u in (0.0, 1.0)] == [0, 2**62]
    assert type(units.from_unit(distribution, 0.7)) is int


@pytest.mark.parametrize(
    "distribution", [FloatDistribution(2.0, 2.0), FloatDistribution(1.0, 1.0, log=True), IntDistribution(3, 3)]
)
def test_a_single_value_stands_in_the_middle(distribution):
    assert units.to_unit(distribution, distribution.low) == 0.5
    assert units.from_unit(distribution, 0.7) == distribution.low
