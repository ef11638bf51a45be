"""Which worker trains which trial, so that several can serve one study and a dead one's trials are not lost.

A trial in training belongs to the worker that started it for as long as its heartbeat is heard, Optuna's, in the
database. A worker that is stopped puts its trials back; the trials of one that was killed are anybody's once GRACE
seconds have passed, or at once where it was the only one of an SQLite file: the lock of its folder is then gone.
Storages without heartbeats, in memory or Optuna's journal, serve one worker at a time.

Should a worker be taken for dead that is not, both train its trials, to the same result, and the second finds them
stored: a trial is a pure function, so this costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import logging
import os
import secrets
import threading

import optuna
from optuna.trial import TrialState

from rnn_capacity import private
from rnn_capacity.private import WORKER
from rnn_capacity.studies import database
from rnn_capacity.training import stop

_logger = logging.getLogger(__name__)


class Lease:
    """A worker's hold on the trials that it trains, for as long as it is open: `with Lease(study) as lease`."""

    def __init__(self, study: optuna.Study):
        self._study, self._storage = study, private.storage_of(study)
        backend = private.backend_of(study)
        self._database = backend if isinstance(backend, database.Database) else None
        self._held: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)
        self._lock: int | None = None  # the folder of an SQLite file, of which all its workers hold a shared lock
        self.worker = secrets.token_hex(8)

    def __enter__(self) -> Lease:
        file = None if self._database is None else database.file_of(self._database.engine.url)
        if file is not None:
            self._lock = os.open(file.parent, os.O_RDONLY)
        if self._is_alone():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if self._database is None or WORKER in trial.system_attrs:  # else Optuna's own `ask` made it
                    self._put_back(private.trial_id(trial))
        if self._lock is not None:
            with contextlib.suppress(OSError):  # a file system without locks: heartbeats alone decide
                fcntl.flock(self._lock, fcntl.LOCK_SH)
        if self._database is not None:
            self._thread.start()
        return self

    def __exit__(self, _, error: BaseException | None, __) -> None:
        self._stop.set()
        if self._database is not None:
            self._thread.join(timeout=1)  # where the database is away, a heartbeat may wait for it long
        with contextlib.suppress(stop.Stopped, database.StorageLostError):
            for trial_id in [] if isinstance(error, database.StorageLostError) else sorted(self._held):
                self._put_back(trial_id)
        if self._lock is not None:
            os.close(self._lock)

    def new(self) -> optuna.Trial:
        """A trial that is this worker's from its first moment."""
        template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs={WORKER: self.worker})
        template.datetime_start = datetime.datetime.now()
        return self._held_trial(self._storage.create_new_trial(private.study_id(self._study), template))

    def adopt(self, most: int) -> list[optuna.Trial]:
        """Takes trials that were put back, and all of dead workers; they are this worker's from now on."""
        stale = [] if self._database is None else self._database.claim_stale(private.study_id(self._study))
        ours = [trial_id for trial_id in stale if trial_id not in self._held]
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if len(ours) < most and self._claim(private.trial_id(trial)):
                ours.append(private.trial_id(trial))
        found = []
        for trial_id in sorted(ours):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # told meanwhile
                self._storage.set_trial_system_attr(trial_id, WORKER, self.worker)
                found.append(self._held_trial(trial_id))
        return found

    def put_back(self, trial: optuna.Trial) -> None:
        """Puts a trial back, for any worker."""
        self.release(trial)
        self._put_back(private.trial_id(trial))

    def release(self, trial: optuna.Trial) -> None:
        """Ends the lease of a trial that is stored."""
        self._held.discard(private.trial_id(trial))

    def _is_alone(self) -> bool:
        """Whether no other worker lives, as far as can be seen: the kernel drops the lock of one that dies."""
        if self._lock is None:
            return self._database is None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _claim(self, trial_id: int) -> bool:
        """Takes a trial that was put back, unless another worker is first."""
        if self._database is not None:
            self._database.record_heartbeat(trial_id)
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            return self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        return False

    def _put_back(self, trial_id: int) -> None:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another worker has told it
            self._storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def _held_trial(self, trial_id: int) -> optuna.Trial:
        self._held.add(trial_id)
        return optuna.Trial(self._study, trial_id)

    def _beat_on(self) -> None:
        while self._database is not None and not self._stop.wait(database.HEARTBEAT):
            try:
                self._database.beat(sorted(self._held))
            except (database.StorageLostError, stop.Stopped) as error:
                _logger.warning("no heartbeat: %s", error)
