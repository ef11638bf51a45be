"""Parquet files of trials: nothing is lost on the way, nothing is overwritten, and bad input is told in a line."""

import json
import math
import os
import pathlib
import pickle
import subprocess
import sys

import authors_table
import jax
import numpy as np
import optuna
import pandas as pd
import pyarrow as pa
import pytest
from helpers import ROOT
from pyarrow import parquet
from tiny import TINY, FakeTrainer

from rnn_capacity import measure_capacity
from rnn_capacity.paper import authors, dataset
from rnn_capacity.studies import reader, store


@pytest.fixture
def trainer(monkeypatch):
    return FakeTrainer(infeasible=lambda hparams: hparams["learning_rate"] > 0.01).install(monkeypatch)


@pytest.fixture
def measured(tmp_path, trainer):
    """A folder with a study of two cells, and what was found in it."""
    folder = tmp_path / "results"
    options = TINY | {
        "progress": False,
        "storage": folder,
        "space": "paper",
        "sampler": "quasi-random",
        "num_trials": 8,
    }
    return folder, [measure_capacity("gru", **options), measure_capacity("rnn", **options)]


@pytest.fixture
def pickled(tmp_path):
    path = tmp_path / "fig3_txt8rcf.p"
    path.write_bytes(authors_table.PYTHON_2[2])
    return path


def study_of(names, cell):
    """The search of a cell among the names of studies."""
    (name,) = [n for n in names if n.startswith(f"capacity {cell} depth=1 params=60 T=1") and not n.endswith(" again")]
    return name


# --- Ours -------------------------------------------------------------------------------------------------------------


def test_every_trial_is_there_as_it_was_measured(measured, tmp_path):
    folder, results = measured
    out = dataset.export(folder, tmp_path / "trials.parquet")
    assert out == tmp_path / "trials.parquet"
    frame = pd.read_parquet(out)
    assert len(frame) == 2 * (8 + TINY["num_repeats"])
    assert frame["study"].nunique() == 4
    for result in results:
        found = frame[frame["study"] == study_of(set(frame["study"]), result.cell)].reset_index(drop=True)
        for name, column in result.trials.items():
            pd.testing.assert_series_equal(found[name], column, check_dtype=False, check_exact=True)
        assert (found["state"] == np.where(found["feasible"], "COMPLETE", "FAIL")).all()
        assert 0 < found["feasible"].sum() < 8


def test_types_are_kept_and_what_a_trial_lacks_is_null(measured, tmp_path):
    schema = parquet.read_schema(dataset.export(measured[0], tmp_path / "trials.parquet"))
    types = {name: str(schema.field(name).type) for name in schema.names}
    for name in ("optimizer", "recurrent_init", "schedule", "study", "state"):
        assert types[name] == "string"
    for name in ("learning_rate", "l2", "recurrent_scale", "recurrent_scale_u", "bits", "loss"):
        assert types[name] == "double"
    assert (types["feasible"], types["number"], types["num_mappings"]) == ("bool", "int64", "int64")
    table = parquet.read_table(tmp_path / "trials.parquet").to_pandas()
    gru = table["study"].str.contains("gru")
    assert table["input_scale"].isna().equals(gru)  # the RNN has one, the GRU one a gate
    assert table["input_scale_u"].isna().equals(~gru)
    assert table["bits"].isna().equals(~table["feasible"])


def test_what_a_trial_needs_to_be_run_again_is_there(measured, tmp_path):
    folder, results = measured
    frame = dataset.read(dataset.export(folder, tmp_path / "trials.parquet"))
    found = frame.attrs["studies"]
    assert set(found) == set(frame["study"])
    for study in optuna.get_all_study_names(store.open_storage(folder)):
        known = found[study]
        (worker,) = {name: about for name, about in known.items() if name.startswith("worker ")}.values()
        assert set(worker) == {"packages", "code", "device", "command"}
        assert worker["packages"]["jax"] == jax.__version__
        assert (known["plan"]["seed"], known["plan"]["num_inputs"], known["plan"]["train_steps"]) == (0, 8, 40)
    for result in results:
        kept = found[study_of(found, result.cell)]["result"]
        assert kept == json.loads(json.dumps(result.to_dict()))
        best = frame[(frame["study"].str.endswith(" again")) & frame["study"].str.contains(f" {result.cell} ")]
        for name, value in result.best_hparams.items():
            assert set(best[name]) == {value}, name  # fixed in its plan, so in no trial's own params


def test_hparams_that_a_trial_was_not_given_are_null(tmp_path):
    storage = store.open_storage(None)
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    space = {"hparams.momentum_logit": {"low": 1.0, "high": 7.0, "log": False}, "hparams.l2": 1e-7}
    study.set_user_attr("plan", {"cell": "rnn"} | space)
    uniform = optuna.distributions.FloatDistribution(1.0, 7.0)
    for params in ({"momentum_logit": 2.5}, {}):
        trial = optuna.trial.create_trial(
            params=params,
            distributions=dict.fromkeys(params, uniform),
            value=1.0,
            user_attrs={"outcome": {"feasible": True, "bits": None}},
        )
        study.add_trial(trial)
    study.ask()  # runs still
    study.enqueue_trial({"momentum_logit": 3.0})  # waits
    frame = dataset.read(dataset.export(storage, tmp_path / "trials.parquet"))
    assert frame["number"].tolist() == [0, 1]
    assert frame["momentum_logit"].tolist() == pytest.approx([2.5, math.nan], nan_ok=True)
    assert frame["l2"].tolist() == [1e-7, 1e-7]
    assert frame["bits"].dtype == np.float64  # also where there is none


def test_a_trial_that_runs_is_left_out_of_the_authors_format_too(measured, tmp_path):
    folder, _ = measured
    opened = store.open_storage(folder)
    optuna.load_study(study_name=study_of(optuna.get_all_study_names(opened), "gru"), storage=opened).ask()
    for format in dataset.FORMATS:
        frame = dataset.read(dataset.export(folder, tmp_path / format, format))
        assert len(frame) == {"trials": 2 * (8 + TINY["num_repeats"]), "authors": 2 * 8}[format]


def test_the_authors_format_comes_back_as_it_went(measured, tmp_path):
    folder, _ = measured
    frame = dataset.read(dataset.export(folder, tmp_path / "authors.parquet", "authors"))
    expected = authors.rows(reader.load_studies(folder))
    assert frame.columns.tolist() == list(authors.FIELDS)
    for field in authors.FIELDS:
        assert repr(frame[field].tolist()) == repr(expected[field].tolist())
    kept = frame.attrs["studies"]
    assert kept[study_of(kept, "gru")]["plan"]["cell"] == "gru"


def test_a_loss_that_there_is_not_is_nan_and_not_null(measured, tmp_path):
    table = parquet.read_table(dataset.export(measured[0], tmp_path / "authors.parquet", "authors"))
    assert table["eval_loss"].null_count == 0
    assert 0 < np.isnan(table["eval_loss"].to_numpy()).sum() < len(table)


def test_reading_a_storage_does_not_change_it(measured, tmp_path):
    folder, _ = measured
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    dataset.export(folder, tmp_path / "trials.parquet")
    dataset.export(f"sqlite:///{folder / 'study.db'}", tmp_path / "again.parquet")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    same = [pd.read_parquet(tmp_path / name) for name in ("trials.parquet", "again.parquet")]
    pd.testing.assert_frame_equal(*same)


# --- Theirs -----------------------------------------------------------------------------------------------------------


def test_the_published_row_comes_through(pickled, tmp_path):
    frame = dataset.read(dataset.import_authors(pickled, tmp_path / "authors.parquet"))
    assert frame.iloc[0].to_dict() == {field: authors_table.LSTM[field] for field in authors.FIELDS}
    assert [type(v) for v in frame["hparams"][0].values()].count(int) == 1  # train_steps
    assert frame.attrs == {"source": "fig3_txt8rcf.p"}
    assert math.isnan(frame["train_loss"][1])
    assert frame["valid_loss"][1] == math.inf


def test_theirs_and_ours_have_one_schema(measured, pickled, tmp_path):
    ours = parquet.read_table(dataset.export(measured[0], tmp_path / "ours.parquet", "authors"))
    theirs = parquet.read_table(dataset.import_authors(pickled, tmp_path / "theirs.parquet"))
    assert ours.schema.equals(theirs.schema)
    both = pa.concat_tables([ours, theirs])
    assert both["architecture"].to_pylist() == ["gru"] * 8 + ["rnn"] * 8 + ["lstm", "+rnn"]
    assert {name: str(both.schema.field(name).type) for name in both.schema.names} == {
        **dict.fromkeys(("architecture", "task_type", "hparams"), "string"),
        **dict.fromkeys(("n_layers", "hyper_iter", "max_params", "num_params"), "int64"),
        **dict.fromkeys(("train_loss", "valid_loss", "eval_loss"), "double"),
    }


def test_a_count_that_there_is_not_is_null(tmp_path):
    row = authors_table.LSTM | {"max_params": None}
    array = np.array([tuple(row[n] for n in authors.FIELDS)], [(n, "O") for n in authors.FIELDS])
    (tmp_path / "table.p").write_bytes(pickle.dumps(array))
    table = parquet.read_table(dataset.import_authors(tmp_path / "table.p", tmp_path / "out.parquet"))
    assert table["max_params"].to_pylist() == [None]


# --- Bad input --------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten(measured, pickled, tmp_path):
    with pytest.raises(ValueError, match=r"^out: '.*none/o\.parquet' given; it must be a file that is not there yet"):
        dataset.export(measured[0], tmp_path / "none" / "o.parquet")
    out = tmp_path / "trials.parquet"
    dataset.export(measured[0], out)
    before = out.read_bytes()
    for write in (lambda: dataset.export(measured[0], out), lambda: dataset.import_authors(pickled, out)):
        with pytest.raises(
            ValueError, match=r"^out: '.*trials\.parquet' given; it must be a file that is not there yet"
        ):
            write()
    assert out.read_bytes() == before
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"^out: "):
        dataset.export(measured[0], tmp_path / "link")


def test_a_file_is_there_whole_or_not_at_all(measured, tmp_path, monkeypatch):
    def write_half(table, path):
        pathlib.Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    out = tmp_path / "trials.parquet"
    monkeypatch.setattr(parquet, "write_table", write_half)
    with pytest.raises(ValueError, match=r"^out: .*No space left on device"):
        dataset.export(measured[0], out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


@pytest.mark.parametrize("format", dataset.FORMATS)
def test_a_storage_that_is_not_there_is_not_made(tmp_path, format):
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for storage in (
        tmp_path / "empty",
        tmp_path / "none",
        f"sqlite:///{tmp_path}/none.db",
        f"sqlite+pysqlite:///{tmp_path}/none.db?timeout=3",
    ):
        with pytest.raises(ValueError, match=r"^storage: '.*' given; it must be a folder with a study\.db, or the URL"):
            dataset.export(storage, tmp_path / "out.parquet", format)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("format", dataset.FORMATS)
def test_a_storage_without_trials_is_told(tmp_path, format):
    storage = store.open_storage(None)
    with pytest.raises(ValueError, match=r"^storage: one without a study given"):
        dataset.export(storage, tmp_path / "out.parquet", format)
    optuna.create_study(storage=storage, study_name="s").ask()
    with pytest.raises(ValueError, match=r"^storage: one without a measured trial given"):
        dataset.export(storage, tmp_path / "out.parquet", format)
    assert not list(tmp_path.iterdir())


def test_a_database_of_something_else_is_told(tmp_path):
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match=r"^storage: '.*' given; it must be a database of studies"):
        dataset.export(tmp_path, tmp_path / "out.parquet")
    with pytest.raises(ValueError, match=r"^storage: 3 given"):
        dataset.export(3, tmp_path / "out.parquet")
    with pytest.raises(ValueError, match=r"^format: 'csv' given; it must be one of 'trials', 'authors'$"):
        dataset.export(tmp_path, tmp_path / "out.parquet", "csv")


def test_a_file_that_was_not_written_here_is_told(tmp_path):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("a,b")
    for name in ("other.parquet", "text.parquet", "none.parquet"):
        with pytest.raises(
            ValueError, match=rf"^path: '.*{name}' given; it must be a Parquet file written here \(.+\)$"
        ):
            dataset.read(tmp_path / name)


# --- The command line -------------------------------------------------------------------------------------------------


def process(*flags, cwd, without=None):
    command = [sys.executable, str(ROOT / "launch" / "table.py"), *flags]
    if without:  # as if it were not installed
        (cwd / without).mkdir()
        (cwd / without / "__init__.py").write_text("raise ImportError")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{cwd}" if not without else f"{cwd}{os.pathsep}{ROOT}"}
    return subprocess.run(
        command, cwd=cwd, env=environment | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=300
    )


def test_the_launcher_exports_and_imports(launch, monkeypatch, measured, pickled, tmp_path):
    done = process("--storage=results", "--out=trials.parquet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Written: trials.parquet\n", "")
    assert len(dataset.read(tmp_path / "trials.parquet")) == 2 * (8 + TINY["num_repeats"])
    monkeypatch.chdir(tmp_path)
    for out, flags, rows in (
        ("ours.parquet", ["--storage=results", "--format=authors"], 16),
        ("theirs.parquet", [f"--authors={pickled.name}"], 2),
    ):
        assert launch("table", f"--out={out}", *flags) == (0, f"Written: {out}\n", "")
        assert len(dataset.read(tmp_path / out)) == rows


@pytest.mark.parametrize(
    ("named", "flags"),
    [
        ("storage: 'none' given", ["--storage=none", "--out=o.parquet"]),
        ("it names posix.system", ["--authors=hostile.p", "--out=o.parquet"]),
        ("out: 'hostile.p' given", ["--storage=none", "--out=hostile.p"]),
        ("git lfs pull", ["--authors=pointer.p", "--out=o.parquet"]),
        ("authors: '.' given; it must be a file (Is a directory)", ["--authors=.", "--out=o.parquet"]),
        ("out: '~nobody.at.all/o.parquet' given", ["--storage=none", "--out=~nobody.at.all/o.parquet"]),
        ("storage: 'postgresql://u:***@h/d' given", ["--storage=postgresql://u:s3cr@et@h/d", "--out=o.parquet"]),
        ("--out must be given", ["--storage=none"]),
        ("one of --storage and --authors", ["--out=o.parquet", "--storage=a", "--authors=b"]),
        ("csv", ["--storage=none", "--out=o.parquet", "--format=csv"]),
        ("unknown arguments: results", ["--out=o.parquet", "results"]),
    ],
)
def test_a_bad_command_line_is_told_in_one_line(launch, monkeypatch, tmp_path, named, flags):
    hostile = tmp_path / "hostile.p"
    hostile.write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    pointer = tmp_path / "pointer.p"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    monkeypatch.chdir(tmp_path)
    code, output, errors = launch("table", *flags)
    assert (code, output) == (1, "")
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert named in line
    assert sorted(tmp_path.iterdir()) == [hostile, pointer]


def test_without_pyarrow_the_way_to_install_it_is_told(tmp_path):
    done = process("--storage=none", "--out=o.parquet", cwd=tmp_path, without="pyarrow")
    assert done.returncode == 1
    assert done.stderr == 'error: Parquet files need pyarrow: pip install ".[parquet]"\n'
