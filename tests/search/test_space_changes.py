"""How a space changes: by what a person asks for, around the best objective, and where the end of a range is best."""

import json
import math

import pytest

from rnn_capacity.cells import CELLS
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import ranges
from rnn_capacity.search import space as spaces
from rnn_capacity.search.space import space_for
from rnn_capacity.tasks import TASKS

# --- Overrides --------------------------------------------------------------------------------------------------------


def test_a_range_that_has_no_effect_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^hparams.momentum_logit: \(2.0, 3.0\) .* optimizer is momentum, .*'adam'"):
        space_for(CELLS["gru"], "paper", {"optimizer": "adam", "momentum_logit": (2.0, 3.0)})


@pytest.mark.parametrize("space", ["quick", "paper"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [((2, 5), Range(2, 5, whole=True)), ([1, 6], Range(1, 6, whole=True)), (3, 3.0), (3.0, 3.0), ((4, 4), 4.0)],
)
def test_an_override_of_whole_numbers_stays_whole(space, given, expected):
    assert space_for(CELLS["gru"], space, {"compute_steps": given}, TASKS["arithmetic"])["compute_steps"] == expected


@pytest.mark.parametrize("space", ["quick", "paper"])
@pytest.mark.parametrize(
    ("given", "value"),
    [(2.5, "2.5"), (7, "7"), (0, "0"), ((1, 7), "7"), ((1.5, 3), "1.5"), ((2, 3.5), "3.5"), (True, "True")],
)
def test_what_is_no_whole_number_of_compute_steps_is_refused_by_name(space, given, value):
    must = "it must be a whole number of at least 1 and at most 6"
    with pytest.raises(ValueError, match=rf"^hparams.compute_steps: {value} given; {must}$"):
        space_for(CELLS["gru"], space, {"compute_steps": given}, TASKS["arithmetic"])
    with pytest.raises(ValueError, match=r"^hparams.compute_steps: \(5, 2\) given"):
        space_for(CELLS["gru"], space, {"compute_steps": (5, 2)}, TASKS["arithmetic"])


def test_an_override_fixes_a_value():
    found = space_for(CELLS["gru"], "paper", {"learning_rate": 0.03, "optimizer": "adam", "forget_bias": 1})
    assert (found["learning_rate"], found["optimizer"], found["forget_bias"]) == (0.03, "adam", 1.0)
    untouched = space_for(CELLS["gru"], "paper")
    changed = {name for name in found if found[name] != untouched[name]}
    assert changed == {"learning_rate", "optimizer", "forget_bias", "momentum_logit"}  # Adam has no such momentum
    assert found["momentum_logit"] == 4.0


@pytest.mark.parametrize("given", [(0.01, 0.02), [0.01, 0.02], Range(0.01, 0.02)])
def test_an_override_narrows_a_range_and_keeps_its_scale(given):
    found = space_for(CELLS["gru"], "paper", {"learning_rate": given, "forget_bias": given})
    assert found["learning_rate"] == Range(0.01, 0.02, log=True)
    assert found["forget_bias"] == Range(0.01, 0.02, log=False)


def test_a_range_of_one_value_is_that_value():
    assert space_for(CELLS["gru"], "paper", {"learning_rate": (0.02, 0.02)})["learning_rate"] == 0.02


@pytest.mark.parametrize("name", ["l2", "gradient_clip", "learning_rate_decay"])
def test_a_range_where_the_quick_space_has_a_value_is_on_the_papers_scale(name):
    found = space_for(CELLS["gru"], "quick", {name: (1e-6, 1e-1), "schedule": "exponential"})
    assert found[name] == Range(1e-6, 1e-1, log=True)


@pytest.mark.parametrize("given", [["sgd", "adam"], ("sgd", "adam"), Choice(("sgd", "adam"))])
def test_an_override_chooses_some_of_the_names(given):
    assert space_for(CELLS["gru"], "paper", {"optimizer": given})["optimizer"] == Choice(("sgd", "adam"))


def test_an_override_of_a_family_holds_for_all_its_gates_but_for_those_named_exactly():
    overrides = {"recurrent_scale": (0.5, 0.6), "recurrent_scale_f": 1.5}
    for given in (overrides, dict(reversed(overrides.items()))):
        found = space_for(CELLS["lstm"], "paper", given)
        assert found["recurrent_scale_f"] == 1.5
        for gate in "ico":
            assert found[f"recurrent_scale_{gate}"] == Range(0.5, 0.6, log=True)


def test_an_override_of_none_changes_nothing():
    """So that a config can list every hparam."""
    assert space_for(CELLS["gru"], "quick", dict.fromkeys(ranges.PAPER)) == space_for(CELLS["gru"], "quick")


BAD = [
    ("gru", {"learning_rate": (0.1, 0.01)}, "hparams.learning_rate", "(0.1, 0.01)"),
    ("gru", {"learning_rate": -1}, "hparams.learning_rate", "-1"),
    ("gru", {"learning_rate": 0}, "hparams.learning_rate", "0"),
    ("gru", {"learning_rate": (-0.1, 0.1)}, "hparams.learning_rate", "-0.1"),
    ("gru", {"learning_rate": math.nan}, "hparams.learning_rate", "nan"),
    ("gru", {"learning_rate": (0.01, math.nan)}, "hparams.learning_rate", "nan"),
    ("gru", {"learning_rate": math.inf}, "hparams.learning_rate", "inf"),
    ("gru", {"bias_scale": -math.inf}, "hparams.bias_scale", "-inf"),
    ("gru", {"forget_bias": True}, "hparams.forget_bias", "True"),
    ("gru", {"learning_rate": "0.1"}, "hparams.learning_rate", "'0.1'"),
    ("gru", {"learning_rate": (0.01, 0.02, 0.03)}, "hparams.learning_rate", "(0.01, 0.02, 0.03)"),
    ("gru", {"learning_rate": ()}, "hparams.learning_rate", "()"),
    ("gru", {"l2": -1e-9}, "hparams.l2", "-1e-09"),
    ("gru", {"learning_rate_decay": 1.5}, "hparams.learning_rate_decay", "1.5"),
    ("gru", {"squared_gradient_decay": 1.1}, "hparams.squared_gradient_decay", "1.1"),
    ("gru", {"mappings_per_param": 0}, "hparams.mappings_per_param", "0"),
    ("gru", {"gradient_clip": 0.0}, "hparams.gradient_clip", "0.0"),
    ("gru", {"learning_rat": 0.1}, "hparams", "'learning_rat'"),
    ("gru", {"recurrent_scale_f": 0.1}, "hparams", "'recurrent_scale_f'"),  # a gate that another cell has
    ("rnn", {"forget_bias": 1.0}, "hparams", "'forget_bias'"),
    ("irnn", {"recurrent_scale": 1.0}, "hparams", "'recurrent_scale'"),
    ("gru", {"optimizer": "adamw"}, "hparams.optimizer", "'adamw'"),
    ("gru", {"optimizer": ["adam", "lion"]}, "hparams.optimizer", "'lion'"),
    ("gru", {"optimizer": []}, "hparams.optimizer", "[]"),
    ("gru", {"optimizer": 3}, "hparams.optimizer", "3"),
    ("rnn", {"recurrent_init": "identity"}, "hparams.recurrent_init", "'identity'"),
    ("rnn", {"recurrent_init": ["normal", "identity"]}, "hparams.recurrent_init", "'identity'"),
    ("irnn", {"nonlinearity": "tanh"}, "hparams.nonlinearity", "'tanh'"),
    ("+rnn", {"nonlinearity": "relu"}, "hparams.nonlinearity", "'relu'"),
]


@pytest.mark.parametrize(
    ("cell", "overrides", "field", "value"), BAD, ids=lambda v: str(v) if isinstance(v, dict) else ""
)
@pytest.mark.parametrize("space", ["quick", "paper"])
def test_a_bad_override_is_refused_in_a_line_with_field_and_value(cell, overrides, field, value, space):
    with pytest.raises(ValueError, match=r"^\S+: ") as error:
        space_for(CELLS[cell], space, overrides)
    message = str(error.value)
    assert message.startswith(f"{field}: ")
    assert value in message
    assert "\n" not in message


@pytest.mark.parametrize("given", [(0, 1), (0.0, 1)])
def test_a_range_that_touches_0_is_refused_where_the_scale_is_logarithmic(given):
    with pytest.raises(ValueError, match=r"^hparams.recurrent_scale: \(.*, 1\) given; its scale is logarithmic.*0$"):
        space_for(CELLS["gru"], "paper", {"recurrent_scale": given})


def test_a_space_that_there_is_not_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^space: 'wide' given.*'quick', 'paper'"):
        space_for(CELLS["gru"], "wide")


# --- What lies around the best objective ------------------------------------------------------------------------------

AROUND = {"b": Range(0.1, 10.0, log=True, around_best=(1.0, 1.5, 2.5)), "x": Range(0.0, 1.0)}


@pytest.mark.parametrize(
    ("objectives", "tried", "expected"),
    [
        ([], [], (0.1, 10)),
        ([0.0, -1.0], [0.2], (0.1, 10)),  # nothing is stored yet
        ([1.9, 2.0], [2.2, 1.9], (2, 5)),  # nothing larger was tried
        ([1.9, 2.0], [2.2, 8.0], (2, 3)),
        ([2.0, 1.0], [3.0, 2.9], (2, 5)),  # 3 is not beyond 1.5 times 2
        ([0.02], [0.3], (0.1, 0.15)),  # at an end of the range
        ([0.08], [0.3], (0.1, 0.15)),
        ([6.0], [6.1], (6, 10)),
        ([12.0], [9.9], (10 / 1.5, 10)),
    ],
)
def test_what_lies_around_the_best_is_proposed_once_there_is_one(objectives, tried, expected):
    found = spaces.around_best(AROUND, objectives, [{"b": b, "x": 0.5} for b in tried])
    assert (found["b"].low, found["b"].high) == pytest.approx(expected)
    assert (found["b"].log, found["x"]) == (True, AROUND["x"])
    assert spaces.follows_best(AROUND)


@pytest.mark.parametrize(
    "cell", [name for name, cell in CELLS.items() if "mappings_per_param" not in cell.ranges.get("quick", {})]
)
def test_how_many_mappings_are_shown_follows_what_is_stored_in_the_quick_space_alone(cell):
    quick, paper = (space_for(CELLS[cell], space) for space in ("quick", "paper"))
    assert spaces.follows_best(quick)
    assert (quick["mappings_per_param"].low, quick["mappings_per_param"].high) == (0.1, 10)  # the paper's
    assert not spaces.follows_best(paper)
    assert not spaces.follows_best(space_for(CELLS[cell], "quick", {"mappings_per_param": (1, 5)}))
    assert not spaces.follows_best(space_for(CELLS[cell], "quick", task=TASKS["recall"]))


def test_a_range_goes_through_json_with_all_its_fields():
    for dimension in (*AROUND.values(), Range(1, 6, whole=True)):
        assert spaces.from_json(json.loads(json.dumps(spaces.to_json(dimension)))) == dimension


# --- Ends of ranges ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dimension", "value", "expected"),
    [
        ("learning_rate", Range(0.01, 0.04, log=True), 0.0399, (0.01, 0.08)),
        ("learning_rate", Range(0.01, 0.04, log=True), 0.01, (0.005, 0.04)),
        ("learning_rate", Range(0.01, 0.04, log=True), 0.012, None),
        ("recurrent_scale_f", Range(0.4, 0.8), 0.795, (0.4, 1.0)),
        ("recurrent_scale_f", Range(0.4, 0.8), 0.405, (0.2, 0.8)),
        ("recurrent_scale_f", Range(0.15, 0.9), 0.15, (0.0, 0.9)),
        ("squared_gradient_decay", Range(0.9, 0.99), 0.99, (0.9, 0.9999)),
        ("learning_rate", Range(1.99, 2.0), 2.0, None),  # nothing wider in three digits
        ("mappings_per_param", Range(0.1, 1.0, log=True, around_best=(1.0, 1.5, 2.5)), 1.0, None),
        ("l2", Range(0.0, 0.1), 0.0, None),  # less makes no sense
        ("weight_decay", Range(0.01, 0.1), 0.01, (0.0, 0.1)),
        ("learning_rate_decay", Range(0.1, 1.0, log=True), 1.0, None),  # nor does more
        ("learning_rate_decay", Range(0.1, 0.9, log=True), 0.9, (0.1, 1.0)),
        ("compute_steps", Range(1, 6, whole=True), 6, None),  # one in six lies there
        ("delay", Range(1.0, 3.0), 3.0, (1.0, 4.0)),  # a user's own
    ],
)
def test_a_range_whose_end_is_best_is_made_wider_there(name, dimension, value, expected):
    space = {name: dimension, "optimizer": Choice(("sgd", "adam")), "input_scale": 0.5}
    found = spaces.wider(space, {name: value, "optimizer": "adam"})
    assert found == ({} if expected is None else {name: pytest.approx(expected)})
    if expected and name != "delay":
        kind = "quick" if name.startswith("recurrent_scale") else "paper"  # where it is linear
        space_for(CELLS["lstm"], kind, {spaces.family_of(name): found[name]})  # is taken as it is told
