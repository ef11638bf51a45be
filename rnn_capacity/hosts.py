"""A job of several processes, one for each host of a slice or cluster: how they find each other and what they say.

Every process runs the same program. Process 0 asks and tells; the others are sent trials and send back what came out.
No device waits for another's, so all of it goes through the key-value store of JAX's distributed runtime, as JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
from jax._src import distributed  # the store has no public face; Orbax reads it here too

from rnn_capacity import stop
from rnn_capacity.checks import InputError

HEARTBEAT_SECONDS = 30  # a process not heard of for so long is dead, and JAX then ends all the others
SECONDS_BETWEEN_LOOKS = 2.0  # while a message is waited for, at whether the job has failed
ENVIRONMENT = {
    "coordinator_address": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
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
    coordinator_address: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the job that the arguments or the environment tell of; does nothing where neither does.

    Must come before anything else of JAX. The environment is what `jax.distributed.initialize` knows (Cloud TPU, Slurm,
    Open MPI), or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Args:
        coordinator_address: host:port of process 0, the same for all.
        num_processes: how many the job has.
        process_id: which of them this is, from 0.

    Raises:
        InputError: only some of the three are known, or one is out of its range.
        JobError: the others do not answer, or the port is taken.
    """
    given = {"coordinator_address": coordinator_address, "num_processes": num_processes, "process_id": process_id}
    for name, variable in ENVIRONMENT.items():
        if given[name] is None and (value := os.environ.get(variable)):
            given[name] = value if name == "coordinator_address" else _whole(variable, value)
    _check(given)
    told = None not in given.values()
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            **given,
            cluster_detection_method="deactivate" if told else None,  # it would still choose devices for us
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except ValueError as error:
        if "must be defined" not in str(error) and "should be defined" not in str(error):
            raise
        if all(value is None for value in given.values()):
            return  # no cluster that JAX knows
        missing = next(name for name, value in given.items() if value is None)
        known = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
        raise InputError(f"{missing}: None given beside {known}; give all of {', '.join(given)}, or none") from None
    except jax.errors.JaxRuntimeError as error:
        where = given["coordinator_address"] or "the cluster"
        raise JobError(f"the job at {where} cannot be joined: {str(error).splitlines()[0]}") from error
    global _joined
    _joined = True
    if count() > 1:
        _leave_last_words()
        hook = sys.excepthook
        sys.excepthook = lambda kind, error, trace: (_fail(error), hook(kind, error, trace))


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
    """Leaves a message for whoever fetches it; plain JSON, NaN and infinities too."""
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
    raise (stop.Stopped if failed["stopped"] else JobError)(failed["reason"])


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
        failed = {"stopped": isinstance(error, stop.Stopped), "reason": reason}
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # another was first, or process 0 is gone
            post(_FAILED, failed)
