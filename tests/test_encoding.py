"""The box that the Gaussian process measures distances in: what is near what, and what may be moved."""

import itertools

import numpy as np
import pytest

from rnn_capacity.cells import CELLS
from rnn_capacity.search import space as spaces
from rnn_capacity.search.encoding import Encoding
from rnn_capacity.search.ranges import Choice, Range
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
