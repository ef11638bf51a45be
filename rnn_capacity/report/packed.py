"""What the page's scripts are given: trials and charts as compact JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnn_capacity.measure.result import Result

DIGITS = 4  # significant ones of what is drawn
LEAST_TO_PACK = 8  # rows


def study(result: Result) -> dict[str, Any]:
    """A study's trials, a list a column."""
    plan = result.question.plan
    names = [name for name, dimension in result.record.space.items() if isinstance(dimension, Mapping | list)]
    trials = result.trials.reindex(columns=[*dict.fromkeys([*result.trials, *names])])
    columns: dict[str, Any] = {}
    if len(trials):
        stopped = trials["stopped_early"].astype(bool)
        notes = np.where(~trials["feasible"].astype(bool), "infeasible", np.where(stopped, "stopped early", ""))
        columns = {"number": trials["number"], "score": trials[plan.objective], "note": notes}
        columns |= {name: trials[name] for name in names}
    return {
        "source": result.record.source,
        "study": result.study,
        "score": plan.unit,
        "sign": plan.sign,
        "best": result.record.best_number,
        "finished": result.record.finished,
        "hparams": [_dimension(name, result.record.space[name]) for name in names],
        "trials": _packed({name: column.tolist() for name, column in columns.items()}),
    }


def _dimension(name: str, planned: Any) -> dict[str, Any]:
    """How a tuned hparam is drawn: between two numbers, or among names."""
    if isinstance(planned, Mapping):
        return {"name": name, "low": planned["low"], "high": planned["high"], "log": bool(planned.get("log"))}
    return {"name": name, "options": list(planned)}


def compact(spec: Any, name: str = "") -> Any:
    """A Vega-Lite specification as JSON, its longer tables a list a column; the page turns them back."""
    if isinstance(spec, Mapping):
        return {str(k): compact(v, "values" if name == "datasets" else k) for k, v in spec.items()}
    if isinstance(spec, list | tuple):
        if name == "values" and len(spec) >= LEAST_TO_PACK and all(_is_row(row) for row in spec):
            names = dict.fromkeys(field for row in spec for field in row)
            return {"packed": _packed({field: [row.get(field) for row in spec] for field in names})}
        return [compact(value) for value in spec]
    return _plain(spec)


def _is_row(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(isinstance(v, Mapping | list | tuple) for v in value.values())


def _packed(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns of plain values; one of names, or of few values, as its values once and each row's place among them."""
    found = {}
    for name, values in columns.items():
        values = [_plain(value) for value in values]
        places: dict[tuple, int] = {}
        at = [places.setdefault((type(value), value), len(places)) for value in values]
        few = len(places) * 2 < len(values)
        found[name] = {"of": [value for _, value in places], "at": at} if few else values
    return found


def _plain(value: Any) -> Any:
    """As JSON has it: numbers with few digits, null for what is no number."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        value = float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        return int(value) if value is not None and value.is_integer() and abs(value) < 1e15 else value
    return value if isinstance(value, str | int | None) else str(value)
