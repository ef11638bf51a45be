"""How hard a cell is to train on a task: what random or tuned hparams give (Collins et al. 2017, section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from rnn_capacity.cells import Cell
from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.measure.question import asks
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.search import outcome_of, save, search, summary
from rnn_capacity.studies import store
from rnn_capacity.studies.config import BUDGET_OF_PARAMS, Budget, Runtime, StudyConfig, checked, option
from rnn_capacity.studies.plan import Plan, find_task
from rnn_capacity.studies.trials import box, curve, finite, losses, welch
from rnn_capacity.tasks import Task
from rnn_capacity.tasks.memorization import Memorization

BUDGET = Budget(num_trials=32, num_repeats=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainabilityConfig(StudyConfig):
    """A study of how hard it is to train a network on a task."""

    cell: str | Cell = option("a name of CELLS, or a Cell of your own")
    task: str | Task = option("a name of TASKS but memorization, text8:synthetic, or a Task of your own")
    task_fields: Mapping[str, Any] | None = option(
        "fields of the task, {'num_types': 2}; its class documents them", None
    )
    num_params: int = option(BUDGET_OF_PARAMS, 10_000)
    unroll: int | None = option("T, steps in time; None: the task's own", None)
    train_steps: int = 1_000
    space: str = "paper"

    @property
    def title(self) -> str:
        task, num_params = self.found_task(), check_positive_int("num_params", self.num_params)
        return f"{task.kind} {self.network} params={num_params} T={task.unroll}"

    def found_task(self) -> Task:
        """The task, with its fields."""
        fields, unroll = self.task_fields, self.unroll
        if unroll is not None and isinstance(fields, Mapping | None):
            unroll, fields = check_positive_int("unroll", unroll), dict(fields or {})
            if check_positive_int("task_fields.unroll", fields.get("unroll", unroll)) != unroll:
                raise InputError(f"unroll: {unroll!r} given; task_fields says {fields['unroll']!r}")
            fields = fields | {"unroll": unroll}
        task = find_task(self.task, fields)
        if isinstance(task, Memorization):
            raise InputError("task: 'memorization' given; it is measured by measure_capacity")
        return task

    def plan(self) -> Plan:
        task, num_params = self.found_task(), check_positive_int("num_params", self.num_params)
        return checked(self.make_plan(Plan, task, num_params=num_params))


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TrainabilityResult(Result):
    """What training on a task gave, over all trials; losses are the task's own, on the evaluation split.

    `loss` and `score` are of the trial with the least validation loss; `repeats` and `interval` are losses.
    """

    measure: ClassVar[str] = "trainability"

    task: str  #: its name
    task_fields: Mapping[str, Any]
    sampler: str
    loss: float  #: in the task's own unit, which its class says
    score: float  #: of what `score_name` says
    score_name: str  #: the task's `measure`
    chance: float  #: the same of the untrained networks, their mean
    median_loss: float  #: of the trials that did not diverge
    box: Mapping[str, float]  #: of these: the quartiles, and the last losses within 1.5 times their distance

    @property
    def percent_infeasible(self) -> float:
        """Of the trials of the search (the paper's Table 1)."""
        return 100 * self.num_infeasible / self.num_trials

    @property
    def subject(self) -> str:
        return f"{super().subject}, on {self.task}"

    @property
    def answer(self) -> str:
        return f"loss {self.loss:.4g}, {self.score_name} {self.score:.3g}"

    @property
    def curve(self) -> pd.DataFrame:
        """The best and the median loss so far, against the tuner's iterations (the paper's Figure 4)."""
        return curve(self.trials)

    def welch(self, other: TrainabilityResult) -> tuple[float, float, float]:
        """Welch's t between the losses of two results, its degrees of freedom, and p (the paper's Table App.2).

        Negative where this one's losses are lower.
        """
        return welch(losses(self.trials), losses(other.trials))

    def to_dict(self) -> dict[str, Any]:
        more = {"percent_infeasible": self.percent_infeasible}
        return super().to_dict() | {"task_fields": dict(self.task_fields), "box": dict(self.box)} | more


def scores(trials: Sequence[FrozenTrial], best: FrozenTrial | None, name: str) -> dict[str, Any]:
    """The fields of a TrainabilityResult that its trials say and no other result has; `name` is of the score."""
    found, nan = outcome_of(best), float("nan")
    untrained = finite([t.user_attrs[store.OUTCOME][f"untrained_{name}"] for t in trials])
    spread = box(losses(store.trials_frame(trials))) if trials else box(np.empty(0))
    return {
        "loss": found.get("eval_loss", nan),
        "score": found.get(name, nan),
        "score_name": name,
        "chance": float(np.mean(untrained)) if untrained else nan,
        "median_loss": spread["median"],
        "box": spread,
    }


@asks(TrainabilityConfig, BUDGET, "cell", "task")
def measure_trainability(config: TrainabilityConfig, budget: Budget, runtime: Runtime) -> TrainabilityResult:
    """How hard the cell is to train on a task (Collins et al. 2017, section 4).

    Trains `num_trials` networks with hparams drawn from the search space: `sampler="random"` gives what random hparams
    give (the paper's Figure 5 and Table 1), the default what a tuner finds and when (its Figure 4).

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    plan = config.plan()
    searched = search(plan, budget, runtime)
    result = TrainabilityResult(
        task=plan.task.label,
        task_fields=dataclasses.asdict(plan.task),
        sampler=plan.sampler,
        **scores(searched.trials, searched.best, plan.task.measure),
        **summary(plan, searched),
    )
    save(searched, result.to_dict())
    return result
