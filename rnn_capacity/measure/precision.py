"""How many of its bits a network keeps where its weights are stored in fewer, or trained in bfloat16."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnn_capacity.display.tables import Column
from rnn_capacity.information import confidence_interval
from rnn_capacity.measure.capacity import BUDGET, CAPACITY, CapacityConfig, CapacityResult
from rnn_capacity.measure.question import Question, asks
from rnn_capacity.measure.search import answer
from rnn_capacity.measure.shown import Shown, columns
from rnn_capacity.model.formats import BITS, ROUNDED
from rnn_capacity.studies.config import Budget, Runtime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINED = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PrecisionResult(Shown):
    """What is left of the bits that a cell stores: a result for each precision of training."""

    results: tuple[CapacityResult, ...]  #: trained in float32, then in bfloat16

    @property
    def parts(self) -> tuple[CapacityResult, ...]:
        return self.results

    @property
    def shown_as(self) -> Question:
        return PRECISION

    @property
    def title(self) -> str:
        first = self.results[0]
        return f"{first.cell}, depth {first.depth}: {100 * left(first, 'int8'):.0f} % of its bits are left in int8"


def trained_in(result: CapacityResult) -> str:
    """The format in which a result's networks were trained."""
    return TRAINED[result.record.plan["precision"] == "bfloat16"]


def left(result: CapacityResult, name: str) -> float:
    """The fraction of its bits that a network keeps in a format, the mean of the best and its repeats."""
    if name == "float32":
        return 1.0
    return float(np.mean(result.rounded[name])) if result.rounded.get(name) else float("nan")


def per_bit(result: CapacityResult, name: str) -> float:
    """Bits stored for each bit of the memory that the weights take in a format."""
    return result.bits_per_param * left(result, name) / BITS[name]


@asks(CapacityConfig, BUDGET, "cell")
def measure_precision(config: CapacityConfig, budget: Budget, runtime: Runtime) -> PrecisionResult:
    """How many of its bits the cell keeps where its weights are stored in 16, 8, 6 or 4 bits.

    Capacity (`measure_capacity`) is measured twice, trained in float32 and in bfloat16; the best of each and its
    repeats are then scored with their weights rounded, each array to whole numbers times a scale of its own, or to
    floats of 16 bits.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    both = (dataclasses.replace(config, rounded=True), dataclasses.replace(config, rounded=True, precision="bfloat16"))
    plans = [one.plan() for one in both]
    return PrecisionResult(results=tuple(answer(CAPACITY, plan, budget, runtime) for plan in plans))


def _column(name: str) -> Column:
    return Column(lambda r: f"{100 * left(r, name):.0f} %", 8)


def _interval(result: CapacityResult, name: str) -> str:
    low, high = confidence_interval(result.rounded.get(name, ()))
    return "-" if np.isnan(low) else f"{100 * low:.0f} to {100 * high:.0f} %"


COLUMNS = {
    **columns("cell", "depth", "params"),
    "trained in": Column(trained_in, 10),
    "bits/param": Column(lambda r: f"{r.bits_per_param:.2f}"),
    **{name: _column(name) for name in ROUNDED},
    "int8, 95 %": Column(lambda r: _interval(r, "int8"), 14),
    "bits/memory bit": Column(lambda r: f"{max(per_bit(r, name) for name in BITS):.2f}"),
    **columns("trials", "infeasible", "seconds"),
}


def draw(results: Sequence[CapacityResult], ax: Axes | None = None, *, of_memory: bool = False) -> Axes:
    """Bits per parameter against the bits of a weight, a line a cell; with `of_memory` per bit of weight memory."""
    from rnn_capacity.display import plots

    ax = plots.axes(ax)
    names = [name for name in BITS if name != "float16"]  # as wide as bfloat16
    for result in results:
        in_float32 = trained_in(result) == "float32"
        stored = [per_bit(result, name) * (1 if of_memory else BITS[name]) for name in names]
        label = plots.label(result) + ("" if in_float32 else ", trained in bfloat16")
        plots.line(ax, result.cell, [BITS[n] for n in names], stored, 1 if in_float32 else 2, label=label)
    ax.set_xscale("log", base=2)
    ax.set_xticks([BITS[n] for n in names], [f"{BITS[n]}" for n in names])
    ax.set(xlabel="bits of a stored weight (16: bfloat16)", ylim=(0, None))
    ax.set_ylabel("bits per bit of weight memory" if of_memory else "bits per parameter")
    return plots.finished(ax, "Best of the trials, as much of it as it and its repeats keep on average")


PRECISION = CAPACITY._replace(
    name="precision",
    call=measure_precision,
    columns=COLUMNS,
    caption="bits/param: best of the trials, in float32. bfloat16 to int4: how much of it is left where the weights "
    "are stored so, the mean of the best and its repeats. bits/memory bit: bits stored per bit of weight memory, in "
    "the best format. infeasible: diverged, + again.",
    draw=draw,
    figures=lambda results: {"precision": draw, "precision-memory": functools.partial(draw, of_memory=True)},
)
