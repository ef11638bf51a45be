"""A report names each database that is broken, or of another version or program, and what it left out."""

import json
import os
import shutil
import sqlite3

import optuna
import pandas as pd
import pytest
from collected import CALLS, NAMES, failing_trainer, measure, only, open_study, row_of, without_times

import rnn_capacity
from rnn_capacity.report.collection import collect
from rnn_capacity.studies import store
from rnn_capacity.studies.plan import title_of

trainer = pytest.fixture(failing_trainer)


def test_a_study_of_before_how_much_and_the_command_were_kept_is_read_and_goes_on(tmp_path, trainer):
    row = measure("capacity", tmp_path)
    make_old(tmp_path / "study.db")
    found = only(collect(tmp_path))
    assert row_of(found) == json.dumps(row)
    assert (found.record.wanted_trials, found.record.finished) == (None, True)
    assert found.record.workers[0]["command"] is None
    trained = len(trainer.trained)
    assert measure("capacity", tmp_path) == row
    assert len(trainer.trained) == trained
    assert only(collect(tmp_path)).record.wanted_trials == 4


def make_old(file):
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM study_user_attributes WHERE key = 'asked for'")
        (key, text), *_ = database.execute(
            "SELECT key, value_json FROM study_user_attributes WHERE key LIKE 'worker %'"
        )
        about = {name: value for name, value in json.loads(text).items() if name != "command"}
        database.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = ?", (json.dumps(about), key))
        database.execute("DELETE FROM study_user_attributes WHERE key LIKE 'worker %' AND key <> ?", (key,))


@pytest.mark.parametrize("name", CALLS)
def test_a_plan_with_unknown_fields_is_read_and_one_that_lacks_some_is_told_with_the_version_that_reads_it(
    tmp_path, trainer, name
):
    row = measure(name, tmp_path)
    study = open_study(tmp_path, NAMES[name])
    plan = study.user_attrs[store.PLAN]
    study.set_user_attr(store.PLAN, plan | {"novelty": {"a": [1]}})
    shown = only(collect(tmp_path)).to_dict()
    assert without_times(shown | {"task_fields": 0}) == without_times(row | {"task_fields": 0})
    study.set_user_attr(store.PLAN, {field: value for field, value in plan.items() if field != "train_steps"})
    found = collect(tmp_path)
    assert found.results == []
    left_out = f"is of another version, which rnn_capacity {rnn_capacity.__version__} reads, and left out (KeyError: "
    assert found.notes == [f".: the study {study.study_name!r} {left_out}'train_steps')"]


def test_a_study_that_cannot_be_understood_is_told_and_the_others_are_shown(tmp_path, trainer):
    storage = store.open_storage(tmp_path)
    measure("capacity", tmp_path)
    plan = open_study(tmp_path, NAMES["capacity"]).user_attrs[store.PLAN]
    foreign = optuna.create_study(storage=storage, study_name="foreign")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    odd = store.open_study(storage, "odd", plan, None)
    odd.set_user_attr(store.RESULT, ["no", "dict"])
    broken = store.open_study(storage, "broken", plan, None)
    broken.set_user_attr("note", "x")
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE study_user_attributes SET value_json = '{half' WHERE key = 'note'")
    found = collect(tmp_path)
    assert [title_of(r.study) for r in found.results] == [NAMES["capacity"]]
    assert len(found.notes) == 3
    broken, foreign, odd = found.notes
    assert broken.startswith(".: the study 'broken' cannot be read (")
    assert foreign == ".: the study 'foreign' is none of this package's, and left out"
    assert odd.startswith(".: the study 'odd' is of another version, and left out (")


def test_repeats_without_their_search_are_no_result(tmp_path, trainer):
    row = measure("capacity", tmp_path)
    optuna.delete_study(study_name=row["study"], storage=store.open_storage(tmp_path))
    assert collect(tmp_path).results == []


def test_damaged_and_foreign_databases_are_told_and_nothing_is_written(tmp_path, trainer):
    measure("recall", tmp_path / "good")
    for name in ("cut", "empty", "other", "text"):
        (tmp_path / name).mkdir()
    whole = (tmp_path / "good" / "study.db").read_bytes()
    (tmp_path / "cut" / "study.db").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty" / "study.db").write_bytes(b"")
    (tmp_path / "text" / "study.db").write_bytes(b"no database" * 100)
    with sqlite3.connect(tmp_path / "other" / "study.db") as database:
        database.execute("CREATE TABLE trials (x)")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "study.db").symlink_to("nowhere")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    missing = [f"sqlite:///{tmp_path}/none.db", "postgresql://u:secret@127.0.0.1:1/none", "nonsense://x", "none", 3]
    found = collect(tmp_path, missing)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (len(found.results), found.sources) == (1, ["good"])
    told = {note.split(": ")[0]: note for note in found.notes}
    assert {"cut", "empty", "gone", "other", "text", *map(str, missing[2:])} <= told.keys()
    assert "file is not a database" in told["text"]
    assert len(found.notes) == 5 + len(missing)
    assert not any("secret" in note or "\n" in note for note in found.notes)


def test_a_folder_that_cannot_be_read_is_told(tmp_path, trainer, monkeypatch):
    measure("recall", tmp_path / "good")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = collect(tmp_path)
    assert (found.sources, found.notes) == (["good"], ["locked: Permission denied"])


def test_what_a_killed_worker_had_half_written_is_undone_by_sqlite(tmp_path, trainer):
    row = measure("recall", tmp_path / "run")
    with sqlite3.connect(tmp_path / "run" / "study.db", isolation_level=None) as database:
        database.execute("PRAGMA cache_size = 1")  # so that it goes into the file before it is committed
        database.execute("BEGIN")
        database.execute("DELETE FROM trial_params")
        database.execute("UPDATE trial_user_attributes SET value_json = '{}'")
        shutil.copytree(tmp_path / "run", tmp_path / "killed")
        database.execute("ROLLBACK")
    assert (tmp_path / "killed" / "study.db-journal").stat().st_size > 0
    killed, run = collect(tmp_path).results
    assert row_of(killed) == json.dumps(row)
    pd.testing.assert_frame_equal(killed.trials, run.trials)
