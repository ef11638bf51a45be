"""The box that the Gaussian process measures distances in: what is near what, and what may be moved."""

import itertools

import jax
import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rnn_capacity.cells import CELLS
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import acquisition, units
from rnn_capacity.search import space as spaces
from rnn_capacity.search.dimensions import Dimensions
from rnn_capacity.search.encoding import Encoding
from rnn_capacity.search.space import dimensions, space_for

SPACE = {
    "linear": Range(-2.0, 6.0),
    "fixed": 3.0,
    "log": Range(1e-4, 1e-2, log=True),
    "name": Choice(("a", "b", "c")),
    "word": "constant",
}
GRU = space_for(CELLS["gru"], "paper")


def value_of(space, **values):
    """The middle of everything, the first of every choice, and these values."""
    first = {name: d.options[0] for name, d in spaces.tuned(space).items() if isinstance(d, Choice)}
    return spaces.complete(space, {**first, **values})


def held(space, **values):
    """The same, without what is fixed or has no effect: what a trial holds."""
    whole = spaces.holding(space, value_of(space, **values))
    return {name: value for name, value in whole.items() if name in spaces.tuned(space)}


def test_any_two_names_of_a_choice_are_at_distance_1():
    encode = lambda name: Encoding(dimensions(SPACE)).encode({"linear": 1.0, "log": 1e-3, "name": name})
    for one, other in itertools.combinations("abc", 2):
        assert np.linalg.norm(encode(one) - encode(other)) == pytest.approx(1, abs=1e-15)


def test_a_range_is_even_on_its_own_scale():
    encode = lambda **values: Encoding(dimensions(SPACE)).encode({"linear": 1.0, "log": 1e-3, "name": "a", **values})
    low, middle, high = (encode(log=value) for value in (1e-4, 1e-3, 1e-2))
    assert np.linalg.norm(high - low) == pytest.approx(1)
    np.testing.assert_allclose(middle, (low + high) / 2)
    low, middle, high = (encode(linear=value) for value in (-2.0, 2.0, 6.0))
    assert np.linalg.norm(high - low) == pytest.approx(1)
    np.testing.assert_allclose(middle, (low + high) / 2)


def test_columns_belong_to_the_dimensions_in_order():
    encoding = Encoding(dimensions(SPACE))
    assert encoding.num_dimensions == 3
    assert encoding.dimension_of.tolist() == [0, 1, 2, 2, 2]
    assert encoding.is_choice.tolist() == [False, False, True]


@pytest.mark.parametrize("space", [SPACE, GRU, space_for(CELLS["lstm"], "quick")], ids=["small", "gru", "lstm"])
def test_values_go_through_features_and_back_to_themselves(space):
    encoding = Encoding(dimensions(space))
    for point in np.random.default_rng(0).random((100, encoding.num_dimensions)):
        values = spaces.from_unit(space, point)
        features = encoding.encode(values)
        assert features.min() >= 0
        assert features.max() <= 1
        assert encoding.decode(features) == pytest.approx(values)


@pytest.mark.parametrize("u", [0.0, 1.0])
def test_the_ends_of_a_range_are_ends_of_the_box(u):
    encoding = Encoding(dimensions(SPACE))
    values = {"linear": -2.0 + 8 * u, "log": 1e-4 * 100**u, "name": "b"}
    features = encoding.encode(values)
    assert features[:2].tolist() == [u, u]
    assert encoding.decode(features) == pytest.approx(values)


def test_what_has_no_effect_changes_no_feature():
    """A value of it that a trial holds all the same, one that it lacks, and the middle are one point."""
    encoding = Encoding(dimensions(GRU))
    for fixed, name, values in [
        ({"optimizer": "adam"}, "momentum_logit", (1.0, 4.0, 7.0)),
        ({"recurrent_init": "identity"}, "recurrent_scale_u", (0.01, 0.5, 2.0)),
    ]:
        expected = encoding.encode(held(GRU, **fixed))
        for value in values:
            np.testing.assert_array_equal(encoding.encode(value_of(GRU, **fixed) | {name: value}), expected)


def test_what_has_an_effect_changes_features():
    encoding = Encoding(dimensions(GRU))
    for fixed, name, values in [
        ({"optimizer": "momentum"}, "momentum_logit", (1.0, 7.0)),
        ({"recurrent_init": "normal"}, "recurrent_scale_u", (0.01, 2.0)),
    ]:
        one, other = (encoding.encode(value_of(GRU, **fixed) | {name: value}) for value in values)
        assert np.linalg.norm(one - other) == pytest.approx(1)


def test_only_ranges_that_hold_are_free_and_the_others_stand_in_the_middle():
    encoding = Encoding(dimensions(GRU))
    names = list(spaces.tuned(GRU))
    points = np.random.default_rng(0).random((200, encoding.num_dimensions))
    features, free = encoding.features(points)
    seen = set()
    for point, row, movable in zip(points, features, free, strict=True):
        values = spaces.from_unit(GRU, point)
        for number, name in enumerate(names):
            columns = encoding.dimension_of == number
            if encoding.is_choice[number]:
                assert not movable[columns].any()
                assert np.count_nonzero(row[columns]) == 1
            elif name in values:
                assert movable[columns].all()
                assert row[columns] == point[number]
            else:
                assert not movable[columns].any()
                assert row[columns] == 0.5
                seen.add(name)
    assert seen == {"momentum_logit", "recurrent_scale_r", "recurrent_scale_u", "recurrent_scale_c"}


def test_where_the_condition_is_fixed_the_dimension_always_holds():
    space = space_for(CELLS["gru"], "paper", {"optimizer": "momentum", "recurrent_init": "normal"})
    encoding = Encoding(dimensions(space))
    _, free = encoding.features(np.random.default_rng(0).random((8, encoding.num_dimensions)))
    assert free[:, ~encoding.is_choice[encoding.dimension_of]].all()


def test_a_trial_is_complete_when_it_has_all_that_has_an_effect():
    encoding = Encoding(dimensions(GRU))
    for optimizer in ("adam", "momentum"):
        values = held(GRU, optimizer=optimizer, recurrent_init="identity")
        assert ("momentum_logit" in values) == (optimizer == "momentum")
        assert encoding.is_complete(values)
        for name in values:
            assert not encoding.is_complete({k: v for k, v in values.items() if k != name}), name
    assert not encoding.is_complete({})
    assert not encoding.is_complete(held(GRU, optimizer="adam") | {"optimizer": "momentum"})
    assert encoding.is_complete(value_of(GRU, optimizer="adam"))  # more than is needed, too


# --- What a define-by-run study tunes ---------------------------------------------------------------------------------

NESTED = Dimensions(
    {
        "inner": CategoricalDistribution((False, True, "s")),
        "layers": IntDistribution(1, 4),
        "outer": CategoricalDistribution((None, "deep")),
        "sometimes": CategoricalDistribution(("a", "b")),
        "steps": FloatDistribution(0.0, 0.6, step=0.2),
        "units": IntDistribution(1, 300, log=True),
        "x": FloatDistribution(-1.0, 1.0),
    },
    {"inner": ("outer", frozenset({1})), "x": ("inner", frozenset({1, 2})), "units": ("layers", frozenset({2, 3}))},
    frozenset({"sometimes"}),
)
DEEP = {"outer": "deep", "inner": True, "x": 0.3, "layers": 3, "units": 20, "steps": 0.4, "sometimes": "b"}
PLAIN = {"outer": None, "layers": 1, "steps": 0.4, "sometimes": "b"}


def test_values_of_every_kind_go_through_features_and_back():
    encoding = Encoding(NESTED)
    for values in (DEEP, PLAIN, DEEP | {"layers": 4, "units": 1, "steps": 0.0, "inner": "s"}):
        found = encoding.decode(encoding.encode(values))
        assert found == pytest.approx(values)
        assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in values.items()}


def test_conditions_hold_only_where_those_before_them_do():
    encoding = Encoding(NESTED)
    for point in np.random.default_rng(0).random((200, encoding.num_dimensions)):
        values = encoding.from_unit(point)
        assert ("inner" in values) == (values["outer"] == "deep")
        assert ("x" in values) == (values.get("inner") in (True, "s"))
        assert ("units" in values) == (values["layers"] >= 3)
        assert encoding.is_complete(values)
        features, free = encoding.features(point[None])
        np.testing.assert_array_equal(features[0], encoding.encode(values))
        columns = {name: encoding.dimension_of == i for i, name in enumerate(NESTED.distributions)}
        assert [n for n, c in columns.items() if free[0, c].any()] == [
            n for n in ("steps", "units", "x") if n in values
        ]


@pytest.mark.parametrize(("name", "options"), [("inner", (False, True, "s")), ("sometimes", ("a", "b"))])
def test_a_choice_that_does_not_hold_or_is_missing_is_as_near_to_each_option(name, options):
    encoding = Encoding(NESTED)
    columns = encoding.dimension_of == list(NESTED.distributions).index(name)
    without = PLAIN if name == "inner" else {k: v for k, v in DEEP.items() if k != name}
    start = encoding.encode(without)[columns]
    apart = [np.linalg.norm(encoding.encode(DEEP | {name: option})[columns] - start) for option in options]
    assert apart == pytest.approx([apart[0]] * len(options))
    assert 0 < apart[0] < 1


def test_a_trial_is_complete_without_what_is_optional_and_never_with_what_is_impossible():
    encoding = Encoding(NESTED)
    assert encoding.is_complete(DEEP)
    assert encoding.is_complete({k: v for k, v in DEEP.items() if k != "sometimes"})
    assert not encoding.is_complete({k: v for k, v in DEEP.items() if k != "inner"})
    assert encoding.is_complete(DEEP | {"other": "of no interest", "x": 5.0})
    for name, value in {"outer": "shallow", "x": "a", "units": np.nan, "steps": None}.items():
        assert not encoding.is_complete(DEEP | {name: value}), name


def test_the_grid_is_where_values_are():
    encoding = Encoding(NESTED)
    points = np.random.default_rng(0).random((50, encoding.num_dimensions))
    raw = points[:, encoding.dimension_of]
    with jax.enable_x64(True):
        found = np.asarray(acquisition._on_grid(encoding.grid, raw))
    for number, distribution in enumerate(NESTED.distributions.values()):
        columns = encoding.dimension_of == number
        if encoding.spacing[number]:
            expected = [[units.to_unit(distribution, units.from_unit(distribution, u))] for u in points[:, number]]
            np.testing.assert_allclose(found[:, columns], expected, atol=1e-12)
        else:
            np.testing.assert_array_equal(found[:, columns], raw[:, columns])
    assert Encoding(dimensions(SPACE)).grid is None


def test_a_condition_on_what_is_fixed_holds_always_or_never():
    space = {"momentum_logit": Range(1.0, 7.0), "x": Range(0.0, 1.0)}
    for optimizer, holds in (("momentum", True), ("adam", False)):
        encoding = Encoding(dimensions(space | {"optimizer": optimizer}))
        values = encoding.from_unit([0.25, 0.5])
        assert ("momentum_logit" in values) == holds
        assert encoding.is_complete({"x": 0.5}) == (not holds)
        assert (encoding.encode(values)[0] == 0.25) == holds
