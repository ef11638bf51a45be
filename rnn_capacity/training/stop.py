"""Being asked to stop: what trains notices it between two chunks of steps, keeps where it stands, and ends.

Machines that may be taken away (spot instances, batch queues) send SIGTERM some seconds before; a person presses
Ctrl-C. Neither raises anything where it arrives: within XLA's compiler an exception would end in a segmentation fault.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

SHOW_CURSOR = b"\x1b[?25h"
DEFAULTS: dict[signal.Signals, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}

THEN = "the same command goes on where it was"

preempted: Callable[[], bool] | None = None  # in a job of several processes: whether any of them was sent SIGTERM
_asked: list[Stopped] = []
_logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """A run was asked to stop, and has kept where it stands."""

    number: ClassVar[int]  # of the signal
    by: ClassVar[str]


class Terminated(Stopped, SystemExit):
    """By SIGTERM; unhandled it ends the process with that signal's code."""

    number, by = signal.SIGTERM, "SIGTERM"

    def __init__(self, message: str):
        super().__init__(message)
        self.code = 128 + signal.SIGTERM


class Interrupted(Stopped, KeyboardInterrupt):
    """By Ctrl-C; it leaves `noticed` as a plain KeyboardInterrupt: after no other does Python end with 130."""

    number, by = signal.SIGINT, "Ctrl-C"


KINDS = {kind.number: kind for kind in (Terminated, Interrupted)}


@contextlib.contextmanager
def noticed(then: str = THEN) -> Iterator[None]:
    """Within it SIGTERM and Ctrl-C are noticed and raised by `check`; a second one ends the process at once.

    Only where nothing else handles them, and only in the main thread, which alone may. Where a person is at a prompt
    or in a notebook a second Ctrl-C does nothing more: it would end the session.

    Args:
        then: what can be done next, for the message.

    Raises:
        Terminated, KeyboardInterrupt: the process was asked to stop.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number, default in DEFAULTS.items() if main and signal.getsignal(number) is default]
    if preempted is not None:
        ours = [number for number in ours if number != signal.SIGTERM]  # it is JAX's
    if not ours and (preempted is None or not main):
        yield
        return

    def ask(number, _):
        if preempted is not None:
            os.kill(os.getpid(), signal.SIGTERM)  # so that all processes of the job are stopped
        else:
            _asked.append(KINDS[number](f"stopped by {KINDS[number].by}; {then}"))
        for each in ours:
            if each != signal.SIGINT or not hasattr(sys, "ps1"):
                signal.signal(each, signal.SIG_DFL)
        if sys.__stdout__ is not None and sys.__stdout__.isatty():
            os.write(sys.__stdout__.fileno(), SHOW_CURSOR)  # which bars hide, and a second signal leaves hidden

    for number in ours:
        signal.signal(number, ask)
    try:
        yield
        check()
    except Terminated as stopped:
        _logger.warning("%s", stopped)
        raise
    except Interrupted as stopped:
        raise KeyboardInterrupt(*stopped.args) from None
    finally:
        for number in ours:
            signal.signal(number, DEFAULTS[number])
        _asked.clear()


@contextlib.contextmanager
def asked(why: str) -> Iterator[None]:
    """Within it `check` ends what runs in other threads."""
    request = Stopped(why)
    _asked.append(request)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            _asked.remove(request)


def check() -> None:
    """Ends a run that was asked to stop.

    Raises:
        Stopped: it was; of its kind Terminated or Interrupted.
    """
    if not _asked and preempted is not None and preempted():
        _asked.append(Terminated(f"stopped by {Terminated.by}; {THEN}"))
    if _asked:
        raise _asked[0]
