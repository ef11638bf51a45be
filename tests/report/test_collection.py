"""What is read for a report: what was measured, half done, or while it is written; and nothing is touched."""

import dataclasses
import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import postgres
import pytest
import sqlalchemy
from collected import (
    CALLS,
    NAMES,
    failing_trainer,
    killed,
    killed_before_it_is_kept,
    measure,
    only,
    open_study,
    row_of,
    without_times,
)
from helpers import ROOT
from tiny import FRAGILE, TINY, FakeTrainer, add_studies

from rnn_capacity import measure_capacity
from rnn_capacity.report.collection import collect
from rnn_capacity.studies import store
from rnn_capacity.studies.plan import title_of

trainer = pytest.fixture(failing_trainer)


# --- What was measured ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_a_finished_study_is_what_its_measurement_gave(tmp_path, trainer, name):
    (result,) = CALLS[name](storage=tmp_path, progress=False).parts
    found = only(collect(tmp_path))
    assert found == result
    pd.testing.assert_frame_equal(found.trials, result.trials, check_exact=True)
    assert (title_of(found.study), found.record.source, found.record.finished) == (NAMES[name], ".", True)
    assert dataclasses.replace(found.record, source="") == result.record
    assert (found.record.wanted_trials, len(found.repeats) + found.num_infeasible_repeats) == (result.num_trials, 2)
    objective = found.trials["bits_per_param"] if name == "capacity" else -found.trials["valid_loss"]
    assert found.record.best_number == found.trials["number"][objective.astype(float).idxmax()]


@pytest.mark.parametrize("name", CALLS)
def test_without_a_kept_result_the_same_follows_from_plan_and_trials(tmp_path, trainer, name):
    row = measure(name, tmp_path / "whole", num_trials=9)
    killed_before_it_is_kept(name, tmp_path / "killed", num_trials=9)
    killed, whole = collect(tmp_path).results
    assert store.RESULT not in open_study(tmp_path / "killed", NAMES[name]).user_attrs
    assert without_times(killed.to_dict()) == without_times(row)
    assert 0 < row["num_infeasible"] < 9
    assert killed.seconds > 0
    assert killed.record.finished
    assert killed == dataclasses.replace(whole, seconds=killed.seconds)


@pytest.mark.parametrize("name", CALLS)
def test_a_result_of_fewer_trials_than_there_are_now_is_made_anew(tmp_path, trainer, name):
    row = measure(name, tmp_path / "whole", num_trials=9)
    measure(name, tmp_path / "more", num_trials=3)
    killed_before_it_is_kept(name, tmp_path / "more", num_trials=9)
    more, _ = collect(tmp_path).results
    assert open_study(tmp_path / "more", NAMES[name]).user_attrs[store.RESULT]["num_trials"] == 3
    assert without_times(more.to_dict()) == without_times(row)
    assert len(more.trials) == 9


def test_a_search_that_was_asked_for_more_is_not_finished(tmp_path, trainer):
    row = measure("capacity", tmp_path)
    study = open_study(tmp_path, NAMES["capacity"])
    store.ask_for(study, 10, 2)
    for _ in range(3):
        study.ask()  # a killed worker's
    found = only(collect(tmp_path))
    assert row_of(found) == json.dumps(row)
    assert (found.record.finished, found.record.wanted_trials, len(found.trials)) == (False, 10, 4)
    store.ask_for(study, 4, 5)
    assert not only(collect(tmp_path)).record.finished


def test_of_fewer_trials_than_before_the_last_call_is_told(tmp_path, trainer):
    measure("capacity", tmp_path, num_trials=8)
    row = measure("capacity", tmp_path, num_trials=3)
    found = only(collect(tmp_path))
    assert row_of(found) == json.dumps(row)
    assert (len(found.trials), found.record.finished) == (3, True)


def test_a_study_knows_its_plan_and_its_space(tmp_path, trainer):
    measure("recall", tmp_path, num_trials=6, space="paper")
    found = only(collect(tmp_path))
    assert {"optimizer", "learning_rate", "momentum_logit"} <= {*found.trials}
    assert found.record.space["schedule"] == "exponential"  # fixed
    assert found.record.space["learning_rate"] == {"low": 1e-4, "high": 1e-1, "log": True}
    assert found.record.plan == open_study(tmp_path, NAMES["recall"]).user_attrs[store.PLAN]


def test_what_trained_it_is_there_once(tmp_path, trainer):
    measure("recall", tmp_path)
    measure("recall", tmp_path, num_trials=5)
    (worker,) = only(collect(tmp_path)).record.workers
    assert worker.keys() == {"packages", "code", "device", "command"}
    assert (worker["code"], worker["command"]) == (store.code_digest(), store.command())
    study = open_study(tmp_path, NAMES["recall"])
    study.set_user_attr("worker other:1:2:3", {"packages": {"jax": "0.1"}, "code": "abc", "device": "1 x cpu"})
    others = only(collect(tmp_path)).record.workers
    assert len(others) == 2
    assert {"packages": {"jax": "0.1"}, "code": "abc", "device": "1 x cpu", "command": None} in others


def test_a_users_own_cell_needs_no_cell_to_be_read(tmp_path):
    options = TINY | {"num_trials": 4, "train_steps": 5, "progress": False, "storage": tmp_path}
    (row,) = measure_capacity(FRAGILE, **options).rows()
    found = only(collect(tmp_path))
    assert row_of(found) == json.dumps(row)


@pytest.mark.parametrize("kept", [True, False])
def test_a_users_own_cell_with_a_name_of_the_papers_is_told_apart(tmp_path, trainer, kept):
    cell = FRAGILE._replace(name="gru")
    own = functools.partial(measure_capacity, cell, **TINY, storage=tmp_path, progress=False)
    own() if kept else killed(own)
    assert only(collect(tmp_path)).cell == "gru (own)"


def test_every_database_below_the_folder_is_read_in_order_once_and_hidden_ones_are_not(tmp_path, trainer):
    measure("recall", tmp_path / "b")
    for folder in ("a/deep", ".hidden", "a/.venv/x"):
        shutil.copytree(tmp_path / "b", tmp_path / folder)
    url = f"sqlite:///{tmp_path}/b/study.db"
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    shutil.copytree(tmp_path / "b", outside)
    found = collect(tmp_path, [url, f"sqlite:///{outside}/study.db"])
    assert found.sources == ["a/deep", "b", f"sqlite:///{outside}/study.db"]
    assert [r.record.source for r in found.results] == found.sources
    assert {title_of(r.study) for r in found.results} == {NAMES["recall"]}
    assert found.notes == []


# --- Little or nothing ------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_refused_and_not_made(tmp_path):
    for path in (tmp_path / "none", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match=r"^workdir: '.*' given; it must be a folder that is there$"):
            collect(path)
    assert not (tmp_path / "none").exists()
    assert collect(tmp_path) == ([], [], [], str(tmp_path))


@pytest.mark.parametrize("name", CALLS)
def test_a_study_without_a_trial_is_shown(tmp_path, trainer, name):
    row = measure(name, tmp_path)
    plan = open_study(tmp_path, NAMES[name]).user_attrs[store.PLAN]
    study = store.open_study(store.open_storage(tmp_path / "new"), NAMES[name], plan, None)
    study.ask()
    _, found = collect(tmp_path).results
    assert found.record.source == "new"
    assert row.keys() == found.to_dict().keys()
    assert (found.num_trials, found.record.best_number, found.record.finished) == (0, None, False)
    assert (found.record.wanted_trials, found.record.workers, found.best_hparams) == (None, [], {})
    assert np.isnan(getattr(found, {"capacity": "bits_per_param", "recall": "error", "trainability": "loss"}[name]))
    assert (found.num_params, found.num_inputs) == (row["num_params"], row["num_inputs"])


@pytest.mark.parametrize("name", CALLS)
def test_where_all_trials_diverge_there_is_no_best(tmp_path, monkeypatch, name):
    FakeTrainer(infeasible=lambda hparams: True).install(monkeypatch)
    row = measure(name, tmp_path / "kept")
    killed_before_it_is_kept(name, tmp_path / "killed")
    for found in collect(tmp_path).results:
        assert without_times(found.to_dict()) == without_times(row)
        assert (found.record.best_number, found.record.finished, found.num_infeasible) == (
            None,
            True,
            row["num_trials"],
        )


# --- While it is written, and much of it ------------------------------------------------------------------------------


def test_it_can_be_read_while_it_is_written(tmp_path, trainer):
    done, seen = threading.Event(), []

    def write():
        for num_trials in range(2, 18, 3):
            measure("recall", tmp_path, num_trials=num_trials, num_repeats=0)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set() and writer.is_alive():
        found = collect(tmp_path)
        for result in found.results:
            seen.append(result.num_trials)
            trials = result.trials
            if trials.empty:  # a study that was begun at this moment
                continue
            assert trials[["learning_rate", "readout_scale"]].notna().all(axis=None)
            assert trials.loc[trials["feasible"], "eval_loss"].notna().all()
    writer.join()
    assert done.is_set()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert only(collect(tmp_path)).num_trials == 17


def test_a_postgresql_database_is_read_and_gets_no_tables(tmp_path, trainer):
    if postgres.find_binaries() is None:
        pytest.skip("no PostgreSQL server is installed")
    server = postgres.Server()
    try:
        server.start()
        empty = collect(tmp_path, [server.url])
        assert empty.results == []
        assert "it has no table of studies" in empty.notes[0]
        assert "secret" not in empty.notes[0]
        url = server.url.replace("postgresql:", "postgresql+psycopg:")
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        assert sqlalchemy.inspect(engine).get_table_names() == []
        row = measure("trainability", server.url)
        found = only(collect(tmp_path, [server.url]))
        assert row_of(found) == json.dumps(row)
        assert found.record.source == server.url.replace("secret", "***")
    finally:
        gc.collect()  # open connections of the storage, or whichever test runs next is told of them
        server.remove()


def test_a_thousand_trials_are_read_in_one_pass(tmp_path, monkeypatch):
    """Five SELECTs a study, however many trials it has, and what it takes to find the studies."""
    add_studies(tmp_path, num_studies=10, num_trials=100)
    selects, execute = [], sqlalchemy.Connection.execute
    count = lambda self, *args, **more: selects.append(str(args[0])) or execute(self, *args, **more)
    monkeypatch.setattr(sqlalchemy.Connection, "execute", count)
    found = collect(tmp_path)
    assert [len(result.trials) for result in found.results] == [100] * 10
    assert 5 * 10 < len(selects) <= 5 * 10 + 3
    for result in found.results:
        trials = result.trials
        assert result.error == trials["eval_loss"][trials["valid_loss"].astype(float).idxmin()]
        assert set(trials["choice 2"]) == {"a", "b"}


def test_no_device_is_touched(tmp_path, trainer):
    measure("trainability", tmp_path)
    code = (
        f"from rnn_capacity.report.collection import collect; found = collect({str(tmp_path)!r}); "
        "from jax._src import xla_bridge; print(len(found.results), xla_bridge.backends_are_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("1 False\n", "")


# --- How it was started -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (["my run.py", "--a=b c"], "python 'my run.py' '--a=b c'"),
        (["-m", "run", "--n=1"], "python -m run --n=1"),
        (
            ["my run.py", "--config.storage=postgresql://u:p:w@x@h:1/d", "--storage", "mysql://u:word@h/d"],
            "python 'my run.py' '--config.storage=postgresql://u:***@h:1/d' --storage 'mysql://u:***@h/d'",
        ),
        (["-c", "import run"], "None"),
    ],
)
def test_the_command_is_the_one_that_was_typed_without_passwords(tmp_path, start, expected):
    for name in ("my run.py", "run.py"):
        (tmp_path / name).write_text("from rnn_capacity.studies import store; print(store.command())")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *start], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


def test_a_notebook_has_no_command(tmp_path, monkeypatch):
    # As in IPython's kernel, at Python's prompt, and in some runners of tests.
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    assert store.command() is None
