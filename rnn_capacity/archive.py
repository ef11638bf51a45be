"""Trials read back from a storage that is there: nothing is made, and nothing measured again."""

from __future__ import annotations

import os
import pathlib
import re

import optuna
from optuna.trial import FrozenTrial

from rnn_capacity import store
from rnn_capacity.plan import space_of
from rnn_capacity.search import space as spaces
from rnn_capacity.types import check_choice


def open_existing(storage: str | os.PathLike | optuna.storages.BaseStorage) -> optuna.storages.BaseStorage:
    """Opens a storage that is there, where `store.open_storage` would make a new one; it need not be writable.

    Args:
        storage: a folder with a study.db, or a database URL.

    Raises:
        ValueError: there is no study, or the database does not answer.
    """
    if isinstance(storage, str | os.PathLike):
        url = str(storage)
        if "://" not in url:
            url = f"sqlite:///{pathlib.Path(url).expanduser() / store.DATABASE}"  # by URL, also where one may only read
        sqlite = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]*).*", url)
        if sqlite is not None and not os.path.isfile(sqlite[1]):
            must = f"it must be a folder with a {store.DATABASE}, or the URL of a database that is there"
            raise ValueError(f"storage: {str(storage)!r} given; {must}")
        storage = url
    return store.open_storage(storage)


def load_study(storage: str | os.PathLike | optuna.storages.BaseStorage, name: str) -> optuna.Study:
    """A study of a storage that is there.

    Raises:
        ValueError: the storage or the study is not there.
    """
    found = {study.study_name: study for study in studies(storage)}
    return found[check_choice("study_name", name, tuple(found))]


def studies(storage: str | os.PathLike | optuna.storages.BaseStorage) -> list[optuna.Study]:
    """Every study of a storage that is there, the repeats of a best trial included, by name.

    Raises:
        ValueError: the storage is not there, or holds none.
    """
    opened = open_existing(storage)
    names = sorted(optuna.get_all_study_names(opened))
    if not names:
        raise ValueError("storage: one without a study given; it must hold one")
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
