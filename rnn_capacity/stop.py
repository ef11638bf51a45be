"""Being asked to stop: what trains notices it between two chunks of steps, keeps where it stands, and ends.

Machines that may be taken away (spot instances, batch queues) say so with SIGTERM some seconds before.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator

_asked = threading.Event()
_logger = logging.getLogger(__name__)


class Stopped(SystemExit):
    """A run was asked to stop, and has kept where it stands; unhandled it ends the process with SIGTERM's code."""

    def __init__(self, message: str):
        super().__init__(128 + signal.SIGTERM)
        self.message = message

    def __str__(self) -> str:
        return self.message


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Within it SIGTERM is noticed and told by `check`; a second one ends the process at once.

    Only where nothing else handles it, and only in the main thread, which alone may.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def ask(*_):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _asked.set()

    signal.signal(signal.SIGTERM, ask)
    try:
        yield
        check()
    except Stopped as stopped:
        _logger.warning("%s", stopped)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _asked.clear()


def check() -> None:
    """Ends a run that was asked to stop.

    Raises:
        Stopped: it was.
    """
    if _asked.is_set():
        raise Stopped("stopped by SIGTERM; the same command goes on where it was")
