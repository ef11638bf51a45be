"""What a figure or table of the paper is here: the studies that it is drawn from, how it is drawn, what it claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure as Drawing

AGREES, DISAGREES = "agrees", "disagrees"
NOT_REACHED = "not reached yet"  # a maximum that a larger search may still find
UNDECIDED, MISSING = "undecided", "not measured"

Results = Sequence[Mapping[str, Any]]  # as `report.collection` has them


class Claim(NamedTuple):
    """A finding of the paper and ours, each with its numbers."""

    text: str  #: what is claimed
    paper: str  #: its number
    ours: str  #: with intervals
    verdict: str  #: AGREES, DISAGREES, NOT_REACHED, MISSING, or UNDECIDED where the intervals allow either
    spent: str = ""  #: what the search cost here and in the paper, and whether it was still rising


class Chart(NamedTuple):
    """An interactive drawing in Vega-Lite.

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
    select: Callable[[Results], list[Mapping[str, Any]]]  #: the results that belong to it
    claims: Callable[[Results], list[Claim]]  #: of the selected; also of none, then all not measured
    table: Callable[[Results], pd.DataFrame]  #: ours and the paper's side by side, as people read it
    draw: Callable[[Results], Drawing] | None = None  #: for print; None where the paper has a table
    charts: Callable[[Results], list[Chart]] = lambda results: []  #: for the page


def rows(results: Results, **columns: Callable[[Mapping[str, Any]], Any]) -> pd.DataFrame:
    """A row a result: what it is of, some columns made from it, and which trial it shows."""
    names = {name: name.replace("_", " ") for name in columns}
    return pd.DataFrame(
        [
            {"cell": r["cell"], "depth": r["depth"], "T": r["unroll"], "parameters": r["num_params"]}
            | {"units": r["num_units"]}
            | {names[name]: make(r) for name, make in columns.items()}
            | {"trials": r["num_trials"], "source": r["source"], "study": r["study"], "number": r["best_number"]}
            for r in results
        ],
        columns=["cell", "depth", "T", "parameters", "units", *names.values(), "trials", "source", "study", "number"],
    )


def once(results: Results, *point: str) -> list[Mapping[str, Any]]:
    """Of the results that are of one point of a grid the one with the greatest budget: most steps over all trials.

    One that is finished goes before one that is not.
    """
    best: dict[tuple, Mapping[str, Any]] = {}
    for result in sorted(results, key=lambda r: (r["finished"], r["total_steps"])):
        best[tuple(result[field] for field in point)] = result
    return list(best.values())


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """Such rows as people read them: without what says where a trial is kept."""
    return rows.drop(columns=["source", "study", "number"])
