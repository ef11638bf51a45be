"""The private names of Optuna and JAX that are used, all here; setup.py bounds the releases that have them."""

from __future__ import annotations

import optuna
from jax._src import distributed  # its key-value store has no public face
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial

# What Optuna's cache in front of a storage calls, other than public methods.
CALLED_BY_CACHE = {
    "_create_new_trial",
    "_set_trial_param",
    "_get_trials",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
}

__all__ = [
    "CALLED_BY_CACHE",
    "BaseHeartbeat",
    "BeatingStorage",
    "distributed",
    "models",
    "stale_trial_ids",
    "storage_of",
    "study_id",
    "trial_id",
]


class BeatingStorage(optuna.storages.RDBStorage):
    """Optuna's database; a trial's first heartbeat is written with it, or one killed in between is never stale."""

    def _get_prepared_new_trial(self, study_id, template_trial, session):
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        session.add(models.TrialHeartbeatModel(trial_id=trial.trial_id))
        return trial


def storage_of(study: optuna.Study) -> BaseStorage:
    """The storage of a study."""
    return study._storage


def study_id(study: optuna.Study) -> int:
    """The number of a study in its storage."""
    return study._study_id


def trial_id(trial: FrozenTrial | optuna.Trial) -> int:
    """The number of a trial in its storage, of all studies'."""
    return trial._trial_id


def stale_trial_ids(storage: BaseHeartbeat, study: optuna.Study) -> set[int]:
    """Trials of a study that run without a heartbeat."""
    return set(storage._get_stale_trial_ids(study_id(study)))
