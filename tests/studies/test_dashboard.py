"""Optuna's dashboard: the command that opens it, and what it shows of a study that runs."""

import json
import shlex
import socket
import subprocess
import sys
import time
import urllib.request

import optuna
import pytest
from small_study import run as run_study
from tiny import FakeTrainer

from rnn_capacity.studies import progress, store
from rnn_capacity.studies.database import hide_password


def test_the_command_of_the_dashboard_can_be_pasted_and_hides_the_password(monkeypatch):
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: object())
    command = lambda url: progress.dashboard(hide_password(url))
    assert "secret" not in hide_password("postgresql://host/db?user=me&password=secret&sslmode=require")
    assert command("sqlite:///results/gru/study.db") == "optuna-dashboard sqlite:///results/gru/study.db"
    spaced = command("sqlite:////home/me/my results/study.db")
    assert shlex.split(spaced) == ["optuna-dashboard", "sqlite:////home/me/my results/study.db"]
    secret = command("postgresql+psycopg://me:secret@host/database")
    assert shlex.split(secret, comments=True) == ["optuna-dashboard", "postgresql+psycopg://me:***@host/database"]
    assert secret.endswith("  # put the password for ***")
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    assert "pip install" in command("sqlite:///study.db")


@pytest.fixture
def served():
    """Starts the command of a dashboard on a free port, and asks it."""
    pytest.importorskip("optuna_dashboard")
    running = []

    def serve(command, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program, *arguments = shlex.split(command, comments=True)
        assert program == "optuna-dashboard"
        module = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()"]
        flags = ["--port", str(port), "--server", "wsgiref", "--quiet"]
        running.append(subprocess.Popen([*module, *arguments, *flags], cwd=folder, stderr=subprocess.DEVNULL))

        def ask(path):
            until = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=30) as answer:
                        return json.load(answer)
                except OSError:
                    assert time.monotonic() < until, "the dashboard does not answer"
                    time.sleep(0.2)

        return ask

    yield serve
    for process in running:
        process.terminate()
        process.wait(30)


def test_the_dashboard_opens_a_study_that_runs_with_all_kinds_of_trials(tmp_path, monkeypatch, served):
    FakeTrainer(infeasible=lambda hparams: hparams["learning_rate"] > 0.03).install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    storage = store.open_storage("out")
    trials = run_study(storage, 18, halving=3, train_steps=90)
    (name,) = optuna.get_all_study_names(storage)
    optuna.load_study(study_name=name, storage=storage).ask()
    ask = served(progress.dashboard(storage.url), tmp_path)
    (summary,) = ask("studies")["study_summaries"]
    assert summary["study_name"] == name
    shown = ask(f"studies/{summary['study_id']}?after=0")
    assert [t["state"].upper() for t in shown["trials"]] == [*(t.state.name for t in trials), "RUNNING"]
    assert {t["state"] for t in shown["trials"]} == {"Complete", "Pruned", "Fail", "Running"}
    for trial, told in zip(trials, shown["trials"], strict=False):
        assert told.get("values", [None])[0] == (None if trial.state.name == "FAIL" else trial.value)
        assert {p["name"] for p in told["params"]} == set(trial.params)
