"""Which point of a sweep trains next, and on which devices: several at once where devices would else idle.

One process takes the points in the order of the grid, as many at a time as keep its devices busy. Workers that share a
storage each take the point that the fewest of them train; one that finds the last trials of a point in training
elsewhere goes on to another, and comes back.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from rnn_capacity.studies import database
from rnn_capacity.training import stop
from rnn_capacity.training.share import SECONDS_BETWEEN_LOOKS, Pool, Share

BUSY = 0.95  # of the devices' time: the fewest points at once that reach it
SECONDS_BETWEEN_SIGNALS = 0.2  # how often the main thread looks whether the run is to stop


class Point(NamedTuple):
    """A point of a grid."""

    number: int  #: in the grid
    studies: Sequence[str]  #: names of the studies that it is measured by
    blocks: Sequence[int]  #: how many trials are trained together, one block after the other


class Elsewhere(BaseException):
    """Other workers train the last trials of a point, and another point waits."""


def at_once(points: Sequence[Point], num_devices: int, width: int) -> int:
    """How many points to train at the same time: the fewest that keep the devices busy.

    At least two, where there are two devices: while one point compiles, or proposes, the other trains.

    Args:
        width: trials that a device is given at a time.
    """
    most = min(len(points), num_devices)
    return next((n for n in range(min(2, most), most) if busy(points, n, num_devices, width) >= BUSY), max(most, 1))


def busy(points: Sequence[Point], num_shares: int, num_devices: int, width: int) -> float:
    """The fraction of the devices' time in which they train, with so many points at once."""
    each = num_devices // num_shares * width
    blocks = [size for point in points for size in point.blocks]
    rounds = sum(-(-size // each) for size in blocks)
    return sum(blocks) / (rounds * each) * (num_shares * (each // width) / num_devices)


class Schedule:
    """The points of a grid, each measured once.

    Args:
        measure: (point, devices, place) measures a point; `place` numbers those that train at the same time.
        workers: how many other workers train each study, by its name; None: points keep their order, and none is left
            before its end, as in a job, all of whose processes must do the same.
        prepare: called in a thread of its own with the point that comes next, while one trains.
    """

    def __init__(
        self,
        points: Sequence[Point],
        measure: Callable[[Point, Share, int], Any],
        workers: Callable[[], Mapping[str, int]] | None = None,
        prepare: Callable[[Point], None] | None = None,
    ):
        self._waiting, self._left = list(points), dict[int, float]()  # points; when each was left to other workers
        self._measure, self._workers, self._prepare = measure, workers, prepare
        self._lock = threading.Lock()

    def run(self, devices: Sequence[jax.Device], num_shares: int) -> Generator[tuple[Point, Any]]:
        """Measures all points; yields each with its result as it ends."""
        pool = Pool(devices, num_shares)
        if num_shares == 1:
            yield from self._work(pool, 0)
        else:
            yield from self._threads(pool, num_shares)

    def _threads(self, pool: Pool, num_shares: int) -> Generator[tuple[Point, Any]]:
        ended: queue.SimpleQueue = queue.SimpleQueue()

        def work(place):
            try:
                for found in self._work(pool, place):
                    ended.put(found)
                ended.put(None)
            except BaseException as error:  # raised in the main thread
                ended.put(error)

        threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(num_shares)]
        for thread in threads:
            thread.start()
        failed: BaseException | None = None
        running = num_shares
        try:
            while running and failed is None:
                stop.check()
                with contextlib.suppress(queue.Empty):
                    found = ended.get(timeout=SECONDS_BETWEEN_SIGNALS)
                    running -= found is None
                    if isinstance(found, BaseException):
                        failed = found
                    elif found is not None:
                        yield found
        except stop.Stopped as error:
            failed = error
        finally:
            with stop.asked("another point of the sweep has ended it"):  # what trains keeps where it stands
                for thread in threads:
                    thread.join()
        while not ended.empty():
            if isinstance(found := ended.get(), tuple):
                yield found
        if failed is not None:
            raise failed

    def _work(self, pool: Pool, place: int) -> Generator[tuple[Point, Any]]:
        def idle():
            """Leaves the point for one that was not left yet, or else for another after a while."""
            stop.check()
            time.sleep(SECONDS_BETWEEN_LOOKS)
            nonlocal looks
            looks += 1
            others = [] if self._workers is None else self._waiting
            if any(p.number not in self._left for p in others) or (others and looks >= database.GRACE):
                raise Elsewhere

        with pool.share(idle) as share:
            while (current := self._next()) is not None:
                looks = 0
                if self._prepare is not None and self._waiting:
                    threading.Thread(target=self._prepare, args=(self._waiting[0],), daemon=True).start()
                try:
                    answer = self._measure(current, share, place)
                except Elsewhere:
                    with self._lock:
                        self._left[current.number] = time.monotonic()
                        self._waiting.append(current)
                else:
                    yield current, answer

    def _next(self) -> Point | None:
        """The next point: not left before, of the fewest workers, the first; then the one left longest ago."""
        known = self._workers() if self._workers is not None and len(self._waiting) > 1 else {}
        with self._lock:
            order = lambda p: (self._left.get(p.number, 0.0), sum(known.get(name, 0) for name in p.studies), p.number)
            point = min(self._waiting, key=order, default=None)
            if point is not None:
                self._waiting.remove(point)
            return point
