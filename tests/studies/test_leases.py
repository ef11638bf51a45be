"""Whose a trial is: a living worker's alone, a dead one's for any other, and whoever trains it, it is told once."""

import os
import threading
import time

import optuna
from optuna.trial import TrialState
from small_study import contents
from watched_study import age, expected, open_study, run

from rnn_capacity.studies import database, lease, store


def test_more_trials_than_wanted_wait_until_they_are(tmp_path, trainer):
    _, opened = open_study(tmp_path)
    with lease.Lease(opened) as other:
        surplus = [other.new() for _ in range(3)]
        for trial in surplus:
            other.put_back(trial)
    trials = run(tmp_path, 2)
    assert len(trainer.trained) == 2
    assert len(trials) == 2
    assert contents(run(tmp_path, 6)) == expected(6)
    assert len(trainer.trained) == 6


def test_a_trial_that_was_enqueued_by_hand_is_trained_if_it_is_of_the_search_space(tmp_path, trainer, caplog):
    _, opened = open_study(tmp_path)
    opened.enqueue_trial({"optimizer": "nadam"})
    opened.enqueue_trial({"optimizer": "sgd", "learning_rate": 0.0123})
    trials = run(tmp_path, 4)
    assert [trial.number for trial in trials] == [1, 2, 3, 4]
    assert trials[0].params["learning_rate"] == 0.0123
    assert "trial 0 is not of this study's search space" in caplog.text


def killed(worker):
    """As kill -9 leaves a worker: its heart does not beat, and its lock is gone."""
    worker._stop.set()
    worker._thread.join()
    os.close(worker._lock)
    worker._lock = None
    worker._held.clear()


def test_a_living_workers_trials_are_not_taken(tmp_path, trainer):
    _, opened = open_study(tmp_path)
    with lease.Lease(opened) as first, lease.Lease(opened) as second:
        mine = [first.new() for _ in range(3)]
        assert second.adopt(10) == []
        first.put_back(mine[0])
        assert [trial.number for trial in second.adopt(10)] == [mine[0].number]
        assert first.adopt(10) == []
    with lease.Lease(opened) as third:  # both have ended, and put back what they held
        assert [trial.number for trial in third.adopt(2)] == [0, 1]
        assert [trial.number for trial in third.adopt(10)] == [2]


def test_the_trials_of_the_only_worker_of_a_file_are_taken_as_soon_as_it_is_dead(tmp_path):
    _, opened = open_study(tmp_path)
    with lease.Lease(opened) as first:
        trial = first.new()
        with lease.Lease(opened) as second:
            assert second.adopt(1) == []
        killed(first)
        with lease.Lease(opened) as third:
            assert [taken.number for taken in third.adopt(1)] == [trial.number]


def test_a_trial_that_optuna_asked_for_is_not_waited_for_without_end(tmp_path):
    _, opened = open_study(tmp_path)
    optuna.load_study(study_name=opened.study_name, storage=f"sqlite:///{tmp_path / store.DATABASE}").ask()
    with lease.Lease(opened) as held:
        assert not held.adopt(1)  # somebody may be at it
        age(tmp_path)
        assert held.adopt(1)


def test_two_workers_that_take_one_trial_half_proposed_train_the_same(tmp_path):
    (plan, one), (_, two) = open_study(tmp_path), open_study(tmp_path)
    one.sampler, two.sampler = optuna.samplers.RandomSampler(seed=1), optuna.samplers.RandomSampler(seed=2)
    number = one.ask().number
    taken = []
    for opened in (one, two):
        (found,) = [t for t in opened.get_trials(deepcopy=False) if t.number == number]
        taken.append(optuna.Trial(opened, found._trial_id))  # before the other has proposed anything
    values = [store.propose(trial, plan.space) for trial in taken]
    assert values[0] == values[1]
    kept = one.trials[number].params
    assert values[0] == values[0] | kept


def test_a_trial_told_by_another_while_it_is_proposed_to_is_let_go(tmp_path, trainer, monkeypatch):
    """As where a worker is suspended in the middle of its proposals, and goes on once another has told its trial."""
    _, other = open_study(tmp_path)
    propose = store.propose

    def suspended(trial, space):
        if trial.number == 1:
            other.tell(trial.number, state=TrialState.FAIL)
        return propose(trial, space)

    monkeypatch.setattr(store, "propose", suspended)
    assert [trial.number for trial in run(tmp_path, 4)] == [0, 2, 3, 4]


def test_a_lease_ends_at_once_while_the_database_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "HEARTBEAT", 1)
    _, opened = open_study(tmp_path)
    beaten = threading.Event()
    monkeypatch.setattr(database.Database, "beat", lambda self, trial_ids: (beaten.set(), time.sleep(20)))
    with lease.Lease(opened) as held:
        held.new()
        beaten.wait(10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 10


def test_a_worker_that_was_taken_for_dead_finds_its_trial_told(tmp_path, trainer):
    """Both train it, to the same result; the second to tell it changes nothing and does not fail."""
    plan, opened = open_study(tmp_path)
    with lease.Lease(opened) as slow:
        trial = slow.new()
        values = store.propose(trial, plan.space)
        slow._stop.set()
        slow._thread.join()
        age(tmp_path)
        done = run(tmp_path, 4)
        told = contents(done)
        store.tell(opened, trial, {"feasible": True, "stopped_early": False, "steps": 10, "bits": 0.0}, 123.0)
        store.tell(opened, trial, {"feasible": False, "stopped_early": False, "steps": 10}, None)
    assert [t.number for t in done] == [0, 1, 2, 3]
    assert values["learning_rate"] == done[0].params["learning_rate"]
    assert contents(run(tmp_path, 4)) == told
