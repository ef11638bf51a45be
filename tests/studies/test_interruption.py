"""Studies that are stopped, by an exception, before any write or by a kill, end as if nothing had happened."""

import contextlib
import functools
import itertools
import os
import signal
import sqlite3
import sys
import time

import forked
import optuna
import pytest
from helpers import PATHS
from optuna.trial import TrialState
from small_study import contents, in_memory, run

from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent


class Stopped(BaseException):
    """As a KeyboardInterrupt would."""


class StopsAfter(Silent):
    """A reporter that raises at the n-th chunk."""

    stopped = False

    def __init__(self, updates):
        self._left = updates

    def update(self, level, done, note):
        self._left -= level == "batch"
        if self._left < 0:
            raise Stopped

    def stop(self, level):
        self.stopped = level == "study"


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("updates", [0, 1, 3, 8, 15])
def test_a_run_stopped_by_an_exception_ends_as_if_it_had_not_been(trainer, updates, sampler):
    expected = contents(run(in_memory(), 9, sampler=sampler))
    storage, reporter = in_memory(), StopsAfter(updates)
    with contextlib.suppress(Stopped):
        run(storage, 9, reporter=reporter, sampler=sampler)
    assert reporter.stopped
    (stopped,) = optuna.get_all_study_summaries(storage)
    begun = optuna.load_study(study_name=stopped.study_name, storage=storage).get_trials(states=(TrialState.WAITING,))
    before = len(trainer.trained)
    assert contents(run(storage, 9, sampler=sampler)) == expected
    if updates <= 8:
        assert begun
    assert len(trainer.trained) - before == len(begun)  # those alone, none that were told
    assert optuna.get_all_study_summaries(storage)[0].n_trials == 9


class Crashing(optuna.storages.InMemoryStorage):
    """A storage whose n-th write never happens, as when the process is killed just before it."""

    def __init__(self):
        super().__init__()
        self.writes_left = None

    def _write(self):
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                raise Stopped

    def create_new_study(self, *args, **kwargs):
        self._write()
        return super().create_new_study(*args, **kwargs)

    def set_study_user_attr(self, *args, **kwargs):
        self._write()
        return super().set_study_user_attr(*args, **kwargs)

    def create_new_trial(self, *args, **kwargs):
        self._write()
        return super().create_new_trial(*args, **kwargs)

    def set_trial_param(self, *args, **kwargs):
        self._write()
        return super().set_trial_param(*args, **kwargs)

    def set_trial_intermediate_value(self, *args, **kwargs):
        self._write()
        return super().set_trial_intermediate_value(*args, **kwargs)

    def set_trial_user_attr(self, *args, **kwargs):
        self._write()
        return super().set_trial_user_attr(*args, **kwargs)

    def set_trial_state_values(self, *args, **kwargs):
        self._write()
        return super().set_trial_state_values(*args, **kwargs)


def test_a_run_killed_before_any_one_of_its_writes_ends_as_if_it_had_not_been(trainer):
    expected = contents(run(in_memory(), 3))
    failed, writes, finished = [], 0, False
    while not finished:
        storage = Crashing()
        storage.writes_left = writes
        try:
            run(storage, 3)
            finished = True
        except Stopped:
            storage.writes_left = None
            try:
                same = contents(run(storage, 3)) == expected
            except Exception as error:
                same = repr(error)
            if same is not True:
                failed.append((writes, same))
        writes += 1
    assert writes > 3 * (1 + 3 + 2)  # each trial is asked for, has its values, its outcome and its end
    assert not failed


@pytest.mark.parametrize("updates", [3, 13, 21, 30])
def test_the_bandit_goes_on_with_the_proposals_that_it_would_have_had(trainer, monkeypatch, updates):
    """It proposes by what was told: where blocks began must be where they would have begun, and its fits be kept."""
    monkeypatch.setitem(SAMPLERS, "gp", functools.partial(SAMPLERS["gp"], num_startup=4))
    monkeypatch.setattr(study, "ASK_AT_ONCE", 4)
    expected = contents(run(in_memory(), 14, sampler="gp"))
    assert expected != contents(run(in_memory(), 14, sampler="quasi-random"))
    storage = in_memory()
    with contextlib.suppress(Stopped):
        run(storage, 14, reporter=StopsAfter(updates), sampler="gp")
    assert contents(run(storage, 14, sampler="gp")) == expected


def test_a_race_that_is_stopped_at_any_write_ends_as_if_it_had_not_been(trainer, monkeypatch):
    """Each rung ranks anew, so a survivor that had to pass a rung once more could fail there."""
    monkeypatch.setattr(study, "ASK_AT_ONCE", 6)
    expected = contents(run(in_memory(), 6, halving=2))
    assert [state.name for _, state, *_ in expected].count("COMPLETE") == 2
    failed = []
    for writes in itertools.count(20):  # before, they are being asked for
        storage = Crashing()
        storage.writes_left = writes
        try:
            run(storage, 6, halving=2)
            break
        except Stopped:
            storage.writes_left = None
        if contents(run(storage, 6, halving=2)) != expected:
            failed.append(writes)
    assert writes > 40
    assert not failed


# --- A process that is killed -----------------------------------------------------------------------------------------

SCRIPT = """
import sys, tiny
from rnn_capacity import measure_capacity
options = tiny.TINY | dict(num_trials=6, num_repeats=3, train_steps=10_000)
options["hparams"] = options["hparams"] | {"input_scale": (0.2, 0.8)}  # above a half this cell diverges
measure_capacity(tiny.FRAGILE, storage=sys.argv[1], devices=1, progress=False, **options)
"""
# When it is killed: in the search, and while the best is trained again; (trials there are, trials told).
MOMENTS = ((6, 3), (7, 6))


def start(folder, cache):
    environment = os.environ | {
        "PYTHONPATH": PATHS,
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return forked.Process([sys.executable, "-c", SCRIPT, folder], environment)


def counts(folder):
    """How many trials the database holds, and how many of them have been told."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder / store.DATABASE}?mode=ro", uri=True)) as database:
            states = [state for (state,) in database.execute("SELECT state FROM trials")]
    except sqlite3.OperationalError:  # not there yet
        states = []
    return len(states), sum(state in ("COMPLETE", "FAIL") for state in states)


def all_trials(folder):
    storage = store.open_storage(folder)
    studies = [optuna.load_study(study_name=s.study_name, storage=storage) for s in storage.get_all_studies()]
    return {s.study_name: contents(s.get_trials(deepcopy=False)) for s in studies}


def test_a_killed_process_started_again_ends_as_one_that_was_never_killed(tmp_path):
    cache = tmp_path / "compiled"
    assert start(tmp_path / "whole", cache).wait(300) == 0
    expected = all_trials(tmp_path / "whole")
    assert [len(trials) for trials in expected.values()] == [6, 3]
    assert {state.name for trials in expected.values() for _, state, *_ in trials} == {"COMPLETE", "FAIL"}

    folder = tmp_path / "killed"
    for moment in MOMENTS:
        process = start(folder, cache)
        try:
            while process.poll() is None and any(n < least for n, least in zip(counts(folder), moment, strict=True)):
                time.sleep(0.005)
        finally:
            process.kill()
        assert process.wait(300) == -signal.SIGKILL, moment
    assert counts(folder) < (9, 9)
    assert start(folder, cache).wait(300) == 0
    assert all_trials(folder) == expected
