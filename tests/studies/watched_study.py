"""A study that is run while a test looks into its database, or does something to it."""

import contextlib
import datetime
import functools

import jax
import optuna
import pytest
import sqlalchemy
import sqlalchemy.exc
from small_study import STUDY, contents
from tiny import FakeTrainer

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.private import models
from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent


def open_study(url, **fields):
    plan = CapacityConfig(**(STUDY | fields)).plan()
    sampler = SAMPLERS[plan.sampler](plan.space, plan.seed)
    return plan, store.open_study(store.open_storage(url), plan.name, plan.describe(), sampler)


def run(url, num_trials, reporter=None, **fields):
    return run_of(*open_study(url, **fields), num_trials, reporter)


def run_of(plan, opened, num_trials, reporter=None):
    return study.run(
        opened,
        plan,
        num_trials=num_trials,
        devices=jax.devices()[:1],
        trials_per_device=2,
        reporter=reporter or Silent(),
    )


@functools.cache
def seen(url):
    """A storage, to look into while workers use it."""
    return store.Database(store.url_of(url))


def trials_of(url):
    """All trials of the one study that is there, of any state; none where there is none yet."""
    if "://" not in str(url) and not (url / store.DATABASE).exists():
        return []
    with contextlib.suppress(ValueError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError):
        for found in seen(url).get_all_studies():
            return seen(url).get_all_trials(found._study_id)
    return []


def num_told(url):
    return sum(trial.state.is_finished() for trial in trials_of(url))


def heartbeats(url):
    """When each trial in training was last heard of, by the clock of the database."""
    beat = models.TrialHeartbeatModel
    with seen(url).engine.begin() as connection:
        return dict(connection.execute(sqlalchemy.select(beat.trial_id, beat.heartbeat)).all())


def age(url, seconds=60):
    """As if so many seconds more had passed since each trial in training was heard of: when that then was."""
    beat = models.TrialHeartbeatModel
    aged = {trial_id: last - datetime.timedelta(seconds=seconds) for trial_id, last in heartbeats(url).items()}
    with seen(url).engine.begin() as connection:
        for trial_id, last in aged.items():
            connection.execute(sqlalchemy.update(beat).where(beat.trial_id == trial_id).values(heartbeat=last))
    return aged


@functools.cache
def expected(num_trials, **fields):
    """What one worker gives that nothing happens to."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        FakeTrainer().install(monkeypatch)
        return contents(run(None, num_trials, **fields))


class At(Silent):
    """Does something once, at the n-th chunk."""

    def __init__(self, update, action):
        self._left, self._action = update, action

    def update(self, level, done, note):
        self._left -= level == "batch"
        if level == "batch" and self._left == 0:
            self._action()


def execute(url, *statements):
    """As a person beside the study would, in a connection of its own."""
    engine = sqlalchemy.create_engine(store.url_of(url), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
