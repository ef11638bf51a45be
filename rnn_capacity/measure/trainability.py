"""How hard a cell is to train on a task: what random or tuned hparams give (Collins et al. 2017, section 4)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from rnn_capacity.cells import Cell
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.search import outcome_of, save, search, summary
from rnn_capacity.studies import session, store
from rnn_capacity.studies.plan import plan_trainability
from rnn_capacity.studies.progress import Reporter
from rnn_capacity.studies.trials import box, curve, finite, losses, welch
from rnn_capacity.tasks import Task


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


@session.measuring()
def measure_trainability(
    cell: str | Cell,
    task: str | Task,
    *,
    task_fields: Mapping[str, Any] | None = None,
    num_params: int = 10_000,
    depth: int = 1,
    unroll: int | None = None,
    num_trials: int = 32,
    num_repeats: int = 0,
    train_steps: int = 1_000,
    batch_size: int | None = None,
    space: str = "paper",
    hparams: Mapping[str, Any] | None = None,
    sampler: str = "gp",
    halving: int | None = None,
    seed: int = 0,
    storage: str | os.PathLike | optuna.storages.BaseStorage | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    trials_per_device: int | None = None,
    checkpoints: str | os.PathLike | None = None,
    precision: str = "highest",
    progress: bool | Reporter | None = True,
) -> TrainabilityResult:
    """How hard the cell is to train on a task (Collins et al. 2017, section 4).

    Trains `num_trials` networks with hparams drawn from the search space: `sampler="random"` gives what random hparams
    give (the paper's Figure 5 and Table 1), the default what a tuner finds and when (its Figure 4).

    Args:
        cell: a name of CELLS, or a Cell of your own.
        task: a name of TASKS but memorization, "text8:synthetic", or a Task of your own.
        task_fields: fields of the task, {"num_types": 2}; what there is, the task's class says.
        num_params: the budget; the network is the largest that does not exceed it.
        depth: layers.
        unroll: T; by default the task's own.
        num_trials: of the search.
        num_repeats: how often the best is trained again.
        train_steps: gradient steps a trial.
        batch_size: examples a step; by default the task's own.
        space: "quick", ranges where minutes suffice, or "paper", the whole of appendix A.
        hparams, sampler, halving, seed, storage, devices, trials_per_device, checkpoints, precision, progress: as of
            `measure_capacity`.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    plan = plan_trainability(
        cell,
        task,
        task_fields=task_fields,
        num_params=num_params,
        depth=depth,
        unroll=unroll,
        train_steps=train_steps,
        batch_size=batch_size,
        space=space,
        hparams=hparams,
        sampler=sampler,
        halving=halving,
        seed=seed,
        precision=precision,
    )
    searched = search(
        plan,
        num_trials=num_trials,
        num_repeats=num_repeats,
        storage=storage,
        devices=devices,
        trials_per_device=trials_per_device,
        checkpoints=checkpoints,
        progress=progress,
    )
    result = TrainabilityResult(
        task=plan.task.label,
        task_fields=dataclasses.asdict(plan.task),
        sampler=sampler,
        **scores(searched.trials, searched.best, plan.task.measure),
        **summary(plan, searched),
    )
    save(searched, result.to_dict())
    return result
