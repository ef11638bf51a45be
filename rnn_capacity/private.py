"""The private names of Optuna and JAX that are used, all here; setup.py bounds the releases that have them."""

import collections
import datetime
from collections.abc import Sequence

import optuna
import sqlalchemy
from jax._src import distributed as distributed  # its key-value store has no public face
from optuna.storages import BaseStorage
from optuna.storages._rdb import models as models
from optuna.trial import FrozenTrial, TrialState

# What Optuna's cache in front of a storage calls, other than public methods.
CALLED_BY_CACHE = {
    "_create_new_trial",
    "_set_trial_param",
    "_get_trials",
    "_get_best_trial_id",
}

HEARTBEATS = {"record_heartbeat", "beat", "claim_stale", "workers_of_studies"}
WORKER = "worker"  # the system attribute of a trial that says who trains it


class BeatingStorage(optuna.storages.RDBStorage):
    """Optuna's database; a trial's first heartbeat is written with it, or one killed in between is never stale."""

    def _get_prepared_new_trial(self, study_id, template_trial, session):
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        session.add(models.TrialHeartbeatModel(trial_id=trial.trial_id))
        return trial

    def beat(self, trial_ids: Sequence[int]) -> None:
        """Renews the heartbeats of trials, in one statement."""
        heartbeat = models.TrialHeartbeatModel
        renew = sqlalchemy.update(heartbeat).where(heartbeat.trial_id.in_(trial_ids))
        with self.engine.begin() as connection:
            connection.execute(renew.values(heartbeat=sqlalchemy.func.now()))

    def claim_stale(self, study_id: int) -> list[int]:
        """Renews the heartbeats of a study's running trials that are stale; of several callers one gets each.

        A running trial without any, as Optuna's own `ask` makes it, gets its first.
        """
        heartbeat, trial = models.TrialHeartbeatModel, models.TrialModel
        running = [trial.study_id == study_id, trial.state == TrialState.RUNNING]
        beats = sqlalchemy.select(trial.trial_id, heartbeat.heartbeat).outerjoin(heartbeat).where(*running)
        with self.engine.begin() as connection:
            assert self.grace_period is not None
            now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
            before = now - datetime.timedelta(seconds=self.grace_period)
            rows = connection.execute(beats).all()
            claim = sqlalchemy.update(heartbeat).where(heartbeat.heartbeat < before).values(heartbeat=now)
            stale = [trial_id for trial_id, last in rows if last is not None and last < before]
            claimed = [i for i in stale if connection.execute(claim.where(heartbeat.trial_id == i)).rowcount]
        for trial_id, last in rows:
            if last is None:
                self.record_heartbeat(trial_id)
        return claimed

    def workers_of_studies(self) -> dict[str, int]:
        """How many workers have running trials of each study that has any."""
        study, trial, attr = models.StudyModel, models.TrialModel, models.TrialSystemAttributeModel
        names = sqlalchemy.select(study.study_name, attr.value_json).distinct()
        running = names.join(trial, trial.study_id == study.study_id).join(attr, attr.trial_id == trial.trial_id)
        with self.engine.begin() as connection:
            rows = connection.execute(running.where(trial.state == TrialState.RUNNING, attr.key == WORKER)).all()
        return collections.Counter(name for name, _ in rows)


def storage_of(study: optuna.Study) -> BaseStorage:
    """The storage of a study."""
    return study._storage


def backend_of(study: optuna.Study) -> BaseStorage:
    """The storage of a study, without Optuna's cache in front of it."""
    return getattr(study._storage, "_backend", study._storage)


def study_id(study: optuna.Study) -> int:
    """The number of a study in its storage."""
    return study._study_id


def trial_id(trial: FrozenTrial | optuna.Trial) -> int:
    """The number of a trial in its storage, of all studies'."""
    return trial._trial_id
