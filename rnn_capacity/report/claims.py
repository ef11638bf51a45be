"""From intervals to verdicts: whether what was measured agrees with what the paper found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnn_capacity.information import confidence_interval
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, UNDECIDED, Claim


def verdict(interval: tuple[float, float], allowed: tuple[float, float]) -> str:
    """Ours against the paper's: an interval within what it allows agrees, one outside of it disagrees."""
    (low, high), (least, most) = interval, allowed
    if math.isnan(low) or math.isnan(high):
        return UNDECIDED
    if least <= low and high <= most:
        return AGREES
    return DISAGREES if high < least or low > most else UNDECIDED


def worst(verdicts: Sequence[str]) -> str:
    """Of a claim with several parts, each of which must hold."""
    if not verdicts:
        return MISSING
    return next(v for v in (DISAGREES, MISSING, UNDECIDED, AGREES) if v in verdicts)


def missing(text: str, paper: str) -> Claim:
    return Claim(text, paper, "-", MISSING)


def shown(interval: tuple[float, float], spec: str = ".2f") -> str:
    """An interval as it is read."""
    low, high = interval
    return "no interval" if math.isnan(low) else f"{low:{spec}} to {high:{spec}}"


def paired(
    results: Sequence[Mapping[str, Any]],
    cell: str,
    other: str,
    value: Callable[[Mapping[str, Any]], float],
    *alike: str,
) -> list[float]:
    """Differences of a value, the cell's less the other's, at each point of the grid that both were measured at.

    Args:
        alike: the fields that make a point, such as depth.
    """
    at = lambda name: {tuple(r[field] for field in alike): value(r) for r in results if r["cell"] == name}
    mine, theirs = at(cell), at(other)
    found = [mine[point] - theirs[point] for point in mine if point in theirs]
    return [difference for difference in found if math.isfinite(difference)]


def mean(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """With its 95 % interval."""
    return (sum(values) / len(values) if values else math.nan), confidence_interval(values)


def ranked(
    text: str,
    paper: str,
    results: Sequence[Mapping[str, Any]],
    pairs: Sequence[tuple[str, str]],
    value: Callable[[Mapping[str, Any]], float],
    *alike: str,
    spec: str = "+.2f",
) -> Claim:
    """That of each pair of cells the first has the lower value, by the 95 % interval of their paired differences."""
    said, verdicts = [], []
    for cell, other in pairs:
        differences = paired(results, cell, other, value, *alike)
        if differences:
            average, interval = mean(differences)
            said.append(f"{cell} - {other} {average:{spec}} ({shown(interval, spec)})")
            verdicts.append(verdict(interval, (-math.inf, 0.0)))
    return Claim(text, paper, "; ".join(said), worst(verdicts)) if said else missing(text, paper)


def held_to_relu(result: Mapping[str, Any]) -> bool:
    """Whether a cell that has the choice was given ReLU alone."""
    return result["cell"] != "irnn" and result["space"].get("nonlinearity") == "relu"
