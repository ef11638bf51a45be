"""Databases that may go away for a while: what is written waits for them, and nothing that was measured is lost."""

from __future__ import annotations

import functools
import logging
import re
import time
import warnings

import optuna
import sqlalchemy.exc
from optuna.storages._rdb import models

from rnn_capacity import stop

PATIENCE = 600.0  # seconds that a database is waited for
RETRY = 2.0  # seconds between two tries
HEARTBEAT = 10  # seconds between two signs of life of a trial in training
GRACE = 40  # seconds of silence after which it is taken over
HOPELESS = ("readonly", "read-only", "no such table", "no such column")  # of errors, that no waiting mends
LOCK_TIMEOUT = 60  # seconds that SQLite waits for another worker's write

_logger = logging.getLogger(__name__)


class StorageLostError(RuntimeError):
    """The database did not answer, or had no room, for PATIENCE seconds. The study can be gone on with."""


def _patiently(method):
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        begun = time.monotonic()
        waiting = False
        while True:
            try:
                result = method(self, *args, **kwargs)
            except optuna.exceptions.StorageInternalError as error:
                if not isinstance(error.__cause__, sqlalchemy.exc.OperationalError):
                    raise
                if any(text in str(error.__cause__) for text in HOPELESS):
                    raise
                reason = f"storage: {hide_password(self.url)} fails ({first_line(error.__cause__.orig)})"
                if time.monotonic() - begun > PATIENCE:
                    raise StorageLostError(
                        f"{reason} for {PATIENCE / 60:.0f} minutes; all that it holds is kept, and the same command "
                        "goes on from there"
                    ) from error
                if not waiting:
                    _logger.warning("%s; waiting for it, for up to %.0f minutes", reason, PATIENCE / 60)
                waiting = True
                stop.check()
                time.sleep(RETRY)
                continue
            if waiting:
                _logger.warning("storage: %s answers again", hide_password(self.url))
            return result

    return call


class Database(optuna.storages.RDBStorage):
    """Optuna's database storage with heartbeats, each of whose calls waits while the database is away."""

    def __init__(self, url: str):
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        options = {"timeout": LOCK_TIMEOUT} if url.startswith("sqlite") else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
            super().__init__(
                url,
                engine_kwargs={"pool_pre_ping": True, "connect_args": options},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
            )

    def _get_prepared_new_trial(self, study_id, template_trial, session):
        """A trial's first heartbeat is written with it, or one killed in between would never be stale."""
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        session.add(models.TrialHeartbeatModel(trial_id=trial.trial_id))
        return trial


# What Optuna's cache in front of the storage calls, beside the public methods.
_CALLED = {"_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id", "_get_stale_trial_ids"}
for _name in {*optuna.storages.BaseStorage.__abstractmethods__, *_CALLED, "record_heartbeat"}:
    setattr(Database, _name, _patiently(getattr(optuna.storages.RDBStorage, _name)))


def being_made(error: BaseException) -> bool:
    """Whether opening a database failed since another worker makes its tables at this moment."""
    both = (error, error.__cause__)
    texts = ("already exists", "no such table", "does not exist")
    return any(isinstance(e, sqlalchemy.exc.IntegrityError) or any(text in str(e) for text in texts) for e in both)


def hide_password(url: str) -> str:
    url = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", str(url))
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", url)


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
