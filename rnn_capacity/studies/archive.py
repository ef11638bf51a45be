"""Trials read back from a storage that is there: nothing is made, and nothing measured again."""

from __future__ import annotations

import datetime
import functools
import json
import os
import pathlib
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

import optuna
import sqlalchemy
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from rnn_capacity.checks import InputError, check_choice
from rnn_capacity.private import models
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import database, store
from rnn_capacity.studies.plan import space_of, title_of


def open_existing(storage: str | os.PathLike | optuna.storages.BaseStorage) -> optuna.storages.BaseStorage:
    """Opens a storage that is there, where `store.open_storage` would make a new one; it need not be writable.

    Args:
        storage: a folder with a study.db, or a database URL.

    Raises:
        InputError: there is no study, or the database does not answer.
    """
    if isinstance(storage, str | os.PathLike):
        return store.connect(_url_and_file(storage)[0], make=False)
    return store.open_storage(storage)


def file_of(storage: str | os.PathLike) -> pathlib.Path | None:
    """The SQLite file of a folder or a URL; None where it is another database.

    Raises:
        InputError: there is no such file.
    """
    return _url_and_file(storage)[1]


def _url_and_file(storage: str | os.PathLike) -> tuple[sqlalchemy.URL, pathlib.Path | None]:
    url = store.url_of(storage)
    file = database.file_of(url)
    if file is not None and not os.path.isfile(file):
        must = f"it must be a folder with a {store.DATABASE}, or the URL of a database that is there"
        raise InputError(f"storage: {database.hide_password(storage)!r} given; {must}")
    return url, file


def load_study(storage: str | os.PathLike | optuna.storages.BaseStorage, name: str) -> optuna.Study:
    """A study of a storage that is there.

    Args:
        name: of the study, or its title, without the digits behind it, where one study alone has that.

    Raises:
        InputError: the storage or the study is not there.
    """
    found = {study.study_name: study for study in studies(storage)}
    of_title = [full for full in found if isinstance(name, str) and title_of(full) == name]
    return found[of_title[0] if len(of_title) == 1 else check_choice("study_name", name, tuple(found))]


def studies(storage: str | os.PathLike | optuna.storages.BaseStorage) -> list[optuna.Study]:
    """Every study of a storage that is there, the repeats of a best trial included, by name.

    Raises:
        InputError: the storage is not there, or holds none.
    """
    opened = open_existing(storage)
    names = sorted(optuna.get_all_study_names(opened))
    if not names:
        raise InputError("storage: one without a study given; it must hold one")
    return [optuna.load_study(study_name=name, storage=opened) for name in names]


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """All trials but those that still run or wait."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def hparams(study: optuna.Study, trial: FrozenTrial) -> dict[str, float | str]:
    """What a trial ran with: what was proposed to it, and what its study's plan fixes.

    A tuned hparam that was not proposed, having no effect in this trial, is not there.
    """
    space = space_of(study.user_attrs.get(store.PLAN, {}))
    fixed = {name: value for name, value in space.items() if name not in spaces.tuned(space)}
    return spaces.holding(space, fixed | trial.params)


# --- All of a storage, fast and without a trace -----------------------------------------------------------------------


class Kept(NamedTuple):
    """A study as its storage has it."""

    name: str
    sign: int  # 1 where a greater objective is better, -1 where a smaller one is
    user_attrs: Mapping[str, Any]
    trials: list[FrozenTrial]  # the measured ones, by number; without distributions, their times in UTC


def read(storage: str | os.PathLike) -> tuple[list[Kept], dict[str, str]]:
    """Every study of a storage that is there, by name; and of those that cannot be read, why.

    It asks the database for whole columns, and for nothing to be written: Optuna would make its tables where there are
    none, and takes seven times as long.

    Args:
        storage: a folder with a study.db, or a database URL.

    Raises:
        InputError: there is no such storage, or it is no database of studies; and why.
    """
    url, file = _url_and_file(storage)
    found, failed = [], {}
    try:
        with _engine(url, file).connect() as connection:
            if not sqlalchemy.inspect(connection).has_table(models.StudyModel.__tablename__):
                raise ValueError("it has no table of studies")
            study = models.StudyModel
            for study_id, name in connection.execute(
                sqlalchemy.select(study.study_id, study.study_name).order_by(study.study_name)
            ).all():
                try:
                    found.append(_read_study(connection, study_id, name))
                except Exception as error:  # whatever another program, or a broken disk, has put there
                    failed[name] = database.reason(error)
    except Exception as error:
        raise InputError(f"it must be a database of studies ({database.reason(error)})") from error
    return found, failed


def _engine(url: sqlalchemy.URL, file: pathlib.Path | None) -> sqlalchemy.Engine:
    if file is None:
        return sqlalchemy.create_engine(url, connect_args=database.connect_args(url), poolclass=NullPool)
    # Never made if it is not there; not "ro", which cannot undo what a killed worker had half written.
    uri = f"{file.resolve().as_uri()}?mode=rw"
    connect = functools.partial(sqlite3.connect, uri, uri=True, timeout=database.LOCK_TIMEOUT)
    return sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _read_study(connection: sqlalchemy.Connection, study_id: int, name: str) -> Kept:
    trial, attribute, param, value = (
        models.TrialModel.__table__.c,
        models.TrialUserAttributeModel,
        models.TrialParamModel,
        models.TrialValueModel,
    )
    about, direction = models.StudyUserAttributeModel, models.StudyDirectionModel
    select = lambda *columns: connection.execute(sqlalchemy.select(*columns[:-1]).where(*columns[-1])).all()
    directions = select(direction.direction, [direction.study_id == study_id, direction.objective == 0])
    user_attrs = {
        key: json.loads(text) for key, text in select(about.key, about.value_json, [about.study_id == study_id])
    }
    # Trials come first: what is finished by then has all the rest.
    finished = [trial.study_id == study_id, trial.state.in_([s for s in TrialState if s.is_finished()])]
    trials = select(trial.trial_id, trial.number, trial.state, trial.datetime_start, trial.datetime_complete, finished)
    of = lambda model: [model.trial_id == trial.trial_id, *finished]
    outcomes = dict(select(attribute.trial_id, attribute.value_json, [*of(attribute), attribute.key == store.OUTCOME]))
    values = {
        trial_id: value.stored_repr_to_value(number, kind)
        for trial_id, number, kind in select(
            value.trial_id, value.value, value.value_type, [*of(value), value.objective == 0]
        )
    }
    distribution = functools.cache(optuna.distributions.json_to_distribution)
    params: dict[int, dict[str, Any]] = {}
    for trial_id, param_name, number, text in select(
        param.trial_id, param.param_name, param.param_value, param.distribution_json, of(param)
    ):
        params.setdefault(trial_id, {})[param_name] = distribution(text).to_external_repr(number)
    measured = [
        FrozenTrial(
            number=number,
            state=state,
            value=values.get(trial_id),
            params=params.get(trial_id, {}),
            user_attrs={store.OUTCOME: json.loads(outcomes[trial_id])},
            distributions={},
            system_attrs={},
            intermediate_values={},
            datetime_start=_in_utc(begun),
            datetime_complete=_in_utc(ended),
            trial_id=trial_id,
        )
        for trial_id, number, state, begun, ended in sorted(trials, key=lambda row: row.number)
        if trial_id in outcomes
    ]
    sign = 1 if [row.direction for row in directions] == [StudyDirection.MAXIMIZE] else -1
    return Kept(name, sign, user_attrs, measured)


def _in_utc(time: datetime.datetime | None) -> datetime.datetime | None:
    return None if time is None else time.replace(tzinfo=datetime.UTC)
