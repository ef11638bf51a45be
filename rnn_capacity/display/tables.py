"""Tables of results: for a terminal, for a file, for a notebook. No JAX here."""

from __future__ import annotations

import itertools
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from rnn_capacity import files
from rnn_capacity.paper import published
from rnn_capacity.search.space import family_of
from rnn_capacity.studies import trials

CAPACITY = {
    "cell": lambda r: r["cell"],
    "depth": lambda r: f"{r['depth']}",
    "T": lambda r: f"{r['unroll']}",
    "params": lambda r: f"{r['num_params']}",
    "units": lambda r: f"{r['num_units']}",
    "bits": lambda r: f"{r['bits']:.0f}",
    "bits/param": lambda r: f"{r['bits_per_param']:.2f}",
    "rising": lambda r: "yes" if r.get("still_improving") else "no",
    "again, 95 %": lambda r: _interval(r, ".2f"),
    "chance": lambda r: f"{r['chance_bits_per_param']:.3f}",
    "accuracy": lambda r: f"{r['accuracy']:.3f}",
    "trials": lambda r: f"{r['num_trials']}",
    "infeasible": lambda r: _infeasible(r),
    "seconds": lambda r: f"{r['seconds']:.0f}",
    "paper": lambda r: published.CAPACITY.get(r["cell"], "-"),
}
RECALL = {
    **{name: CAPACITY[name] for name in ("cell", "depth", "T", "params", "units")},
    "inputs": lambda r: f"{r['num_inputs']}",
    "error": lambda r: f"{r['error']:.3f}",
    "the line": lambda r: f"{r['line']:.3f}",
    "rising": CAPACITY["rising"],
    "again, 95 %": lambda r: _interval(r, ".3f"),
    "chance": lambda r: f"{r['chance_error']:.3f}",
    **{name: CAPACITY[name] for name in ("trials", "infeasible", "seconds")},
}
TRAINABILITY = {
    "task": lambda r: r["task"],
    **{name: CAPACITY[name] for name in ("cell", "depth", "T", "params", "units")},
    "loss": lambda r: f"{r['loss']:#.3g}",
    "score": lambda r: f"{r['score']:#.3g}",
    "of": lambda r: r["score_name"],
    "chance": lambda r: f"{r['chance']:#.3g}",
    "rising": CAPACITY["rising"],
    "again, 95 %": lambda r: _interval(r, "#.3g"),
    "median": lambda r: f"{r['median_loss']:#.3g}",
    "trials": CAPACITY["trials"],
    "% infeasible": lambda r: f"{r['percent_infeasible']:.1f}",
    "seconds": CAPACITY["seconds"],
    "paper, %": lambda r: _published_infeasible(r),
}
COLUMNS = {"capacity": CAPACITY, "recall": RECALL, "trainability": TRAINABILITY}
_AGAIN = "again: the best hparams again on fresh data and weights, 95 % interval of the mean."
_RISING = "rising: the last quarter of them bettered it by over 1 %, so more would find more."
CAPTIONS = {
    "capacity": f"bits/param: best of the trials. {_RISING} {_AGAIN} chance: the same selection, untrained. "
    "infeasible: diverged, + again. paper: best of 1000+ tuned trials.",
    "recall": "error: squared error of the best of the trials. the line: 1 - units / inputs, or 0, the paper's. "
    f"{_RISING} {_AGAIN} chance: the same selection, untrained. infeasible: diverged, + again.",
    "trainability": "loss, score: of the trial of the least validation loss, on the evaluation split. chance: the "
    f"score untrained. {_RISING} {_AGAIN} median: of the losses of all trials that did not diverge. paper: its "
    "Table 1, of 1000 random draws at 200,000 parameters.",
}


def measure_of(result: Mapping[str, Any]) -> str:
    """Which question a result answers; those that were kept before there were others are of capacity."""
    return result.get("measure", "capacity")


def by_measure(results: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Results apart by the question that they answer, in a fixed order."""
    results = list(results)
    groups = {measure: [r for r in results if measure_of(r) == measure] for measure in COLUMNS}
    return {measure: group for measure, group in groups.items() if group}


def _interval(result: Mapping[str, Any], spec: str) -> str:
    low, high = result["interval"]
    return "-" if math.isnan(low) else f"{low:{spec}} to {high:{spec}}"


def _infeasible(result: Mapping[str, Any]) -> str:
    again = result["num_infeasible_repeats"]
    return f"{result['num_infeasible']}" + (f"+{again}" if again else "")


def _published_infeasible(result: Mapping[str, Any]) -> str:
    known = published.INFEASIBLE.get(result["depth"], {}) if result["task"] == "parentheses" else {}
    return f"{known[result['cell']]:.1f}" if result["cell"] in known else "-"


def cells(result: Mapping[str, Any]) -> dict[str, str]:
    """A result as the strings of its row."""
    return {name: show(result) for name, show in COLUMNS[measure_of(result)].items()}


def frame(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of results of one measure, as it is shown."""
    columns = COLUMNS[measure_of(results[0])] if results else CAPACITY
    return pd.DataFrame([cells(r) for r in results], columns=list(columns))


def said(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table without the columns that say nothing of any."""
    table = frame(results)
    return table.loc[:, (table != "-").any()]


def notes(result: Mapping[str, Any], config: str = "") -> list[str]:
    """Notes on a row, a sentence each: which best hparam lies at an end of its range.

    Args:
        config: the flag of the sweep's config (`config.sweeps.tanh`), where it was one.
    """
    found = []
    for name, (low, high) in result.get("wider", {}).items():
        ends = f"({low:g}, {high:g})"
        remedy = f"hparams={{{name!r}: {ends}}}"
        if config and name == family_of(name):
            remedy += f" or --{config}.hparams.{name}='{ends}'"
        best = _short(result["best_hparams"][name])
        found.append(f"{result['cell']}: the best {name}, {best}, lies at an end of its range; {remedy} looks further")
    return found


def columns(results: Sequence[Mapping[str, Any]]) -> str:
    """The table on its side, a column a result, for a narrow terminal."""
    return said(results).T.to_string(header=False, line_width=100)


def html(results: Sequence[Mapping[str, Any]]) -> str:
    """The table for a notebook, how to read it, and the best hparams of each. The page gives fonts and colours."""
    best = pd.DataFrame({place: r["best_hparams"] for place, r in enumerate(results)}).map(_short, na_action="ignore")
    best.columns = [r["cell"] for r in results]
    hparams = best.to_html(border=0, na_rep="-") if len(best) else "<p>none: every trial diverged</p>"
    scrolled = '<div style="overflow-x: auto; white-space: nowrap">'
    told = "".join(f"<p><small>{escape(note)}</small></p>" for result in results for note in notes(result))
    return (
        f"{scrolled}{said(results).to_html(index=False, border=0)}</div>"
        f"<p><small>{CAPTIONS[measure_of(results[0])]}</small></p>{told}"
        f"<details><summary>best hparams</summary>{scrolled}{hparams}</div></details>"
    )


def _short(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


WIDTHS = {
    "task": 16,
    "cell": 5,
    "params": 7,
    "bits": 8,
    "loss": 8,
    "of": 13,
    "again, 95 %": 14,
    "seconds": 8,
    "paper": 9,
}
WIDER = {  # where a measure's numbers take more room: an interval may go below 0, a small loss has an exponent
    "recall": {"T": 3, "error": 6, "again, 95 %": 16},
    "trainability": {"T": 3, "score": 8, "chance": 8, "again, 95 %": 21, "median": 8},
}


def _row(measure: str, values: Mapping[str, str]) -> str:
    widths = WIDTHS | WIDER.get(measure, {})
    return "  ".join(f"{value:>{max(widths.get(name, 0), len(name))}}" for name, value in values.items())


def header(measure: str = "capacity") -> str:
    return _row(measure, {name: name for name in COLUMNS[measure]})


def line(result: Mapping[str, Any]) -> str:
    """A row of fixed width, to be printed as soon as it is known."""
    return _row(measure_of(result), cells(result))


def text(results: Iterable[Mapping[str, Any]]) -> str:
    """A table a measure, for a terminal."""
    return "\n\n".join("\n".join([header(m), *map(line, group)]) for m, group in by_measure(results).items())


def welch(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Welch's t between the losses of each two cells, all else being alike (the paper's Table App.2).

    A row a pair: t is negative where the first cell's losses are lower; with its degrees of freedom and p.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for result in by_measure(results).get("trainability", []):
        alike = json.dumps([result["task_fields"], result["max_params"], result["sampler"]])
        groups.setdefault((result["task"], result["depth"], result["unroll"], alike), []).append(result)
    rows = [
        {"task": task, "depth": depth, "T": unroll, "cell": a["cell"], "params": a["num_params"], "against": b["cell"]}
        | {"its params": b["num_params"]}
        | dict(
            zip(("t", "dof", "p"), trials.welch(trials.losses(a["trials"]), trials.losses(b["trials"])), strict=True)
        )
        for (task, depth, unroll, _), group in groups.items()
        for a, b in itertools.combinations(group, 2)
    ]
    names = ("task", "depth", "T", "cell", "params", "against", "its params", "t", "dof", "p")
    return pd.DataFrame(rows, columns=list(names))


def write(results: Sequence[Mapping[str, Any]], folder: str | os.PathLike) -> list[pathlib.Path]:
    """results.csv (a row a result), trials.csv (a row a trial), results.json (all of it); each replaced whole.

    With two results to compare, Welch's t between them: welch.csv.
    """
    folder = pathlib.Path(folder)
    summaries = [{k: v for k, v in r.items() if k != "trials"} for r in results]
    flat = pd.json_normalize(summaries, sep=".")
    frames = [r["trials"].assign(study=r["study"]) for r in results]
    everything = [s | {"trials": _records(r["trials"])} for s, r in zip(summaries, results, strict=True)]
    pairs = welch(results)
    compared = [files.write(folder / "welch.csv", pairs.to_csv(index=False))] if len(pairs) else []
    return [
        *compared,
        files.write(folder / "results.csv", flat.to_csv(index=False)),
        files.write(folder / "trials.csv", pd.concat(frames).to_csv(index=False) if frames else ""),
        files.write(folder / "results.json", json.dumps(_without_nan(everything), indent=1)),
    ]


def _records(trials: pd.DataFrame) -> list[dict[str, Any]]:
    return trials.astype(object).where(trials.notna(), None).to_dict("records")


def _without_nan(value):
    """Replaces NaN by None, as JSON has none."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
