"""How much of its input a cell can remember in each unit (Collins et al. 2017, section 3.2 and Figure 2c)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from rnn_capacity.checks import check_positive_int
from rnn_capacity.display.tables import Column
from rnn_capacity.measure.question import Question, asks
from rnn_capacity.measure.result import NAN, Facts, Result
from rnn_capacity.measure.search import answer
from rnn_capacity.measure.shown import AGAIN, RISING, Shown, again, columns
from rnn_capacity.studies.config import Budget, Runtime, StudyConfig, option, several
from rnn_capacity.studies.plan import Plan
from rnn_capacity.studies.trials import finite
from rnn_capacity.tasks.recall import Recall, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGET = Budget(num_trials=12, num_repeats=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecallConfig(StudyConfig):
    """A study of how much of a vector a network gives back, for each number of units."""

    num_units: int | Sequence[int] = option("n_h, units of each layer", (16, 32, 48, 64, 80))
    num_inputs: int = option("n_in, numbers of the vector", 64)
    unroll: int = option("T, steps in time; the vector is read after the last", 12)
    train_steps: int = 4_000
    batch_size: int | None = option("vectors a step; None: 64", None)

    def studies(self) -> list[RecallConfig]:
        return [dataclasses.replace(self, num_units=n) for n in several("num_units", self.num_units)]

    @property
    def title(self) -> str:
        return f"recall {self.network} units={self.num_units} inputs={self.num_inputs} T={self.unroll}"

    def plan(self) -> Plan:
        task = Recall(num_inputs=self.num_inputs, unroll=self.unroll)
        num_units = check_positive_int("num_units", self.num_units)
        return self.make_plan(Plan, task, num_units=num_units)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RecallPoint(Result):
    """How much of its input a cell of some number of units gives back; `repeats` and `interval` are squared errors.

    `error` is of the trial with the least validation loss, on the evaluation split: 1 where nothing is remembered.
    """

    measure: ClassVar[str] = "recall"

    error: float  #: NaN where every trial diverged
    line: float  #: 1 - num_units / num_inputs, or 0: what the paper found
    chance_error: float  #: the least of the same networks untrained

    @classmethod
    def own_fields(cls, facts: Facts) -> dict[str, Any]:
        return {
            "error": facts.of_best("eval_loss"),
            "line": float(line(facts.plan["num_units"], facts.plan["num_inputs"])),
            "chance_error": min(finite(facts.of_all("untrained_squared_error")), default=NAN),
        }

    @property
    def subject(self) -> str:
        return f"{super().subject}, {self.num_units} units"

    @property
    def answer(self) -> str:
        return f"squared error {self.error:.3f}"


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RecallResult(Shown):
    """Squared error against units, beside the paper's line: a point a number of units."""

    points: tuple[RecallPoint, ...]  #: in the order of the units given

    @property
    def parts(self) -> tuple[RecallPoint, ...]:
        return self.points

    @property
    def title(self) -> str:
        above = finite([point.error - point.line for point in self.points])
        answer = f"squared error at most {max(above):.3f} above the line" if above else "every trial diverged"
        return f"{self.points[0].cell}, depth {self.points[0].depth}: {answer}"

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial of every number of units."""
        return pd.concat([p.trials.assign(num_units=p.num_units) for p in self.points], ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the trials, as plain JSON types."""
        return {"points": self.rows()}


@asks(RecallConfig, BUDGET, "cell")
def measure_recall(config: RecallConfig, budget: Budget, runtime: Runtime) -> RecallResult:
    """How much of a random vector the cell gives back after some steps (Collins et al. 2017, Figure 2c).

    For each number of units `num_trials` networks are trained; the paper found the squared error to follow
    1 - n_h / n_in, and to be 0 from n_h = n_in on, for every cell.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    plans = [study.plan() for study in config.studies()]  # all are checked before the first is trained
    return RecallResult(points=tuple(answer(RECALL, plan, budget, runtime) for plan in plans))


COLUMNS = {
    **columns("cell", "depth", "T", "params", "units"),
    "inputs": Column(lambda r: f"{r.num_inputs}"),
    "error": Column(lambda r: f"{r.error:.3f}", 6),
    "the line": Column(lambda r: f"{r.line:.3f}"),
    **columns("rising"),
    **again(".3f", 16),
    "chance": Column(lambda r: f"{r.chance_error:.3f}"),
    **columns("trials", "infeasible", "seconds"),
}


def draw(results: Sequence[RecallPoint], ax: Axes | None = None) -> Axes:
    """Squared error against units over inputs, beside the line 1 - n_h / n_in (the paper's Figure 2c)."""
    from rnn_capacity.display import plots

    ax = plots.axes(ax)
    share = lambda r: r.num_units / r.num_inputs
    ax.plot([0, 1, max([2.0, *map(share, results)])], [1, 0, 0], color="0.6", linewidth=1, label="1 - units / inputs")
    styles = plots.styles([(r.cell,) for r in results])
    for (cell, depth, *_), group in plots.grouped(results, "cell", "depth", "unroll"):
        group.sort(key=share)
        color, marker = styles[cell,]
        looks: dict[str, Any] = {"color": color, "marker": marker, "label": plots.label(group[0], "unroll")}
        ax.plot([*map(share, group)], [r.error for r in group], plots.LINES.get(depth, "-"), **looks)
    ax.set_ylim(-0.03, max([1.1, *(1.05 * r.error for r in results if r.error > 1)]))
    ax.set(xlabel="units per number of the input", ylabel="squared error")
    return plots.finished(ax, "Best of the trials", diverged=not finite([r.error for r in results]))


RECALL = Question(
    name="recall",
    config=RecallConfig,
    budget=BUDGET,
    plan=Plan,
    result=RecallPoint,
    call=measure_recall,
    columns=COLUMNS,
    caption="error: squared error of the best of the trials. the line: 1 - units / inputs, or 0, the paper's. "
    f"{RISING} {AGAIN} chance: the same selection, untrained. infeasible: diverged, + again.",
    draw=draw,
    figures=lambda results: {"recall": draw},
)
