"""What every measurement does: search, train the best again on fresh draws, and store the result."""

import contextlib
import dataclasses
import hashlib
import json
import os
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from rnn_capacity.measure.question import Question
from rnn_capacity.measure.result import R, best_of, result_of
from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.config import Budget, Runtime
from rnn_capacity.studies.plan import Plan, again_name
from rnn_capacity.studies.progress import Reporter, reporter
from rnn_capacity.studies.reader import Stored
from rnn_capacity.training import hosts, sharding
from rnn_capacity.training.checkpoint import Checkpoints


@hosts.all_or_none()
def search(plan: Plan, budget: Budget, runtime: Runtime) -> tuple[optuna.Study | None, dict[str, Stored]]:
    """Trains the trials of a plan, and the best of them again; goes on where it was stopped.

    Returns:
        The study, which process 0 alone of a job has, and by name what it and that of the repeats hold.
    """
    num_trials, num_repeats = int(budget.num_trials), int(budget.num_repeats)  # NumPy's are no JSON
    devices = sharding.choose_devices(runtime.devices)
    folder = store.checkpoint_folder(runtime.storage) if runtime.checkpoints is None else runtime.checkpoints
    shown = runtime.progress if isinstance(runtime.progress, Reporter) else reporter(bool(runtime.progress))
    where: dict[str, Any] = {
        "devices": devices,
        "trials_per_device": sharding.trials_per_device(runtime.trials_per_device, devices),
    }

    def run(plan: Plan, num_trials: int, what: str) -> tuple[optuna.Study | None, list[FrozenTrial]]:
        described = plan.describe()  # reads a text, so that a missing one is reported before there is a study
        identity = json.dumps([plan.name, described, store.code_digest()], sort_keys=True)
        identity = hashlib.sha256(identity.encode()).hexdigest()
        with _checkpoints(folder, identity) as kept:
            here = {**where, "checkpoints": kept, "identity": identity}
            if storage is None:
                return None, study.follow(plan.trial, **here)
            sampler = SAMPLERS[plan.sampler](plan.space, plan.seed)
            opened = store.open_study(storage, plan.name, described, sampler, plan.direction)
            if plan.again is None:
                store.ask_for(opened, num_trials, num_repeats)
            trials = study.run(opened, plan, num_trials=num_trials, reporter=shown, what=what, **here)
            return opened, trials

    what = f"{plan.cell.name}, depth {plan.static['depth']}, {plan.num_params} params, {plan.num_units} units"
    storage = store.open_storage(runtime.storage) if hosts.index() == 0 else None  # process 0 alone has it
    searched, trials = run(plan, num_trials, what)
    best = best_of(trials, plan.sign)
    studies = {}
    if best is not None and num_repeats:
        _, repeats = run(plan.repeated(best.params, best.number), num_repeats, f"{what}, best again")
        again = again_name(plan.name, best.number)
        studies[again] = Stored(again, {}, repeats)
    attrs = {} if searched is None else searched.user_attrs
    described = json.loads(json.dumps(plan.describe()))  # as a storage gives it back
    attrs = {**attrs, store.PLAN: described, store.ASKED: dataclasses.asdict(budget)}
    return searched, {plan.name: Stored(plan.name, attrs, trials), **studies}


def _checkpoints(folder: str | os.PathLike | None, identity: str) -> contextlib.AbstractContextManager:
    """Those of a study, by all that defines it; None where there is no folder."""
    return contextlib.nullcontext() if folder is None else contextlib.closing(Checkpoints(folder, identity))


def answer(question: Question[R], plan: Plan, budget: Budget, runtime: Runtime) -> R:
    """Measures a study, and keeps its result with it."""
    searched, studies = search(plan, budget, runtime)
    result = result_of(question, plan.name, studies, plan.task, plan.cell)
    if searched is not None:
        store.save_result(searched, result.to_dict())
    return result
