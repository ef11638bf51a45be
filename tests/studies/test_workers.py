"""Workers side by side on one study, workers that die, databases that go away: every trial once, and none is lost."""

import contextlib
import datetime
import functools
import io
import json
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import threading
import time
import urllib.parse

import jax
import optuna
import postgres
import pytest
import sqlalchemy
import sqlalchemy.event
import sqlalchemy.exc
from helpers import PATHS
from optuna.trial import TrialState
from rich.console import Console
from small_study import STUDY, contents
from tiny import TINY, FakeTrainer

from rnn_capacity import sweep
from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.private import models
from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import database, lease, reader, store, study
from rnn_capacity.studies.progress import Silent
from rnn_capacity.training import program, sharding, share
from rnn_capacity.training.memory import NotEnoughMemoryError
from rnn_capacity.training.trainer import OutOfMemoryError

CONTEXT = multiprocessing.get_context("forkserver")  # a worker then imports nothing
CONTEXT.set_forkserver_preload(["test_workers"])


def open_study(url, **fields):
    plan = CapacityConfig(**(STUDY | fields)).plan()
    sampler = SAMPLERS[plan.sampler](plan.space, plan.seed)
    return plan, store.open_study(store.open_storage(url), plan.name, plan.describe(), sampler)


def run(url, num_trials, reporter=None, **fields):
    return run_of(*open_study(url, **fields), num_trials, reporter)


def run_of(plan, opened, num_trials, reporter=None):
    return study.run(
        opened,
        plan,
        num_trials=num_trials,
        devices=jax.devices()[:1],
        trials_per_device=2,
        reporter=reporter or Silent(),
    )


class Slow(FakeTrainer):
    """Training that takes a moment."""

    def __call__(self, *args, **kwargs):
        time.sleep(0.05)
        return super().__call__(*args, **kwargs)


def work(url, num_trials, out):
    """A worker, which says at its end what it trained, by learning rates.

    All have one host's name, as containers may. A dead one is known as such sooner than a user's.
    """
    socket.gethostname = lambda: "container"
    database.HEARTBEAT, database.GRACE = 1, 5
    share.SECONDS_BETWEEN_LOOKS = 0.1
    program.advance = trainer = Slow()
    run(url, num_trials)
    with open(out, "w") as file:
        json.dump([dict(hparams)["learning_rate"] for _, hparams, _ in trainer.trained], file)


def start(url, num_trials, out):
    worker = CONTEXT.Process(target=work, args=(str(url), num_trials, str(out)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PYTHONPATH", PATHS)  # of the server, which is started here
        worker.start()
    return worker


def end_of(worker):
    worker.join(240)
    return worker.exitcode


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


@functools.cache
def seen(url):
    """A storage, to look into while workers use it."""
    return store.Database(store.url_of(url))


def trials_of(url):
    """All trials of the one study that is there, of any state; none where there is none yet."""
    if "://" not in str(url) and not (url / store.DATABASE).exists():
        return []
    with contextlib.suppress(ValueError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError):
        for found in seen(url).get_all_studies():
            return seen(url).get_all_trials(found._study_id)
    return []


def num_told(url):
    return sum(trial.state.is_finished() for trial in trials_of(url))


def heartbeats(url):
    """When each trial in training was last heard of, by the clock of the database."""
    beat = models.TrialHeartbeatModel
    with seen(url).engine.begin() as connection:
        return dict(connection.execute(sqlalchemy.select(beat.trial_id, beat.heartbeat)).all())


def age(url, seconds=60):
    """As if so many seconds more had passed since each trial in training was heard of: when that then was."""
    beat = models.TrialHeartbeatModel
    aged = {trial_id: last - datetime.timedelta(seconds=seconds) for trial_id, last in heartbeats(url).items()}
    with seen(url).engine.begin() as connection:
        for trial_id, last in aged.items():
            connection.execute(sqlalchemy.update(beat).where(beat.trial_id == trial_id).values(heartbeat=last))
    return aged


@functools.cache
def expected(num_trials, **fields):
    """What one worker gives that nothing happens to."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        FakeTrainer().install(monkeypatch)
        return contents(run(None, num_trials, **fields))


@pytest.fixture(scope="module")
def server():
    if postgres.find_binaries() is None:
        pytest.skip("no PostgreSQL server is installed")
    server = postgres.Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server_url(server):
    """An empty database of the server's own."""
    engine = sqlalchemy.create_engine(
        server.url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    name = f"study_{os.getpid()}_{time.monotonic_ns()}"
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.url.replace("/postgres", f"/{name}")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request, tmp_path):
    """An empty database: a folder for SQLite, or one of the server's own."""
    return tmp_path / "study" if request.param == "SQLite" else request.getfixturevalue("server_url")


# --- Side by side -----------------------------------------------------------------------------------------------------


def test_two_workers_share_a_study_and_each_trial_is_trained_once(url, tmp_path):
    outs = [tmp_path / "first.json", tmp_path / "second.json"]
    workers = [start(url, 60, out) for out in outs]
    assert [end_of(worker) for worker in workers] == [0, 0]
    first, second = (json.loads(out.read_text()) for out in outs)
    assert min(len(first), len(second)) > 0
    trials = trials_of(url)
    done = [trial for trial in trials if store.is_measured(trial)]
    assert contents(done) == expected(60)
    assert sorted(first + second) == pytest.approx(sorted(trial.params["learning_rate"] for trial in done))
    assert all(trial.state == TrialState.WAITING for trial in trials if trial not in done)
    assert len({trial.system_attrs[lease.WORKER] for trial in done}) == 2


def test_of_two_workers_one_is_killed_and_the_other_trains_all(url, tmp_path):
    killed, other = start(url, 48, tmp_path / "killed.json"), start(url, 48, tmp_path / "other.json")
    wait_for(lambda: num_told(url) > 4)
    killed.kill()
    assert end_of(killed) == -signal.SIGKILL
    age(url)
    assert end_of(other) == 0
    done = [trial for trial in trials_of(url) if store.is_measured(trial)]
    assert contents(done) == expected(48)
    assert not (tmp_path / "killed.json").exists()


# --- Killed, and started again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.science)])
def test_a_worker_killed_at_random_moments_leaves_a_study_that_ends_with_each_trial_once(url, tmp_path, num_kills):
    chance, num_trials = random.Random(0), 12 * num_kills
    for _ in range(num_kills):
        worker, begun = start(url, num_trials, tmp_path / "out.json"), num_told(url)
        wait_for(lambda begun=begun: num_told(url) > begun)  # it is at work
        time.sleep(chance.uniform(0, 0.5))
        worker.kill()
        assert end_of(worker) == -signal.SIGKILL
    before = num_told(url)
    assert 0 < before < num_trials
    age(url)
    assert end_of(start(url, num_trials, tmp_path / "out.json")) == 0
    trials = trials_of(url)
    assert [trial.number for trial in trials] == list(range(num_trials))
    assert contents(trials) == expected(num_trials)
    assert len(json.loads((tmp_path / "out.json").read_text())) == num_trials - before  # none that was measured again


def test_more_trials_than_wanted_wait_until_they_are(tmp_path, trainer):
    _, opened = open_study(tmp_path)
    with lease.Lease(opened) as other:
        surplus = [other.new() for _ in range(3)]
        for trial in surplus:
            other.put_back(trial)
    trials = run(tmp_path, 2)
    assert len(trainer.trained) == 2
    assert len(trials) == 2
    assert contents(run(tmp_path, 6)) == expected(6)
    assert len(trainer.trained) == 6


def test_a_trial_that_was_enqueued_by_hand_is_trained_if_it_is_of_the_search_space(tmp_path, trainer, caplog):
    _, opened = open_study(tmp_path)
    opened.enqueue_trial({"optimizer": "nadam"})
    opened.enqueue_trial({"optimizer": "sgd", "learning_rate": 0.0123})
    trials = run(tmp_path, 4)
    assert [trial.number for trial in trials] == [1, 2, 3, 4]
    assert trials[0].params["learning_rate"] == 0.0123
    assert "trial 0 is not of this study's search space" in caplog.text


# --- Whose a trial is -------------------------------------------------------------------------------------------------


def killed(worker):
    """As kill -9 leaves a worker: its heart does not beat, and its lock is gone."""
    worker._stop.set()
    worker._thread.join()
    os.close(worker._lock)
    worker._lock = None
    worker._held.clear()


def test_a_living_workers_trials_are_not_taken(tmp_path, trainer):
    _, opened = open_study(tmp_path)
    with lease.Lease(opened) as first, lease.Lease(opened) as second:
        mine = [first.new() for _ in range(3)]
        assert second.adopt(10) == []
        first.put_back(mine[0])
        assert [trial.number for trial in second.adopt(10)] == [mine[0].number]
        assert first.adopt(10) == []
    with lease.Lease(opened) as third:  # both have ended, and put back what they held
        assert [trial.number for trial in third.adopt(2)] == [0, 1]
        assert [trial.number for trial in third.adopt(10)] == [2]


def test_the_trials_of_the_only_worker_of_a_file_are_taken_as_soon_as_it_is_dead(tmp_path):
    _, opened = open_study(tmp_path)
    with lease.Lease(opened) as first:
        trial = first.new()
        with lease.Lease(opened) as second:
            assert second.adopt(1) == []
        killed(first)
        with lease.Lease(opened) as third:
            assert [taken.number for taken in third.adopt(1)] == [trial.number]


def test_a_trial_is_taken_once_its_heartbeat_is_stale_and_not_before(url, monkeypatch):
    monkeypatch.setattr(database, "HEARTBEAT", 1)
    _, opened = open_study(url)
    with lease.Lease(opened) as first, lease.Lease(opened) as second:
        trial = first.new()
        aged = age(url)
        wait_for(lambda: heartbeats(url) != aged)
        assert second.adopt(10) == []  # it beats
        first._stop.set()
        first._thread.join()
        age(url, database.GRACE / 2)
        assert second.adopt(10) == []
        age(url, database.GRACE / 2 + 1)
        assert [one.number for one in second.adopt(10)] == [trial.number]


def test_of_workers_that_find_trials_stale_at_once_each_is_one_workers(url):
    _, opened = open_study(url)
    with lease.Lease(opened) as dead:
        dead._stop.set()
        for _ in range(20):
            dead.new()
        age(url)
        workers = [store.connect(store.url_of(url)) for _ in range(4)]
        together, claimed = threading.Barrier(4), []

        def claim(worker):
            together.wait()
            claimed.extend(worker.claim_stale(opened._study_id))

        threads = [threading.Thread(target=claim, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(claimed) == len(set(claimed)) == 20


def test_a_trial_that_optuna_asked_for_is_not_waited_for_without_end(tmp_path):
    _, opened = open_study(tmp_path)
    optuna.load_study(study_name=opened.study_name, storage=f"sqlite:///{tmp_path / store.DATABASE}").ask()
    with lease.Lease(opened) as held:
        assert not held.adopt(1)  # somebody may be at it
        age(tmp_path)
        assert held.adopt(1)


def test_two_workers_that_take_one_trial_half_proposed_train_the_same(tmp_path):
    (plan, one), (_, two) = open_study(tmp_path), open_study(tmp_path)
    one.sampler, two.sampler = optuna.samplers.RandomSampler(seed=1), optuna.samplers.RandomSampler(seed=2)
    number = one.ask().number
    taken = []
    for opened in (one, two):
        (found,) = [t for t in opened.get_trials(deepcopy=False) if t.number == number]
        taken.append(optuna.Trial(opened, found._trial_id))  # before the other has proposed anything
    values = [store.propose(trial, plan.space) for trial in taken]
    assert values[0] == values[1]
    kept = one.trials[number].params
    assert values[0] == values[0] | kept


def test_a_trial_told_by_another_while_it_is_proposed_to_is_let_go(tmp_path, trainer, monkeypatch):
    """As where a worker is suspended in the middle of its proposals, and goes on once another has told its trial."""
    _, other = open_study(tmp_path)
    propose = store.propose

    def suspended(trial, space):
        if trial.number == 1:
            other.tell(trial.number, state=TrialState.FAIL)
        return propose(trial, space)

    monkeypatch.setattr(store, "propose", suspended)
    assert [trial.number for trial in run(tmp_path, 4)] == [0, 2, 3, 4]


def test_a_lease_ends_at_once_while_the_database_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "HEARTBEAT", 1)
    _, opened = open_study(tmp_path)
    beaten = threading.Event()
    monkeypatch.setattr(database.Database, "beat", lambda self, trial_ids: (beaten.set(), time.sleep(20)))
    with lease.Lease(opened) as held:
        held.new()
        beaten.wait(10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 10


def test_a_worker_that_was_taken_for_dead_finds_its_trial_told(tmp_path, trainer):
    """Both train it, to the same result; the second to tell it changes nothing and does not fail."""
    plan, opened = open_study(tmp_path)
    with lease.Lease(opened) as slow:
        trial = slow.new()
        values = store.propose(trial, plan.space)
        slow._stop.set()
        slow._thread.join()
        age(tmp_path)
        done = run(tmp_path, 4)
        told = contents(done)
        store.tell(opened, trial, {"feasible": True, "stopped_early": False, "steps": 10, "bits": 0.0}, 123.0)
        store.tell(opened, trial, {"feasible": False, "stopped_early": False, "steps": 10}, None)
    assert [t.number for t in done] == [0, 1, 2, 3]
    assert values["learning_rate"] == done[0].params["learning_rate"]
    assert contents(run(tmp_path, 4)) == told


# --- Databases that go away -------------------------------------------------------------------------------------------


class At(Silent):
    """Does something once, at the n-th chunk."""

    def __init__(self, update, action):
        self._left, self._action = update, action

    def update(self, level, done, note):
        self._left -= level == "batch"
        if level == "batch" and self._left == 0:
            self._action()


def test_a_server_that_goes_away_for_a_while_is_waited_for(server, server_url, trainer, caplog, monkeypatch):
    monkeypatch.setattr(database, "RETRY", 0.1)
    back = threading.Timer(0.4, server.start)

    def away():
        server.stop()
        back.start()

    trials = run(server_url, 20, reporter=At(4, away))
    back.join()
    assert contents(trials) == expected(20)
    assert len(trainer.trained) == 20
    assert "waiting for it" in caplog.text
    assert "answers again" in caplog.text
    assert "secret" not in caplog.text


def test_a_server_that_stays_away_ends_the_run_in_a_line_and_the_study_goes_on_later(
    server, server_url, trainer, monkeypatch
):
    monkeypatch.setattr(database, "RETRY", 0.1)
    monkeypatch.setattr(database, "PATIENCE", 0.5)
    with pytest.raises(database.StorageLostError, match=r"^storage: postgresql.*the same command goes on") as error:
        run(server_url, 20, reporter=At(4, server.stop))
    assert "secret" not in str(error.value)
    server.start()
    monkeypatch.setattr(database, "PATIENCE", 60.0)
    age(server_url)  # of the run that was lost
    assert contents(run(server_url, 20)) == expected(20)


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


def execute(url, *statements):
    """As a person beside the study would, in a connection of its own."""
    engine = sqlalchemy.create_engine(store.url_of(url), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))


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


def set_read_only(url, value):
    server, _, name = url.rpartition("/")
    execute(
        f"{server}/postgres",
        f"ALTER DATABASE {name} SET default_transaction_read_only = {value}",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )


def test_a_server_that_is_read_only_for_a_while_is_waited_for(server_url, trainer, caplog, monkeypatch):
    """As after a failover, or where a provider stops a database that is full."""
    monkeypatch.setattr(database, "RETRY", 0.1)
    back = threading.Timer(0.4, set_read_only, [server_url, "off"])
    trials = run(server_url, 20, reporter=At(4, lambda: (set_read_only(server_url, "on"), back.start())))
    back.join()
    assert contents(trials) == expected(20)
    assert "in a read-only transaction); waiting for it" in caplog.text


def test_a_server_that_stays_read_only_ends_the_run_in_a_line(server_url, trainer, monkeypatch):
    monkeypatch.setattr(database, "RETRY", 0.1)
    monkeypatch.setattr(database, "PATIENCE", 0.5)
    with pytest.raises(database.StorageLostError, match=r"^storage: postgres[^\n]*read-only[^\n]*goes on") as error:
        run(server_url, 20, reporter=At(4, lambda: set_read_only(server_url, "on")))
    assert "secret" not in str(error.value)
    set_read_only(server_url, "off")
    age(server_url)  # of the run that was lost
    assert contents(run(server_url, 20)) == expected(20)


def test_a_role_that_may_only_read_is_told_at_once_in_a_line(server_url, trainer):
    run(server_url, 4)
    role = f"reader_{time.monotonic_ns()}"
    execute(server_url, f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    url = server_url.replace("tester:secret", f"{role}:s3cr")
    with pytest.raises(database.StorageLostError, match=r"^storage: postgres[^\n]*permission denied[^\n]*$") as error:
        run(url, 20)
    assert not any(text in str(error.value) for text in ("s3cr", "minutes", "max length"))
    assert [len(kept.trials) for kept in reader.read(url)[0]] == [4]


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


AWKWARD = "s3cr@/?:%{}&#+ 't0k"


@pytest.mark.parametrize("form", ["user", "option"])
def test_a_password_of_any_characters_reaches_the_server_and_is_shown_nowhere(
    server_url, tmp_path, trainer, form, caplog
):
    """The server of the tests takes any."""
    plain = server_url.replace(":secret", "") + "?sslmode=prefer"
    quoted = urllib.parse.quote(AWKWARD, safe="")
    url = plain.replace("tester", f"tester:{quoted}") if form == "user" else f"{plain}&password={quoted}"
    opened = store.open_storage(url)
    assert (opened.engine.url.password or opened.engine.url.query["password"]) == AWKWARD
    console = Console(file=io.StringIO(), width=400)
    config = TINY | {"cell": "irnn", "num_repeats": 0, "workdir": str(tmp_path), "storage": url}
    assert len(sweep.run(config, console)) == 1
    shown = [console.file.getvalue(), caplog.text, opened.shown, database.hide_password(opened.url)]
    shown += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    shown += [str(study.user_attrs) for study in reader.load_studies(url)]
    assert not [text for text in shown if "s3cr" in text or "t0k" in text]
    assert f"live: optuna-dashboard '{database.hide_password(opened.url)}'" in console.file.getvalue()


# --- A pooler between us and the server -------------------------------------------------------------------------------


@contextlib.contextmanager
def pooled(url, num_connections):
    if postgres.find_pooler() is None:
        pytest.skip("no PgBouncer is installed")
    pooler = postgres.Pooler(url, num_connections)
    yield pooler.url
    pooler.remove()


@pytest.fixture
def pooled_url(server_url):
    with pooled(server_url, 2) as url:
        yield url


def test_a_new_database_is_opened_with_one_connection_at_a_time(server_url):
    """Or two workers that open it at once behind a pooler wait for each other's."""
    with pooled(server_url, 1) as url:
        assert store.open_storage(url).get_all_studies() == []
        assert store.connect(store.url_of(url)).get_all_studies() == []  # which is there already


def test_workers_behind_a_pooler_that_shares_connections_train_each_trial_once(pooled_url, tmp_path):
    outs = [tmp_path / f"{n}.json" for n in range(2)]
    workers = [start(pooled_url, 24, out) for out in outs]
    assert [end_of(worker) for worker in workers] == [0, 0]
    done = [trial for trial in trials_of(pooled_url) if store.is_measured(trial)]
    assert contents(done) == expected(24)
    for _ in range(8):  # a statement is prepared when it comes again and again
        (kept,), failed = reader.read(pooled_url)
        assert (len(kept.trials), failed) == (24, {})


def test_no_statement_is_prepared_on_a_server(server_url):
    opened = store.open_storage(server_url)
    for engine in (opened.engine, reader._engine(store.url_of(server_url), None)):
        with engine.connect() as connection:
            assert connection.connection.dbapi_connection.prepare_threshold is None


def test_a_url_that_does_not_answer_is_refused_at_once_and_without_its_password():
    with pytest.raises(
        ValueError, match=r"^storage: 'postgresql.*' given; it must be a database that answers"
    ) as error:
        store.open_storage("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


# --- Devices whose memory does not suffice ----------------------------------------------------------------------------


class Small(FakeTrainer):
    """A device on which so many trials fit."""

    def __init__(self, fit):
        super().__init__()
        self._fit = fit

    def __call__(self, spec, hparams, keys, *args, **kwargs):
        if len(keys.task) > self._fit:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.")
        return super().__call__(spec, hparams, keys, *args, **kwargs)


def run_wide(storage, num_trials, width):
    plan, opened = open_study(storage)
    options = {"devices": jax.devices()[:1], "trials_per_device": width, "reporter": Silent()}
    return study.run(opened, plan, num_trials=num_trials, **options)


def test_a_batch_that_does_not_fit_is_halved_and_the_size_remembered(monkeypatch, caplog):
    storage = store.open_storage(None)
    trainer = Small(fit=3).install(monkeypatch)
    assert contents(run_wide(storage, 24, width=8)) == expected(24)
    assert "out of memory: 2 trials a device" in caplog.text
    again = Small(fit=2).install(monkeypatch)
    run_wide(storage, 40, width=8)  # would raise if it were tried at more
    assert max(trainer.batches + again.batches) == 2
    assert len(trainer.trained) + len(again.trained) == 40


class Estimated(FakeTrainer):
    """Training of which it is known beforehand that no more than so many trials a device fit."""

    def __init__(self, fit):
        super().__init__()
        self._fit, self.refused = fit, []

    def __call__(self, spec, hparams, keys, state, start, until, *, devices, trials_per_device, **kwargs):
        per_device = sharding.padded_count(len(keys.task), devices, trials_per_device) / len(devices)
        if per_device > self._fit:
            self.refused.append(per_device)
            raise NotEnoughMemoryError(needed=int(1000 * per_device), available=int(1000 * self._fit + 999))
        return super().__call__(spec, hparams, keys, state, start, until, devices=devices, **kwargs)


def test_a_batch_that_is_estimated_not_to_fit_is_cut_at_once_to_what_does(monkeypatch):
    storage, trainer = store.open_storage(None), Estimated(fit=3).install(monkeypatch)
    assert contents(run_wide(storage, 32, width=16)) == expected(32)
    assert len(trainer.refused) == 1
    assert max(trainer.batches) == 3


def test_where_batches_are_padded_the_padding_must_fit_too(monkeypatch):
    trainer = Estimated(fit=3).install(monkeypatch)
    monkeypatch.setattr(sharding, "SIDE_BY_SIDE", {})  # as on an accelerator: powers of two
    assert contents(run_wide(store.open_storage(None), 32, width=16)) == expected(32)
    assert max(trainer.batches) == 3
    assert len(trainer.refused) == 1


def test_a_single_trial_that_is_estimated_not_to_fit_is_told_with_what_it_needs(monkeypatch):
    Estimated(fit=0.5).install(monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"^a single trial of irnn, .*0\.00 GiB needed, 0\.00 GiB available"):
        run_wide(store.open_storage(None), 4, width=1)


def test_a_single_trial_that_does_not_fit_is_told_in_a_line(monkeypatch):
    storage = store.open_storage(None)
    Small(fit=0).install(monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"^a single trial of irnn, .*smaller network"):
        run_wide(storage, 4, width=4)
    FakeTrainer().install(monkeypatch)
    assert contents(run_wide(storage, 4, width=4)) == expected(4)


def test_another_failure_of_the_runtime_is_not_taken_for_one_of_memory(monkeypatch):
    def fail(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(program, "advance", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        run_wide(store.open_storage(None), 4, width=4)
