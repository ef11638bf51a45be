"""What every measurement does: search, train the best again on fresh draws, and store the result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity import information
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import store, study
from rnn_capacity.studies.config import Budget, Runtime
from rnn_capacity.studies.plan import Plan
from rnn_capacity.studies.progress import Reporter, reporter
from rnn_capacity.studies.trials import still_improving
from rnn_capacity.training import hosts, sharding
from rnn_capacity.training.checkpoint import Checkpoints


class Searched(NamedTuple):
    """A search that has ended."""

    study: optuna.Study | None  # of a job of several processes, process 0 alone has it
    trials: list[FrozenTrial]
    best: FrozenTrial | None  # None where all are infeasible
    repeats: list[FrozenTrial]  # of the best, each on fresh data and fresh initial weights


@hosts.all_or_none()
def search(plan: Plan, budget: Budget, runtime: Runtime) -> Searched:
    """Trains the trials of a plan, and the best of them again; goes on where it was stopped."""
    num_trials, num_repeats = int(budget.num_trials), int(budget.num_repeats)  # NumPy's are no JSON
    devices = sharding.choose_devices(runtime.devices)
    folder = store.checkpoint_folder(runtime.storage) if runtime.checkpoints is None else runtime.checkpoints
    shown = runtime.progress if isinstance(runtime.progress, Reporter) else reporter(bool(runtime.progress))
    where = {
        "devices": devices,
        "trials_per_device": int(runtime.trials_per_device or sharding.default_trials_per_device(devices)),
    }

    def run(plan: Plan, num_trials: int, what: str) -> tuple[optuna.Study | None, list[FrozenTrial]]:
        described = plan.describe()  # reads a text, so that a missing one is reported before there is a study
        identity = json.dumps([plan.name, described, store.code_digest()], sort_keys=True)
        identity = hashlib.sha256(identity.encode()).hexdigest()
        with _checkpoints(folder, identity) as kept:
            here = {**where, "checkpoints": kept, "identity": identity}
            if hosts.index() > 0:
                return None, study.follow(plan.trial, **here)
            sampler = SAMPLERS[plan.sampler](plan.space, plan.seed)
            opened = store.open_study(storage, plan.name, described, sampler, plan.direction)
            if plan.again is None:
                store.ask_for(opened, num_trials, num_repeats)
            trials = study.run(
                opened,
                plan.space,
                plan.trial,
                plan.outcome,
                num_trials=num_trials,
                reporter=shown,
                what=what,
                unit=plan.unit,
                halving=plan.halving,
                **here,
            )
            return opened, trials

    what = f"{plan.cell.name}, depth {plan.static['depth']}, {plan.num_params} params, {plan.num_units} units"
    storage = store.open_storage(runtime.storage) if hosts.index() == 0 else None
    searched, trials = run(plan, num_trials, what)
    best = best_of(trials, plan.sign)
    repeats = []
    if best is not None and num_repeats:
        _, repeats = run(plan.repeated(best.params, best.number), num_repeats, f"{what}, best again")
    return Searched(searched, trials, best, repeats)


def best_of(trials: Sequence[FrozenTrial], sign: int) -> FrozenTrial | None:
    """The trial of the best objective, of those that were trained to the end if any was; None where there is none."""
    ended = [t for t in trials if t.state == TrialState.COMPLETE] or [t for t in trials if t.value is not None]
    return max(ended, key=lambda t: sign * t.value, default=None)


def _checkpoints(folder: str | os.PathLike | None, identity: str) -> contextlib.AbstractContextManager:
    """Those of a study, by all that defines it; None where there is no folder."""
    return contextlib.nullcontext() if folder is None else contextlib.closing(Checkpoints(folder, identity))


def save(searched: Searched, result: Mapping[str, Any]) -> None:
    """Keeps a result with its study."""
    if searched.study is not None:
        store.save_result(searched.study, result)


def summary(plan: Plan, searched: Searched) -> dict[str, Any]:
    """What the results of all measurements say alike, under the names of their fields."""
    found = of_trials(searched.trials, searched.best, searched.repeats, plan.space, plan.reported, plan.sign)
    return {
        "study": plan.name,
        "cell": plan.cell.name,
        "depth": plan.static["depth"],
        "max_params": plan.max_params,
        "num_params": plan.num_params,
        "num_units": plan.num_units,
        "num_inputs": plan.task.num_inputs,
        "unroll": plan.task.unroll,
        "train_steps": plan.static["train_steps"],
        "trials": store.trials_frame(searched.trials),
        **found,
    }


def of_trials(
    trials: Sequence[FrozenTrial],
    best: FrozenTrial | None,
    repeats: Sequence[FrozenTrial],
    space: Mapping[str, Any],
    reported: str,
    sign: int,
) -> dict[str, Any]:
    """The part of `summary` that needs no plan: what the trials of a search, and of its best again, say.

    Args:
        space: the names of the dimensions, with the values of those that are fixed.
        reported: the name of what a result is of, in what is kept of a trial.
        sign: 1 where a greater objective is better, -1 where a smaller one is.
    """
    outcomes = [t.user_attrs[store.OUTCOME] for t in trials]
    again = tuple(float(t.user_attrs[store.OUTCOME][reported]) for t in repeats if t.value is not None)
    ended = [t.value if t.state == TrialState.COMPLETE else None for t in trials]
    return {
        "still_improving": still_improving(ended, sign),
        "interval": information.confidence_interval(again),
        "repeats": again,
        "best_hparams": spaces.holding(space, {**space, **best.params}) if best is not None else {},
        "wider": spaces.wider(space, best.params) if best is not None else {},
        "num_trials": len(trials),
        "num_infeasible": sum(not o["feasible"] for o in outcomes),
        "num_stopped_early": sum(o["stopped_early"] for o in outcomes),
        "num_infeasible_repeats": len(repeats) - len(again),
        "total_steps": sum(o["steps"] for o in outcomes),
        "seconds": sum(t.user_attrs[store.OUTCOME]["seconds"] for t in (*trials, *repeats)),
    }


def outcome_of(best: FrozenTrial | None) -> dict[str, Any]:
    """What the best trial gave; nothing where all are infeasible."""
    return best.user_attrs[store.OUTCOME] if best is not None else {}
