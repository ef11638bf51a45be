"""Configs: the grid that one spans, checked as a whole before anything is measured, and those of experiments/."""

import dataclasses
import importlib
import inspect
import json
import math
import re

import pytest
from helpers import ROOT
from small_sweep import config, run
from tiny import TINY

from rnn_capacity import TASKS, measure_association, measure_capacity, measure_recall, measure_trainability, sweep
from rnn_capacity.cells import CELLS, PAPER_CELLS
from rnn_capacity.measure.questions import QUESTIONS, question_of
from rnn_capacity.tasks import corpus


def grid(points):
    return [(p["cell"], p["depth"], p["num_params"], p["unroll"]) for p in points]


# --- The grid ---------------------------------------------------------------------------------------------------------


def test_the_points_are_the_product_of_the_grid():
    points = sweep.points(config(cell=("rnn", "gru"), depths=(1, 2), num_params=[90, 120], unroll=(1, 3)))
    expected = [(c, d, n, t) for c in ("rnn", "gru") for d in (1, 2) for n in (90, 120) for t in (1, 3)]
    assert grid(points) == expected
    for point in points:
        assert point["num_trials"] == TINY["num_trials"]
        assert point["hparams"] == TINY["hparams"]
        inspect.signature(measure_capacity).bind(**point)


def test_one_value_is_a_grid_of_one():
    assert grid(sweep.points(config(depths=2))) == grid(sweep.points(config(depths=(2,)))) == [("irnn", 2, 60, 1)]


@pytest.mark.parametrize("cells", ["rnn,irnn", "rnn, irnn", ("rnn", "irnn"), ["rnn,irnn"]])
def test_several_cells_may_be_told_by_commas(cells):
    assert [p["cell"] for p in sweep.points(config(cell=cells))] == ["rnn", "irnn"]


def test_per_cell_fields_hold_for_that_cell_alone():
    per_cell = {"+rnn": {"depths": (2, 3), "num_params": 150, "num_trials": 9}}
    points = sweep.points(config(cell=("rnn", "+rnn"), per_cell=per_cell))
    assert grid(points) == [("rnn", 1, 60, 1), ("+rnn", 2, 150, 1), ("+rnn", 3, 150, 1)]
    assert [p["num_trials"] for p in points] == [4, 9, 9]


def test_fields_that_are_not_given_are_those_of_measure_capacity():
    (point,) = sweep.points({})
    for name, value in point.items():
        default = inspect.signature(measure_capacity).parameters[name].default
        assert value == ({} if name == "hparams" else default)
    (plan_cell,) = sweep.points({"cell": "rnn"})
    assert (plan_cell["cell"], point["cell"]) == ("rnn", "gru")


def test_points_leave_the_config_as_it_was():
    given = config(cell="rnn,+rnn", per_cell={"+rnn": {"depths": 2}})
    before = json.dumps(given)
    sweep.points(given)
    assert json.dumps(given) == before


BAD = [
    ("config field", "'dephts'", {"dephts": 2}),
    ("per_cell.rnn", "'dephts'", {"per_cell": {"rnn": {"dephts": 2}}}),
    ("config", "cell", {"cell": ()}),
    ("config", "depths", {"depths": []}),
    ("task", "'tetris'", {"task": "tetris"}),
    ("num_params", "recall has no such field", {"task": "recall"}),
    ("num_units", "memorization has no such field", {"num_units": 4}),
    ("task_fields", "memorization has no such field", {"task_fields": {"num_types": 2}}),
    ("cell", "'elman'", {"cell": "rnn,elman"}),
    ("per_cell", "'elman'", {"per_cell": {"elman": {"depths": 2}}}),
    ("depth", "0", {"depths": (1, 0)}),
    ("num_params", "12", {"num_params": (60, 12)}),
    ("unroll", "0", {"unroll": (1, 0)}),
    ("num_mappings", "2", {"num_inputs": 2}),
    ("train_steps", "'many'", {"per_cell": {"+rnn": {"train_steps": "many"}}}),
    ("num_trials", "0", {"per_cell": {"+rnn": {"num_trials": 0}}}),
    ("num_repeats", "-2", {"per_cell": {"+rnn": {"num_repeats": -2}}}),
    ("trials_per_device", "0", {"per_cell": {"+rnn": {"trials_per_device": 0}}}),
    ("devices", "99", {"per_cell": {"+rnn": {"devices": 99}}}),
    ("seed", "-1", {"per_cell": {"+rnn": {"seed": -1}}}),
    ("hparams", "'recurrent_scale'", {"cell": "rnn,irnn", "hparams": TINY["hparams"] | {"recurrent_scale": 1.0}}),
    ("hparams.learning_rate", "-1", {"hparams": {"learning_rate": -1}}),
    ("sampler", "'vizier'", {"sampler": "vizier"}),
    ("precision", "'low'", {"precision": "low"}),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value", "fields"), BAD, ids=[str(fields) for *_, fields in BAD])
def test_the_whole_grid_is_checked_before_its_first_point_is_measured(tmp_path, field, value, fields):
    """The cells' other points are fine, so whatever is wrong with the last would come out late."""
    with pytest.raises(ValueError, match=r"^[\w. ]+: ") as error:
        run(tmp_path, **({"cell": "rnn,+rnn", "num_params": 100} | fields))
    message = str(error.value)
    assert message.startswith(f"{field}: ")
    assert value in message
    assert "\n" not in message


@pytest.mark.usefixtures("no_training")
def test_a_workdir_that_cannot_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    for workdir in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        with pytest.raises(ValueError, match=f"^workdir: '{workdir}' given"):
            run(workdir)


# --- The configs ------------------------------------------------------------------------------------------------------

CONFIGS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem not in ("common", "__init__"))


TRAINED = ("random_functions", "text8", "parentheses", "arithmetic")
MEASURES = {"memorization": measure_capacity, "recall": measure_recall, "association": measure_association}
MEASURES |= dict.fromkeys(TRAINED, measure_trainability)
OF_UNITS = ("recall", "association")


def test_every_task_is_measured_and_every_argument_of_its_measurement_is_a_field():
    assert set(MEASURES) == set(TASKS)
    assert all(text.strip() and "\n" not in text for text in sweep.FIELDS.values())
    of_all = set()
    for task, measure in MEASURES.items():
        assert question_of(task).call is measure
        arguments = set(inspect.signature(measure).parameters) - {"storage", "progress"}
        fields = (arguments - {"depth"}) | {"depths", "task", "workdir", "storage", "per_cell"}
        assert set(sweep.defaults(task)) == fields
        of_all |= fields
    assert set(sweep.FIELDS) == of_all
    of_studies = ({field.name for field in dataclasses.fields(q.config)} for q in QUESTIONS.values())
    assert set(sweep.GRID.values()) <= set.union(*of_studies)
    issue = "cell task depths num_params unroll num_inputs num_trials train_steps batch_size sampler seed precision"
    assert {*issue.split(), "trials_per_device", "workdir"} <= set(sweep.FIELDS)


def cell_of(name):
    """The cell of a config that is named after one; None for those that run all of them."""
    return {re.sub("[ -]", "_", cell.replace("+", "plus_")): cell for cell in CELLS}.get(name)


def task_of(name):
    """The task of a config that is named after one; elsewhere memorization."""
    return {"trainability": "parentheses"}.get(name, name if name in TASKS else "memorization")


def test_there_is_a_config_for_every_cell_and_every_task_and_one_for_the_papers_cells():
    assert set(CELLS) == {cell_of(name) for name in CONFIGS} - {None}
    assert set(TASKS) == {task_of(name) for name in CONFIGS}
    assert "quickstart" in CONFIGS


def load(monkeypatch, name, arg=""):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module(f"experiments.{name}").get_config(arg)


def several(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("arg", ["", "quick"])
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "modern"])  # several sweeps, as figures have
def test_a_config_has_exactly_the_fields_of_its_task_and_a_grid_that_can_be_measured(monkeypatch, name, arg):
    """Of text8 too where its file is not there: the text is read only when a sweep runs."""
    monkeypatch.setattr(corpus, "load", lambda *_: pytest.fail("the text was read"))
    loaded = load(monkeypatch, name, arg)
    assert loaded.is_locked
    fields, task = loaded.to_dict(), task_of(name)
    assert fields["task"] == task
    assert set(fields) == set(sweep.defaults(task)) <= set(sweep.FIELDS)
    cells = several(fields["cell"])
    assert set(cells) == ({"gru"} if name in TASKS else {cell_of(name)} if cell_of(name) else set(PAPER_CELLS))
    assert fields["workdir"] == f"results/{name}"
    size = "num_units" if task in OF_UNITS else "num_params"
    sizes = several(fields[size])
    assert len(set(sizes)) == len(sizes)
    if arg == "":
        assert (len(sizes) > 1) == (cell_of(name) is not None or name in TASKS)
    points = sweep.points(fields | {size: min(sizes)})  # what fits the smallest budget fits the others
    assert {p["cell"] for p in points} == set(cells)
    of_size = [len(several(fields.get(name))) for name in ("depths", "unroll", "num_pairs")]
    assert len(points) == math.prod(of_size) * len(cells)
    if task == "memorization":  # the paper leaves out the +RNN of depth 1
        assert all(p["depth"] >= 2 for p in points if p["cell"] == "+rnn")
    for point in points:
        inspect.signature(MEASURES[task]).bind(**point)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) & set(TASKS) - set(OF_UNITS)))
def test_a_config_of_a_task_lists_the_tasks_fields_for_the_command_line(monkeypatch, name):
    listed = load(monkeypatch, name).to_dict()["task_fields"]
    assert set(listed) == {field.name for field in dataclasses.fields(TASKS[name])} - {"unroll"}


def test_the_scales_of_a_config_differ_in_how_much_is_trained(monkeypatch):
    for name in TASKS.keys() - {"memorization"}:
        quick, full = load(monkeypatch, name, "quick"), load(monkeypatch, name)
        assert quick.num_trials * quick.train_steps < full.num_trials * full.train_steps / 100
        assert (quick.space, full.space) == ("quick", "paper")


@pytest.mark.parametrize("cells", ["rnn", "lstm,+rnn"])
def test_a_config_of_all_cells_can_be_narrowed_to_some(monkeypatch, cells):
    """As `--config.cell=rnn` does: what the config says of the other cells must not be in the way."""
    monkeypatch.syspath_prepend(str(ROOT))
    fields = importlib.import_module("experiments.quickstart").get_config().to_dict() | {"cell": cells}
    found = [(p["cell"], p["depth"]) for p in sweep.points(fields)]
    assert found == [(cell, 2 if cell == "+rnn" else 1) for cell in cells.split(",")]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_argument_that_there_is_not_is_refused(monkeypatch, name):
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ValueError, match=r"^config argument: 'fast' given; it must be 'quick', 'evening' or nothing$"):
        importlib.import_module(f"experiments.{name}").get_config("fast")
