"""Studies: every trial once, whatever stops the run, and the same trials and values as if nothing had."""

import contextlib
import functools
import itertools
import os
import signal
import sqlite3
import sys
import time
import types
from typing import ClassVar

import forked
import jax
import numpy as np
import optuna
import pytest
from helpers import PATHS
from optuna.trial import TrialState
from small_study import STUDY, contents, run
from tiny import FakeTrainer

from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent
from rnn_capacity.tasks import SPLITS

FIXED = STUDY["hparams"] | {"mappings_per_param": 0.5, "optimizer": "sgd", "learning_rate": 0.05}


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


def in_memory():
    return optuna.storages.InMemoryStorage()


@pytest.mark.parametrize("num_trials", [1, 2, 5, 16, 17, 21])
def test_exactly_as_many_trials_as_asked_for_are_trained_each_once(trainer, num_trials):
    storage = in_memory()
    trials = run(storage, num_trials)
    assert [t.number for t in trials] == list(range(num_trials))
    assert len(trainer.trained) == len(set(trainer.trained)) == num_trials
    (kept,) = optuna.get_all_study_summaries(storage)
    assert kept.n_trials == num_trials
    assert all(t.state.name == "COMPLETE" and t.value == t.user_attrs[store.OUTCOME]["bits_per_param"] for t in trials)


def test_trials_train_together_whatever_they_choose_and_keep_what_is_theirs(trainer):
    together = run(in_memory(), 12, num_devices=2, trials_per_device=3)
    assert {trial.params["optimizer"] for trial in together} == {"sgd", "adam"}
    assert len({spec for spec, *_ in trainer.trained}) == 1
    assert trainer.batches == [6, 6]
    assert contents(together) == contents(run(in_memory(), 12, trials_per_device=1))


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


def test_more_trials_later_are_the_same_as_more_trials_at_once(trainer):
    storage = in_memory()
    first = contents(run(storage, 3))
    assert len(trainer.trained) == 3
    more = contents(run(storage, 8))
    assert len(trainer.trained) == 8
    assert more[:3] == first
    assert more == contents(run(in_memory(), 8))


def test_fewer_trials_later_are_the_first_ones_and_nothing_is_trained(trainer):
    storage = in_memory()
    all_of_them = contents(run(storage, 6))
    assert contents(run(storage, 2)) == all_of_them[:2]
    assert contents(run(storage, 6)) == all_of_them
    assert len(trainer.trained) == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"num_params": 40},
        {"unroll": 2},
        {"cell": "rnn"},
        {"seed": 1},
        {"train_steps": 11},
        {"num_inputs": 9},
        {"batch_size": 4},
        {"sampler": "random"},
        {"precision": "high"},
        {"hparams": STUDY["hparams"] | {"l2": 1e-6}},
        {"hparams": STUDY["hparams"] | {"learning_rate": (0.01, 0.2)}},
    ],
    ids=str,
)
def test_whatever_differs_it_is_another_study(trainer, changed):
    storage = in_memory()
    expected = contents(run(storage, 2))
    run(storage, 2, **changed)
    assert len(trainer.trained) == len(set(trainer.trained)) == 4
    assert len(optuna.get_all_study_summaries(storage)) == 2
    assert contents(run(storage, 2)) == expected


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


@pytest.mark.parametrize(
    ("fields", "blocks"),
    [
        ({"sampler": "gp"}, [5] * 8),
        ({"sampler": "gp", "halving": 2}, [5] * 8),
        ({"sampler": "random"}, [40]),
        ({"sampler": "random", "halving": 2}, [40]),
        ({"sampler": "quasi-random"}, [40]),
        ({"sampler": "gp", "hparams": FIXED}, [40]),
    ],
    ids=["gp", "gp in a race", "random", "random in a race", "quasi-random", "nothing to tune"],
)
def test_where_all_trials_train_at_once_a_sampler_that_learns_is_told_of_some_before_it_is_asked_for_more(
    trainer, monkeypatch, fields, blocks
):
    monkeypatch.setitem(SAMPLERS, "gp", functools.partial(SAMPLERS["gp"], num_startup=4))
    monkeypatch.setattr(study, "ASK_AT_ONCE", 4)
    begun = []
    trained = study._trained
    monkeypatch.setattr(study, "_trained", lambda block, *rest: begun.append(len(block)) or trained(block, *rest))
    trials = run(in_memory(), 40, num_devices=4, trials_per_device=64, **fields)
    assert begun == blocks
    assert len(trials) == 40
    if "halving" in fields:  # a race is of a block
        assert sum(t.state.name == "COMPLETE" for t in trials) == sum(-(-size // 4) for size in blocks)


def test_of_a_short_study_16_are_asked_for_together_however_many_train_at_once(trainer):
    run(in_memory(), 36, sampler="gp", trials_per_device=64, hparams=STUDY["hparams"] | {"optimizer": "sgd"})
    assert trainer.batches == [16, 16, 4]


# --- Successive halving -----------------------------------------------------------------------------------------------


class Racing(FakeTrainer):
    """Training whose outcome after any number of steps is the trial's learning rate; 0.09 and above diverge at once."""

    def __call__(self, spec, hparams, keys, state, start, until, **kwargs):
        outcomes, after = super().__call__(spec, hparams, keys, state, start, until, **kwargs)
        rates = np.array(hparams["learning_rate"], np.float32)
        self.steps += [until - start] * len(rates)
        score = outcomes.score["eval"] | {"bits": rates * spec.task.max_mappings}
        return outcomes._replace(score=dict.fromkeys(SPLITS, score), feasible=rates < 0.09), after

    steps: ClassVar[list] = []


def test_of_each_block_losers_stop_at_a_rung_and_the_best_are_trained_to_the_end(monkeypatch):
    trainer = Racing().install(monkeypatch)
    trainer.steps = []
    trials = run(in_memory(), 32, halving=2, train_steps=16)
    for block in (trials[:16], trials[16:]):
        feasible = [t for t in block if t.params["learning_rate"] < 0.09]
        ranked = sorted(feasible, key=lambda t: -t.params["learning_rate"])
        second = -(-len(ranked) // 2)
        third = -(-second // 2)
        steps = [t.user_attrs[store.OUTCOME]["steps"] for t in ranked]
        assert steps == [16] * third + [8] * (second - third) + [4] * (len(ranked) - second)
        assert [t.state.name for t in ranked] == ["COMPLETE"] * third + ["PRUNED"] * (len(ranked) - third)
        assert all(t.user_attrs[store.OUTCOME]["stopped_early"] == (t.state.name == "PRUNED") for t in ranked)
        assert {t.state.name for t in block if t not in feasible} == {"FAIL"}
        assert len(feasible) < 16
    assert sum(trainer.steps) == sum(t.user_attrs[store.OUTCOME]["steps"] for t in trials)  # none is trained twice


def test_what_is_trained_in_rungs_ends_as_what_is_trained_at_once():
    """On real training: a survivor's outcome is what it would have been had nothing been stopped."""
    fields = {"hparams": STUDY["hparams"] | {"optimizer": "adam"}, "train_steps": 12}
    whole = {t.number: t for t in run(in_memory(), 6, **fields)}
    raced = run(in_memory(), 6, halving=2, num_devices=2, **fields)
    outcome = lambda trial: {k: v for k, v in trial.user_attrs[store.OUTCOME].items() if k != "seconds"}
    survivors = [t for t in raced if t.state.name == "COMPLETE"]
    assert 0 < len(survivors) < 6
    for trial in survivors:
        assert outcome(trial) == outcome(whole[trial.number])


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


def test_an_infeasible_trial_is_kept_as_failed_counted_and_not_repeated(monkeypatch):
    trainer = FakeTrainer(infeasible=lambda hparams: hparams["learning_rate"] > 0.03).install(monkeypatch)
    storage = in_memory()
    trials = run(storage, 10)
    infeasible = [t for t in trials if not t.user_attrs[store.OUTCOME]["feasible"]]
    assert len(trials) == len(trainer.trained) == 10
    assert 1 < len(infeasible) < 9
    for trial in trials:
        diverged = trial.params["learning_rate"] > 0.03
        assert (trial in infeasible) == diverged
        assert trial.state.name == ("FAIL" if diverged else "COMPLETE")
        outcome = trial.user_attrs[store.OUTCOME]
        assert all((outcome[name] is None) == diverged for name in ("bits", "bits_per_param", "accuracy", "loss"))
        assert (trial.value is None) == diverged
    assert contents(run(storage, 10)) == contents(trials)
    assert len(trainer.trained) == 10
    frame = store.trials_frame(trials)
    assert list(frame["feasible"]) == [t not in infeasible for t in trials]


def test_a_run_tells_its_reporter_what_runs_how_far_and_the_best(trainer):
    told = []

    class Told(Silent):
        def start(self, level, what, done, total, note):
            told.append((level, what, done, total, note))

        def update(self, level, done, note):
            told.append((level, done, note))

        def stop(self, level):
            told.append(level)

    of_study = lambda: [t for t in told if t[0] == "study" and len(t) == 3]
    storage = in_memory()
    run(storage, 2, reporter=Told(), hparams=STUDY["hparams"] | {"optimizer": "sgd"})
    assert told == [
        ("study", "a study", 0, 2, "no result yet"),
        ("batch", "2 trials on 1 x cpu", 0, 10, "compiling"),
        ("study", 0, "no result yet"),
        *[("batch", 5, ""), ("study", 1, "no result yet")],
        *[("batch", 10, ""), ("study", 2, "no result yet")],
        "study",
    ]
    told.clear()
    trials = run(storage, 5, reporter=Told(), hparams=STUDY["hparams"] | {"optimizer": "sgd"})
    best = {n: f"best {max(t.value for t in trials[:n]):#.3g} bits/param" for n in (2, 4)}
    assert (told[0], told[-1]) == (("study", "a study", 2, 5, best[2]), "study")
    assert [done for _, done, _ in of_study()] == [2, 3, 4, 4, 4.5, 5]
    assert [note for *_, note in of_study()] == [best[2]] * 3 + [best[4]] * 3


def told_of(num_trials, train_steps, chunks):
    """What a reporter is told of a block of trials as their batches stand at these steps."""
    told = []

    class Told(Silent):
        def start(self, level, what, done, total, note):
            told.append((level, done, total))

        def update(self, level, done, note):
            told.append((level, done))

    shown = study._Shown(optuna.create_study(direction="maximize"), Told(), "bits", jax.devices()[:1])
    shown.begin(num_trials, [train_steps], 1)
    on_chunk = shown.between(0, train_steps)
    for batch, step in chunks:
        on_chunk(batch, step)
    return told


def batch(size):
    return [types.SimpleNamespace(spec=types.SimpleNamespace(nonlinearity="tanh", optimizer="adam"))] * size


def test_of_a_batch_that_goes_on_what_an_earlier_run_trained_is_no_progress_of_this_one():
    """It stands at 40 of 100 steps; the 60 that are left are all that its trials still take."""
    going_on = batch(2)
    assert told_of(2, 100, [(going_on, step) for step in (40, 55, 100)]) == [
        *[("batch", 40, 100), ("study", 0)],
        *[("batch", 55), ("study", 0.5)],
        *[("batch", 100), ("study", 2)],
    ]


def test_what_other_processes_trained_moves_the_study_and_not_the_batch_here():
    here, elsewhere = batch(1), batch(2)
    assert told_of(3, 10, [(here, 0), (here, 10), (elsewhere, 10)]) == [
        *[("batch", 0, 10), ("study", 0)],
        *[("batch", 10), ("study", 1)],
        ("study", 3),
    ]


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
