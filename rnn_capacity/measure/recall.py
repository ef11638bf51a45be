"""How much of its input a cell can remember in each unit (Collins et al. 2017, section 3.2 and Figure 2c)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.measure.question import asks
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.search import outcome_of, save, search, summary
from rnn_capacity.measure.shown import Shown
from rnn_capacity.studies import store
from rnn_capacity.studies.config import Budget, Runtime, StudyConfig, checked, option
from rnn_capacity.studies.plan import Plan
from rnn_capacity.studies.trials import finite
from rnn_capacity.tasks.recall import Recall, line

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
        several = isinstance(self.num_units, Sequence) and not isinstance(self.num_units, str | bytes)
        several = several or (isinstance(self.num_units, np.ndarray) and self.num_units.ndim > 0)
        units = tuple(self.num_units) if several else (self.num_units,)
        if not units:
            raise InputError("num_units: none given; it must be a number, or several")
        return [dataclasses.replace(self, num_units=n) for n in units]

    @property
    def title(self) -> str:
        return f"recall {self.network} units={self.num_units} inputs={self.num_inputs} T={self.unroll}"

    def plan(self) -> Plan:
        task = Recall(num_inputs=self.num_inputs, unroll=self.unroll)
        num_units = check_positive_int("num_units", self.num_units)
        return checked(self.make_plan(Plan, task, num_units=num_units))


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RecallPoint(Result):
    """How much of its input a cell of some number of units gives back; `repeats` and `interval` are squared errors.

    `error` is of the trial with the least validation loss, on the evaluation split: 1 where nothing is remembered.
    """

    measure: ClassVar[str] = "recall"

    error: float  #: NaN where every trial diverged
    line: float  #: 1 - num_units / num_inputs, or 0: what the paper found
    chance_error: float  #: the least of the same networks untrained

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
    def num_units(self) -> tuple[int, ...]:
        return tuple(point.num_units for point in self.points)

    @property
    def errors(self) -> tuple[float, ...]:
        return tuple(point.error for point in self.points)

    @property
    def lines(self) -> tuple[float, ...]:
        return tuple(point.line for point in self.points)

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial of every number of units."""
        return pd.concat([p.trials.assign(num_units=p.num_units) for p in self.points], ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the trials, as plain JSON types."""
        return {"points": self.rows()}


def scores(trials: Sequence[FrozenTrial], best: FrozenTrial | None) -> dict[str, Any]:
    """The fields of a RecallPoint that its trials say and no other result has."""
    untrained = [t.user_attrs[store.OUTCOME]["untrained_squared_error"] for t in trials]
    return {
        "error": outcome_of(best).get("eval_loss", float("nan")),
        "chance_error": min(finite(untrained), default=float("nan")),
    }


@asks(RecallConfig, BUDGET, "cell")
def measure_recall(config: RecallConfig, budget: Budget, runtime: Runtime) -> RecallResult:
    """How much of a random vector the cell gives back after some steps (Collins et al. 2017, Figure 2c).

    For each number of units `num_trials` networks are trained; the paper found the squared error to follow
    1 - n_h / n_in, and to be 0 from n_h = n_in on, for every cell.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    points = []
    for plan in [study.plan() for study in config.studies()]:
        searched = search(plan, budget, runtime)
        point = RecallPoint(
            line=float(line(plan.num_units, plan.task.num_inputs)),
            **scores(searched.trials, searched.best),
            **summary(plan, searched),
        )
        save(searched, point.to_dict())
        points.append(point)
    return RecallResult(points=tuple(points))
