"""How much of its input a cell can remember in each unit (Collins et al. 2017, section 3.2 and Figure 2c)."""

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
from rnn_capacity.checks import InputError
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.search import outcome_of, save, search, summary
from rnn_capacity.measure.shown import Shown
from rnn_capacity.studies import session, store
from rnn_capacity.studies.plan import plan_recall
from rnn_capacity.studies.progress import Reporter
from rnn_capacity.studies.trials import finite
from rnn_capacity.tasks.recall import line

UNITS = (16, 32, 48, 64, 80)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RecallPoint(Result):
    """How much of its input a cell of so many units gives back; `repeats` and `interval` are squared errors.

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


@session.measuring()
def measure_recall(
    cell: str | Cell = "gru",
    *,
    num_units: int | Sequence[int] = UNITS,
    num_inputs: int = 64,
    depth: int = 1,
    unroll: int = 12,
    num_trials: int = 12,
    num_repeats: int = 0,
    train_steps: int = 4_000,
    batch_size: int | None = None,
    space: str = "quick",
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
) -> RecallResult:
    """How much of a random vector the cell gives back after some steps (Collins et al. 2017, Figure 2c).

    For each number of units `num_trials` networks are trained; the paper found the squared error to follow
    1 - n_h / n_in, and to be 0 from n_h = n_in on, for every cell.

    Args:
        cell: a name of CELLS, or a Cell of your own.
        num_units: n_h of each layer, one or several.
        num_inputs: n_in, numbers of the vector.
        depth: layers.
        unroll: T, the steps after which it is read.
        num_trials: of the search, for each number of units.
        num_repeats: how often the best of each is trained again.
        train_steps: gradient steps a trial.
        batch_size: vectors a step; by default 64.
        space: "quick", ranges where minutes suffice, or "paper", the whole of appendix A.
        hparams, sampler, halving, seed, storage, devices, trials_per_device, checkpoints, precision, progress: as of
            `measure_capacity`.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    several = isinstance(num_units, Sequence) and not isinstance(num_units, str | bytes)
    several = several or (isinstance(num_units, np.ndarray) and num_units.ndim > 0)
    units = tuple(num_units) if several else (num_units,)
    if not units:
        raise InputError("num_units: none given; it must be a number, or several")
    plans = [
        plan_recall(
            cell,
            num_units=n,
            num_inputs=num_inputs,
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
        for n in units
    ]
    points = []
    for plan in plans:
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
        point = RecallPoint(
            line=float(line(plan.num_units, plan.task.num_inputs)),
            **scores(searched.trials, searched.best),
            **summary(plan, searched),
        )
        save(searched, point.to_dict())
        points.append(point)
    return RecallResult(points=tuple(points))
