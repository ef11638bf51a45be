"""Read-only access to existing studies: a few SELECTs each, seven times as fast as Optuna, and nothing is written."""

import functools
import json
import os
import pathlib
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from rnn_capacity.checks import InputError, check_choice
from rnn_capacity.private import models
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import database, store
from rnn_capacity.studies.plan import space_of, title_of

Storage = str | os.PathLike | optuna.storages.BaseStorage
ENDED = [state for state in TrialState if state.is_finished()]


class Stored(NamedTuple):
    """A study as its storage has it."""

    name: str
    user_attrs: Mapping[str, Any]
    trials: list[FrozenTrial]  # those that have ended, by number; without distributions and times

    @property
    def plan(self) -> dict[str, Any]:
        """What describes it (`Plan.describe`); empty for a study of another program."""
        plan = self.user_attrs.get(store.PLAN)
        return dict(plan) if isinstance(plan, Mapping) and "cell" in plan else {}

    @property
    def measured(self) -> list[FrozenTrial]:
        """The trials that have been trained and stored, feasible or not."""
        return [trial for trial in self.trials if store.is_measured(trial)]

    def hparams(self, trial: FrozenTrial) -> dict[str, float | str]:
        """What a trial ran with: what was proposed to it, and what the plan fixes.

        A tuned hparam that was not proposed, having no effect in this trial, is not there.
        """
        space = space_of(self.plan)
        fixed = {name: value for name, value in space.items() if name not in spaces.tuned(space)}
        return spaces.holding(space, fixed | trial.params)


def file_of(storage: str | os.PathLike) -> pathlib.Path | None:
    """The SQLite file of a folder or a URL; None where it is another database.

    Raises:
        InputError: there is no such file.
    """
    return _existing(storage, store.url_of(storage))


def _existing(storage: object, url: sqlalchemy.URL | None) -> pathlib.Path | None:
    file = None if url is None else database.file_of(url)
    if file is not None and not os.path.isfile(file):
        must = f"it must be a folder with a {store.DATABASE}, or the URL of a database that is there"
        raise InputError(f"storage: {database.hide_password(storage)!r} given; {must}")
    return file


def load_study(storage: Storage, name: str) -> Stored:
    """A study of an existing storage.

    Args:
        name: of the study, or its title, without the digits behind it, where one study alone has that.

    Raises:
        InputError: the storage or the study is not there, or cannot be read.
    """
    found = {study.name: study for study in load_studies(storage)}
    of_title = [full for full in found if isinstance(name, str) and title_of(full) == name]
    return found[of_title[0] if len(of_title) == 1 else check_choice("study_name", name, tuple(found))]


def load_studies(storage: Storage) -> list[Stored]:
    """Every study of an existing storage, the repeats of a best trial included, by name.

    Raises:
        InputError: the storage is not there, holds none, or one that cannot be read.
    """
    found, failed = read(storage)
    for name, reason in failed.items():
        raise InputError(f"storage: one whose study {name!r} cannot be read given ({reason})")
    if not found:
        raise InputError("storage: one without a study given; it must hold one")
    return sorted(found, key=lambda study: study.name)


def read(storage: Storage) -> tuple[list[Stored], dict[str, str]]:
    """Every study of an existing storage, in the order in which they were made; of those that cannot be read, why.

    Args:
        storage: a folder with a study.db, a database URL, or an Optuna storage.

    Raises:
        InputError: there is no such storage, or it is no database of studies; and why.
    """
    url = store.url_of(storage)
    file = _existing(storage, url)
    found, failed = [], {}
    if url is None:
        return _read_by_optuna(storage), {}
    try:
        with _engine(url, file).connect() as connection:
            if not sqlalchemy.inspect(connection).has_table(models.StudyModel.__tablename__):
                raise ValueError("it has no table of studies")
            study = models.StudyModel
            names = sqlalchemy.select(study.study_id, study.study_name).order_by(study.study_id)
            for study_id, name in connection.execute(names).all():
                try:
                    found.append(_read_study(connection, study_id, name))
                except Exception as error:  # whatever another program, or a broken disk, has put there
                    failed[name] = database.reason(error)
    except Exception as error:
        must = f"it must be a database of studies ({database.reason(error)})"
        raise InputError(f"storage: {database.hide_password(storage)!r} given; {must}") from error
    return found, failed


def _read_by_optuna(storage: Storage | None) -> list[Stored]:
    """The studies of a storage of another kind than a database."""
    if not isinstance(storage, optuna.storages.BaseStorage):
        raise InputError(f"storage: {storage!r} given; it must be a folder, a database URL or an Optuna storage")
    studies = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    ended = lambda study: [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    return [Stored(study.study_name, study.user_attrs, ended(study)) for study in studies]


def _engine(url: sqlalchemy.URL, file: pathlib.Path | None) -> sqlalchemy.Engine:
    if file is None:
        return sqlalchemy.create_engine(url, connect_args=database.connect_args(url), poolclass=NullPool)
    # Never made if it is not there; not "ro", which cannot undo what a killed worker had half written.
    uri = f"{file.resolve().as_uri()}?mode=rw"
    connect = functools.partial(sqlite3.connect, uri, uri=True, timeout=database.LOCK_TIMEOUT)
    return sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _read_study(connection: sqlalchemy.Connection, study_id: int, name: str) -> Stored:
    trial, about, attribute = models.TrialModel, models.StudyUserAttributeModel, models.TrialUserAttributeModel
    value, param = models.TrialValueModel, models.TrialParamModel
    ended = sqlalchemy.and_(trial.study_id == study_id, trial.state.in_(ENDED))
    of = lambda model, *more: sqlalchemy.and_(model.trial_id == trial.trial_id, ended, *more)

    def rows(*columns: Any, where: Any = ended) -> list[Any]:
        return list(connection.execute(sqlalchemy.select(*columns).where(where)).all())

    texts = rows(about.key, about.value_json, where=about.study_id == study_id)
    user_attrs = {key: json.loads(text) for key, text in texts}
    trials = rows(trial.trial_id, trial.number, trial.state)  # first: what has ended by then has all the rest
    of_outcomes = of(attribute, attribute.key == store.OUTCOME)
    outcomes = dict(rows(attribute.trial_id, attribute.value_json, where=of_outcomes))
    of_first = of(value, value.objective == 0)
    values = {
        trial_id: value.stored_repr_to_value(number, kind)
        for trial_id, number, kind in rows(value.trial_id, value.value, value.value_type, where=of_first)
    }
    distribution = functools.cache(optuna.distributions.json_to_distribution)
    params: dict[int, dict[int, tuple[str, Any]]] = {}
    columns = param.trial_id, param.param_id, param.param_name, param.param_value, param.distribution_json
    for trial_id, place, param_name, number, text in rows(*columns, where=of(param)):
        params.setdefault(trial_id, {})[place] = param_name, distribution(text).to_external_repr(number)
    found = [
        store.frozen(
            number=number,
            state=state,
            value=values.get(trial_id),
            params=dict(known for _, known in sorted(params.get(trial_id, {}).items())),
            user_attrs={store.OUTCOME: json.loads(outcomes[trial_id])} if trial_id in outcomes else {},
            trial_id=trial_id,
        )
        for trial_id, number, state in sorted(trials, key=lambda row: row.number)
    ]
    return Stored(name, user_attrs, found)
