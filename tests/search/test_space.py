"""Search spaces: the paper's ranges, and what is tuned for which cell and on which task."""

import jax.numpy as jnp
import pytest

from rnn_capacity.cells import CELLS, PAPER_CELLS, Cell
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import ranges
from rnn_capacity.search import space as spaces
from rnn_capacity.search.space import space_for
from rnn_capacity.tasks import TASKS, DrawnTask


def named(task):
    """The task of a name; of another, one of a user's own without hparams."""
    return TASKS.get(task, DrawnTask)


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


def test_compute_steps_are_whole_numbers_from_1_to_6():
    assert ranges.PAPER["compute_steps"] == Range(1, 6, whole=True)
    assert space_for(CELLS["gru"], "paper", task=TASKS["arithmetic"])["compute_steps"] == Range(1, 6, whole=True)
    assert space_for(CELLS["gru"], "quick", task=TASKS["arithmetic"])["compute_steps"] == 6


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
