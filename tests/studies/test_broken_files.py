"""A study's file that goes wrong ends the run in a line, and what passes is waited for."""

import contextlib
import sqlite3

import optuna
import pytest
import sqlalchemy
import sqlalchemy.event
import sqlalchemy.exc
from small_study import contents
from watched_study import At, execute, expected, num_told, open_study, run, run_of

from rnn_capacity.studies import database, store


def test_a_full_disk_ends_the_run_in_a_line_and_the_study_goes_on_when_there_is_room(tmp_path, trainer, monkeypatch):
    monkeypatch.setattr(database, "RETRY", 0.1)
    monkeypatch.setattr(database, "PATIENCE", 0.5)
    run(tmp_path, 4)
    full = store.open_storage(tmp_path)

    @sqlalchemy.event.listens_for(full.engine, "connect")
    def no_more_pages(connection, _):
        connection.execute("PRAGMA max_page_count = 1")  # SQLite makes that: what the file has

    full.engine.dispose()
    with pytest.raises(database.StorageLostError, match=r"^storage: sqlite.*full.*the same command goes on"):
        run(full, 400)
    before = num_told(tmp_path)
    assert before >= 4
    assert contents(run(tmp_path, 40)) == expected(40)


def reconnecting(opened, action):
    """An action, after which the storage's connections are made again."""
    return lambda: (action(), opened._storage._backend.engine.dispose())


def overwrite_root_pages(folder):
    with contextlib.closing(sqlite3.connect(folder / store.DATABASE)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        pages = [page for (page,) in database.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0")]
    with open(folder / store.DATABASE, "r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"overwritten" * (size // 11))


def overwrite_all(folder):
    with open(folder / store.DATABASE, "r+b") as file:
        file.write(b"overwritten" * 500)


def delete_studies(folder):
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / store.DATABASE}")
    for name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)


WRONG = {
    "malformed": overwrite_root_pages,
    "file is not a database": overwrite_all,
    "no such table": lambda folder: execute(folder, "DROP TABLE trial_values", "DROP TABLE trial_params"),
    "no such column": lambda folder: execute(folder, "ALTER TABLE trials RENAME COLUMN state TO other"),
    "no such table: ": lambda folder: (folder / store.DATABASE).unlink(),  # and made anew, empty
    "has no longer a study or trial in use": delete_studies,
}


@pytest.mark.parametrize(("reason", "action"), WRONG.items())
def test_a_file_that_goes_wrong_ends_the_run_at_once_in_a_line(tmp_path, trainer, reason, action):
    plan, opened = open_study(tmp_path)
    with pytest.raises(database.StorageLostError, match=f"^storage: sqlite:///[^\n]*{reason}[^\n]*$") as error:
        run_of(plan, opened, 20, At(4, reconnecting(opened, lambda: action(tmp_path))))
    assert "minutes" not in str(error.value)  # nothing was waited for
    assert "max length" not in str(error.value)


def test_a_file_that_may_not_be_written_any_more_ends_the_run_in_a_line_and_the_study_goes_on_when_it_may(
    tmp_path, trainer
):
    plan, opened = open_study(tmp_path)
    engine = opened._storage._backend.engine

    def lock():
        sqlalchemy.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = 1"))

    with pytest.raises(database.StorageLostError, match=r"^storage: sqlite:///[^\n]*readonly[^\n]*the same command"):
        run_of(plan, opened, 20, At(4, reconnecting(opened, lock)))
    assert contents(run(tmp_path, 20)) == expected(20)


def error_of(module, error):
    """As SQLAlchemy wraps a driver's."""
    return sqlalchemy.exc.DBAPIError.instance("SELECT", {}, error, module.Error)


@pytest.mark.parametrize(
    ("name", "is_waited_for"),
    [
        *[
            (name, True)
            for name in ("BUSY", "BUSY_SNAPSHOT", "LOCKED", "FULL", "IOERR_READ", "IOERR_FSYNC", "CANTOPEN")
        ],
        *[(name, False) for name in ("READONLY", "READONLY_DBMOVED", "CORRUPT", "NOTADB", "ERROR", "AUTH", "PERM")],
    ],
)
def test_what_passes_of_a_file_is_waited_for_and_nothing_else(name, is_waited_for):
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    assert database.passes(error_of(sqlite3, error)) == is_waited_for


@pytest.mark.parametrize(
    ("name", "is_waited_for"),
    [
        *[(name, True) for name in ("OperationalError", "AdminShutdown", "DiskFull", "TooManyConnections")],
        *[(name, True) for name in ("SerializationFailure", "LockNotAvailable", "ReadOnlySqlTransaction", "IoError")],
        *[(name, False) for name in ("InsufficientPrivilege", "UndefinedTable", "DataCorrupted", "InvalidCatalogName")],
        *[(name, False) for name in ("DuplicatePreparedStatement", "StringDataRightTruncation", "UndefinedColumn")],
    ],
)
def test_what_passes_of_a_server_is_waited_for_and_nothing_else(name, is_waited_for):
    psycopg = pytest.importorskip("psycopg")
    assert database.passes(error_of(psycopg, getattr(psycopg.errors, name)("text"))) == is_waited_for
