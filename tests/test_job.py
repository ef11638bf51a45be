"""Jobs of several processes, as clusters run them: real ones, on loopback, which find each other by jax.distributed."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import optuna
import pytest
from test_study import contents

from rnn_capacity import hosts, store

ROOT = pathlib.Path(__file__).parents[1]
SWEEP = [sys.executable, str(ROOT / "launch" / "sweep.py"), f"--config={ROOT / 'experiments' / 'irnn.py'}:quick"]
SMALL = {
    "depths": 1,
    "num_params": 60,
    "num_inputs": 8,
    "unroll": 1,
    "num_trials": 18,
    "num_repeats": 3,
    "train_steps": 40,
    "devices": 1,
    "hparams.mappings_per_param": "0.5",
    "sampler": "quasi-random",
}
LONG = 4_000_000  # steps: a batch of them takes minutes
WORD = r"process {0} of 2 \(.*\) is gone: it was killed, or another process of the job was"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    cache = tmp_path_factory.mktemp("compiled")
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Job:
    """So many processes of one command, in a folder of their own; all are gone when it is closed."""

    def __init__(self, folder, environment, num_processes=2, *, command=None, **fields):
        self.folder = pathlib.Path(folder)
        fields = [f"--config.{name}={value}" for name, value in (SMALL | fields).items()]
        self.command = [*(command or SWEEP), f"--workdir={folder}", *fields]
        self.folder.mkdir(exist_ok=True)
        port, self.processes, self.logs = free_port(), [], []
        for k in range(num_processes):
            job = [f"--coordinator_address=127.0.0.1:{port}", f"--num_processes={num_processes}", f"--process_id={k}"]
            self.logs.append(self.folder / f"{time.monotonic_ns()}.{k}.log")
            with open(self.logs[-1], "w") as log:
                command = [*self.command, *(job if num_processes > 1 else [])]
                self.processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()

    def wait(self, seconds=180):
        """The exit codes."""
        end = time.monotonic() + seconds
        return [process.wait(max(0.1, end - time.monotonic())) for process in self.processes]

    def said(self, process):
        return self.logs[process].read_text()

    def wait_until_trained(self, num_told=0):
        """Until so many trials are told, and more are in training."""
        end = time.monotonic() + 120
        while time.monotonic() < end and all(process.poll() is None for process in self.processes):
            if told(self.folder) >= num_told and ("trials" in self.said(0)):
                return
            time.sleep(0.05)
        pytest.fail("\n".join(map(self.said, range(len(self.processes)))))


def told(folder):
    with contextlib.suppress(sqlite3.OperationalError):  # not there yet
        with contextlib.closing(sqlite3.connect(f"file:{folder / store.DATABASE}?mode=ro", uri=True)) as database:
            return sum(state in ("COMPLETE", "FAIL") for (state,) in database.execute("SELECT state FROM trials"))
    return -1


def all_trials(folder):
    storage = store.open_storage(folder)
    studies = [optuna.load_study(study_name=s.study_name, storage=storage) for s in storage.get_all_studies()]
    return {s.study_name: contents(s.get_trials(deepcopy=False)) for s in studies}


def results(folder):
    without = ("seconds", "trials")
    return [{k: v for k, v in row.items() if k not in without} for row in json.loads((folder / "results.json").read_text())]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, environment):
    """What one process finds."""
    folder = tmp_path_factory.mktemp("alone")
    with Job(folder, environment, 1) as job:
        assert job.wait() == [0], job.said(0)
    return folder


def test_two_processes_find_what_one_does(alone, environment, tmp_path):
    with Job(tmp_path, environment) as job:
        assert job.wait() == [0, 0], job.said(0) + job.said(1)
    assert all_trials(tmp_path) == all_trials(alone)
    assert results(tmp_path) == results(alone)
    assert "in each of 2 processes" in job.said(0)
    assert "bits/param" in job.said(0)
    assert job.said(1) == ""  # process 0 alone speaks


def test_trials_are_raced_over_two_processes_as_in_one(environment, tmp_path):
    """Where a trial stands between two rungs is known to the process alone that trained it."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for n, folder in enumerate(folders, 1):
        with Job(folder, environment, n, halving=2, num_trials=16, num_repeats=0) as job:
            assert job.wait() == [0] * n, job.said(0)
    assert all_trials(folders[1]) == all_trials(folders[0])
    ((trials),) = all_trials(folders[0]).values()
    assert {state.name for _, state, *_ in trials} >= {"COMPLETE", "PRUNED"}


# A process that is not heard of is dead after a minute at most; here sooner.
IMPATIENT = """
import runpy, sys
from rnn_capacity import hosts
hosts.HEARTBEAT_SECONDS = 10
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("dead", [0, 1])
def test_a_process_that_is_killed_ends_the_others_with_a_word_and_the_study_goes_on(alone, environment, tmp_path, dead):
    command = [sys.executable, "-c", IMPATIENT, *SWEEP[1:]]
    with Job(tmp_path, environment, command=command, train_steps=LONG) as job:
        job.wait_until_trained()
        job.processes[dead].kill()
        begun = time.monotonic()
        codes = job.wait(60)
        assert time.monotonic() - begun < 60
    assert codes[dead] == -signal.SIGKILL
    assert codes[1 - dead] not in (0, -signal.SIGKILL)
    assert re.search(WORD.format(1 - dead), job.said(1 - dead)), job.said(1 - dead)
