"""Where trials are kept: Optuna storage, an SQLite file in the workdir unless a URL says otherwise."""

import contextlib
import functools
import hashlib
import importlib.metadata
import logging
import os
import pathlib
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import optuna
import pandas as pd
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity import private
from rnn_capacity.checks import InputError
from rnn_capacity.search.space import Space, complete, distributions, holding
from rnn_capacity.studies import database
from rnn_capacity.studies.database import Database, hide_password

DATABASE, CHECKPOINTS = "study.db", "checkpoints"  # in the folder of a study
# The names of what we attach to studies and trials.
PLAN, ASKED, WORKER, RESULT, OUTCOME = "plan", "asked for", "worker ", "result", "outcome"
PACKAGE = pathlib.Path(__file__).parents[1]
SHIPPED = "shipped"  # of an installed package: the folder of its launchers and configs, which measure nothing
PACKAGES = ("rnn_capacity", "jax", "jaxlib", "flax", "optax", "optuna", "numpy")


def check_workdir(workdir: str | os.PathLike, field: str = "workdir") -> pathlib.Path:
    """Makes the folder and checks that it can be written, before anything runs.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(workdir, str | os.PathLike) or not str(workdir) or "://" in str(workdir):
        given = hide_password(workdir) if isinstance(workdir, str) else workdir
        raise InputError(f"{field}: {given!r} given; it must be a folder of this machine that can be written")
    path = pathlib.Path(os.path.expanduser(workdir))
    probe = path / ".writable"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink(missing_ok=True)  # another worker's check may have been first
    except (OSError, ValueError) as error:  # a ValueError: of a null byte
        must = f"it must be a folder that can be written ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{field}: {str(workdir)!r} given; {must}") from None
    return path


def open_storage(storage: str | os.PathLike | optuna.storages.BaseStorage | None) -> optuna.storages.BaseStorage:
    """None: in memory, gone with the process; a folder: SQLite in it; a URL (it has ://): that database.

    Raises:
        InputError: the folder cannot be written, or the database does not answer.
    """
    if storage is None:
        return optuna.storages.InMemoryStorage()
    url = url_of(storage)
    if url is None or isinstance(storage, Database):
        assert isinstance(storage, optuna.storages.BaseStorage)
        return storage
    if isinstance(storage, str | os.PathLike) and "://" not in str(storage):
        check_workdir(storage, "storage")
    return connect(url)  # of an RDBStorage too: ours has heartbeats, and waits


def url_of(storage: str | os.PathLike | optuna.storages.BaseStorage | None) -> sqlalchemy.URL | None:
    """The URL of the database that a storage names or is; None where it is of another kind, or in memory.

    Raises:
        InputError: it names none.
    """
    if isinstance(storage, optuna.storages.RDBStorage):
        url = storage.engine.url
        in_memory = url.get_backend_name() == "sqlite" and database.file_of(url) is None
        return None if in_memory else database.parse(url.render_as_string(hide_password=False))
    if storage is None or isinstance(storage, optuna.storages.BaseStorage):
        return None
    text = str(storage)
    if not isinstance(storage, str | os.PathLike) or not text:
        raise InputError(f"storage: {storage!r} given; it must be a folder, a database URL or None")
    if text != text.encode(errors="replace").decode():
        raise InputError(f"storage: {hide_password(text)!r} given; it must be text in UTF-8")
    if "://" in text or database.MISTYPED.fullmatch(text):
        return database.parse(text)
    # By its parts, so that what has a meaning in a URL is quoted.
    return sqlalchemy.URL.create("sqlite", database=os.path.join(os.path.expanduser(storage), DATABASE))


def connect(url: sqlalchemy.URL) -> Database:
    """Opens a database, and makes its tables where there are none.

    Raises:
        InputError: it does not answer, or is of another program.
    """
    attempts = 0
    while True:
        try:
            return Database(url)
        except ImportError as error:
            missing = f"its driver is not installed; pip install '.[postgres]' brings that of {database.POSTGRES}"
            raise InputError(f"storage: {database.show(url)!r} given; {missing}") from error
        except Exception as error:
            if attempts >= (9 if database.being_made(error) else 1 if database.passes(error) else 0):
                must = f"it must be a database that answers ({database.reason(error)})"
                raise InputError(f"storage: {database.show(url)!r} given; {must}") from error
            time.sleep(database.RETRY / 10)
            attempts += 1


def checkpoint_folder(storage: str | os.PathLike | optuna.storages.BaseStorage | None) -> pathlib.Path | None:
    """Where batches in training are kept if nobody says: beside the study, where that is a file; None: nowhere."""
    url = url_of(storage)
    file = None if url is None else database.file_of(url)
    return None if file is None else file.parent / CHECKPOINTS


def open_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    plan: Mapping[str, Any],
    sampler: optuna.samplers.BaseSampler,
    direction: Literal["minimize", "maximize"] = "maximize",
) -> optuna.Study:
    """The study of that name, made if it is not there yet, with the plan beside it that its name is a digest of."""
    with _without_info(storage):
        study = optuna.create_study(
            storage=storage, study_name=name, sampler=sampler, direction=direction, load_if_exists=True
        )
    if PLAN not in study.user_attrs:
        study.set_user_attr(PLAN, dict(plan))
    return study


@contextlib.contextmanager
def _without_info(storage: optuna.storages.BaseStorage) -> Iterator[None]:
    """Leaves out Optuna's own line on a study that is opened, in this thread alone: our progress says more."""
    here = threading.get_ident()
    keep = lambda record: record.thread != here or record.levelno != logging.INFO
    loggers = [logging.getLogger(kind.__module__) for kind in (optuna.Study, *type(storage).__mro__)]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(keep)


def ask_for(study: optuna.Study, num_trials: int, num_repeats: int) -> None:
    """Records the requested budget, so that an incomplete search can be recognised."""
    study.set_user_attr(ASKED, {"num_trials": num_trials, "num_repeats": num_repeats})


def add_worker(study: optuna.Study, worker: str) -> None:
    """Keeps what trained the trials that bear this worker's name: packages, our code's digest, devices, the command."""
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    about = {"packages": packages(), "code": code_digest(), "device": device, "command": command()}
    study.set_user_attr(f"{WORKER}{worker}", about)


def packages() -> dict[str, str]:
    """Versions of the packages that decide what is trained."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def command() -> str | None:
    """The command of this process, passwords hidden; None where there is none, as in a notebook."""
    main = sys.modules["__main__"]
    if not getattr(main, "__file__", None):  # a notebook, an interactive session, python -c
        return None
    if (spec := getattr(main, "__spec__", None)) is not None:
        start = ["python", "-m", spec.name.removesuffix(".__main__")]
    else:
        start = ["python"] * sys.argv[0].endswith(".py") + sys.argv[:1]
    return shlex.join([*start, *map(hide_password, sys.argv[1:])])


@functools.cache
def code_digest(package: pathlib.Path = PACKAGE) -> str:
    """Of this package's code: what measured, and what may go on with a batch that was in training."""
    files = sorted(file for file in package.rglob("*.py") if SHIPPED not in file.relative_to(package).parts)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def is_measured(trial: FrozenTrial) -> bool:
    """Whether a trial has been trained and stored, feasible or not."""
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
    while (kept := _suggested(optuna.Trial(trial.study, private.trial_id(trial)), space)) != values:
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
    """Stores the outcome of a trial after some steps, unless another worker has finished it."""
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
        trial.report(value, steps)


def reported(study: optuna.Study, trial: optuna.Trial) -> frozenset[int]:
    """The steps that something was reported for, but for those at which it was being told, and so stopped."""
    kept = private.storage_of(study).get_trial(private.trial_id(trial))
    return frozenset(kept.intermediate_values) - {kept.user_attrs.get(OUTCOME, {}).get("steps")}


def tell(study: optuna.Study, trial: optuna.Trial, outcome: Mapping[str, Any], value: float | None) -> None:
    """Keeps what a trial gave; nothing is changed of one that another worker has told already.

    An infeasible trial has no value and is a failed trial to Optuna; one that was stopped early is a pruned one, with
    the value that it had reached.
    """
    try:
        trial.set_user_attr(OUTCOME, dict(outcome))
        if value is None or not outcome["feasible"]:
            study.tell(trial.number, state=TrialState.FAIL)
        elif outcome["stopped_early"]:
            trial.report(value, outcome["steps"])
            study.tell(trial.number, state=TrialState.PRUNED)
        else:
            study.tell(trial.number, value)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if private.storage_of(study).get_trial(private.trial_id(trial)).state == TrialState.RUNNING:
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
    return frozen(
        number=known["number"],
        state=TrialState[known["state"]],
        value=known["value"],
        params=known["params"],
        user_attrs={OUTCOME: known["outcome"]},
        trial_id=known["number"],
    )


def frozen(**known: Any) -> FrozenTrial:
    """A trial without distributions and times, which results do not need."""
    without: dict[str, Any] = {"distributions": {}, "system_attrs": {}, "intermediate_values": {}}
    return FrozenTrial(**known, **without, datetime_start=None, datetime_complete=None)


def trials_frame(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """A row a trial: its number, what it was given, what it gave."""
    return pd.DataFrame([{"number": t.number, **t.params, **t.user_attrs[OUTCOME]} for t in trials])


def save_result(study: optuna.Study, result: Mapping[str, Any]) -> None:
    study.set_user_attr(RESULT, dict(result))
