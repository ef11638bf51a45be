"""Devices that studies share while they are in training at the same time."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import jax

SECONDS_BETWEEN_LOOKS = 1.0  # at a study of which other workers have the last trials


class Share(Sequence[jax.Device]):
    """The devices that a study trains on, which may become more from one batch to the next.

    Args:
        devices: those that it has.
        whole: how many devices the studies share. A study asks for as many trials as would fill these, so that what
            it proposes, and finds, is the same however few of them it has.
        grow: gives more devices, where some lie idle.
        idle: called while other workers have the last trials of its study, about once a second.
    """

    def __init__(
        self,
        devices: Sequence[jax.Device],
        whole: int | None = None,
        grow: Callable[[int], Sequence[jax.Device]] = lambda held: (),
        idle: Callable[[], None] = lambda: time.sleep(SECONDS_BETWEEN_LOOKS),
    ):
        self._devices, self.whole = list(devices), len(devices) if whole is None else whole
        self._grow, self.idle = grow, idle

    def __len__(self) -> int:
        return len(self._devices)

    def __getitem__(self, at):
        return self._devices[at]

    def grow(self) -> None:
        """Takes devices that lie idle, up to a fair share."""
        self._devices += self._grow(len(self))


class Pool:
    """Devices in shares, of which each is given back once; the others may grow by what was given back.

    Args:
        num_shares: at most as many as there are devices.
    """

    def __init__(self, devices: Sequence[jax.Device], num_shares: int):
        self.size = len(devices)
        self._free, self._shares, self._lent = list(devices), num_shares, 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def share(self, idle: Callable[[], None]) -> Iterator[Share]:
        """One of the shares, given back in the end."""
        with self._lock:
            devices = self._take(len(self._free) // (self._shares - self._lent))
            self._lent += 1
        share = Share(devices, self.size, self._more, idle)
        try:
            yield share
        finally:
            with self._lock:
                self._free += share
                self._shares -= 1
                self._lent -= 1

    def _more(self, held: int) -> list[jax.Device]:
        with self._lock:
            return self._take(self.size // self._shares - held if self._lent == self._shares else 0)

    def _take(self, count: int) -> list[jax.Device]:
        taken = self._free[: max(count, 0)]
        del self._free[: len(taken)]
        return taken
