"""Search spaces: the paper's ranges, what holds for which cell, and what a person may ask for instead."""

import json
import math

import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from helpers import make_spec

from rnn_capacity.cells import CELLS, PAPER_CELLS, Cell
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.model.spec import BRANCHES
from rnn_capacity.search import ranges, units
from rnn_capacity.search import space as spaces
from rnn_capacity.search.space import space_for
from rnn_capacity.tasks import TASKS, DrawnTask


def named(task):
    """The task of a name; of another, one of a user's own without hparams."""
    return TASKS.get(task, DrawnTask)


BELOW_ONE = np.nextafter(1, 0)
TRAINING = {
    "nonlinearity",
    "optimizer",
    "schedule",
    "input_steps",
    "learning_rate",
    "learning_rate_decay",
    "momentum_logit",
    "squared_gradient_decay",
    "gradient_clip",
    "l2",
    "learning_rate_warm_up",
    "weight_decay",
    "fan_in_power",
    "mappings_per_param",
}
READOUT = {"readout_scale", "bias_scale_readout", "bias_init"}


def of_gates(gates, *families):
    return {f"{family}_{gate}" for family in families for gate in gates}


OF_CELL = {
    "rnn": {"recurrent_init", "recurrent_scale", "input_scale", "bias_scale"},
    "irnn": {"input_scale"},
    "ugrnn": {"recurrent_init", "forget_bias"} | of_gates("cg", "recurrent_scale", "input_scale", "bias_scale"),
    "gru": {"recurrent_init", "forget_bias"} | of_gates("ruc", "recurrent_scale", "input_scale", "bias_scale"),
    "lstm": {"recurrent_init", "forget_bias"} | of_gates("ifco", "recurrent_scale", "input_scale", "bias_scale"),
    "+rnn": {"recurrent_init", "forget_bias", "input_scale_in", "bias_scale_in"}
    | of_gates(("y", "h", "gy", "gh"), "recurrent_scale", "input_scale", "bias_scale"),
}


def test_the_paper_table_is_the_papers_appendix_a():
    """Written out by hand from the appendix."""
    assert ranges.PAPER["learning_rate"] == Range(1e-4, 1e-1, log=True)
    assert ranges.PAPER["learning_rate_decay"] == Range(1e-3, 1, log=True)
    assert ranges.PAPER["momentum_logit"] == Range(1, 7)
    assert ranges.PAPER["gradient_clip"] == Range(1, 100, log=True)
    assert ranges.PAPER["l2"] == Range(1e-8, 1e-3, log=True)
    assert ranges.PAPER["recurrent_scale"] == Range(0.01, 2, log=True)
    assert ranges.PAPER["input_scale"] == ranges.PAPER["readout_scale"] == Range(0.001, 2, log=True)
    assert ranges.PAPER["bias_scale"] == Range(-2, 2)
    assert ranges.PAPER["forget_bias"] == Range(0, 6)
    assert ranges.PAPER["mappings_per_param"] == Range(0.1, 10, log=True)
    assert ranges.PAPER["schedule"] == "exponential"
    assert set(ranges.PAPER["optimizer"].options) == {"sgd", "momentum", "rmsprop", "adam"}
    assert set(ranges.PAPER["nonlinearity"].options) == {"tanh", "relu"}
    assert set(ranges.PAPER["input_steps"].options) == {"first", "every"}
    assert set(ranges.PAPER["recurrent_init"].options) == {"identity", "orthogonal", "normal"}
    assert set(ranges.PAPER["bias_init"].options) == {"constant", "normal"}


def test_both_tables_have_the_same_families():
    assert set(ranges.QUICK) == set(ranges.PAPER)


@pytest.mark.parametrize("space", ["quick", "paper"])
@pytest.mark.parametrize("cell", PAPER_CELLS)
def test_a_cell_has_the_dimensions_of_training_and_of_its_own_init(cell, space):
    found = space_for(CELLS[cell], space)
    assert set(found) == TRAINING | READOUT | OF_CELL[cell]
    for name, dimension in found.items():
        if isinstance(dimension, Choice):
            assert len(dimension.options) > 1, name
        elif isinstance(dimension, Range):
            assert dimension.low < dimension.high, name
            assert dimension.low > 0 or not dimension.log, name


def test_a_gates_dimension_is_its_familys():
    found = space_for(CELLS["lstm"], "paper")
    for gate in "ifco":
        assert found[f"recurrent_scale_{gate}"] == ranges.PAPER["recurrent_scale"]
        assert found[f"bias_scale_{gate}"] == ranges.PAPER["bias_scale"]


@pytest.mark.parametrize("space", ["quick", "paper"])
def test_what_holds_for_one_cell_only(space):
    def options(cell, name):
        dimension = space_for(CELLS[cell], space)[name]
        return set(dimension.options if isinstance(dimension, Choice) else (dimension,))

    assert "identity" not in options("rnn", "recurrent_init")
    assert options("irnn", "nonlinearity") == {"relu"}
    assert options("+rnn", "nonlinearity") == {"tanh"}  # both of its functions are fixed: one name stands for them
    if space == "paper":
        assert options("rnn", "recurrent_init") == {"orthogonal", "normal"}
        assert options("gru", "recurrent_init") == {"identity", "orthogonal", "normal"}
        assert options("rnn", "nonlinearity") == options("lstm", "nonlinearity") == {"tanh", "relu"}


@pytest.mark.parametrize("cell", PAPER_CELLS)
def test_the_papers_space_has_10_to_27_dimensions(cell):
    assert 10 <= len(spaces.tuned(space_for(CELLS[cell], "paper"))) <= 27


@pytest.mark.parametrize("cell", CELLS)
def test_the_quick_space_has_few_dimensions(cell):
    assert len(spaces.tuned(space_for(CELLS[cell]))) <= 13  # as the +RNN


def test_what_has_no_effect_beside_a_fixed_choice_is_not_tuned():
    names = lambda **overrides: set(spaces.tuned(space_for(CELLS["gru"], "paper", overrides)))
    whole = names()
    assert whole - names(optimizer="rmsprop") == {"optimizer", "momentum_logit"}
    assert whole - names(optimizer="momentum") == {"optimizer"}
    assert whole - names(optimizer=["sgd", "adam"]) == {"momentum_logit"}
    assert whole - names(schedule="cosine") == {"learning_rate_decay"}
    scales = {f"recurrent_scale_{gate}" for gate in "ruc"}
    assert whole - names(recurrent_init="identity") == {"recurrent_init"} | scales
    assert whole - names(recurrent_init="normal") == {"recurrent_init"}


def test_a_range_that_has_no_effect_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^hparams.momentum_logit: \(2.0, 3.0\) .* optimizer is momentum, .*'adam'"):
        space_for(CELLS["gru"], "paper", {"optimizer": "adam", "momentum_logit": (2.0, 3.0)})


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


# --- What is tuned on which task --------------------------------------------------------------------------------------

OF_TASK = {
    "memorization": {"mappings_per_param", "input_steps"},
    "recall": set(),
    "random_functions": {"input_steps"},
    "text8": set(),
    "parentheses": set(),
    "arithmetic": {"compute_steps"},
    "association": set(),
    "a_task_of_ones_own": set(),
}


@pytest.mark.parametrize("space", ["quick", "paper"])
@pytest.mark.parametrize("task", OF_TASK)
def test_a_task_has_the_dimensions_that_have_a_meaning_there(task, space):
    everywhere = TRAINING - {"mappings_per_param", "input_steps"}
    found = space_for(CELLS["gru"], space, task=named(task))
    assert set(found) == everywhere | READOUT | OF_CELL["gru"] | OF_TASK[task]
    for name in set.union(*OF_TASK.values()) - OF_TASK[task]:
        with pytest.raises(ValueError, match=rf"^hparams: '{name}' is no hparam of 'gru'"):
            space_for(CELLS["gru"], space, {name: 2}, named(task))
        assert (
            space_for(CELLS["gru"], space, {name: None}, named(task)) == found
        )  # so that a config can list every hparam


def test_every_task_has_an_entry():
    assert set(OF_TASK) - {"a_task_of_ones_own"} == set(TASKS)


@pytest.mark.parametrize("task", sorted(OF_TASK.keys() - {"memorization"}))
def test_the_quick_space_of_a_task_that_draws_is_one_for_all_cells(task):
    for cell in CELLS.values():
        found = space_for(cell, "quick", task=named(task))
        assert found["optimizer"] == "adam"
        assert found["learning_rate"] == named(task).quick["learning_rate"]
    assert space_for(CELLS["irnn"], "quick")["optimizer"] == "rmsprop"


# --- Whole numbers ----------------------------------------------------------------------------------------------------

WHOLE = {"before": Range(0.0, 1.0), "n": Range(1, 6, whole=True), "after": 2.0}


def test_compute_steps_are_whole_numbers_from_1_to_6():
    assert ranges.PAPER["compute_steps"] == Range(1, 6, whole=True)
    assert space_for(CELLS["gru"], "paper", task=TASKS["arithmetic"])["compute_steps"] == Range(1, 6, whole=True)
    assert space_for(CELLS["gru"], "quick", task=TASKS["arithmetic"])["compute_steps"] == 6


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


# --- A user's cell ----------------------------------------------------------------------------------------------------


def own_cell(*names, name="own"):
    def init(key, num_inputs, num_units, hparams):
        return {
            "W": sum(hparams[name] for name in names) * jnp.ones((num_units, num_inputs)),
            "h": jnp.zeros(num_units),
        }

    return Cell(name, init, lambda params: params["h"], lambda p, h, x, s: (h, s(p["W"] @ x)))


def test_a_users_cell_has_the_dimensions_that_its_init_reads():
    cell = own_cell("input_scale", "recurrent_scale_slow", "forget_bias_slow")
    found = space_for(cell, "paper")
    assert set(found) == TRAINING | READOUT | {"input_scale", "recurrent_scale_slow", "forget_bias_slow"}
    assert found["forget_bias_slow"] == Range(0, 6)
    assert space_for(cell, "paper", {"forget_bias_slow": 2})["forget_bias_slow"] == 2


def test_a_users_cell_says_the_range_of_an_hparam_that_no_other_has():
    """Once for all spaces and tasks, or for each space its own; also of one gate, and in place of a usual range."""
    cell = own_cell("input_scale_a", "input_scale_b", "leak")._replace(
        ranges={"quick": {"leak": Range(0.1, 0.9), "input_scale_b": 1.0}, "paper": {"learning_rate": Range(0.1, 0.2)}}
    )
    for task in TASKS.values():
        for space in ("quick", "paper"):
            found = space_for(cell, space, task=task)
            assert found["leak"] == Range(0.1, 0.9)
            assert (found["input_scale_b"] == 1.0) == (space == "quick")
            assert (found["learning_rate"] == Range(0.1, 0.2)) == (space == "paper")
            usual = space_for(own_cell("input_scale_a"), space, task=task)
            assert found["input_scale_a"] == usual["input_scale_a"]
    either = cell._replace(ranges={"quick": {"leak": Range(0.1, 0.9)}, "paper": {"leak": Range(0.0, 1.0)}})
    assert space_for(either, "quick")["leak"] == Range(0.1, 0.9)
    assert space_for(either, "paper")["leak"] == Range(0.0, 1.0)
    fixed = space_for(cell, "quick", {"leak": 0.5, "input_scale": 0.3})
    assert (fixed["leak"], fixed["input_scale_a"], fixed["input_scale_b"]) == (0.5, 0.3, 0.3)


def test_a_learning_rate_of_a_cells_own_is_that_for_1000_parameters():
    cell = own_cell("input_scale")._replace(ranges={"quick": {"learning_rate": Range(0.01, 0.02, log=True)}})
    assert space_for(cell, num_params=1000)["learning_rate"] == Range(0.01, 0.02, log=True)
    assert space_for(cell, num_params=100)["learning_rate"] == Range(0.0025, 0.005, log=True)  # times 0.1 ** 0.6
    assert space_for(cell, "paper", num_params=100)["learning_rate"] == ranges.PAPER["learning_rate"]


def test_a_users_cell_says_its_nonlinearities():
    cell = own_cell("input_scale")._replace(nonlinearities=("relu",))
    assert [space_for(cell, space)["nonlinearity"] for space in ("quick", "paper")] == ["relu", "relu"]
    with pytest.raises(ValueError, match=r"^hparams.nonlinearity: 'tanh' given; it must be one of 'relu'"):
        space_for(cell, "paper", {"nonlinearity": "tanh"})


def test_a_name_that_a_cell_fixes_in_one_space_is_free_in_the_other():
    cell = own_cell("input_scale")._replace(ranges={"paper": {"optimizer": "adam"}})
    assert [space_for(cell, space)["optimizer"] for space in ("quick", "paper")] == ["rmsprop", "adam"]
    assert space_for(cell, "paper", {"optimizer": "sgd"})["optimizer"] == "sgd"


@pytest.mark.parametrize("name", ["irnn", "gru", "+rnn", "rnn"])
def test_a_users_cell_has_nothing_of_the_cell_whose_name_it_has(name):
    other, found = (space_for(own_cell("input_scale", "forget_bias", name=n), "quick") for n in ("own", name))
    assert found == other


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("nonlinearities", ("gelu",), r"has the nonlinearities \('gelu',\); it must be a tuple of some of tanh, relu"),
        ("nonlinearities", (), r"has the nonlinearities \(\); it must be a tuple"),
        ("nonlinearities", "tanh", r"has the nonlinearities 'tanh'; it must be a tuple"),
        ("nonlinearities", ["tanh"], r"has the nonlinearities \['tanh'\]; it must be a tuple"),
        ("ranges", {"leak": Range(0, 1)}, r"has the ranges .*; it must be a mapping from 'quick' and 'paper'"),
        ("ranges", {"quick": {"leek": Range(0, 1)}}, r"has a quick range of 'leek'; it must be of an hparam that it"),
        (
            "ranges",
            {"quick": {"leak": (0, 1)}},
            r"has the quick range leak = \(0, 1\); it must be a number, or a Range",
        ),
        ("ranges", {"paper": {"leak": Range(1, 0)}}, r"has the paper range leak = .*lower end is below the upper"),
        ("ranges", {"quick": {"learning_rate": Range(-1, 1)}}, r"has the quick range learning_rate: -1 given; it must"),
        ("ranges", {"quick": {"optimizer": "lion"}}, r"has the quick range optimizer = 'lion'; it must be one of sgd"),
        ("ranges", {"quick": {"optimizer": 3}}, r"has the quick range optimizer = 3; it must be one of sgd"),
    ],
)
def test_a_cell_whose_own_ranges_cannot_be_is_refused_by_name(field, value, said):
    with pytest.raises(ValueError, match=f"^cell: 'own' {said}") as error:
        space_for(own_cell("input_scale", "leak")._replace(**{field: value}))
    assert "\n" not in str(error.value)


def test_an_hparam_of_no_known_family_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^cell: 'own' reads hparams\['leak_rate'\].*recurrent_scale") as error:
        space_for(own_cell("input_scale", "leak_rate"))
    assert "\n" not in str(error.value)


# --- Overrides --------------------------------------------------------------------------------------------------------


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
