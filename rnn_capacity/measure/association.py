"""How many pairs of a key and a value a cell can hold in its state (after Arora et al. 2023, arXiv 2312.04927)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from rnn_capacity.checks import check_positive_int
from rnn_capacity.display.tables import Column
from rnn_capacity.information import mutual_information
from rnn_capacity.measure.question import Question, asks
from rnn_capacity.measure.result import NAN, Facts, Result, per
from rnn_capacity.measure.search import answer
from rnn_capacity.measure.shown import AGAIN, RISING, Shown, again, columns
from rnn_capacity.studies.config import Budget, Runtime, StudyConfig, option, several
from rnn_capacity.studies.plan import Plan
from rnn_capacity.studies.trials import finite
from rnn_capacity.tasks.associative_recall import AssociativeRecall

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGET = Budget(num_trials=12, num_repeats=0)
THRESHOLD = 0.9  # of the answers are right where pairs count as recalled


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssociationConfig(StudyConfig):
    """A study of how many values a network finds by their keys, for each number of pairs."""

    num_pairs: int | Sequence[int] = option("P, pairs that are shown, and then asked for", (2, 4, 8, 16))
    num_units: int = option("n_h, units of each layer", 32)
    num_keys: int = option("that the keys of an example are drawn from, all different", 32)
    num_values: int = option("V, that each value is one of", 8)
    unroll: int | None = option("T, steps in time; None: a step for each pair, and one to ask for it", None)
    train_steps: int = 4_000
    batch_size: int | None = option("examples a step; None: 64", None)

    def studies(self) -> list[AssociationConfig]:
        return [dataclasses.replace(self, num_pairs=n) for n in several("num_pairs", self.num_pairs)]

    @property
    def title(self) -> str:
        of_task = f"pairs={self.num_pairs} keys={self.num_keys} values={self.num_values} T={self.found_task().unroll}"
        return f"association {self.network} units={self.num_units} {of_task}"

    def found_task(self) -> AssociativeRecall:
        num_pairs: Any = self.num_pairs
        sizes = {"num_pairs": check_positive_int("num_pairs", num_pairs), "num_keys": self.num_keys}
        unroll = 2 * num_pairs if self.unroll is None else self.unroll
        return AssociativeRecall(unroll=unroll, num_values=self.num_values, **sizes)

    def plan(self) -> AssociationPlan:
        num_units = check_positive_int("num_units", self.num_units)
        return self.make_plan(AssociationPlan, self.found_task(), num_units=num_units)


@dataclasses.dataclass(frozen=True)
class AssociationPlan(Plan):
    """A study of associative recall: the tuner sees the validation loss, and the accuracy is reported."""

    reported: ClassVar[str] = "accuracy"


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class AssociationPoint(Result):
    """How many of some pairs a cell recalls; `repeats` and `interval` are accuracies.

    `accuracy` is of the trial with the least validation loss, on the evaluation split.
    """

    measure: ClassVar[str] = "association"
    more: ClassVar[tuple[str, ...]] = ("bits_per_state",)

    num_pairs: int  #: P, shown and asked for
    num_keys: int
    num_values: int  #: V
    accuracy: float  #: the fraction of answers that are right; NaN where every trial diverged
    bits: float  #: that the state holds of an example's values at least, by this accuracy
    chance_accuracy: float  #: the most of the same networks untrained; who guesses has 1 / num_values

    @classmethod
    def own_fields(cls, facts: Facts) -> dict[str, Any]:
        sizes = {name: facts.plan[name] for name in ("num_pairs", "num_keys", "num_values")}
        accuracy = facts.of_best("accuracy")
        bits = float(mutual_information(sizes["num_pairs"], accuracy, sizes["num_values"]))
        return sizes | {
            "accuracy": accuracy,
            "bits": NAN if math.isnan(accuracy) else bits,
            "chance_accuracy": max(finite(facts.of_all("untrained_accuracy")), default=NAN),
        }

    @property
    def bits_per_state(self) -> float:
        """Bits per number that is carried from step to step; NaN where none is."""
        return per(self.bits, self.state_floats)

    @property
    def subject(self) -> str:
        return f"{super().subject}, {self.num_units} units, {self.num_pairs} pairs"

    @property
    def answer(self) -> str:
        return f"accuracy {self.accuracy:.3f}"


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class AssociationResult(Shown):
    """Accuracy against pairs: a point a number of pairs."""

    points: tuple[AssociationPoint, ...]  #: in the order of the pairs given

    @property
    def parts(self) -> tuple[AssociationPoint, ...]:
        return self.points

    def num_recalled(self, threshold: float = THRESHOLD) -> int:
        """The most pairs, of those measured, of which a fraction of at least `threshold` is recalled; 0 of none."""
        return max((point.num_pairs for point in self.points if point.accuracy >= threshold), default=0)

    @property
    def bits_per_state(self) -> float:
        """Of the number of pairs where it is greatest."""
        return max(finite([point.bits_per_state for point in self.points]), default=NAN)

    @property
    def title(self) -> str:
        answer = f"{self.num_recalled()} pairs recalled, {self.bits_per_state:.2f} bits per number of the state"
        answer = "every trial diverged" if math.isnan(self.bits_per_state) else answer
        return f"{self.points[0].cell}, depth {self.points[0].depth}, {self.points[0].num_units} units: {answer}"

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial of every number of pairs."""
        return pd.concat([p.trials.assign(num_pairs=p.num_pairs) for p in self.points], ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the trials, as plain JSON types."""
        return {"points": self.rows(), "num_recalled": self.num_recalled(), "bits_per_state": self.bits_per_state}


@asks(AssociationConfig, BUDGET, "cell")
def measure_association(config: AssociationConfig, budget: Budget, runtime: Runtime) -> AssociationResult:
    """How many values the cell finds again by their keys (after Arora et al. 2023).

    For each number of pairs `num_trials` networks are trained to answer with the value of each key that was shown
    with it. Pairs are recalled where nine answers of ten are right; what the answers tell of the values, over the
    numbers that the cell carries from step to step, are the bits that its state holds.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    plans = [study.plan() for study in config.studies()]  # all are checked before the first is trained
    return AssociationResult(points=tuple(answer(ASSOCIATION, plan, budget, runtime) for plan in plans))


COLUMNS = {
    **columns("cell", "depth", "T", "params", "units"),
    "state": Column(lambda r: f"{r.state_floats}"),
    "pairs": Column(lambda r: f"{r.num_pairs}"),
    "accuracy": Column(lambda r: f"{r.accuracy:.3f}"),
    "recalled": Column(lambda r: "yes" if r.accuracy >= THRESHOLD else "no"),
    "bits": Column(lambda r: f"{r.bits:.1f}", 6),
    "bits/state": Column(lambda r: f"{r.bits_per_state:.2f}"),
    **columns("rising"),
    **again(".3f", 14),
    "chance": Column(lambda r: f"{r.chance_accuracy:.3f}"),
    **columns("trials", "infeasible", "seconds"),
}


def draw(results: Sequence[AssociationPoint], ax: Axes | None = None) -> Axes:
    """Accuracy against pairs, a line for each cell, depth and number of units, beside what counts as recalled."""
    from rnn_capacity.display import plots

    ax = plots.axes(ax)
    ax.axhline(THRESHOLD, color="0.6", linewidth=1, label=f"recalled: {THRESHOLD:g}")
    for guessed in sorted({1 / r.num_values for r in results}):
        ax.axhline(guessed, color="0.6", linewidth=1, linestyle=":", label="guessed")
    styles = plots.styles([(r.cell, r.num_units) for r in results])
    by = ("cell", "num_units", "depth", "num_keys", "num_values")
    for (cell, units, depth, *_), group in plots.grouped(results, *by):
        group.sort(key=lambda r: r.num_pairs)
        color, marker = styles[cell, units]
        looks: dict[str, Any] = {"color": color, "marker": marker, "label": f"{plots.label(group[0])}, {units} units"}
        accuracies = [r.accuracy for r in group]
        ax.plot([r.num_pairs for r in group], accuracies, plots.LINES.get(depth, "-"), **looks)
    ax.set_xscale("log", base=2)
    pairs = sorted({r.num_pairs for r in results})
    ax.set_xticks(pairs, [*map(str, pairs)])
    ax.set(xlabel="pairs", ylabel="accuracy", ylim=(-0.03, 1.03))
    return plots.finished(ax, "Best of the trials", diverged=not finite([r.accuracy for r in results]))


ASSOCIATION = Question(
    name="association",
    config=AssociationConfig,
    budget=BUDGET,
    plan=AssociationPlan,
    result=AssociationPoint,
    call=measure_association,
    columns=COLUMNS,
    caption="accuracy: fraction of values right, of the trial of the least validation loss. recalled: whether that is "
    f"at least {THRESHOLD:g}. bits: what the state holds of the values at least. bits/state: per number carried from "
    f"step to step. {RISING} {AGAIN} chance: the most untrained. infeasible: diverged, + again.",
    draw=draw,
    figures=lambda results: {"association": draw},
)
