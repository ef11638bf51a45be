"""What a person sees while trials train: what runs, how far, how long still, the best so far."""

import contextlib
import datetime
import functools
import importlib.util
import io
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

# Each runs within the one before: studies in a sweep, batches in a study. And what its total is a number of.
LEVELS = {"sweep": "trials", "study": "trials", "batch": "steps"}
SECONDS_BETWEEN_LINES = 15.0  # where there is no terminal to redraw
REDRAWN_PER_SECOND = 2


@runtime_checkable
class Reporter(Protocol):
    """Called as trials train; write one to show them your own way, and pass it as `progress`.

    It is called where the measurement was (of a job in process 0 alone), about once a second: the time that it takes
    delays training, and what it raises ends the run. `level` is one of LEVELS. A measurement tells of its studies and
    of the batches of this process, a sweep of itself too.
    """

    def start(self, level: str, what: str, done: float, total: int, note: str) -> None:
        """A level begins; what ran at this level or within it is over.

        Args:
            what: a name for it, such as "gru, depth 1, 499 params, 6 units".
            done: how much of it is done already, by a run before this one.
            total: how many trials a sweep and a study have, how many steps the trials of a batch are trained.
            note: what else is known: which study, the best so far, that it compiles.
        """

    def update(self, level: str, done: float, note: str) -> None:
        """So much of a level that runs is done; fractions of trials too."""

    def stop(self, level: str) -> None:
        """A level is over and all within it, at its end or by an exception."""


class Silent:
    """Shows nothing; one of your own may derive from it, and write what it needs."""

    def start(self, level, what, done, total, note):
        pass

    def update(self, level, done, note):
        pass

    def stop(self, level):
        pass


class Row:
    """How far a level is, and how long it still takes at its pace."""

    def __init__(self, level: str, what: str, done: float, total: int, note: str):
        self.unit, self.what, self.done, self.total, self.note = LEVELS[level], what, done, total, note
        self._begun: float | None = None  # when its pace is counted from
        self._here = 0.0  # what was done since
        self._last = time.monotonic()

    def advance(self, more: float) -> None:
        self.done, self._last = self.done + more, time.monotonic()
        if self._begun is not None:
            self._here += more
        elif more:
            self._begun = self._last  # what came before was compiling

    def time_left(self) -> str:
        """Time left at the pace of this process, counted down since the last update."""
        if self._begun is None or self._here <= 0:
            return ""
        seconds = (self._last - self._begun) / self._here * (self.total - self.done) - (time.monotonic() - self._last)
        return f"{datetime.timedelta(seconds=round(max(seconds, 0)))} left"

    def state(self, of: str, separator: str) -> str:
        done = f"{self.done:.1f}".removesuffix(".0")
        return separator.join(filter(None, [f"{done}{of}{self.total} {self.unit}", self.note, self.time_left()]))


SWEEP = ("sweep", 0)  # its row, of which there is one


class Rows:
    """A row for each level that runs; where several studies train at once, for those of each."""

    def __init__(self, at_once: int = 1):
        self._rows: dict[tuple[str, int], Row] = {}
        self._lock = threading.RLock()
        self._at_once = at_once

    def of(self, place: int) -> Reporter:
        """What the study at a place of those that train at once is to call."""
        return _Place(self, place)

    def start(self, level, what, done, total, note, place=0):
        with self._lock:
            self._drop(level, place)
            self._rows[level, place] = Row(level, what, done, total, note)
            if level == "study" and SWEEP in self._rows:
                self._rows[SWEEP].done += done
            self._show(level)

    def update(self, level, done, note, place=0):
        with self._lock:
            row = self._rows[level, place]
            row.note, more = note, done - row.done
            if level == "sweep":  # trials of earlier runs were not trained here
                row.done = done + sum(row.done for (level, _), row in self._rows.items() if level == "study")
            else:
                row.advance(more)
            if level == "study" and SWEEP in self._rows:
                self._rows[SWEEP].advance(more)
            self._show()

    def stop(self, level, place=0):
        with self._lock:
            self._drop(level, place)
            self._show()

    def _drop(self, level, place):
        for within in list(LEVELS)[list(LEVELS).index(level) :]:
            self._rows.pop((within, place), None)

    def _show(self, begun: str | None = None) -> None:
        """Called after every change, with the level that has begun."""
        raise NotImplementedError


class _Place:
    def __init__(self, rows: Rows, place: int):
        self.start, self.update, self.stop = (
            functools.partial(call, place=place) for call in (rows.start, rows.update, rows.stop)
        )


class Lines(Rows):
    """A plain line for each study and then now and then, for logs."""

    def __init__(self, console: Console, at_once: int = 1):
        super().__init__(at_once)
        self._print = functools.partial(console.print, soft_wrap=True, highlight=False, markup=False, emoji=False)
        self._last = time.monotonic()

    def _show(self, begun=None):
        now = time.monotonic()
        if begun == "study" or (self._rows and now - self._last >= SECONDS_BETWEEN_LINES):
            self._last = now
            shown = [row for (level, _), row in self._rows.items() if level != "batch" or self._at_once == 1]
            self._print(" | ".join(f"{row.what}: {row.state(' of ', ', ')}" for row in shown))


class Bars(Rows):
    """Bars that are redrawn, one within the other, for terminals and notebooks; gone when all is over."""

    def __init__(self, console: Console, at_once: int = 1):
        super().__init__(at_once)
        columns = (_What(), BarColumn(bar_width=max(8, (console.width - 80) // 2)), _State())
        self._progress = Progress(*columns, console=console, transient=True, refresh_per_second=REDRAWN_PER_SECOND)
        within = [(level, place) for place in range(at_once) for level in LEVELS if level != "sweep"]
        self._tasks = {row: self._progress.add_task(row[0], visible=False) for row in (SWEEP, *within)}

    def _show(self, begun=None):
        for at, task in self._tasks.items():
            row = self._rows.get(at)
            shown = {"total": row.total, "completed": row.done, "row": row} if row else {}
            self._progress.update(task, visible=row is not None, **shown)
        if self._rows:
            self._progress.start()
        else:
            self._progress.stop()


class _What(ProgressColumn):
    """The column that gives way where a terminal is narrow."""

    def __init__(self):
        super().__init__(Column(overflow="ellipsis"))

    def render(self, task: Task) -> Text:
        return Text(task.fields["row"].what, no_wrap=True, overflow="ellipsis")


class _State(ProgressColumn):
    def __init__(self):
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        return Text(task.fields["row"].state("/", " · "))


@contextlib.contextmanager
def printable() -> Iterator[None]:
    """Within it what the encoding of the output does not have (a cell may be named grün) is shown as an escape."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with contextlib.suppress(OSError, ValueError):  # its reader has gone, or it is closed
                stream.reconfigure(errors=errors)


def reporter(progress: bool, console: Console | None = None) -> Reporter:
    """Shows progress, or nothing."""
    return rows(console) if progress else Silent()


def rows(console: Console | None = None, at_once: int = 1) -> Rows:
    """What suits a console: bars, or lines where they cannot be redrawn.

    Args:
        at_once: how many studies train at the same time at most.
    """
    console = console or Console()
    # In a notebook bars are widgets.
    redrawn = importlib.util.find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
    return (Bars if redrawn else Lines)(console, at_once)


def dashboard(url: str) -> str:
    """The command that shows the studies of a database in a browser, live.

    Args:
        url: of the database, with *** for a password.
    """
    needed = ["put the password for ***"] if "***" in url else []
    if importlib.util.find_spec("optuna_dashboard") is None:
        needed.insert(0, "pip install '.[live]' brings it")
    return f"optuna-dashboard {shlex.quote(url)}" + (f"  # {'; '.join(needed)}" if needed else "")
