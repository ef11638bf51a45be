"""What a figure or table of the paper is here: the studies that it is drawn from, how it is drawn, what it claims."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from rnn_capacity.measure.result import R

AGREES, DISAGREES = "agrees", "disagrees"
NOT_REACHED = "not reached yet"  # a maximum that a larger search may still find
UNDECIDED, MISSING = "undecided", "not measured"

Results = Sequence[Any]  # of one question, which a figure's `select` sees to


class Claim(NamedTuple):
    """A finding of the paper and ours, each with its numbers."""

    text: str  #: what is claimed
    paper: str  #: its number
    ours: str  #: with intervals
    verdict: str  #: AGREES, DISAGREES, NOT_REACHED, MISSING, or UNDECIDED where the intervals allow either
    spent: str = ""  #: what the search cost here and in the paper, and whether its best came last


class Chart(NamedTuple):
    """A drawing in Vega-Lite, interactive on the page.

    The page sets width, background, fonts and dark mode. A datum that is a trial has the fields `source`,
    `study` and `number`; the page then shows its hparams on hover. Fields that begin with _ are not shown.
    """

    caption: str  #: what is seen
    spec: Mapping[str, Any]  #: Vega-Lite's JSON


class Figure(NamedTuple):
    """A figure or table of the paper, drawn again from whatever was measured."""

    name: str  #: the file's in experiments/figures
    title: str  #: above it in the report
    finding: str  #: the paper's, in a sentence or two
    select: Callable[[Results], list[Any]]  #: the results that belong to it
    claims: Callable[[Results], list[Claim]]  #: of the selected; also of none, then all not measured
    table: Callable[[Results], pd.DataFrame]  #: ours and the paper's side by side, as people read it
    charts: Callable[[Results], list[Chart]] = lambda results: []  #: for the page, and for print in one picture
    columns: int = 2  #: of that picture


# For `rows`: the ends of the 95 % interval of the mean over repeats.
INTERVAL: Mapping[str, Callable[[Any], float]] = {"low": lambda r: r.interval[0], "high": lambda r: r.interval[1]}


def rows(results: Sequence[R], **columns: Callable[[R], Any]) -> pd.DataFrame:
    """A row a result: what it is of, some columns made from it, and which trial it shows."""
    of_all: dict[str, Callable[[R], Any]] = {
        "cell": lambda r: r.cell,
        "depth": lambda r: r.depth,
        "T": lambda r: r.unroll,
        "parameters": lambda r: r.num_params,
        "units": lambda r: r.num_units,
        **{name.replace("_", " "): make for name, make in columns.items()},
        "trials": lambda r: r.num_trials,
        "source": lambda r: r.record.source,
        "study": lambda r: r.study,
        "number": lambda r: r.record.best_number,
    }
    return pd.DataFrame([{name: make(r) for name, make in of_all.items()} for r in results], columns=list(of_all))


def once(results: Sequence[R], point: Callable[[R], Hashable]) -> list[R]:
    """Of the results that are of one point of a grid the one with the greatest budget: most steps over all trials.

    One that is finished goes before one that is not.
    """
    by_budget = sorted(results, key=lambda r: (r.record.finished, r.total_steps))
    return list({point(result): result for result in by_budget}.values())


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """Such rows as people read them: without what says where a trial is kept."""
    return rows.drop(columns=["source", "study", "number"])
