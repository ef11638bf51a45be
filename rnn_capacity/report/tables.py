"""Tables of results: for a terminal, for a file, for a notebook. No JAX here."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from rnn_capacity import published

COLUMNS = {
    "cell": lambda r: r["cell"],
    "depth": lambda r: f"{r['depth']}",
    "T": lambda r: f"{r['unroll']}",
    "params": lambda r: f"{r['num_params']}",
    "units": lambda r: f"{r['num_units']}",
    "bits": lambda r: f"{r['bits']:.0f}",
    "bits/param": lambda r: f"{r['bits_per_param']:.2f}",
    "rising": lambda r: "yes" if r.get("still_improving") else "no",
    "again, 95 %": lambda r: _interval(r),
    "chance": lambda r: f"{r['chance_bits_per_param']:.3f}",
    "accuracy": lambda r: f"{r['accuracy']:.3f}",
    "trials": lambda r: f"{r['num_trials']}",
    "infeasible": lambda r: _infeasible(r),
    "seconds": lambda r: f"{r['seconds']:.0f}",
    "paper": lambda r: published.CAPACITY.get(r["cell"], "-"),
}
CAPTION = (
    "bits/param: best of the trials. rising: the last quarter of them raised it by over 1 %, so more would find more. "
    "again: its hparams again on fresh data and weights, 95 % interval of the mean. chance: the same selection, "
    "untrained. infeasible: diverged, + again. paper: best of 1000+ tuned trials."
)


def _interval(result: Mapping[str, Any]) -> str:
    low, high = result["interval"]
    return "-" if math.isnan(low) else f"{low:.2f} to {high:.2f}"


def _infeasible(result: Mapping[str, Any]) -> str:
    again = result["num_infeasible_repeats"]
    return f"{result['num_infeasible']}" + (f"+{again}" if again else "")


def cells(result: Mapping[str, Any]) -> dict[str, str]:
    """A result as the strings of its row."""
    return {name: show(result) for name, show in COLUMNS.items()}


def frame(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The table as it is shown."""
    return pd.DataFrame([cells(r) for r in results], columns=list(COLUMNS))


WIDTHS = {"cell": 5, "params": 7, "bits": 8, "again, 95 %": 13, "seconds": 8, "paper": 9}


def _row(values: Mapping[str, str]) -> str:
    return "  ".join(f"{value:>{max(WIDTHS.get(name, 0), len(name))}}" for name, value in values.items())


def header() -> str:
    return _row({name: name for name in COLUMNS})


def line(result: Mapping[str, Any]) -> str:
    """A row of fixed width, to be printed as soon as it is known."""
    return _row(cells(result))


def text(results: Iterable[Mapping[str, Any]]) -> str:
    """The table for a terminal."""
    return "\n".join([header(), *map(line, results)])


def write(results: Sequence[Mapping[str, Any]], folder: str | os.PathLike) -> list[pathlib.Path]:
    """results.csv (a row a result), trials.csv (a row a trial), results.json (all of it); each replaced whole."""
    folder = pathlib.Path(folder)
    summaries = [{k: v for k, v in r.items() if k != "trials"} for r in results]
    flat = pd.json_normalize(summaries, sep=".")
    trials = [r["trials"].assign(study=r["study"]) for r in results]
    everything = [s | {"trials": _records(r["trials"])} for s, r in zip(summaries, results, strict=True)]
    return [
        _replace(folder / "results.csv", flat.to_csv(index=False)),
        _replace(folder / "trials.csv", pd.concat(trials).to_csv(index=False) if trials else ""),
        _replace(folder / "results.json", json.dumps(_without_nan(everything), indent=1)),
    ]


def _records(trials: pd.DataFrame) -> list[dict[str, Any]]:
    return trials.astype(object).where(trials.notna(), None).to_dict("records")


def _without_nan(value):
    """JSON knows no NaN: null is what readers of it expect."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replace(path: pathlib.Path, text: str) -> pathlib.Path:
    """Written beside and moved, so that a reader or a kill never meets half a file."""
    beside = path.with_suffix(path.suffix + ".part")
    beside.write_text(text)
    beside.replace(path)
    return path
