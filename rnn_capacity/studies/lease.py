"""Which worker trains which trial, so that several can serve one study and a dead one's trials are not lost.

A trial in training belongs to the worker that started it, for as long as that lives: on this machine, while its process
does; elsewhere, while its heartbeat is heard (Optuna's, in the database). A trial that belongs to nobody is anybody's;
so is one in training that bears no worker's name (Optuna's own `ask` made it), where no heartbeat of it is heard.

Should two workers take one at the same moment, both train it, to the same result, and the second to tell it finds it
told: a trial is a pure function, so this costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import logging
import os
import pathlib
import socket
import threading

import optuna
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity import private
from rnn_capacity.studies import database

WORKER = "worker"  # the system attribute of a trial that says whose it is
_counter = itertools.count()
_alive: set[str] = set()  # the workers of this process
_logger = logging.getLogger(__name__)


class Lease:
    """A worker's hold on the trials that it trains, for as long as it is open: `with Lease(study) as lease`."""

    def __init__(self, study: optuna.Study):
        self._study, self._storage = study, private.storage_of(study)
        self._held: set[int] = set()
        self._nameless: set[int] = set()  # trials in training without a worker's name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)
        process = os.getpid()
        self.worker = f"{socket.gethostname()}:{process}:{_start_of(process)}:{next(_counter)}"

    def __enter__(self) -> Lease:
        _alive.add(self.worker)
        if self._beats:
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        _alive.discard(self.worker)
        self._stop.set()
        if self._beats:
            self._thread.join(timeout=1)  # where the database is away, a heartbeat may wait for it long

    @property
    def _beats(self) -> bool:
        """Whether the storage has heartbeats: a database has, memory and Optuna's journal have none."""
        return isinstance(self._storage, private.BaseHeartbeat) and self._storage.get_heartbeat_interval() is not None

    def new(self) -> optuna.Trial:
        """A trial that is this worker's from its first moment."""
        template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs={WORKER: self.worker})
        template.datetime_start = datetime.datetime.now()
        return self._held_trial(self._storage.create_new_trial(private.study_id(self._study), template))

    def adopt(self, most: int) -> list[optuna.Trial]:
        """Takes trials that were put back or that belong to nobody; they are this worker's from now on."""
        found = []
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
        stale = private.stale_trial_ids(self._storage, self._study) if self._beats else set()
        for trial in trials:
            if len(found) == most:
                break
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # told meanwhile
                if private.trial_id(trial) not in self._held and self._take(trial, stale):
                    found.append(self._held_trial(private.trial_id(trial)))
        return found

    def put_back(self, trial: optuna.Trial) -> None:
        """Puts a trial back, for any worker."""
        self._held.discard(private.trial_id(trial))
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another worker has told it
            self._storage.set_trial_state_values(private.trial_id(trial), TrialState.WAITING)

    def release(self, trial: optuna.Trial) -> None:
        """Ends the lease of a trial that is stored."""
        self._held.discard(private.trial_id(trial))

    def _take(self, trial: FrozenTrial, stale: set[int]) -> bool:
        if trial.state == TrialState.RUNNING and self._is_held(trial, stale):
            return False
        if self._beats:
            self._storage.record_heartbeat(private.trial_id(trial))
        claim = lambda: self._storage.set_trial_state_values(private.trial_id(trial), TrialState.RUNNING)
        if trial.state == TrialState.WAITING and not claim():
            return False  # another was first
        self._storage.set_trial_system_attr(private.trial_id(trial), WORKER, self.worker)
        return True

    def _is_held(self, trial: FrozenTrial, stale: set[int]) -> bool:
        if private.trial_id(trial) in stale:
            return False
        if self._beats and WORKER not in trial.system_attrs and private.trial_id(trial) not in self._nameless:
            self._nameless.add(private.trial_id(trial))
            self._storage.record_heartbeat(private.trial_id(trial))  # what never had one would never be stale
        host, process, start, _ = trial.system_attrs.get(WORKER, ":::").rsplit(":", 3)
        if host == socket.gethostname():
            if int(process) == os.getpid():
                return trial.system_attrs[WORKER] in _alive
            return _start_of(int(process)) == start
        return self._beats  # elsewhere: held while its heartbeat is fresh, and where there are none by nobody

    def _held_trial(self, trial_id: int) -> optuna.Trial:
        self._held.add(trial_id)
        return optuna.Trial(self._study, trial_id)

    def _beat_on(self) -> None:
        while not self._stop.wait(self._storage.get_heartbeat_interval()):
            try:
                for trial_id in list(self._held):
                    if self._stop.is_set():
                        return
                    self._storage.record_heartbeat(trial_id)
            except (database.StorageLostError, optuna.exceptions.OptunaError) as error:
                _logger.warning("no heartbeat: %s", error)


def _start_of(process: int) -> str:
    """When a process of this machine started, by the kernel's clock; "running" where it has none, "" if it is dead."""
    try:
        state, *fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return "" if state == "Z" else fields[18]
    except OSError:
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
