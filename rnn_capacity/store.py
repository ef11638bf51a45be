"""Where trials are kept: Optuna storage, an SQLite file in the workdir unless a URL says otherwise."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

DATABASE = "study.db"
PLAN, RESULT, OUTCOME = "plan", "result", "outcome"  # the names of what we attach to studies and trials
optuna.logging.set_verbosity(optuna.logging.WARNING)  # the study's own progress says more
PACKAGES = ("rnn_capacity", "jax", "jaxlib", "flax", "optax", "optuna", "numpy")


def check_workdir(workdir: str | os.PathLike) -> pathlib.Path:
    """Makes the folder and checks that it can be written, before anything runs.

    Raises:
        ValueError: it cannot.
    """
    path = pathlib.Path(workdir).expanduser()
    probe = path / ".writable"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"workdir: {str(workdir)!r} given; it must be a folder that can be written ({error.strerror})"
        ) from None
    return path


def open_storage(storage: str | os.PathLike | optuna.storages.BaseStorage | None) -> optuna.storages.BaseStorage:
    """None: in memory, gone with the process; a folder: SQLite in it; a URL (it has ://): that database.

    Raises:
        ValueError: the folder cannot be written, or the database does not answer.
    """
    if storage is None:
        return optuna.storages.InMemoryStorage()
    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    url = str(storage)
    if "://" not in url:
        url = f"sqlite:///{check_workdir(storage) / DATABASE}"
    try:
        return optuna.storages.RDBStorage(url)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"storage: {url!r} given; it must be a database that answers ({reason})") from error


def open_study(
    storage: optuna.storages.BaseStorage, name: str, plan: Mapping[str, Any], sampler: optuna.samplers.BaseSampler
) -> optuna.Study:
    """The study of that name, made if it is not there yet, with what defines it beside it.

    Raises:
        ValueError: it is there with another plan; its trials would not be comparable.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, sampler=sampler, direction="maximize", load_if_exists=True
    )
    plan = json.loads(json.dumps(plan))
    known = study.user_attrs.get(PLAN)
    if known is None:
        study.set_user_attr(PLAN, plan)
        study.set_user_attr("versions", versions())
        study.set_user_attr("device", f"{jax.devices()[0].device_kind} x {jax.device_count()}")
    elif known != plan:
        differing = next(key for key in [*plan, *known] if plan.get(key) != known.get(key))
        raise ValueError(
            f"{differing}: {plan.get(differing)!r} given; the study {name!r} was made with {known.get(differing)!r}, "
            "so keep that, or choose another workdir"
        )
    return study


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def measured(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have been trained, feasible or not."""
    return [t for t in study.get_trials(deepcopy=False) if t.state.is_finished() and OUTCOME in t.user_attrs]


def interrupted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were asked for and never told: those of a run that was stopped."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def tell(study: optuna.Study, trial: FrozenTrial | optuna.Trial, outcome: Mapping[str, Any], value: float) -> None:
    """Keeps what a trial gave. An infeasible one has no value and is a failed trial to Optuna."""
    optuna.Trial(study, trial._trial_id).set_user_attr(OUTCOME, dict(outcome))
    if outcome["feasible"]:
        study.tell(trial.number, value)
    else:
        study.tell(trial.number, state=TrialState.FAIL)


def trials_frame(trials: list[FrozenTrial]) -> pd.DataFrame:
    """A row a trial: its number, what it was given, what it gave."""
    rows = [{"number": t.number, **t.params, **t.user_attrs[OUTCOME]} for t in trials]
    return pd.DataFrame(rows)


def save_result(study: optuna.Study, result: Mapping[str, Any]) -> None:
    study.set_user_attr(RESULT, dict(result))


def results(storage: optuna.storages.BaseStorage) -> list[dict[str, Any]]:
    """Every result that was ever measured into this storage, with its trials."""
    found = []
    for summary in optuna.get_all_study_summaries(storage):
        if RESULT in summary.user_attrs:
            study = optuna.load_study(study_name=summary.study_name, storage=storage)
            frame = trials_frame(measured(study))
            found.append({"study": summary.study_name, **summary.user_attrs[RESULT], "trials": frame})
    return found
