"""A job of several processes, one for each host of a slice or cluster: how they find each other and what they say.

Every process runs the same program. Process 0 runs the study; the others receive trials and send back their outcomes.
No device waits for another's, so all of it goes through the key-value store of JAX's distributed runtime, as JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.private import distributed
from rnn_capacity.training import stop

HEARTBEAT_SECONDS = 30  # a process not heard of for so long is dead, and JAX then ends all the others
INITIALIZATION_TIMEOUT = 300  # seconds that the other processes are waited for: JAX's own default
FOR_GOOD = 10**6  # seconds, eleven days
SECONDS_TO_LEAVE = 10  # that process 0 gives the others when they have waited in vain
SECONDS_BETWEEN_TRIES = 0.1  # while the others are waited for
SECONDS_BETWEEN_LOOKS = 2.0  # while a message is waited for, at whether the job has failed
ENVIRONMENT = {
    "coordinator_address": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
_logger = logging.getLogger(__name__)
_joined = False  # by `start`; a user's own `jax.distributed.initialize` makes no job of ours
_PREFIX = "rnn_capacity/"
_FAILED = "failed"

# JAX ends the processes that are left with abort, from a thread of its own, where Python can say nothing any more. So
# this is said by a child, which outlives its parent by a moment.
_LAST_WORDS = """
import sys
if not sys.stdin.read():
    sys.stderr.write("\\n" + sys.argv[1] + "\\n")
"""


class JobError(RuntimeError):
    """The job cannot begin, or another process of it has failed, and why; a job that has failed cannot go on."""


def start(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    initialization_timeout: int = INITIALIZATION_TIMEOUT,
) -> None:
    """Joins the job of several processes that the arguments or the environment describe; else does nothing.

    Must come before anything else of JAX. The environment is what `jax.distributed.initialize` reads (Cloud TPU, Slurm,
    Open MPI, Kubernetes), or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. A job of one process is
    none: nothing is joined, and no port taken, which another such job on the machine may have.

    Args:
        coordinator_address: host:port of process 0, the same for all.
        num_processes: how many the job has.
        process_id: which of them this is, from 0.
        initialization_timeout: seconds that the other processes are waited for.

    Raises:
        InputError: only some of the three are known, or one is out of its range.
        JobError: the others do not come, or the port is taken.
    """
    given = {"coordinator_address": coordinator_address, "num_processes": num_processes, "process_id": process_id}
    for name, variable in ENVIRONMENT.items():
        if given[name] is None and (value := os.environ.get(variable)):
            given[name] = value if name == "coordinator_address" else _whole(variable, value)
    timeout = check_positive_int("initialization_timeout", initialization_timeout)
    _check(given)
    alone = all(value is None for value in given.values())
    if given["num_processes"] == 1 or (alone and _scheduled() == 1):
        return
    try:
        _connect(given, timeout)
    except ValueError as error:
        if "must be defined" not in str(error) and "should be defined" not in str(error):
            raise
        if alone:
            return  # no cluster that JAX detects
        missing = next(name for name, value in given.items() if value is None)
        known = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
        raise InputError(f"{missing}: None given beside {known}; give all of {', '.join(given)}, or none") from None
    except JobError:
        raise
    except Exception as error:  # of any kind: what detects a cluster calls its services
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        detecting = alone and distributed.global_state.coordinator_address is None and "before any JAX" not in reason
        if detecting and "KUBERNETES_SERVICE_HOST" in os.environ:
            _logger.warning("Kubernetes: no job of several pods found (%s); this process measures alone", reason)
            return
        where = given["coordinator_address"] or "the cluster"
        raise JobError(f"the job at {where} cannot be joined: {reason}") from error
    global _joined
    _joined = True
    if count() > 1:
        _leave_last_words()
        hook = sys.excepthook
        sys.excepthook = lambda kind, error, trace: (_fail(error), hook(kind, error, trace))


def _scheduled() -> int | None:
    """How many tasks the first scheduler that JAX would detect has started, by its variables; None: they do not say."""
    if "OMPI_MCA_orte_hnp_uri" in os.environ:
        tasks = os.environ.get("OMPI_COMM_WORLD_SIZE")
    elif "SLURM_JOB_ID" in os.environ:
        tasks = os.environ.get("SLURM_NTASKS")
    else:
        workers = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES")
        slices = os.environ.get("MEGASCALE_NUM_SLICES") or "1"
        tasks = "1" if workers and "," not in workers and slices == "1" else None
    return int(tasks) if tasks and tasks.isdecimal() else None


def _connect(given: Mapping[str, Any], timeout: int) -> None:
    """Calls `jax.distributed.initialize`, which waits for all processes, and says what is waited for.

    JAX waits where no signal is noticed, and ends the process by abort when its own time is up; so it waits in another
    thread, for good, and the time is ours.
    """
    state, failed = distributed.global_state, []

    def initialize():
        try:
            jax.distributed.initialize(
                **given,
                # All given, JAX would still choose devices for us.
                cluster_detection_method=None if None in given.values() else "deactivate",
                initialization_timeout=FOR_GOOD,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            )
        except Exception as error:
            failed.append(error)

    preemption = jax.config.jax_enable_preemption_service
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    thread = threading.Thread(target=initialize, daemon=True)
    thread.start()
    announced, begun = False, time.monotonic()
    try:
        with stop.noticed(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Kubernetes environment detected")  # five lines about a package
            while thread.is_alive():
                stop.check()
                if state.client is not None and not announced and state.num_processes > 1:
                    announced = True
                    message = "waiting for all %d processes of the job at %s, of which this is process %d"
                    _logger.warning(message, state.num_processes, state.coordinator_address, state.process_id)
                # When process 0 goes JAX ends the others by abort: it goes last.
                if time.monotonic() - begun > timeout + SECONDS_TO_LEAVE * (state.process_id == 0):
                    raise JobError(_missing(state, timeout))
                thread.join(SECONDS_BETWEEN_TRIES)
    except BaseException:
        _abandon(state)
        raise
    finally:
        jax.config.update("jax_enable_preemption_service", preemption)
    if failed:
        raise failed[0]


def _missing(state: Any, timeout: int) -> str:
    """Who did not come, as far as this process can see."""
    if state.client is None:
        return f"the job cannot be joined: the cluster's services did not describe it within {timeout} seconds"
    job = f"the job of {state.num_processes} processes at {state.coordinator_address}"
    if state.process_id == 0:
        last = state.num_processes - 1
        absent = "process 1 did not come" if last == 1 else f"not all of processes 1 to {last} came"
    else:
        host, port = state.coordinator_address.rsplit(":", 1)
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            absent = "process 0 is there, but not all others came"
        except OSError as error:
            absent = f"process 0 did not come ({error.strerror or error})"
    return f"{job} has not begun within {timeout} seconds: {absent}; num_processes=1 measures alone"


def _abandon(state: Any) -> None:
    """Leaves a job that has not begun: what JAX would shut down at exit, which ends in abort, is held for good."""
    held, state.service, state.client = (state.service, state.client), None, None
    threading.Thread(target=lambda _: threading.Event().wait(), args=(held,), daemon=True).start()


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InputError(f"{name}: {value!r} given; it must be a whole number") from None


def _check(given: dict[str, Any]) -> None:
    address, processes, process = given.values()
    if address is not None and not re.fullmatch(r".+:\d+", address):
        raise InputError(f"coordinator_address: {address!r} given; it must be host:port of process 0")
    if processes is not None and processes < 1:
        raise InputError(f"num_processes: {processes} given; it must be a whole number of at least 1")
    if process is not None and processes is not None and not 0 <= process < processes:
        raise InputError(f"process_id: {process} given; it must be from 0 to {processes - 1}")


def _leave_last_words() -> None:
    words = (
        f"{_name(index())} is gone: it was killed, or another process of the job was and JAX has ended this one. All "
        "that was told is kept; the same command goes on where it was."
    )
    command = [sys.executable, "-c", _LAST_WORDS, words]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # no signal of ours reaches it

    def unsaid():
        with contextlib.suppress(OSError):
            child.communicate(b"done", timeout=5)

    atexit.register(unsaid)


def count() -> int:
    """How many processes the job has; 1 where `start` was not called, or found none."""
    return distributed.global_state.num_processes if _joined else 1


def index() -> int:
    """Which of them this is; process 0 asks and tells."""
    return distributed.global_state.process_id if _joined else 0


def _name(process: int) -> str:
    return f"process {process} of {count()} ({socket.gethostname()})"


def post(key: str, message: Any) -> None:
    """Publishes a message under a key; plain JSON, NaN and infinities included."""
    distributed.global_state.client.key_value_set_bytes(_PREFIX + key, json.dumps(message).encode())


def fetch(key: str, wait: bool = True) -> Any:
    """Takes a message away; None where it has not come and is not waited for.

    Raises:
        JobError, stop.Stopped: another process has failed or was asked to stop, or this one was.
    """
    client, key = distributed.global_state.client, _PREFIX + key
    while True:
        if wait:
            check()
        try:
            if wait:
                message = client.blocking_key_value_get_bytes(key, round(1000 * SECONDS_BETWEEN_LOOKS))
            else:
                message = client.key_value_try_get_bytes(key)
        except jax.errors.JaxRuntimeError as error:
            if not wait and "NOT_FOUND" in str(error):
                return None
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
            continue
        client.key_value_delete(key)
        return json.loads(message)


def check() -> None:
    """Ends what runs where this process was asked to stop, or another has ended.

    Raises:
        JobError, stop.Stopped: with the reason.
    """
    stop.check()
    if count() == 1:
        return
    try:
        failed = json.loads(distributed.global_state.client.key_value_try_get_bytes(_PREFIX + _FAILED))
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" not in str(error):
            raise
        return
    raise stop.KINDS.get(failed["signal"], JobError)(failed["reason"])


@contextlib.contextmanager
def all_or_none() -> Iterator[None]:
    """What ends this process with an exception within it ends all the others, with its reason."""
    try:
        yield
    except BaseException as error:
        _fail(error)
        raise


def _fail(error: BaseException) -> None:
    if count() > 1:
        reason = f"{_name(index())}: {str(error).strip() or type(error).__name__}"
        failed = {"signal": error.number if isinstance(error, stop.Stopped) else None, "reason": reason}
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # another was first, or process 0 is gone
            post(_FAILED, failed)
