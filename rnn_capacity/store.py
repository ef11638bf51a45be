"""Where trials are kept: Optuna storage, an SQLite file in the workdir unless a URL says otherwise."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity.checks import InputError
from rnn_capacity.database import Database, being_made, first_line, hide_password
from rnn_capacity.search.space import Space, complete, distributions, holding

DATABASE, CHECKPOINTS = "study.db", "checkpoints"  # in the folder of a study
# The names of what we attach to studies and trials.
PLAN, ASKED, WORKER, RESULT, OUTCOME = "plan", "asked for", "worker ", "result", "outcome"
optuna.logging.set_verbosity(optuna.logging.WARNING)  # the study's own progress says more
PACKAGES = ("rnn_capacity", "jax", "jaxlib", "flax", "optax", "optuna", "numpy")


def check_workdir(workdir: str | os.PathLike, field: str = "workdir") -> pathlib.Path:
    """Makes the folder and checks that it can be written, before anything runs.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(workdir, str | os.PathLike) or "://" in str(workdir) or not str(workdir):
        raise InputError(f"{field}: {workdir!r} given; it must be a folder of this machine that can be written")
    path = pathlib.Path(workdir).expanduser()
    probe = path / ".writable"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink(missing_ok=True)  # another worker's check may have been first
    except (OSError, ValueError) as error:  # a null character is the latter
        reason = getattr(error, "strerror", error)
        must = f"it must be a folder that can be written ({reason})"
        raise InputError(f"{field}: {str(workdir)!r} given; {must}") from None
    return path


def open_storage(storage: str | os.PathLike | optuna.storages.BaseStorage | None) -> optuna.storages.BaseStorage:
    """None: in memory, gone with the process; a folder: SQLite in it; a URL (it has ://): that database.

    Raises:
        InputError: the folder cannot be written, or the database does not answer.
    """
    if storage is None:
        return optuna.storages.InMemoryStorage()
    if isinstance(storage, optuna.storages.RDBStorage) and not isinstance(storage, Database):
        storage = str(storage.url)  # ours has heartbeats, and waits
    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    if not isinstance(storage, str | os.PathLike):
        raise InputError(f"storage: {storage!r} given; it must be a folder, a database URL or None")
    url = str(storage)
    if "://" not in url:
        folder = check_workdir(storage, "storage")
        url = f"sqlite:///{folder / DATABASE}"
    for attempt in range(10):
        try:
            return Database(url)
        except Exception as error:
            if being_made(error) and attempt < 9:
                time.sleep(0.2)
                continue
            reason = first_line(error.__cause__ or error)
            if isinstance(error, ImportError) and url.startswith("postgresql"):
                reason += "; pip install '.[postgres]' brings what PostgreSQL needs"
            given = hide_password(url)
            raise InputError(f"storage: {given!r} given; it must be a database that answers ({reason})") from error


def checkpoint_folder(storage: str | os.PathLike | optuna.storages.BaseStorage | None) -> pathlib.Path | None:
    """Where batches in training are kept if nobody says: beside the study, where that is a file; None: nowhere."""
    url = str(storage.url if isinstance(storage, optuna.storages.RDBStorage) else storage)
    if url.startswith("sqlite:///") and ":memory:" not in url:
        return pathlib.Path(url.removeprefix("sqlite:///")).parent / CHECKPOINTS
    if isinstance(storage, str | os.PathLike) and "://" not in url:
        return pathlib.Path(storage).expanduser() / CHECKPOINTS
    return None


def open_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    plan: Mapping[str, Any],
    sampler: optuna.samplers.BaseSampler,
    direction: str = "maximize",
) -> optuna.Study:
    """The study of that name, made if it is not there yet, with what defines it beside it.

    Raises:
        InputError: it is there with another plan; its trials would not be comparable.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, sampler=sampler, direction=direction, load_if_exists=True
    )
    _check_plan(name, study.user_attrs.get(PLAN), plan)
    if PLAN not in study.user_attrs:
        study.set_user_attr(PLAN, dict(plan))
    return study


def check_plan(storage: optuna.storages.BaseStorage, name: str, plan: Mapping[str, Any]) -> None:
    """What `open_study` would refuse, without making the study.

    Raises:
        InputError: the study is there with another plan.
    """
    if name in optuna.get_all_study_names(storage):
        _check_plan(name, optuna.load_study(study_name=name, storage=storage).user_attrs.get(PLAN), plan)


def _check_plan(name, known, plan):
    plan = json.loads(json.dumps(plan))
    if known in (None, plan):
        return
    differing = next(key for key in [*plan, *known] if key not in plan or key not in known or plan[key] != known[key])
    raise InputError(
        f"{differing}: {plan.get(differing)!r} given; the study {name!r} was made with {known.get(differing)!r}, "
        "so keep that, or choose another workdir"
    )


def ask_for(study: optuna.Study, num_trials: int, num_repeats: int) -> None:
    """Keeps how much a search is to have in the end, as it was last told, so that half of one is known as such."""
    study.set_user_attr(ASKED, {"num_trials": num_trials, "num_repeats": num_repeats})


def add_worker(study: optuna.Study, worker: str) -> None:
    """Keeps what trained the trials that bear this worker's name: packages, our code's digest, devices, the command."""
    packages = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[package] = importlib.metadata.version(package)
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    about = {"packages": packages, "code": code_digest(), "device": device, "command": command()}
    study.set_user_attr(f"{WORKER}{worker}", about)


def command() -> str | None:
    """What started this process, passwords hidden; None where no call can be told, as in a notebook."""
    main = sys.modules["__main__"]
    if not getattr(main, "__file__", None):  # a notebook, an interactive session, python -c
        return None
    if getattr(main, "__spec__", None) is not None:
        start = ["python", "-m", main.__spec__.name.removesuffix(".__main__")]
    else:
        start = ["python"] * sys.argv[0].endswith(".py") + sys.argv[:1]
    return shlex.join([*start, *map(hide_password, sys.argv[1:])])


@functools.cache
def code_digest() -> str:
    """Of this package's code: what measured, and what may go on with a batch that was in training."""
    files = sorted(pathlib.Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def is_measured(trial: FrozenTrial) -> bool:
    """Whether a trial has been trained and told, feasible or not."""
    return trial.state.is_finished() and OUTCOME in trial.user_attrs


def measured(study: optuna.Study) -> list[FrozenTrial]:
    """All such trials of a study."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_measured(trial)]


def propose(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """A trial's values of all dimensions: those it has, and from the sampler those it was stopped before it got.

    What has no effect beside what was chosen is not asked for, and is not kept. Should another worker propose to the
    same trial, what both get is what is kept of it: Optuna keeps the first value and hands each worker its own.
    """
    values = _suggested(trial, space)
    while (kept := _suggested(optuna.Trial(trial.study, trial._trial_id), space)) != values:
        values = kept
    return values


def _suggested(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    values = complete(space, {})
    for name, distribution in distributions(space).items():  # choices first
        if name in holding(space, values):
            if isinstance(distribution, optuna.distributions.CategoricalDistribution):
                values[name] = trial.suggest_categorical(name, distribution.choices)
            else:
                low, high, step = distribution.low, distribution.high, distribution.step
                values[name] = trial.suggest_float(name, low, high, log=distribution.log, step=step)
    return values


def report(trial: optuna.Trial, value: float, steps: int) -> None:
    """Keeps what a trial had reached after some steps, unless another worker has told it already."""
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
        trial.report(value, steps)


def reported(study: optuna.Study, trial: optuna.Trial) -> frozenset[int]:
    """The steps that something was reported for, but for those at which it was being told, and so stopped."""
    kept = study._storage.get_trial(trial._trial_id)
    return frozenset(kept.intermediate_values) - {kept.user_attrs.get(OUTCOME, {}).get("steps")}


def tell(study: optuna.Study, trial: optuna.Trial, outcome: Mapping[str, Any], value: float | None) -> None:
    """Keeps what a trial gave; nothing is changed of one that another worker has told already.

    An infeasible trial has no value and is a failed trial to Optuna; one that was stopped early is a pruned one, with
    the value that it had reached.
    """
    try:
        trial.set_user_attr(OUTCOME, dict(outcome))
        if not outcome["feasible"]:
            study.tell(trial.number, state=TrialState.FAIL)
        elif outcome["stopped_early"]:
            trial.report(value, outcome["steps"])
            study.tell(trial.number, state=TrialState.PRUNED)
        else:
            study.tell(trial.number, value)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if study._storage.get_trial(trial._trial_id).state == TrialState.RUNNING:
            raise


def to_json(trial: FrozenTrial) -> dict[str, Any]:
    """What results are made of in a measured trial, for the other processes of a job."""
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "params": trial.params,
        "outcome": trial.user_attrs[OUTCOME],
    }


def from_json(known: Mapping[str, Any]) -> FrozenTrial:
    """The trial that `to_json` was given, as far as results need it."""
    return FrozenTrial(
        number=known["number"],
        state=TrialState[known["state"]],
        value=known["value"],
        params=known["params"],
        user_attrs={OUTCOME: known["outcome"]},
        distributions={},
        system_attrs={},
        intermediate_values={},
        datetime_start=None,
        datetime_complete=None,
        trial_id=known["number"],
    )


def sign(study: optuna.Study) -> int:
    """1 where a greater objective is better, -1 where a smaller one is."""
    return 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1


def trials_frame(trials: list[FrozenTrial]) -> pd.DataFrame:
    """A row a trial: its number, what it was given, what it gave."""
    return pd.DataFrame([{"number": t.number, **t.params, **t.user_attrs[OUTCOME]} for t in trials])


def save_result(study: optuna.Study, result: Mapping[str, Any]) -> None:
    study.set_user_attr(RESULT, dict(result))


def results(storage: optuna.storages.BaseStorage) -> list[dict[str, Any]]:
    """Every result that was ever measured into this storage, with its trials."""
    found = []
    for summary in optuna.get_all_study_summaries(storage):
        if RESULT in summary.user_attrs:
            study = optuna.load_study(study_name=summary.study_name, storage=storage)
            frame = trials_frame(measured(study)[: summary.user_attrs[RESULT]["num_trials"]])
            found.append({"study": summary.study_name, **summary.user_attrs[RESULT], "trials": frame})
    return found
