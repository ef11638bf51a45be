"""Sweeps: what they write and show, going on where they were, several in one config, and the command line."""

import importlib.util
import io
import itertools
import json
import os
import subprocess
import sys
import types

import pytest
from helpers import PATHS, ROOT
from rich.console import Console
from small_sweep import WRITTEN, config, line, read_csv, run
from tiny import TINY, FakeTrainer

import rnn_capacity
from rnn_capacity import measure_capacity, sweep
from rnn_capacity.display import tables
from rnn_capacity.measure import overview
from rnn_capacity.measure.capacity import CAPACITY
from rnn_capacity.measure.questions import results_in
from rnn_capacity.studies import progress, store

# --- What a sweep leaves ----------------------------------------------------------------------------------------------


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
