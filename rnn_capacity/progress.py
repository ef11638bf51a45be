"""What a person sees while trials train: what runs, how far, how long still, the best so far."""

from __future__ import annotations

import functools
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

SECONDS_BETWEEN_LINES = 15.0  # where there is no terminal to redraw


class Reporter(Protocol):
    """Told as a study goes; a study takes one of the three below."""

    def start(self, what: str, done: int, total: int) -> None: ...
    def update(self, done: float, best: str) -> None: ...
    def stop(self) -> None: ...


class Silent:
    def start(self, what, done, total):
        pass

    def update(self, done, best):
        pass

    def stop(self):
        pass


class Lines:
    """A plain line now and then, for logs."""

    def __init__(self, console: Console):
        self._print = functools.partial(console.print, soft_wrap=True, highlight=False)

    def start(self, what, done, total):
        self._what, self._total, self._done_before = what, total, done
        self._begun = self._last = time.monotonic()
        self._print(f"{what}: {total} trials" + (f", {done} done before" if done else ""))

    def update(self, done, best):
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            left = time_left(self._begun, done - self._done_before, self._total - done)
            self._print(f"{self._what}: {done:.1f} of {self._total} trials, {best}, {left} left")

    def stop(self):
        pass


class Bar:
    """A bar that is redrawn, for terminals and notebooks."""

    def __init__(self, console: Console):
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)

    def start(self, what, done, total):
        self._total, self._done_before, self._begun = total, done, time.monotonic()
        self._progress.start()
        self._task = self._progress.add_task(what, total=total, completed=done, state="compiling")

    def update(self, done, best):
        left = time_left(self._begun, done - self._done_before, self._total - done)
        state = f"{done:.1f}/{self._total} trials · {best} · {left} left"
        self._progress.update(self._task, completed=done, state=state)

    def stop(self):
        self._progress.remove_task(self._task)
        self._progress.stop()


def time_left(begun: float, done: float, to_do: float) -> str:
    """From the pace so far, as minutes:seconds."""
    if done <= 0:
        return "?"
    seconds = round((time.monotonic() - begun) / done * to_do)
    return f"{seconds // 60}:{seconds % 60:02d}"


def reporter(progress: bool, console: Console | None = None) -> Reporter:
    console = console or Console()
    if not progress:
        return Silent()
    return Bar(console) if console.is_terminal or console.is_jupyter else Lines(console)
