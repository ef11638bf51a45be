"""Studies: as many trials as asked for, each once, asked for and raced in blocks, and told to whoever reports."""

import functools
import types
from typing import ClassVar

import jax
import numpy as np
import optuna
import pytest
from small_study import STUDY, contents, in_memory, run
from tiny import FakeTrainer

from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent
from rnn_capacity.tasks import SPLITS

FIXED = STUDY["hparams"] | {"mappings_per_param": 0.5, "optimizer": "sgd", "learning_rate": 0.05}


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
