"""Jobs of several processes, as clusters run them: real ones, on loopback, which find each other by jax.distributed."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import forked
import jax
import optuna
import pytest
from helpers import PATHS, ROOT
from job_start import SWEEP, free_port
from small_study import contents

from rnn_capacity.search.gp_bandit import FIT
from rnn_capacity.studies import store
from rnn_capacity.training import checkpoint, program

SMALL = {
    "depths": 1,
    "num_params": 60,
    "num_inputs": 8,
    "unroll": 1,
    "num_trials": 8,
    "num_repeats": 2,
    "train_steps": 40,
    "devices": 1,
    "hparams.mappings_per_param": "0.5",
    "sampler": "quasi-random",
}


class Job:
    """So many processes of one command, in a folder of their own; all are gone when it is closed."""

    def __init__(
        self, folder, environment, num_processes=2, *, command=None, of_process=None, start=forked.Process, **fields
    ):
        self.folder = pathlib.Path(folder)
        fields = [f"--config.{name}={value}" for name, value in (SMALL | fields).items()]
        self.command = [*(command or SWEEP), f"--workdir={folder}", *fields]
        self.folder.mkdir(exist_ok=True)
        port, self.processes, self.logs = free_port(), [], []
        for k in range(num_processes):
            job = [f"--coordinator_address=127.0.0.1:{port}", f"--num_processes={num_processes}", f"--process_id={k}"]
            self.logs.append(self.folder / f"{time.monotonic_ns()}.{k}.log")
            self.logs[-1].touch()
            command = [*self.command, *(job if num_processes > 1 else []), *(of_process or {}).get(k, [])]
            self.processes.append(start(command, environment, ROOT, [self.logs[-1]] * 2))

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


def all_trials(folder):
    storage = store.open_storage(folder)
    studies = [optuna.load_study(study_name=s.study_name, storage=storage) for s in storage.get_all_studies()]
    return {s.study_name: contents(s.get_trials(deepcopy=False)) for s in studies}


def results(folder):
    without = ("seconds", "trials")
    return [
        {k: v for k, v in row.items() if k not in without} for row in json.loads((folder / "results.json").read_text())
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, environment):
    """What one process finds."""
    folder = tmp_path_factory.mktemp("alone")
    with Job(folder, environment, 1) as job:
        assert job.wait() == [0], job.said(0)
    return folder


def test_two_processes_find_what_one_does(alone, environment, tmp_path):
    """Begun by themselves, as users' are: their strings have other hashes, so the order of their sets differs."""

    def start(command, environment, cwd, logs):
        seed = {"PYTHONHASHSEED": command[-1].removeprefix("--process_id=")}
        with open(logs[0], "a") as log:
            return subprocess.Popen(command, env=environment | seed, cwd=cwd, stdout=log, stderr=log)

    with Job(tmp_path, environment, start=start) as job:
        assert job.wait() == [0, 0], job.said(0) + job.said(1)
    assert all_trials(tmp_path) == all_trials(alone)
    assert results(tmp_path) == results(alone)
    assert "in each of 2 processes" in job.said(0)
    assert "bits/param" in job.said(0)
    waiting = r"(waiting for all 2 processes of the job at 127.0.0.1:\d+, of which this is process 1\n)?"
    assert re.fullmatch(waiting, re.sub(r"\[Gloo\].*\n", "", job.said(1)))  # of all else process 0 alone speaks


def test_trials_are_raced_over_two_processes_as_in_one(environment, tmp_path):
    """Where a trial stands between two rungs is known to the process alone that trained it."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for n, folder in enumerate(folders, 1):
        with Job(folder, environment, n, halving=2, num_trials=8, num_repeats=0) as job:
            assert job.wait() == [0] * n, job.said(0)
    assert all_trials(folders[1]) == all_trials(folders[0])
    ((trials),) = all_trials(folders[0]).values()
    assert {state.name for _, state, *_ in trials} >= {"COMPLETE", "PRUNED"}


def test_the_bandit_finds_on_two_devices_in_each_of_two_processes_what_it_finds_on_one(environment, tmp_path):
    """It proposes by what was told: what other devices and other processes trained must be told before it is asked."""
    environment = environment | {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"}
    folders = [tmp_path / "one", tmp_path / "two"]
    for n, folder in enumerate(folders, 1):
        fields = {"sampler": "gp", "num_trials": 35, "num_repeats": 0, "train_steps": 20, "devices": n}
        with Job(folder, environment, n, **fields) as job:
            assert job.wait() == [0] * n, job.said(0)
    assert f"2 x cpu (cpu), JAX {jax.__version__} in each of 2 processes" in job.said(0)
    assert all_trials(folders[1]) == all_trials(folders[0])
    assert results(folders[1]) == results(folders[0])
    storage = store.open_storage(folders[1])
    (study,) = storage.get_all_studies()
    fitted = [t.number for t in storage.get_all_trials(study._study_id) if FIT in t.system_attrs]
    assert fitted == [32]  # what comes before is quasi-random


# A process that is not heard of is dead after half a minute, here sooner; every chunk of steps is kept, and it is told
# where each batch begins. The processes that HOLD names stand still after the first chunk, until something ends them.
# Process 1 is slow to keep it: process 0, without which JAX ends the others, must not be gone before.
WATCHED = """
import os, runpy, sys, time
from rnn_capacity.measure import overview
from rnn_capacity.training import hosts, program, trainer
overview.write_figures = lambda *_: []  # which nobody looks at
hosts.HEARTBEAT_SECONDS, trainer.SECONDS_BETWEEN_CHECKPOINTS = 10, 0
advance, save = program.advance, trainer.Checkpoints.save
def slowly(*args, wait, **kwargs):
    time.sleep(2.5 * wait * hosts.index())
    save(*args, wait=wait, **kwargs)
def watched(spec, hparams, keys, state, start, until, *, on_chunk, **kwargs):
    print("from step", start)
    def hold(step, state):
        on_chunk(step, state)
        while str(hosts.index()) in os.environ.get("HOLD", ""):
            time.sleep(0.05)
            on_chunk(step, state)
    return advance(spec, hparams, keys, state, start, until, on_chunk=hold, **kwargs)
program.advance, trainer.Checkpoints.save = watched, slowly
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WATCHED = [sys.executable, "-c", WATCHED, *SWEEP[1:]]


def kept_steps(folder):
    """By worker, the furthest that trials stand at by its checkpoint."""
    kept = {}
    for path in (folder / store.CHECKPOINTS).glob("*/*.npz"):
        with contextlib.suppress(FileNotFoundError), checkpoint._opened(path) as (about, _):
            kept[path.name] = max(batch["step"] for batch in about)
    return kept


def wait_for(condition, job, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end or any(process.poll() is not None for process in job.processes):
            pytest.fail("\n".join(map(job.said, range(len(job.processes)))))
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("dead", "kind", "hold"),
    [(0, signal.SIGKILL, "01"), (1, signal.SIGKILL, "01"), (1, signal.SIGKILL, "1"), (0, signal.SIGTERM, "01")],
)
def test_a_process_that_dies_ends_the_others_with_a_word_and_the_study_goes_on(
    alone, environment, tmp_path, dead, kind, hold
):
    """Whether they train at that moment or wait for it. Two of the four then go on, the others kept the same."""
    with Job(tmp_path, environment | {"HOLD": hold}, command=WATCHED) as job:
        wait_for(lambda: len(kept_steps(tmp_path)) == 2, job)
        if hold == "1":
            wait_for(lambda: max(kept_steps(tmp_path).values()) > program.FIRST_CHUNK, job)
            time.sleep(1)
        job.processes[dead].send_signal(kind)
        codes = job.wait(60)
        if kind == signal.SIGKILL:
            assert codes[dead] == -signal.SIGKILL
            assert codes[1 - dead] not in (0, -signal.SIGKILL)
            word = (
                r"another task died"
                if hold == "01"
                else r"\nerror: process 0 .* another process of the job is gone, .*\n$"
            )
        else:
            assert codes == [143, 143]
            word = r"^stopped by SIGTERM; the same command goes on where it was$"
        assert re.search(word, job.said(1 - dead), re.MULTILINE if kind == signal.SIGTERM else 0), job.said(1 - dead)
    assert min(kept_steps(tmp_path).values()) == program.FIRST_CHUNK
    if (dead, kind, hold) in ((1, signal.SIGKILL, "01"), (0, signal.SIGTERM, "01")):
        assert set(kept_steps(tmp_path).values()) == {program.FIRST_CHUNK}
        return
    with Job(tmp_path, environment, command=WATCHED) as job:
        assert job.wait() == [0, 0], job.said(0) + job.said(1)
        for process in map(int, hold):  # each in the middle of what was in training
            assert f"from step {program.FIRST_CHUNK}\n" in job.said(process)
    assert all_trials(tmp_path) == all_trials(alone)
    assert results(tmp_path) == results(alone)
    assert kept_steps(tmp_path) == {}


@pytest.mark.parametrize(
    ("kind", "code", "by"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")], ids=str
)
def test_a_run_that_is_stopped_goes_on_in_the_middle_of_a_batch(alone, environment, tmp_path, kind, code, by):
    with Job(tmp_path, environment | {"HOLD": "0"}, 1, command=WATCHED) as job:
        wait_for(lambda: kept_steps(tmp_path), job)
        job.processes[0].send_signal(kind)
        assert job.wait(60) == [code]
        assert job.said(0).splitlines()[-1] == f"stopped by {by}; the same command goes on where it was"
        assert "Traceback" not in job.said(0)
    assert list(kept_steps(tmp_path).values()) == [program.FIRST_CHUNK]
    with Job(tmp_path, environment, 1, command=WATCHED) as job:
        assert job.wait() == [0]
        assert f"from step {program.FIRST_CHUNK}\n" in job.said(0)
    assert all_trials(tmp_path) == all_trials(alone)
    assert results(tmp_path) == results(alone)


COMPILING = """
import os, runpy, signal, sys, threading
from rnn_capacity.training import program
compile = program.TrialProgram.compile
def interrupted(*given):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    return compile(*given)
program.TrialProgram.compile = interrupted
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_ctrl_c_while_it_compiles_waits_for_the_first_chunk(environment, tmp_path):
    """An exception raised within the compiler would end in a segmentation fault."""
    command = [sys.executable, "-c", COMPILING, *SWEEP[1:]]
    with Job(tmp_path, environment | {"JAX_ENABLE_COMPILATION_CACHE": "0"}, 1, command=command, unroll=12) as job:
        assert job.wait(120) == [130]
    assert job.said(0).splitlines()[-1] == "stopped by Ctrl-C; the same command goes on where it was"
    assert "Traceback" not in job.said(0)


def test_what_one_process_finds_wrong_ends_all_with_its_reason(environment, tmp_path):
    """Process 0 alone opens the database."""
    with Job(tmp_path, environment, storage="postgresql://nobody@127.0.0.1:1/nothing") as job:
        assert job.wait(60) == [1, 1]
        assert "error: storage: 'postgresql://nobody@127.0.0.1:1/nothing' given; it must be" in job.said(0)
        assert re.search(r"error: process 0 of 2 \(.*\): storage: 'postgresql:.*' given; it must be", job.said(1))


def test_processes_that_were_started_with_different_configs_end_with_a_word(environment, tmp_path):
    with Job(tmp_path, environment, of_process={1: ["--config.seed=7"]}) as job:
        assert job.wait(60) == [1, 1]
        for process in (0, 1):
            assert "process 0 runs another study: every process must be started with the same" in job.said(process)
    assert not (tmp_path / "results.json").exists()


OWN = """
import sys
import jax
from rnn_capacity.training import hosts, sharding; from rnn_capacity import measure_capacity
import tiny
own, address, process = sys.argv[1] == "own", sys.argv[2], int(sys.argv[3])
if own:
    jax.config.update("jax_num_cpu_devices", 1)
    jax.distributed.initialize(address, 2, process)
    jax.devices()  # all have to ask
else:
    hosts.start(address, 2, process)
try:
    sharding.choose_devices(jax.devices())
    sys.exit("devices of both processes were taken for this one's")
except ValueError as error:
    assert str(error).startswith("devices: [CpuDevice"), error
assert sharding.choose_devices(jax.local_devices()) == jax.local_devices()
if process == 0 or not own:
    print(measure_capacity("irnn", devices=1, progress=False, **tiny.TINY).bits)
if not own and process == 1:
    raise LookupError("later")
if not own:
    measure_capacity("rnn", devices=1, progress=False, **tiny.TINY)
"""


@pytest.mark.parametrize("whose", ["ours", "own"])
def test_a_script_of_the_users_may_join_a_job_or_measure_alone_in_its_own(environment, whose):
    """An error in it, between two measurements, ends all; in a job that it made itself nobody is waited for."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", OWN, whose, address]
    processes = [forked.Process([*command, process], environment | {"PYTHONPATH": PATHS}) for process in (0, 1)]
    (bits, errors), (other_bits, _) = (process.communicate(timeout=240) for process in processes)
    bits, other_bits = (re.sub(r"\[Gloo\].*\n", "", printed) for printed in (bits, other_bits))
    assert float(bits) > 0
    if whose == "own":
        assert [process.returncode for process in processes] == [0, 0], errors
        assert other_bits == ""
    else:
        assert [process.returncode for process in processes] == [1, 1]
        assert other_bits == bits
        assert re.search(r"JobError: process 0 of 2 \(.*\): another process of the job is gone, .* goes on", errors)


def test_the_environment_may_tell_of_the_job(alone, environment, tmp_path):
    """As recipes for clusters without a scheduler that JAX knows do."""
    told = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}
    with Job(tmp_path, environment | told, 1) as job:
        assert job.wait() == [0], job.said(0)
    assert all_trials(tmp_path) == all_trials(alone)
    ended = forked.run(SWEEP, environment | told | {"JAX_PROCESS_ID": "x"})
    assert "error: JAX_PROCESS_ID: 'x' given; it must be a whole number" in ended.stderr
