"""What a terminal and a notebook show of results: a title, a table, a plot."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnn_capacity.display import tables
from rnn_capacity.display.tables import Column, Columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rnn_capacity.measure.question import Question
    from rnn_capacity.measure.result import Result

AGAIN = "again: the best hparams again on fresh data and weights, 95 % interval of the mean."
RISING = "rising: the last quarter of them bettered it by over 1 %, of 12 trials or more not by chance: more find more."
_OF_ALL = {
    "cell": Column(lambda r: r.cell, 5),
    "depth": Column(lambda r: f"{r.depth}"),
    "T": Column(lambda r: f"{r.unroll}", 3),
    "params": Column(lambda r: f"{r.num_params}", 7),
    "units": Column(lambda r: f"{r.num_units}"),
    "rising": Column(lambda r: "yes" if r.still_improving else "no"),
    "trials": Column(lambda r: f"{r.num_trials}"),
    "infeasible": Column(lambda r: f"{r.num_infeasible}" + (f"+{n}" if (n := r.num_infeasible_repeats) else "")),
    "seconds": Column(lambda r: f"{r.seconds:.0f}", 8),
}


def columns(*names: str) -> Columns:
    """Columns that the tables of all questions have."""
    return {name: _OF_ALL[name] for name in names}


def again(spec: str, width: int) -> Columns:
    """The column of the best again."""
    return {"again, 95 %": Column(lambda r: tables.interval(r.interval, spec), width)}


class Shown:
    """Shows its `parts`, results that answer one question, each alike: as text, as HTML, as a plot."""

    @property
    def title(self) -> str:
        """The answer in a line."""
        raise NotImplementedError

    @property
    def parts(self) -> Sequence[Result]:
        """The results that are shown, a row of the table each."""
        raise NotImplementedError

    @property
    def shown_as(self) -> Question:
        """The question whose columns and plot show the parts."""
        return self.parts[0].question

    def __eq__(self, other: object) -> bool:
        """Whether all numbers are the same; two that are missing are, though NaN is not NaN."""
        return isinstance(other, Shown) and type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> str:
        return json.dumps(self.rows(), sort_keys=True)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a table that it is."""
        return [part.to_dict() for part in self.parts]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws it; returns the matplotlib Axes, new ones unless some are given."""
        return self.shown_as.draw(self.parts, ax)

    def notes(self, config: str = "") -> list[str]:
        """A sentence for each best hparam that lies at an end of its range.

        Args:
            config: the flag of the sweep's config (`config.sweeps.tanh`), where it was one.
        """
        return [note for part in self.parts for note in part.notes(config)]

    def __repr__(self) -> str:
        table = tables.sideways(self.shown_as.columns, self.parts)
        return "\n".join([f"{self.title}\n\n{table}", *self.notes()])

    def _repr_html_(self) -> str:
        question = self.shown_as
        best = pd.DataFrame({place: part.best_hparams for place, part in enumerate(self.parts)})
        best = best.map(tables.short, na_action="ignore").set_axis([part.cell for part in self.parts], axis="columns")
        notes = [question.caption, *self.notes()]
        table = tables.html(question.columns, self.parts, notes, {"best hparams": best})
        return f"<p><b>{html.escape(self.title)}</b></p>{table}"
