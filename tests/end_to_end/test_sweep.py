"""Sweeps: the grid of a config, what it writes, going on where it was; the configs themselves, and the command line."""

import csv
import dataclasses
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
import types

import pytest
from helpers import PATHS, ROOT
from rich.console import Console
from tiny import TINY, TINY_PARENTHESES, TINY_RECALL, FakeTrainer

import rnn_capacity
from rnn_capacity import TASKS, measure_association, measure_capacity, measure_recall, measure_trainability, sweep
from rnn_capacity.cells import CELLS, PAPER_CELLS
from rnn_capacity.display import tables
from rnn_capacity.measure import overview
from rnn_capacity.measure.capacity import CAPACITY
from rnn_capacity.measure.questions import QUESTIONS, question_of, results_in
from rnn_capacity.measure.recall import RECALL
from rnn_capacity.measure.trainability import TRAINABILITY
from rnn_capacity.studies import progress, store
from rnn_capacity.tasks import corpus

WRITTEN = ["capacity.png", "capacity.svg", "results.csv", "results.json", "study.db", "trials.csv"]


def config(workdir=None, **fields):
    return TINY | {"cell": "irnn"} | ({"workdir": str(workdir)} if workdir else {}) | fields


def run(workdir, **fields):
    """The results, and what was shown."""
    console = Console(file=io.StringIO(), width=400)
    return sweep.run(config(workdir, **fields), console), console.file.getvalue()


def line(result):
    """The row of its question's table."""
    return tables.line(result.question.columns, result)


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


# --- What a sweep leaves ----------------------------------------------------------------------------------------------


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_measures_every_point_and_writes_tables_and_figure(tmp_path, trainer):
    results, shown = run(tmp_path, cell="irnn,rnn", depths=2, num_params=80)
    assert len(trainer.trained) == len(set(trainer.trained)) == 2 * (4 + 2)
    assert [(r.cell, r.depth) for r in results] == [("irnn", 2), ("rnn", 2)]
    assert sorted(p.name for p in tmp_path.iterdir()) == WRITTEN

    rows = read_csv(tmp_path / "results.csv")
    assert [(row["cell"], row["depth"]) for row in rows] == [(r.cell, str(r.depth)) for r in results]
    for row, result in zip(rows, results, strict=True):
        assert float(row["bits_per_param"]) == result.bits_per_param
        assert float(row["best_hparams.learning_rate"]) == result.best_hparams["learning_rate"]
    trials = read_csv(tmp_path / "trials.csv")
    assert len(trials) == 2 * 4
    for result in results:
        of_study = [float(t["bits_per_param"]) for t in trials if t["study"] == result.study]
        assert len(of_study) == 4
        assert max(of_study) == result.bits_per_param
    everything = json.loads((tmp_path / "results.json").read_text())
    assert [r["bits_per_param"] for r in everything] == [r.bits_per_param for r in results]
    assert all(len(r["trials"]) == 4 for r in everything)
    assert (tmp_path / "capacity.png").read_bytes().startswith(b"\x89PNG")
    assert "irnn, depth 2" in (tmp_path / "capacity.svg").read_text()

    lines = shown.splitlines()
    assert lines[0].startswith("2 studies on 4 x cpu")
    assert lines[0].endswith(f", by rnn_capacity {rnn_capacity.__version__} in {ROOT / 'rnn_capacity'}")
    assert f"optuna-dashboard sqlite:///{tmp_path / 'study.db'}" in lines[1]
    assert lines[2] == tables.header(CAPACITY.columns)
    for result in results:
        assert lines.count(line(result)) == 2  # as soon as it was known, and in the table of all
    assert all(str(tmp_path / name) in shown for name in WRITTEN)


@pytest.mark.usefixtures("trainer", "no_figures")
def test_the_command_of_the_dashboard_is_shown_whole_where_it_is_not_installed(tmp_path, monkeypatch):
    """Rich would take [live] for markup, and leave it out."""
    find = importlib.util.find_spec
    missing = lambda name, *package: None if name == "optuna_dashboard" else find(name, *package)
    monkeypatch.setattr(progress.importlib.util, "find_spec", missing)
    _, shown = run(tmp_path)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    assert shown.splitlines()[1] == f"live: optuna-dashboard {url}  # pip install '.[live]' brings it"


@pytest.mark.usefixtures("no_figures")
def test_the_json_holds_every_number_to_the_last_digit(tmp_path, trainer):
    """L2 goes down to 1e-8: ten decimals would leave nothing of it."""
    hparams = TINY["hparams"] | {"l2": (1e-8, 1e-6), "learning_rate": (0.01, 0.1)}
    (result,), _ = run(tmp_path, hparams=hparams)
    (written,) = json.loads((tmp_path / "results.json").read_text())
    in_table = read_csv(tmp_path / "trials.csv")
    for name in ("l2", "learning_rate", "bits_per_param", "loss"):
        expected = list(result.trials[name])
        assert [float(trial[name]) for trial in in_table] == expected
        assert [trial[name] for trial in written["trials"]] == expected


def test_a_sweep_that_is_stopped_has_shown_and_written_its_rows(tmp_path, monkeypatch):
    """Figures alone are left for the end."""

    class Interrupted(BaseException):
        pass

    class Trainer(FakeTrainer):
        def __call__(self, spec, *args, **kwargs):
            if spec.cell.name == "rnn":
                raise Interrupted
            return super().__call__(spec, *args, **kwargs)

    Trainer().install(monkeypatch)
    console = Console(file=io.StringIO(), width=400)
    with pytest.raises(Interrupted):
        sweep.run(config(tmp_path, cell="irnn,rnn", devices=1), console)
    (row,) = read_csv(tmp_path / "results.csv")
    (written,) = json.loads((tmp_path / "results.json").read_text())
    assert row["cell"] == written["cell"] == "irnn"
    assert sorted(p.name for p in tmp_path.iterdir()) == [n for n in WRITTEN if not n.startswith("capacity")]
    (result,) = (r for r in results_in(tmp_path)[0] if r.record.finished)
    assert line(result) in console.file.getvalue().splitlines()


@pytest.mark.usefixtures("no_figures")
def test_storage_is_read_twice_however_many_points_there_are_and_tables_are_written_now_and_then(
    tmp_path, trainer, monkeypatch
):
    monkeypatch.setattr(sweep, "SECONDS_BETWEEN_TABLES", 3.5)
    clock = itertools.count()
    monkeypatch.setattr(sweep, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    read, written = [], []
    results, write = sweep.results_in, overview.write_tables
    monkeypatch.setattr(sweep, "results_in", lambda *args: read.append(1) or results(*args))
    monkeypatch.setattr(overview, "write_tables", lambda rows, *args: written.append(len(rows)) or write(rows, *args))
    run(tmp_path, cell="rnn", num_params=(40, 50, 60, 70, 80, 90))
    assert len(read) == 2
    assert written == [4, 6]  # while it ran, and at its end with what other workers measured


@pytest.mark.usefixtures("no_figures")
def test_a_sweep_run_again_trains_nothing_new_and_writes_the_same(tmp_path, trainer):
    before, _ = run(tmp_path)
    files = {name: (tmp_path / name).read_bytes() for name in WRITTEN if name.startswith(("results", "trials"))}
    trained = len(trainer.trained)
    after, shown = run(tmp_path)
    assert len(trainer.trained) == trained
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert [r.bits for r in after] == [r.bits for r in before]
    assert "4 of 4 trials" in shown


@pytest.mark.usefixtures("no_figures")
def test_a_sweep_goes_on_with_more_trials(tmp_path, trainer):
    run(tmp_path, num_trials=4, num_repeats=0)
    (result,), _ = run(tmp_path, num_trials=7, num_repeats=0)
    assert len(trainer.trained) == len(set(trainer.trained)) == 7
    assert result.num_trials == len(result.trials) == 7


@pytest.mark.usefixtures("no_figures")
def test_rows_of_an_earlier_sweep_with_other_cells_stay(tmp_path, trainer):
    (first,), _ = run(tmp_path, cell="irnn")
    results, shown = run(tmp_path, cell="rnn")
    assert [r.cell for r in results] == ["irnn", "rnn"]
    assert results[0].bits == first.bits
    assert [row["cell"] for row in read_csv(tmp_path / "results.csv")] == ["irnn", "rnn"]
    assert [r["cell"] for r in json.loads((tmp_path / "results.json").read_text())] == ["irnn", "rnn"]
    assert {t["study"] for t in read_csv(tmp_path / "trials.csv")} == {r.study for r in results}
    assert line(results[0]) in shown.splitlines()


@pytest.mark.usefixtures("no_figures")
def test_what_another_sweep_has_finished_meanwhile_is_in_the_tables_too(tmp_path, trainer, monkeypatch):
    results_in, reads = sweep.results_in, []

    def other_first(*args):
        if reads:  # ours has ended
            measure_capacity("rnn", storage=tmp_path, progress=False, **TINY)
        reads.append(args)
        return results_in(*args)

    monkeypatch.setattr(sweep, "results_in", other_first)
    results, shown = run(tmp_path)
    assert [r.cell for r in results] == ["irnn", "rnn"]
    assert [row["cell"] for row in read_csv(tmp_path / "results.csv")] == ["irnn", "rnn"]
    assert all(line(result) in shown.splitlines() for result in results)


@pytest.mark.usefixtures("no_figures")
def test_a_study_that_is_only_begun_is_no_row_of_a_sweep(tmp_path, trainer):
    run(tmp_path)
    begun = CAPACITY.config(cell="rnn", num_params=60, num_inputs=8, unroll=1).plan()
    store.open_study(store.open_storage(tmp_path), begun.name, begun.describe(), None)
    results, _ = run(tmp_path)
    assert [r.cell for r in results] == ["irnn"]


def test_a_sweep_of_nothing_but_divergence_is_written_too(tmp_path, monkeypatch):
    FakeTrainer(infeasible=lambda hparams: True).install(monkeypatch)
    (result,), shown = run(tmp_path)
    assert result.num_infeasible == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == WRITTEN
    (written,) = json.loads((tmp_path / "results.json").read_text())
    assert written["bits_per_param"] is None
    assert "nan" in shown


# --- Sweeps of other tasks --------------------------------------------------------------------------------------------

OF_RECALL = TINY_RECALL | {"task": "recall", "cell": "irnn,gru"}
OF_PARENTHESES = TINY_PARENTHESES | {"cell": "irnn,gru"}
OF_ASSOCIATION = {"task": "association", "cell": "gru", "num_pairs": (1, 2), "num_units": 2, "num_keys": 3}
OF_ASSOCIATION |= {"num_values": 2, "num_trials": 3, "train_steps": 20}


def run_task(workdir, fields):
    console = Console(file=io.StringIO(), width=400)
    return sweep.run(fields | {"workdir": str(workdir)}, console), console.file.getvalue()


def test_a_sweep_of_recall_runs_over_units(tmp_path, trainer):
    results, shown = run_task(tmp_path, OF_RECALL)
    assert [(r.measure, r.cell, r.num_units) for r in results] == [
        ("recall", cell, n) for cell in ("irnn", "gru") for n in (2, 4)
    ]
    assert len(trainer.trained) == len(set(trainer.trained)) == 2 * 2 * (3 + 2)
    lines = shown.splitlines()
    assert lines[0].startswith("4 studies on 4 x cpu")
    assert lines[2] == tables.header(RECALL.columns)
    assert all(lines.count(line(result)) == 2 for result in results)
    files = ["recall.png", "recall.svg", "results.csv", "results.json", "study.db", "trials.csv"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files
    assert [float(row["error"]) for row in read_csv(tmp_path / "results.csv")] == [r.error for r in results]


def test_a_sweep_of_a_task_runs_over_sizes_and_depths_with_the_tasks_fields(tmp_path, trainer):
    results, shown = run_task(tmp_path, OF_PARENTHESES | {"depths": (1, 2), "num_params": (80, 120)})
    found = [(r.task, r.cell, r.depth, r.unroll) for r in results]
    assert found == [("parentheses", c, d, 3) for c in ("irnn", "gru") for d in (1, 2) for _ in (80, 120)]
    assert {r.task_fields["max_count"] for r in results} == {3}
    assert {spec.task.num_held_out for spec, *_ in trainer.trained} == {64}
    assert shown.splitlines()[2] == tables.header(TRAINABILITY.columns)
    assert (tmp_path / "trainability-parentheses.png").read_bytes().startswith(b"\x89PNG")


def test_sweeps_of_several_tasks_share_a_workdir(tmp_path, trainer):
    run(tmp_path)
    run_task(tmp_path, OF_RECALL)
    run_task(tmp_path, OF_ASSOCIATION)
    before = len(trainer.trained)
    results, shown = run_task(tmp_path, OF_PARENTHESES)
    assert [r.measure for r in results] == ["capacity", *["recall"] * 4, *["association"] * 2, *["trainability"] * 2]
    names = ("capacity", "recall", "association", "trainability-parentheses", "trainability-parentheses-losses")
    figures = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert figures < {p.name for p in tmp_path.iterdir()}
    for question in QUESTIONS.values():
        assert tables.header(question.columns) in shown.splitlines()
        assert question.caption in shown
    assert len(read_csv(tmp_path / "trials.csv")) == 4 + 4 * 3 + 2 * 3 + 2 * 3
    assert len(trainer.trained) == before + 2 * (3 + 2)
    run_task(tmp_path, OF_PARENTHESES)
    assert len(trainer.trained) == before + 2 * (3 + 2)  # nothing again


def test_a_sweep_of_nothing_but_divergence_is_written_for_every_task(tmp_path, monkeypatch):
    FakeTrainer(infeasible=lambda hparams: True).install(monkeypatch)
    for fields in (OF_RECALL, OF_PARENTHESES, OF_ASSOCIATION):
        run_task(tmp_path, fields)
    written = json.loads((tmp_path / "results.json").read_text())
    assert [r.get("error", r.get("loss", r.get("bits", 0))) for r in written] == [None] * 8
    assert [r["num_infeasible"] for r in written] == [3] * 8


@pytest.mark.usefixtures("no_training")
def test_a_text_that_is_not_there_is_told_before_any_training(tmp_path):
    fields = {"task": "text8", "task_fields": {"data_dir": str(tmp_path / "none")}, "cell": "irnn", "num_trials": 2}
    assert len(sweep.points(fields | {"num_params": 2000})) == 1
    with pytest.raises(ValueError, match=r"^data_dir: ") as error:
        run_task(tmp_path / "out", fields | {"num_params": 2000})
    assert "none" in str(error.value)


TASK_BAD = [
    ("num_units", "0", OF_RECALL | {"num_units": (4, 0)}),
    ("unroll", "0", OF_RECALL | {"unroll": (2, 0)}),
    ("num_inputs", "-1", OF_RECALL | {"num_inputs": -1}),
    ("config", "num_units", OF_RECALL | {"num_units": ()}),
    ("num_params", "60", OF_RECALL | {"num_params": 60}),
    ("task", "'recall:x'", OF_RECALL | {"task": "recall:x"}),
    ("text", "'latin'", {"task": "text8:latin"}),
    ("unroll", "13", {"task": "text8", "unroll": (50, 13)}),
    ("num_units", "4", OF_PARENTHESES | {"num_units": 4}),
    ("num_inputs", "8", OF_PARENTHESES | {"num_inputs": 8}),
    ("task_fields of parentheses", "'num_kinds'", OF_PARENTHESES | {"task_fields": {"num_kinds": 2}}),
    ("num_types", "0", OF_PARENTHESES | {"task_fields": {"num_types": 0}}),
    ("hparams", "'compute_steps'", OF_PARENTHESES | {"hparams": {"compute_steps": 2}}),
    ("hparams.compute_steps", "2.5", {"task": "arithmetic", "num_params": 2000, "hparams": {"compute_steps": 2.5}}),
    ("batch_size", "0", OF_PARENTHESES | {"per_cell": {"gru": {"batch_size": 0}}}),
    ("per_cell.gru", "'num_units'", OF_PARENTHESES | {"per_cell": {"gru": {"num_units": 3}}}),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value", "fields"), TASK_BAD, ids=[f"{f}={v}" for f, v, _ in TASK_BAD])
def test_what_another_task_cannot_be_is_told_before_any_training(tmp_path, field, value, fields):
    with pytest.raises(ValueError, match=r"^[\w. ]+: ") as error:
        run_task(tmp_path, fields)
    message = str(error.value)
    assert message.startswith(f"{field}: ")
    assert value in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


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


# --- Several sweeps ---------------------------------------------------------------------------------------------------


def test_a_config_of_several_sweeps_runs_each_in_a_folder_of_its_own(tmp_path, trainer):
    sweeps = {"first": config(), "second": config(cell=("rnn", "gru"), devices=1)}
    console = Console(file=io.StringIO(), width=400)
    results = sweep.run({"workdir": str(tmp_path), "sweeps": sweeps}, console)
    assert [r.cell for r in results] == ["irnn", "rnn", "gru"]
    assert "second, sweep 2 of 2: 0 of 12 trials, 2 studies | rnn, depth 1" in console.file.getvalue()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "second"]
    for name, cells in (("first", ["irnn"]), ("second", ["rnn", "gru"])):
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == WRITTEN
        assert [r["cell"] for r in json.loads((tmp_path / name / "results.json").read_text())] == cells
    trained = len(trainer.trained)
    again = sweep.run({"workdir": str(tmp_path), "sweeps": sweeps}, console)
    assert len(trainer.trained) == trained
    assert [r.bits_per_param for r in again] == [r.bits_per_param for r in results]


@pytest.mark.usefixtures("no_figures")
def test_what_the_studies_of_a_config_are_called_is_what_they_are_kept_as(tmp_path, trainer):
    several = {"workdir": str(tmp_path), "sweeps": {"a": config(depths=(1, 2)), "b": config(cell="rnn")}}
    results = sweep.run(several, Console(file=io.StringIO()))
    names = [plan.name for plan, _ in sweep.studies(several)]
    assert names == [r.study for r in results]
    assert len(set(names)) == 3


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"sweeps": {}}, "^sweeps: none given"),
        (
            {"sweeps": {"a": config()}, "cell": "rnn"},
            "^config field: 'cell' given; it must be one of 'sweeps', 'workdir'",
        ),
        ({"sweeps": {"a": config(workdir="there")}}, "^sweeps.a.workdir: 'there' given; it is the folder a of"),
        ({"sweeps": {"a": config(), "b": config(depths=0)}}, "^sweeps.b.depth: 0 given"),
    ],
)
def test_what_is_wrong_with_one_of_several_sweeps_is_told_before_any_is_run(tmp_path, fields, named):
    with pytest.raises(ValueError, match=named):
        sweep.run({"workdir": str(tmp_path / "out")} | fields)
    assert not (tmp_path / "out").exists()


# --- The command line -------------------------------------------------------------------------------------------------


def launch(*flags, cwd=ROOT):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, str(ROOT / "launch" / "sweep.py"), *flags]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_the_launcher_runs_a_config_from_any_folder(tmp_path):
    done = launch(
        f"--config={ROOT / 'experiments' / 'irnn.py'}:quick",
        "--config.num_params=60",
        "--config.num_inputs=8",
        "--config.unroll=1",
        "--config.num_trials=3",
        "--config.num_repeats=2",
        "--config.train_steps=40",
        "--config.hparams.mappings_per_param=(0.5, 1.0)",
        "--config.hparams.learning_rate=0.03",
        f"--workdir={tmp_path / 'out'}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == WRITTEN
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    (result,), _ = results_in(tmp_path / "out")
    assert (result.cell, result.num_params, result.num_trials) == ("irnn", 43, 3)
    assert 0.05 < result.bits_per_param < 1
    assert result.best_hparams["learning_rate"] == 0.03
    assert tables.header(CAPACITY.columns) in done.stdout.splitlines()
    assert line(result) in done.stdout.splitlines()


GREEN = """
import sys
import tiny
from rnn_capacity import CELLS, sweep; from rnn_capacity.training import program
program.advance = tiny.FakeTrainer()
sweep.run(tiny.TINY | {"cell": CELLS["irnn"]._replace(name="grün"), "workdir": sys.argv[1]})
"""


def test_where_the_output_has_no_umlauts_they_are_escaped_and_the_files_have_them(tmp_path):
    environment = os.environ | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
    environment |= {"PYTHONPATH": PATHS, "JAX_PLATFORMS": "cpu"}
    (tmp_path / "green.py").write_text(GREEN, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "green.py"), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert rb"gr\xfcn, depth 1" in done.stdout
    assert rb"gr\xfcn      1" in done.stdout
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))[0]["cell"] == "grün"
    for name in ("results.csv", "capacity.svg"):
        assert "grün" in (tmp_path / "out" / name).read_text(encoding="utf-8")
