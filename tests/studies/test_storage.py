"""Storages as people name them: a folder is that very folder, a password is shown nowhere, bad input ends in a line."""

import io
import logging
import os
import pathlib
import shlex
import shutil
import sqlite3
import subprocess
import sys

import optuna
import pytest
from helpers import PATHS, ROOT
from rich.console import Console
from tiny import TINY, FakeTrainer

from rnn_capacity import measure_capacity, sweep
from rnn_capacity.paper import dataset
from rnn_capacity.report.collection import collect
from rnn_capacity.studies import database, reader, store

# --- Folders ----------------------------------------------------------------------------------------------------------

# What means something in a URL, to str.format, in SQLite's own file names, in rich's markup, in a shell.
NAMES = ["x?lr=0.1", "{lr}", "a%20b", "a#b&c;d", "ü @:", "a+b", ":memory:", "file:x?mode=memory", "[b] :tada: $HOME'"]


@pytest.mark.parametrize("name", NAMES)
def test_a_folders_name_is_taken_as_it_is(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = pathlib.Path(name)
    opened = store.open_storage(name)
    optuna.create_study(storage=opened, study_name="kept")
    assert [str(path) for path in pathlib.Path().rglob("*")] == [name, f"{name}/study.db"]
    assert store.checkpoint_folder(name) == store.checkpoint_folder(opened) == folder / "checkpoints"
    assert reader.file_of(name) == reader.file_of(opened.url) == folder / "study.db"
    assert [kept.name for kept in reader.read(name)[0]] == ["kept"]
    plain = optuna.storages.RDBStorage(opened.url)  # as the dashboard reads it
    for again in (store.open_storage(name), store.open_storage(opened.url), plain):
        assert optuna.get_all_study_names(again) == ["kept"]
    assert [str(path) for path in pathlib.Path().rglob("*")] == [name, f"{name}/study.db"]


@pytest.mark.parametrize(("one", "other"), [("x?lr=0.1", "x?lr=0.2"), ("{lr} :tada:", "{steps} :tada:")])
def test_sweeps_into_folders_of_awkward_names_are_apart_and_found_again(tmp_path, monkeypatch, one, other):
    monkeypatch.chdir(tmp_path)
    trainer = FakeTrainer().install(monkeypatch)
    config, shown, results = TINY | {"cell": "irnn", "num_repeats": 0}, {}, {}
    for name, fields in {one: {}, other: {"seed": 1, "cell": "rnn"}}.items():
        console = Console(file=io.StringIO(), width=400)
        (results[name],) = sweep.run(config | fields | {"workdir": name}, console)
        shown[name] = console.file.getvalue()
    trained = len(trainer.trained)
    assert sweep.run(config | {"workdir": one}, Console(file=io.StringIO()))[0].bits == results[one].bits
    assert len(trainer.trained) == trained
    assert sorted(os.listdir()) == sorted([one, other])
    found = {r.record.source: (r.cell, r.bits) for r in collect(".").results}
    assert found == {name: (r.cell, r.bits) for name, r in results.items()}
    for name, text in shown.items():
        written = text.splitlines()[-1].removeprefix("Written: ").split(", ")
        assert len(written) == 6
        assert {os.path.dirname(path) for path in written} == {name}
        assert all(os.path.isfile(path) for path in written)
        command = next(line for line in text.splitlines() if line.startswith("live: "))
        program, url = shlex.split(command.removeprefix("live: "), comments=True)
        assert program == "optuna-dashboard"
        assert len(optuna.get_all_study_names(optuna.storages.RDBStorage(url))) == 1
    out = dataset.export(one, "trials.parquet")
    assert set(dataset.read(out)["study"]) == {results[one].study}


# --- Passwords --------------------------------------------------------------------------------------------------------

PARTS = ("s3cr", "t0k", "%73")
BETWEEN = ["@", "/", "?", ":", "%", "{}", "#", " ", "&", "/x@", "@x:5", "?password=@", "&password=", "@@", "\\", "'\""]
SECRETS = [f"s3cr{between}t0k" for between in BETWEEN] + ["@s3cr@t0k@", "%73%33cr%40t0k"]
AT = "postgresql://{}@127.0.0.1:1/none"
FORMS = [
    AT.format("tester:{}"),
    AT.format("te@ster:{}"),
    "postgres://tester:{}@127.0.0.1:1/none?sslmode=prefer",
    "postgresql+psycopg2://tester:{}@127.0.0.1:1/none",
    "mysql://tester:{}@127.0.0.1:1/none",
    "postgresql://127.0.0.1:1/none?user=tester&password={}",
    "postgresql://tester@127.0.0.1:1/none?password={}&sslmode=prefer",
    "postgresql:///tester:{}@127.0.0.1:1/none",
    "postgresql:/tester:{}@127.0.0.1:1/none",
    "postgresql://:{}@127.0.0.1:1/none",
    "nonsense://tester:{}@127.0.0.1:1/none",
    "host=127.0.0.1 port=1 password={}",
]


@pytest.mark.parametrize("form", FORMS)
def test_no_part_of_a_password_is_shown_anywhere(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "run.py", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    for secret in SECRETS:
        url = form.format(secret)
        told = [str(error) for error in map(refused, (store.open_storage, reader.load_studies), (url, url))]
        told += collect(".", [url]).notes
        if "://" in url:
            told.append(str(refused(store.check_workdir, url)))
            monkeypatch.setattr(sys, "argv", ["run.py", f"--config.storage={url}"])
            told.append(store.command())
        assert len(told) >= 3
        assert not [text for text in told if any(part in text for part in PARTS) or "\n" in text]
    assert not any(tmp_path.iterdir())


def refused(call, value):
    with pytest.raises(ValueError, match="given") as error:
        call(value)
    return error.value


RIGHT = {
    "postgresql://tester:s3cr@t@host/d": "an @ in a name or password written %40",
    "postgresql://host:5432/d?user=u&password=s3cr@t": "an @ in a name or password written %40",
    "postgresql+psycopg2://u:p@host/d": "its driver is psycopg 3, and need not be named",
    "postgresql+asyncpg://u:p@host/d": "its driver is psycopg 3, and need not be named",
    "postgres+pg8000://u:p@host/d": "its driver is psycopg 3, and need not be named",
    "postgresql://user:secret/d": "its port a number",
    "postgresql:u@host/d": "it must be a URL such as postgresql://user:password@host/database",
    "://u:p@host/d": "it must be a URL such as postgresql://user:password@host/database",
    "nonsense://u:p@host/d": "there is no such kind of database",
    "redis://localhost": "there is no such kind of database",
    "mysql+none://u:p@host/d": "there is no such kind of database",
    "sqlite://": "it must name a file, as sqlite:///results/study.db does",
    "sqlite:///:memory:": "it must name a file, as sqlite:///results/study.db does",
}


@pytest.mark.parametrize(("url", "right"), RIGHT.items())
def test_of_a_url_that_is_wrong_is_told_what_is_right(url, right):
    with pytest.raises(ValueError, match=r"^storage: '.*' given; it must [^\n]*$") as error:
        store.open_storage(url)
    assert right in str(error.value)


def test_a_driver_that_is_not_installed_is_told_with_what_is(monkeypatch):
    for url in ("postgresql://u:secret@127.0.0.1:1/d", "mysql://u:secret@127.0.0.1:1/d"):
        for module in ("psycopg", "MySQLdb"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(
            ValueError, match=r"^storage: '.*' given; its driver is not installed; pip install"
        ) as error:
            store.open_storage(url)
        assert "'.[postgres]' brings that of postgresql://user:password@host/database" in str(error.value)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("begins", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_has_our_driver_however_it_is_written(begins):
    url = database.parse(f"{begins}://te%40ster:p%40ss%2F%25@host:5/d?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port, url.database) == ("te@ster", "p@ss/%", "host", 5, "d")
    assert database.show(url) == "postgresql://te%40ster:***@host:5/d?sslmode=require"


def test_a_storage_of_optunas_own_is_opened_with_our_driver_or_kept(tmp_path):
    plain = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
    assert isinstance(store.open_storage(plain), store.Database)
    for kept in (optuna.storages.InMemoryStorage(), optuna.storages.RDBStorage("sqlite://")):
        assert store.open_storage(kept) is kept
        assert store.checkpoint_folder(kept) is None


def test_a_path_of_sqlite_is_shown_whole():
    for text in ("--storage=sqlite:////tmp/a:b@c/study.db", "--workdir=a:b@c", "sqlite:///x?timeout=3"):
        assert database.hide_password(text) == text


# --- Folders and files that are no storage ----------------------------------------------------------------------------


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder of things that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    for name in ("folder/study.db", "text", "other", "old", "gone", "locked"):
        pathlib.Path(name).mkdir(parents=True)
    pathlib.Path("file").write_text("")
    pathlib.Path("text/study.db").write_text("no database")
    pathlib.Path("gone/study.db").symlink_to("/nowhere/study.db")
    pathlib.Path("nowhere").symlink_to("/nowhere/at/all")
    with sqlite3.connect("other/study.db") as other:
        other.execute("CREATE TABLE trials (x)")
    store.open_storage("old")
    with sqlite3.connect("old/study.db") as old:
        old.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    mkdir = pathlib.Path.mkdir

    def refused(path, *args, **kwargs):  # root may write anywhere
        if str(path).startswith("locked/"):
            raise PermissionError(13, "Permission denied")
        return mkdir(path, *args, **kwargs)

    monkeypatch.setattr(pathlib.Path, "mkdir", refused)
    return tmp_path


BAD = [
    ("file", "a folder that can be written (File exists)"),
    ("file/deeper", "a folder that can be written (Not a directory)"),
    ("nowhere", "a folder that can be written (File exists)"),
    ("locked/deeper", "a folder that can be written (Permission denied)"),
    ("x" * 300, "a folder that can be written (File name too long)"),
    ("a\0b", "a folder that can be written (embedded null byte)"),
    ("\udcff", "it must be text in UTF-8"),
    ("folder", "a database that answers (unable to open database file)"),
    ("gone", "a database that answers (unable to open database file)"),
    ("sqlite:////nowhere/study.db", "a database that answers (unable to open database file)"),
    ("sqlite://text/study.db", "a database that answers (Invalid SQLite URL"),
    ("text", "a database that answers (file is not a database)"),
    ("other", "a database that answers (it holds another program's tables)"),
    ("old", "optuna storage upgrade"),
    ("", "a folder, a database URL or None"),
    (123, "a folder, a database URL or None"),
    (b"results", "a folder, a database URL or None"),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("storage", "right"), BAD)
def test_what_is_no_storage_is_told_in_a_line_and_left_alone(there, storage, right):
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"^storage: [^\n]* given; it must [^\n]*$") as error:
        measure_capacity("irnn", storage=storage, progress=False, **TINY)
    assert right in str(error.value)
    assert {path: path.read_bytes() for path in there.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("storage", "right"), BAD[:14])
def test_what_is_no_storage_is_not_made_one_by_reading_it(there, storage, right):
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"^storage: [^\n]* given; it must [^\n]*$"):
        reader.load_studies(storage)
    assert {path: path.read_bytes() for path in there.rglob("*") if path.is_file()} == before


def test_an_empty_file_becomes_a_database_where_it_is_written_and_not_where_it_is_read(tmp_path):
    file = tmp_path / "study.db"
    file.touch()
    with pytest.raises(ValueError, match="it has no table of studies"):
        reader.read(tmp_path)
    assert file.read_bytes() == b""
    assert optuna.get_all_study_names(store.open_storage(tmp_path)) == []
    assert reader.read(tmp_path) == ([], {})


@pytest.mark.parametrize("workdir", ["", 3, None, "postgresql://u:secret@h/d"])
def test_what_is_no_workdir_is_told_in_a_line(workdir):
    with pytest.raises(ValueError, match=r"^workdir: [^\n]* given; it must be a folder of this machine") as error:
        store.check_workdir(workdir)
    assert "secret" not in str(error.value)


# --- What Optuna says -------------------------------------------------------------------------------------------------

QUIET = """
import sys, optuna
before = optuna.logging.get_verbosity()
import rnn_capacity, tiny
from rnn_capacity.training import program
assert optuna.logging.get_verbosity() == before == optuna.logging.INFO
program.advance = tiny.FakeTrainer()
for storage in (sys.argv[1], sys.argv[1], None):
    rnn_capacity.measure_capacity("irnn", storage=storage, progress=False, **tiny.TINY)
assert optuna.logging.get_verbosity() == before
optuna.create_study(study_name="a user's own", storage=f"sqlite:///{sys.argv[1]}/own.db")
optuna.create_study(study_name="in memory")
"""


def test_optunas_own_lines_are_left_out_of_ours_and_of_nothing_else(tmp_path):
    environment = os.environ | {"PYTHONPATH": PATHS, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", QUIET, str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = [line.split("] ", 1)[1] for line in done.stderr.splitlines() if line.startswith("[I ")]
    assert said == [
        "A new study created in RDB with name: a user's own",
        "A new study created in memory with name: in memory",
    ]


def test_nothing_is_left_on_optunas_loggers(tmp_path):
    before = {name: logging.getLogger(name).filters[:] for name in logging.root.manager.loggerDict}
    store.open_study(store.open_storage(tmp_path), "s", {}, None)
    assert {name: logging.getLogger(name).filters for name in before} == before


def test_the_digest_of_the_code_is_of_all_that_measures_and_of_nothing_else(tmp_path):
    """Trials in training may go on only where no module of the package was edited."""
    package, digest = tmp_path / "rnn_capacity", store.code_digest.__wrapped__  # it is cached
    shutil.copytree(store.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert (package / "__init__.py").is_file()
    assert digest(package) == store.code_digest()
    (package / store.SHIPPED).mkdir(exist_ok=True)
    (package / store.SHIPPED / "mine.py").touch()
    assert digest(package) == store.code_digest()
    for file in ("training/steps.py", "cells/rnn.py", "checks.py"):
        before, text = digest(package), (package / file).read_text()
        (package / file).write_text(text + "# edited")
        assert digest(package) != before
