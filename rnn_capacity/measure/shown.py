"""What a terminal and a notebook show of results: a title, a table, a plot."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnn_capacity.measure.result import Result


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

    def __eq__(self, other: object) -> bool:
        """Whether all numbers are the same; two that are missing are, though NaN is not NaN."""
        return type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> str:
        return json.dumps(self.rows(), sort_keys=True)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a table that it is."""
        return [part.to_dict() for part in self.parts]

    def full_rows(self) -> list[dict[str, Any]]:
        """The same, each with its table of trials."""
        return [part.to_dict() | {"trials": part.trials} for part in self.parts]

    def plot(self, ax=None):
        """Draws it; returns the matplotlib Axes, new ones unless some are given."""
        from rnn_capacity.display import plots

        return plots.OF_MEASURE[self.parts[0].measure](self.full_rows(), ax)

    def __repr__(self) -> str:
        from rnn_capacity.display import tables

        rows = self.rows()
        notes = [note for row in rows for note in tables.notes(row)]
        return "\n".join([f"{self.title}\n\n{tables.columns(rows)}", *notes])

    def _repr_html_(self) -> str:
        from rnn_capacity.display import tables

        return f"<p><b>{html.escape(self.title)}</b></p>{tables.html(self.rows())}"
