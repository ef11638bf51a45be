"""Workers side by side on one study, killed, or with a server that goes away: every trial once, and none is lost."""

import contextlib
import io
import json
import os
import random
import signal
import threading
import time
import urllib.parse

import postgres
import pytest
import sqlalchemy
from optuna.trial import TrialState
from rich.console import Console
from small_study import contents
from tiny import TINY
from watched_study import At, age, execute, expected, heartbeats, num_told, open_study, run, trials_of
from worker import start

from rnn_capacity import sweep
from rnn_capacity.studies import database, lease, reader, store


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


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
    assert [worker.wait(240) for worker in workers] == [0, 0]
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
    assert killed.wait(240) == -signal.SIGKILL
    age(url)
    assert other.wait(240) == 0
    done = [trial for trial in trials_of(url) if store.is_measured(trial)]
    assert contents(done) == expected(48)
    assert not (tmp_path / "killed.json").exists()


# --- Killed, and started again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.science)])
def test_a_worker_killed_at_random_moments_leaves_a_study_that_ends_with_each_trial_once(url, tmp_path, num_kills):
    chance, num_trials = random.Random(0), 12 * num_kills
    for _ in range(num_kills):
        # Ten trials of twelve at most, or one that is killed late might end the study.
        worker, begun = start(url, num_trials, tmp_path / "out.json", most=5), num_told(url)
        wait_for(lambda begun=begun: num_told(url) > begun)  # it is at work
        time.sleep(chance.uniform(0, 0.5))
        worker.kill()
        assert worker.wait(240) == -signal.SIGKILL
    before = num_told(url)
    assert 0 < before < num_trials
    age(url)
    assert start(url, num_trials, tmp_path / "out.json").wait(240) == 0
    trials = trials_of(url)
    assert [trial.number for trial in trials] == list(range(num_trials))
    assert contents(trials) == expected(num_trials)
    assert len(json.loads((tmp_path / "out.json").read_text())) == num_trials - before  # none that was measured again


# --- Whose a trial is -------------------------------------------------------------------------------------------------


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


# --- Databases that go away -------------------------------------------------------------------------------------------


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
    assert [worker.wait(240) for worker in workers] == [0, 0]
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
