"""Tables from columns and results: for a terminal, for files, for a notebook. No JAX here."""

import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rnn_capacity import files


class Column(NamedTuple):
    """A column of a table."""

    show: Callable[[Any], str]  #: a result's cell
    width: int = 0  #: in a terminal, where its name is not longer


Columns = Mapping[str, Column]


def interval(ends: tuple[float, float], spec: str) -> str:
    """An interval as it is read; a dash where there is none."""
    low, high = ends
    return "-" if math.isnan(low) else f"{low:{spec}} to {high:{spec}}"


def cells(columns: Columns, result: Any) -> dict[str, str]:
    """A result as the strings of its row."""
    return {name: column.show(result) for name, column in columns.items()}


def frame(columns: Columns, results: Sequence[Any]) -> pd.DataFrame:
    """The table of results, as it is shown."""
    return pd.DataFrame([cells(columns, result) for result in results], columns=list(columns))


def filled(columns: Columns, results: Sequence[Any]) -> pd.DataFrame:
    """The table without the columns that say nothing of any result."""
    table = frame(columns, results)
    return table.loc[:, (table != "-").any()]


def _row(columns: Columns, values: Mapping[str, str]) -> str:
    return "  ".join(f"{value:>{max(columns[name].width, len(name))}}" for name, value in values.items())


def header(columns: Columns) -> str:
    return _row(columns, {name: name for name in columns})


def line(columns: Columns, result: Any) -> str:
    """A row of fixed width, to be printed as soon as it is known."""
    return _row(columns, cells(columns, result))


def text(columns: Columns, results: Sequence[Any]) -> str:
    """A table for a terminal, of the same lines."""
    return "\n".join([header(columns), *(line(columns, result) for result in results)])


def sideways(columns: Columns, results: Sequence[Any]) -> str:
    """The table on its side, a column a result, for a narrow terminal."""
    return filled(columns, results).T.to_string(header=False, line_width=100)


def html(columns: Columns, results: Sequence[Any], notes: Sequence[str], below: Mapping[str, pd.DataFrame]) -> str:
    """The table for a notebook, which gives fonts and colours, then notes; what is below is folded."""
    wide = lambda table: f'<div style="overflow-x: auto; white-space: nowrap">{table}</div>'
    folded = [
        f"<details><summary>{escape(name)}</summary>"
        f"{wide(table.to_html(border=0, na_rep='-')) if len(table) else '<p>none</p>'}</details>"
        for name, table in below.items()
    ]
    said = [f"<p><small>{escape(note)}</small></p>" for note in notes]
    return "".join([wide(filled(columns, results).to_html(index=False, border=0)), *said, *folded])


def fixed(widths: Sequence[int], *values: Any) -> str:
    """A line of values, each at the right of its width, and of a title behind them."""
    *numbers, title = values
    return " ".join(f"{value:>{width}}" for value, width in zip(numbers, widths, strict=True)) + f"  {title}"


def short(value: float | str) -> str:
    """Three digits of a number."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write(
    rows: Sequence[Mapping[str, Any]], trials: Sequence[pd.DataFrame], folder: str | os.PathLike
) -> list[pathlib.Path]:
    """results.csv (a row a result), trials.csv (a row a trial), results.json (all of it); each replaced whole.

    Args:
        trials: a table for each row.
    """
    folder = pathlib.Path(folder)
    named = [table.assign(study=row["study"]) for row, table in zip(rows, trials, strict=True)]
    everything = [{**row, "trials": _records(table)} for row, table in zip(rows, trials, strict=True)]
    flat = pd.json_normalize([dict(row) for row in rows], sep=".")
    return [
        files.write(folder / "results.csv", flat.to_csv(index=False)),
        files.write(folder / "trials.csv", pd.concat(named).to_csv(index=False) if named else ""),
        files.write(folder / "results.json", json.dumps(plain(everything, finite=True), indent=1)),
    ]


def _records(trials: pd.DataFrame) -> list[dict[Any, Any]]:
    return trials.astype(object).where(trials.notna(), None).to_dict("records")


def plain(value: Any, finite: bool = False) -> Any:
    """A value in the types of JSON.

    Args:
        finite: None in place of NaN and infinity, which JSON has not.
    """
    if isinstance(value, Mapping):
        return {str(name): plain(v, finite) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, finite) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if finite and isinstance(value, float) and not math.isfinite(value) else value
