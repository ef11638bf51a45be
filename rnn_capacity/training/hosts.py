"""A job of several processes, one for each host of a slice or cluster: how they find each other and what they exchange.

Every process runs the same program, trains its share of the trials on its own devices, and comes to the same points,
where each gets what all of them say. A failure is something to say, too, so that all end with its reason.
"""

import atexit
import contextlib
import json
import logging
import os
import re
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from rnn_capacity.checks import InputError, check_positive_int, first_line
from rnn_capacity.private import distributed
from rnn_capacity.training import stop

HEARTBEAT_SECONDS = 30  # a process not heard of for so long is dead, and JAX then ends all the others
INITIALIZATION_TIMEOUT = 300  # seconds that the other processes are waited for: JAX's own default
FOR_GOOD = 10**6  # seconds, eleven days
SECONDS_TO_LEAVE = 10  # that process 0 gives the others when they have waited in vain
SECONDS_BETWEEN_TRIES = 0.1  # while the others are waited for
ENVIRONMENT = {
    "coordinator_address": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
FAILED = "failed"  # what is said by a process that has
_logger = logging.getLogger(__name__)
_joined = False  # by `start`; a user's own `jax.distributed.initialize` makes no job of ours
_ended: str | None = None  # why the job cannot go on
_alone = False  # whether another process of it is gone
_begun, _passed = 0.0, 0  # when the job began, and how many of its seconds JAX was asked about


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
        reason = first_line(error)
        detecting = alone and distributed.global_state.coordinator_address is None and "before any JAX" not in reason
        if detecting and "KUBERNETES_SERVICE_HOST" in os.environ:
            _logger.warning("Kubernetes: no job of several pods found (%s); this process measures alone", reason)
            return
        where = given["coordinator_address"] or "the cluster"
        raise JobError(f"the job at {where} cannot be joined: {reason}") from error
    global _joined, _begun
    _joined, _begun = True, time.monotonic()
    if count() > 1:
        distributed.global_state.initialize_preemption_sync_manager()  # SIGTERM is JAX's from now on
        stop.preempted = _preempted if distributed.global_state.preemption_sync_manager else None
        atexit.register(_leave)  # before JAX leaves, which was there first


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

    preemption = jax.config.values["jax_enable_preemption_service"]
    jax.config.update("jax_enable_preemption_service", False)  # until signals are no longer noticed here
    thread = threading.Thread(target=initialize, daemon=True)
    announced, begun = False, time.monotonic()
    try:
        with stop.noticed(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Kubernetes environment detected")  # five lines about a package
            thread.start()
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


def count() -> int:
    """How many processes the job has; 1 where `start` was not called, or found none."""
    return distributed.global_state.num_processes if _joined else 1


def index() -> int:
    """Which of them this is; process 0 asks the study for trials and stores what they gave."""
    return distributed.global_state.process_id if _joined else 0


def exchange(message: Any = None) -> list[Any]:
    """What all processes say at this point of the program, by process; plain JSON, NaN and infinities included.

    Raises:
        JobError, stop.Stopped: a process has failed, or was asked to stop, or is gone; the job has ended.
    """
    global _ended, _alone
    if _ended is not None:
        raise JobError(_ended)
    text = np.frombuffer(json.dumps(message).encode(), np.uint8)
    if jax.device_count() != count() * jax.local_device_count():
        _alone, _ended = True, f"{_name()} has {jax.local_device_count()} devices, but all processes must have as many"
        raise JobError(_ended)
    try:
        lengths = multihost_utils.process_allgather(np.int32(len(text)))
        padded = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)  # a program is compiled for each length
        padded[: len(text)] = text
        rows = multihost_utils.process_allgather(padded)
    except (ValueError, jax.errors.JaxRuntimeError) as error:
        _alone, gone = True, "another process of the job is gone, and its own log says why"
        _ended = f"{_name()}: {gone}; the same command goes on where it was"
        raise JobError(_ended) from error
    said = [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]
    for each in said:
        if isinstance(each, dict) and FAILED in each:
            _ended = each[FAILED]
            raise stop.KINDS.get(each["signal"], JobError)(_ended)
    return said


def agree(on: str) -> None:
    """Ends the job if its processes do not come to this point together.

    Raises:
        JobError: they do not.
    """
    if count() > 1 and any(said != on for said in exchange(on)):
        raise JobError(
            "process 0 runs another study: every process must be started with the same config, code and data"
        )


@contextlib.contextmanager
def all_or_none() -> Iterator[None]:
    """What ends this process with an exception within it ends all others, with its reason; all leave it together."""
    try:
        yield
        agree("the end")
    except BaseException as error:
        if count() > 1 and _ended is None:
            signal = error.number if isinstance(error, stop.Stopped) else None
            reason = f"{_name()}: {str(error).strip() or type(error).__name__}" if signal is None else str(error)
            with contextlib.suppress(JobError, stop.Stopped):
                exchange({FAILED: reason, "signal": signal})
        raise


def _name() -> str:
    return f"process {index()} of {count()} ({socket.gethostname()})"


def _preempted() -> bool:
    """Whether the job is to end, since one of its processes was sent SIGTERM.

    JAX chooses a point that no process has passed. A point is a second of the job: all pass each, if some of them late.
    """
    global _passed
    while _passed < int(time.monotonic() - _begun):
        _passed += 1
        if multihost_utils.reached_preemption_sync_point(_passed):
            return True
    return False


def _leave() -> None:
    """Ends a process of a job that has failed, at exit: JAX would wait for the others for minutes, and then abort."""
    if _alone or getattr(sys, "last_value", None) is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(2 * (index() == 0))  # JAX ends the others by abort when process 0 is gone
        os._exit(1)
