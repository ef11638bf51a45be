"""What the report says of one figure: claims, charts, tables, how it was measured, and what is missing."""

import dataclasses
import json
import math
import os
import pathlib
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rnn_capacity.checks import first_line
from rnn_capacity.display import tables
from rnn_capacity.measure.question import Question
from rnn_capacity.measure.result import Result
from rnn_capacity.report import drawing
from rnn_capacity.report.figure import Chart, Claim, Figure

NUMBER = re.compile(r"[-+−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( to .*|\+\d+| of \d+)?%?")
NOTHING = ("", "-", "–", "nan", "None")


class Wanted(NamedTuple):
    """A study that a figure needs: its title, and what its plan must have; None: no study of that title was begun."""

    title: str
    settings: Mapping[str, Any] | None


class Shown(NamedTuple):
    """A figure of the page, and how to measure what it lacks."""

    figure: Figure
    command: str  # measures what the figure needs, in the workdir that is appended to it
    beyond: str  # the command of a larger search
    wanted: Sequence[Wanted]  # the studies that the first command measures


class Table(NamedTuple):
    """Strings, and which columns are numbers; `studies` are the rows' places among the page's studies."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    studies: Sequence[int] = ()


class Measured(NamedTuple):
    """What it takes to judge a figure's numbers, and to measure them again."""

    table: Table  #: of its studies
    commands: list[str]
    machines: list[dict[str, Any]]
    common: dict[str, str]  #: what the plans of all its studies share
    own: list[tuple[str, dict[str, str]]]  #: what is a study's own, by its name


@dataclasses.dataclass
class Section:
    """What the page says of a figure."""

    figure: Figure
    command: str  #: measures what it needs
    beyond: str  #: the command of a larger search
    wanted: Sequence[Wanted]
    missing: list[tuple[str, str]]  #: the wanted studies that are not there or not finished, and how far they are
    failed: str | None = None  #: why it cannot be drawn
    claims: list[Claim] = dataclasses.field(default_factory=list)
    charts: list[Chart] = dataclasses.field(default_factory=list)
    paths: list[pathlib.Path] = dataclasses.field(default_factory=list)  #: of its drawings for print
    table: Table | None = None
    measured: Measured | None = None

    @property
    def more(self) -> str:
        """The command that spends more on it."""
        return self.command if self.missing else self.beyond


def section(shown: Shown, results: Sequence[Result], workdir: str, folder: pathlib.Path) -> Section:
    """What the page says of a figure, whose drawings for print are written into the folder.

    Raises:
        OSError: the folder cannot be written.
    """
    figure, there = shown.figure, _found(shown.wanted, results)
    command = f"{shown.command} --workdir={shlex.quote(_home(there, workdir))}"
    found = Section(figure, command, shown.beyond, shown.wanted, _missing(there))
    try:
        selected = figure.select(results)
        # Half of a study is shown, and decides nothing.
        found.claims = figure.claims([result for result in selected if result.record.finished])
        if selected:
            found.charts, found.table = figure.charts(selected), as_table(figure.table(selected))
            found.measured = _measured(selected)
            found.paths = drawing.write(figure, found.charts, folder)
    except OSError:
        raise
    except Exception as error:  # of what nobody can foresee: the other figures are drawn
        found.failed = f"{type(error).__name__}: {first_line(error)}"
    return found


def _found(wanted: Sequence[Wanted], results: Iterable[Result]) -> list[tuple[Wanted, Result | None]]:
    """Each wanted study with its result, a finished one where there are several; None where there is none."""
    own = ("cell's program", "task's program")  # of a user's, whatever it is called
    theirs = [r for r in results if not any(name in r.record.plan for name in own)]
    found = sorted(theirs, key=lambda r: not r.record.finished)
    is_of = lambda plan, settings: all(name in plan and plan[name] == value for name, value in settings.items())
    of = lambda w: None if w.settings is None else next((r for r in found if is_of(r.record.plan, w.settings)), None)
    return [(w, of(w)) for w in wanted]


def _missing(there: Iterable[tuple[Wanted, Result | None]]) -> list[tuple[str, str]]:
    """The wanted studies that are not there or not finished, and how far they are."""
    states = [(wanted.title, "not begun" if result is None else _progress(result)) for wanted, result in there]
    return [(name, state) for name, state in states if state]


def _home(there: Iterable[tuple[Wanted, Result | None]], workdir: str) -> str:
    """The workdir in which the command goes on: each sweep has a folder of its own in it."""
    sources = [result.record.source for _, result in there if result is not None]
    folders = [os.path.join(workdir, source, os.pardir) for source in sources if "://" not in source]
    homes = Counter(map(os.path.normpath, folders))
    return homes.most_common(1)[0][0] if homes else workdir


def _progress(result: Result) -> str:
    done, wanted = result.num_trials, result.record.wanted_trials
    if result.record.finished:
        return ""
    if wanted is None:
        return f"{done} trials so far"
    return f"{done} of {wanted} trials" + ("; the best not yet trained again" if done >= wanted else "")


def _measured(results: Sequence[Result]) -> Measured:
    rows = [
        [
            r.study,
            f"{r.num_trials}{_of_wanted(r)}",
            f"{r.num_infeasible}",
            "yes" if r.still_improving else "no",
            _whole(r.train_steps),
            _whole(r.total_steps),
            _whole(r.seconds),
        ]
        for r in results
    ]
    columns = ("study", "trials", "infeasible", "rising", "steps a trial", "steps in all", "seconds")
    plans = [{name: _words(value) for name, value in r.record.plan.items()} for r in results]
    common = {k: v for k, v in plans[0].items() if all(plan.get(k) == v for plan in plans)}
    own = [{k: v for k, v in plan.items() if k not in common} for plan in plans]
    commands = dict.fromkeys(worker["command"] for r in results for worker in r.record.workers if worker["command"])
    return Measured(
        table=Table(columns, rows, [False, True, True, False, True, True, True]),
        commands=list(commands),
        machines=machines(results),
        common=common,
        own=[(r.study, plan) for r, plan in zip(results, own, strict=True) if plan],
    )


def _of_wanted(result: Result) -> str:
    """What follows the number of trials of a study that is not finished."""
    return "" if result.record.finished else f" of {result.record.wanted_trials or '?'}"


def machines(results: Iterable[Result]) -> list[dict[str, Any]]:
    """What the studies were trained with, each once: the device, our code, the packages."""
    found: dict[str, dict[str, Any]] = {}
    for worker in (worker for result in results for worker in result.record.workers):
        known = {name: worker.get(name) for name in ("device", "code", "packages")}
        found.setdefault(json.dumps(known, sort_keys=True), known)
    return list(found.values())


def _words(value: Any) -> str:
    """A value of a plan, as people read it."""
    if isinstance(value, Mapping) and {"low", "high"} <= set(value):
        scales = [name for name in ("log", "whole") if value.get(name)]
        return ", ".join([f"{value['low']:g} to {value['high']:g}", *scales])
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


# --- Tables -----------------------------------------------------------------------------------------------------------


def as_table(frame: pd.DataFrame) -> Table:
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return Table([str(name) for name in frame.columns], rows, _numeric(rows, len(frame.columns)))


def results_table(question: Question, results: Sequence[Result], places: Sequence[int]) -> Table:
    """The terminal's table, with how far a study is, and where the explorer has it."""
    rows = []
    for result in results:
        cells = {name: _cell(value) for name, value in tables.cells(question.columns, result).items()}
        cells["trials"] += _of_wanted(result)
        rows.append(list(cells.values()))
    return Table(list(question.columns), rows, _numeric(rows, len(question.columns)), places)


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        value = f"{value:.4g}"
    return "–" if value is None or str(value).strip() in NOTHING else str(value)


def _whole(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.0f}"


def _numeric(rows: Sequence[Sequence[str]], width: int) -> list[bool]:
    """The columns to be aligned, and sorted, as numbers."""
    said = [[row[i] for row in rows if row[i] not in NOTHING] for i in range(width)]
    return [bool(column) and all(NUMBER.fullmatch(text) for text in column) for column in said]
