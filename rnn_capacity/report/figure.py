"""What a figure or table of the paper is here: the studies that it is drawn from, how it is drawn, what it claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure as Drawing

AGREES, DISAGREES, UNDECIDED, MISSING = "agrees", "disagrees", "undecided", "not measured"

Results = Sequence[Mapping[str, Any]]  # as `report.collection` has them


class Claim(NamedTuple):
    """A finding of the paper beside ours; both say their numbers."""

    text: str  #: what is claimed
    paper: str  #: its number
    ours: str  #: with intervals
    verdict: str  #: AGREES, DISAGREES, MISSING, or UNDECIDED where the intervals allow either


class Chart(NamedTuple):
    """An interactive drawing in Vega-Lite.

    The page sets width, background, fonts and dark mode. A datum that is a trial has the fields `source`,
    `study` and `number`; the page then shows its hparams to whoever hovers over it.
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
