"""Any trial again, from what is kept of it alone."""

import os
from typing import Any

import optuna

from rnn_capacity.cells import Cell
from rnn_capacity.checks import InputError, check_int
from rnn_capacity.measure.questions import plan_of
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import reader, session, store, study
from rnn_capacity.tasks import Task


@session.measuring()
def train_again(
    storage: str | os.PathLike | optuna.storages.BaseStorage,
    study_name: str,
    number: int,
    cell: Cell | None = None,
    task: Task | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains a trial of a storage once more, from what is kept of it alone: (what it gave then, what it gives now).

    On the kind of device that it was trained on, with the same packages, both are the same but for `seconds`.

    Args:
        storage: a folder with a study.db, or a database URL.
        study_name: a study of it.
        number: the trial's, in `result.trials`.
        cell, task: where they are a user's own.

    Raises:
        InputError: there is no such study or trial, or the cell or the task is another.
    """
    number = check_int("number", number, 0)
    kept = reader.load_study(storage, study_name)
    if not kept.plan:
        raise InputError(f"study_name: {study_name!r} given; it must be a study that was measured here")
    plan = plan_of(study_name, kept.plan, cell, task)
    found = {t.number: t for t in kept.measured}
    if number not in found:
        raise InputError(f"number: {number} given; {study_name!r} has the measured trials {', '.join(map(str, found))}")
    before = found[number].user_attrs[store.OUTCOME]
    trial = plan.trial(number, spaces.complete(plan.space, found[number].params))
    return before, study.train_alone(trial, before["steps"], plan.outcome)
