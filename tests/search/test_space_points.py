"""From a point of the unit cube to a trial's values and back, also of whole numbers."""

import json

import numpy as np
import optuna
import pytest
from helpers import make_spec

from rnn_capacity.cells import CELLS
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.model.spec import BRANCHES
from rnn_capacity.search import space as spaces
from rnn_capacity.search import units
from rnn_capacity.search.space import space_for

BELOW_ONE = np.nextafter(1, 0)


def to_unit(space, values):
    """The inverse of `spaces.from_unit`."""
    tuned = spaces.dimensions(space).distributions
    return [units.to_unit(d, values[name]) if name in values else units.MIDDLE for name, d in tuned.items()]


def test_a_point_holds_what_has_an_effect_there_and_goes_back_to_itself():
    space = space_for(CELLS["gru"], "paper")
    rng = np.random.default_rng(0)
    seen = set()
    for point in rng.random((200, len(spaces.tuned(space)))):
        values = spaces.from_unit(space, point)
        assert ("momentum_logit" in values) == (values["optimizer"] == "momentum")
        assert ("recurrent_scale_u" in values) == (values["recurrent_init"] != "identity")
        assert spaces.from_unit(space, to_unit(space, values)) == pytest.approx(values)
        whole = spaces.complete(space, values)
        assert set(whole) == set(space)
        assert set(spaces.holding(space, whole)) & set(spaces.tuned(space)) == set(values)
        seen.add((values["optimizer"], values["recurrent_init"]))
    assert len(seen) == 12


# --- Whole numbers ----------------------------------------------------------------------------------------------------

WHOLE = {"before": Range(0.0, 1.0), "n": Range(1, 6, whole=True), "after": 2.0}


def test_each_whole_number_has_an_equal_share_of_the_unit_interval():
    u = (np.arange(6000) + 0.5) / 6000
    values = [spaces.from_unit(WHOLE, [0.5, coordinate])["n"] for coordinate in u]
    assert values == sorted(values)
    assert {n: values.count(n) for n in values} == dict.fromkeys(map(float, range(1, 7)), 1000)
    assert {type(n) for n in values} == {float}


@pytest.mark.parametrize(("u", "n"), [(0.0, 1), (1 / 6 - 1e-9, 1), (1 / 6 + 1e-9, 2), (BELOW_ONE, 6), (1.0, 6)])
def test_the_ends_of_the_unit_interval_are_the_ends_of_the_whole_numbers(u, n):
    assert spaces.from_unit(WHOLE, [0.0, u])["n"] == n


@pytest.mark.parametrize(("low", "high"), [(1, 6), (2, 3), (-3, 40)])
def test_a_whole_number_goes_to_the_middle_of_its_share_and_back(low, high):
    space, count = {"n": Range(low, high, whole=True)}, high - low + 1
    for i, n in enumerate(range(low, high + 1)):
        (u,) = to_unit(space, {"n": float(n)})
        assert u == pytest.approx((2 * i + 1) / (2 * count))
        assert spaces.from_unit(space, [u]) == {"n": n}


def test_whole_numbers_are_a_distribution_in_steps_of_one():
    assert spaces.distributions(WHOLE)["n"] == optuna.distributions.FloatDistribution(1.0, 6.0, step=1.0)
    assert spaces.distributions(WHOLE)["before"] == optuna.distributions.FloatDistribution(0.0, 1.0)


@pytest.mark.parametrize("dimension", [Range(1, 6, whole=True), Range(0.5, 2.0, log=True), Range(-2.0, 2.0)])
def test_a_range_goes_through_json_and_back(dimension):
    plain = json.loads(json.dumps(spaces.to_json(dimension)))
    assert spaces.from_json(plain) == dimension
    assert ("whole" in plain) == dimension.whole  # so that studies made before there were such still go on


# --- From the unit cube to a trial ------------------------------------------------------------------------------------

SCALES = {
    "linear": Range(-2.0, 6.0),
    "fixed": 3.0,
    "log": Range(1e-4, 1e-2, log=True),
    "name": "constant",
    "choice": Choice(("a", "b", "c", "d")),
}


@pytest.mark.parametrize(
    ("u", "expected"),
    [
        (0.0, {"linear": -2.0, "log": 1e-4, "choice": "a"}),
        (0.25, {"linear": 0.0, "log": 1e-4 * 10**0.5, "choice": "b"}),
        (0.5, {"linear": 2.0, "log": 1e-3, "choice": "c"}),
        (BELOW_ONE, {"linear": 6.0, "log": 1e-2, "choice": "d"}),
        (1.0, {"linear": 6.0, "log": 1e-2, "choice": "d"}),
    ],
)
def test_the_unit_cube_maps_to_the_spaces_own_scales(u, expected):
    found = spaces.from_unit(SCALES, [u, u, u])
    assert found == {"linear": pytest.approx(expected["linear"]), "log": pytest.approx(expected["log"])} | {
        "choice": expected["choice"]
    }


def test_coordinates_are_dealt_to_the_dimensions_in_order():
    assert spaces.from_unit(SCALES, [0.0, 1.0, 0.6]) == {"linear": -2.0, "log": pytest.approx(1e-2), "choice": "c"}


def test_a_mapped_point_is_never_outside():
    rng = np.random.default_rng(0)
    for low, high in np.sort(rng.uniform(1e-9, 3, (300, 2))):
        for log in (False, True):
            for u in (0.0, 1e-17, rng.random(), BELOW_ONE, 1.0):
                value = spaces.from_unit({"x": Range(low, high, log)}, [u])["x"]
                assert low <= value <= high


def test_a_point_of_the_wrong_length_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        spaces.from_unit(SCALES, [0.5, 0.5])


def test_distributions_are_of_what_is_tuned():
    found = spaces.distributions(SCALES)
    assert found == {
        "linear": optuna.distributions.FloatDistribution(-2.0, 6.0),
        "log": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
        "choice": optuna.distributions.CategoricalDistribution(("a", "b", "c", "d")),
    }


def test_dimensions_are_in_the_spaces_own_order_with_what_they_depend_on():
    optimizers = Choice(("adam", "momentum"))
    space = {"momentum_logit": Range(1.0, 7.0), "fixed": 2.0, "optimizer": optimizers, "recurrent_init_u": "identity"}
    found = spaces.dimensions(space | {"recurrent_scale_u": Range(0.1, 1.0), "squared_gradient_decay": Range(0.0, 0.9)})
    assert list(found.distributions) == [
        "momentum_logit",
        "optimizer",
        "recurrent_scale_u",
        "squared_gradient_decay",
    ]
    assert found.conditions == {
        "momentum_logit": ("optimizer", frozenset({1})),
        "recurrent_scale_u": ("recurrent_init_u", frozenset()),
        "squared_gradient_decay": ("optimizer", frozenset()),
    }


def test_the_largest_value_of_a_dimension():
    assert spaces.largest(Range(0.1, 10.0, log=True)) == 10.0
    assert spaces.largest(3) == 3.0


@pytest.mark.parametrize("space", ["quick", "paper"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_trials_values_are_numbers_and_what_it_chooses_an_index_into_what_its_spec_has(cell, space):
    found = space_for(CELLS[cell], space)
    values = spaces.complete(found, spaces.from_unit(found, [0.7] * len(spaces.distributions(found))))
    spec = make_spec(CELLS[cell], **spaces.branches(found))
    hparams = spaces.indices(values, spec)
    assert set(hparams) == set(found) - {name for name in BRANCHES if not isinstance(found[name], Choice)}
    assert all(type(number) is float for number in hparams.values())
    for name, known in BRANCHES.items():
        assert set(spec.branches(name)) <= set(known)
        assert values[name] == spec.branches(name)[int(hparams.get(name, 0))]


def test_names_become_their_indices():
    spec = make_spec(CELLS["rnn"], optimizer=("rmsprop", "adam"))
    values = {"recurrent_init": "orthogonal", "bias_init": "normal", "optimizer": "adam", "learning_rate": 0.1}
    expected = {"recurrent_init": 1.0, "bias_init": 1.0, "optimizer": 1.0, "learning_rate": 0.1}
    assert spaces.indices(values, spec) == expected
    values |= {"recurrent_init": "normal", "bias_init": "constant", "nonlinearity": "tanh"}
    assert spaces.indices(values, spec) == expected | {"recurrent_init": 2.0, "bias_init": 0.0}
