"""How a job begins: which processes join it, which are waited for and named, and which measure alone."""

import os
import re
import signal
import socket
import sys
import time
import types

import forked
import jax
import pytest
from helpers import ROOT
from job_start import SWEEP, free_port

from rnn_capacity.training import hosts


def test_a_job_that_is_told_wrongly_is_refused_by_name(environment, tmp_path):
    """The other flags are among the bad command lines of test_command_line."""
    command = [*SWEEP, f"--workdir={tmp_path}", "--coordinator_address=here", "--num_processes=2", "--process_id=0"]
    ended = forked.run(command, environment, timeout=60)
    assert ended.returncode == 1
    assert re.search("^error: coordinator_address: 'here' given", ended.stderr, re.MULTILINE), ended.stderr
    assert not list(tmp_path.iterdir())


SLURM = {"SLURM_JOB_ID": "4242", "SLURM_STEP_NODELIST": "localhost", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "1314521088.0;tcp://127.0.0.1:4", "OMPI_COMM_WORLD_RANK": "0"}


@pytest.mark.parametrize(
    "variables",
    [
        SLURM | {"SLURM_NTASKS": "1"},
        OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0", "SLURM_NTASKS": "4"},
        {"TPU_WORKER_HOSTNAMES": "localhost"},
        {"TPU_PROCESS_ADDRESSES": "localhost:8476", "MEGASCALE_NUM_SLICES": "1"},
        {"JAX_COORDINATOR_ADDRESS": "localhost:1", "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"},
        {"JAX_NUM_PROCESSES": "1"} | SLURM | {"SLURM_NTASKS": "4"},
    ],
    ids=str,
)
def test_a_job_of_one_process_joins_nothing(monkeypatch, variables):
    """Its port may be another's: of a second task on the same node."""
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: pytest.fail("joined"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    hosts.start()
    assert (hosts.count(), hosts.index()) == (1, 0)


@pytest.mark.parametrize(
    ("variables", "tasks"),
    [
        ({}, None),
        (SLURM | {"SLURM_NTASKS": "4"}, 4),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, None),  # JAX knows how many
        ({"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"}, None),
    ],
    ids=str,
)
def test_more_tasks_than_one_are_a_job(monkeypatch, variables, tasks):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hosts._scheduled() == tasks


LEAVING = """
import runpy, sys
from rnn_capacity.training import hosts
hosts.SECONDS_TO_LEAVE = 1  # nobody is there who could
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LEAVING = [sys.executable, "-c", LEAVING, *SWEEP[1:]]


def test_who_does_not_come_is_waited_for_and_named_in_the_end(environment, tmp_path):
    of_two = ["--num_processes=2", f"--coordinator_address=localhost:{free_port()}"]
    of_four = SLURM | {"SLURM_NTASKS": "4", "JAX_COORDINATOR_PORT": str(free_port())}
    cases = [
        ([*of_two, "--process_id=0"], {}, "2", "0", "process 1 did not come"),
        (["--num_processes=2", f"--coordinator_address=localhost:{free_port()}", "--process_id=1"], {}, "2", "1", None),
        ([], of_four, "4", "0", "not all of processes 1 to 3 came"),
    ]
    command = [*LEAVING, f"--workdir={tmp_path}", "--initialization_timeout=1"]
    started = [forked.Process([*command, *flags], environment | variables) for flags, variables, *_ in cases]
    for process, (_, _, count, index, absent) in zip(started, cases, strict=True):
        shown, errors = process.communicate(timeout=120)
        assert (process.returncode, shown) == (1, "")
        waiting, end = errors.splitlines()
        job = rf"job (of {count} processes )?at localhost:\d+"
        assert re.fullmatch(
            rf"waiting for all {count} processes of the {job}, of which this is process {index}", waiting
        )
        absent = absent or r"process 0 did not come \(Connection refused\)"
        assert re.fullmatch(rf"error: the {job} has not begun within 1 seconds: {absent}; num_processes=1 .*", end), end


def test_a_process_that_finds_process_0_says_that_another_is_missing():
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = f"127.0.0.1:{there.getsockname()[1]}"
        state = types.SimpleNamespace(client=1, num_processes=3, process_id=1, coordinator_address=address)
        assert "process 0 is there, but not all others came" in hosts._missing(state, 5)


def test_who_waits_for_others_can_be_stopped(environment, tmp_path):
    job = [f"--coordinator_address=localhost:{free_port()}", "--num_processes=2", "--process_id=0"]
    command = [*SWEEP, f"--workdir={tmp_path}", *job]
    waiting = forked.Process(command, environment)
    while waiting.poll() is None and "\n" not in waiting.said()[1]:
        time.sleep(0.02)
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    first, last = errors.splitlines()
    assert first.startswith("waiting for all 2 processes")
    assert last == "stopped by Ctrl-C; the same command goes on where it was"


KUBERNETES = """
class config:
    class ConfigException(Exception):
        pass
    def load_incluster_config():
        if {token}:
            raise config.ConfigException("Service token file does not exist.")
class client:
    CoreV1Api = BatchV1Api = object
    class exceptions:
        class ApiException(Exception):
            pass
"""


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (None, None),  # nothing is said
        (KUBERNETES.format(token="True"), "Service token file does not exist."),
        (KUBERNETES.format(token="False"), ".*"),  # what it asks next
    ],
)
def test_a_pod_whose_job_cannot_be_found_measures_alone(environment, tmp_path, package, reason):
    if package is not None:
        (tmp_path / "kubernetes.py").write_text(package)
    environment = environment | {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{tmp_path}"
    script = "from rnn_capacity.training import hosts; hosts.start(); print(hosts.count())"
    done = forked.run([sys.executable, "-c", script], environment, timeout=120)
    assert done.stdout == "1\n", done.stderr
    said = [line for line in done.stderr.splitlines() if "Kubernetes" in line]
    line = rf"Kubernetes: no job of several pods found \({reason}\); this process measures alone"
    assert len(said) == (reason is not None), done.stderr
    assert all(re.fullmatch(line, each) for each in said), done.stderr
