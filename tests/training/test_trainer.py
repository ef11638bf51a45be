"""Trainers: what is kept of a batch in training goes on bit for bit, wherever and however it was stopped."""

import contextlib
import os
import signal

import jax
import numpy as np
import pytest
from small_study import STUDY
from tiny import FakeTrainer

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.search import space as spaces
from rnn_capacity.training import program, sharding, stop, trainer
from rnn_capacity.training.checkpoint import Checkpoints
from rnn_capacity.training.trainer import Trainer

STEPS = 60


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def keep_every_chunk(monkeypatch):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    monkeypatch.setattr(program, "CHUNK_SECONDS", 1e9)  # chunks grow as on a fast machine: of 1, 8, 64 steps


@pytest.fixture
def begun(monkeypatch):
    """The steps that batches began at, with their sizes."""
    seen, advance = [], program.advance

    def watched(spec, hparams, keys, state, start, *args, **kwargs):
        seen.append((len(keys.task), start))
        return advance(spec, hparams, keys, state, start, *args, **kwargs)

    monkeypatch.setattr(program, "advance", watched)
    return seen


def trials(num_trials=3, seed=0, **fields):
    """Of one spec."""
    hparams = STUDY["hparams"] | {"optimizer": "adam"}
    plan = CapacityConfig(**(STUDY | {"train_steps": STEPS, "hparams": hparams, "seed": seed} | fields)).plan()
    draw = lambda number: np.random.default_rng(number).uniform(size=len(spaces.distributions(plan.space)))
    values = [spaces.complete(plan.space, spaces.from_unit(plan.space, draw(number))) for number in range(num_trials)]
    return [plan.trial(number, proposed) for number, proposed in enumerate(values)]


def run(given, until=STEPS, checkpoints=None, num_devices=2, on_chunk=lambda batch, step: None, by=None):
    by = by or Trainer(jax.devices()[:num_devices], 2, checkpoints)
    return {number: trained for batch in by.train(given, until, on_chunk) for number, trained in batch.items()}


def kill_at(step):
    def on_chunk(batch, reached):
        if reached >= step:
            raise Killed

    return on_chunk


def outcomes(trained):
    return {number: found.outcome for number, found in sorted(trained.items())}


def kept(folder):
    return Checkpoints(folder, "a study")


def interrupt(folder, given, step, **kwargs):
    """Trains until so many steps are done; what was kept is of the chunk before."""
    with contextlib.closing(kept(folder)) as checkpoints, pytest.raises(Killed):
        run(given, checkpoints=checkpoints, on_chunk=kill_at(step), **kwargs)


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_a_batch_goes_on_bit_for_bit_in_any_company_on_any_devices(tmp_path, begun, num_devices):
    expected = outcomes(run(trials()))
    interrupt(tmp_path, trials(), 2 * program.FIRST_CHUNK)
    begun.clear()
    again = kept(tmp_path)
    assert outcomes(run(trials()[1:], checkpoints=again, num_devices=num_devices)) == {
        number: expected[number] for number in (1, 2)
    }
    assert begun == [(2, program.FIRST_CHUNK)]
    assert outcomes(run(trials(5), checkpoints=again, num_devices=num_devices)) == outcomes(run(trials(5)))


def test_seconds_before_it_was_stopped_count(tmp_path):
    interrupt(tmp_path, trials(1), 2 * program.FIRST_CHUNK)
    like = trainer._like(trials(1)[0].spec, tuple(trials(1)[0].hparams))
    before = float(kept(tmp_path).load([0], lambda _: like)[0].seconds)
    assert 0 < before < run(trials(1), checkpoints=kept(tmp_path))[0].seconds


@pytest.mark.parametrize("changed", ["seed", "network"])
def test_what_is_kept_of_another_trial_is_not_taken_for_it(tmp_path, begun, changed):
    """Of a study that was deleted and begun anew with other proposals, or whose networks are of another size."""
    interrupt(tmp_path, trials(), 2 * program.FIRST_CHUNK)
    other = trials(num_params=90) if changed == "network" else [t._replace(number=0) for t in trials()[1:2]]
    begun.clear()
    expected = outcomes(run(other))
    assert outcomes(run(other, checkpoints=kept(tmp_path))) == expected
    assert {step for _, step in begun} == {0}


def test_a_rung_that_was_passed_is_trained_to_anew_and_then_what_is_kept_goes_on(tmp_path, begun):
    """A race is decided by where trials stand at its rung, beyond which a checkpoint may be."""
    at_rung, expected = (outcomes(run(trials(), until)) for until in (20, STEPS))
    with contextlib.closing(kept(tmp_path)) as checkpoints:
        by = Trainer(jax.devices()[:2], 2, checkpoints)
        run(trials(), 20, by=by)
        with pytest.raises(Killed):
            run(trials(), by=by, on_chunk=kill_at(40))
    begun.clear()
    again = Trainer(jax.devices()[:2], 2, kept(tmp_path))
    assert outcomes(run(trials(), 20, by=again)) == at_rung
    assert outcomes(run(trials(), by=again)) == expected
    assert begun == [(3, 0), (3, 29)]


def test_where_trials_stand_differs_and_each_goes_on_from_there(tmp_path, begun):
    expected = outcomes(run(trials()))
    interrupt(tmp_path, trials(2), 2 * program.FIRST_CHUNK)
    begun.clear()
    assert outcomes(run(trials(), checkpoints=kept(tmp_path))) == expected
    assert sorted(begun) == [(1, 0), (2, program.FIRST_CHUNK)]


def test_sigterm_is_obeyed_after_the_chunk_and_what_it_gave_is_on_disk(tmp_path, begun, monkeypatch):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 1e9)
    expected = outcomes(run(trials()))
    ask = lambda batch, step: step and os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(stop.Stopped), stop.noticed():
        run(trials(), checkpoints=kept(tmp_path), on_chunk=ask)
    begun.clear()
    assert outcomes(run(trials(), checkpoints=kept(tmp_path))) == expected
    assert begun == [(3, program.FIRST_CHUNK)]


def test_a_batch_that_has_ended_is_not_stopped_any_more(monkeypatch):
    """What came out is known in a moment, and is then told."""
    FakeTrainer().install(monkeypatch)
    ask = lambda batch, step: step == STEPS and os.kill(os.getpid(), signal.SIGTERM)
    told = []

    def train_all():
        with stop.noticed():
            for batch in Trainer(jax.devices()[:1], 2).train(trials(4), STEPS, ask):
                told.extend(batch)

    with pytest.raises(stop.Stopped):
        train_all()
    assert told == [0, 1]


def test_nothing_is_kept_where_nobody_says_where(monkeypatch):
    monkeypatch.setattr(Checkpoints, "save", lambda *_, **__: pytest.fail("kept"))
    run(trials(1))


def test_where_batches_are_padded_no_device_is_given_more_than_it_may_be(monkeypatch):
    monkeypatch.setattr(sharding, "SIDE_BY_SIDE", {})  # as on an accelerator: powers of two
    sizes, compiled = [], program.TrialProgram.compile
    monkeypatch.setattr(program.TrialProgram, "compile", lambda *given: sizes.append(given[1]) or compiled(*given))
    trained = run(trials(12, unroll=2, train_steps=5), 5, by=Trainer(jax.devices()[:1], 5))
    assert len(trained) == 12
    assert sizes == [5, 5, 2]


def test_it_is_kept_every_so_many_seconds(tmp_path, monkeypatch):
    saved, now = [], [0.0]
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 30)
    monkeypatch.setattr(trainer.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Checkpoints, "save", lambda self, batches, wait: saved.append(now[0]))

    class Chunks(FakeTrainer):
        def __call__(self, *args, on_chunk, **kwargs):
            for step in range(1, STEPS):
                now[0] += 7
                on_chunk(step, self.state(3))
            return super().__call__(*args, **kwargs)

    Chunks().install(monkeypatch)
    run(trials(), checkpoints=kept(tmp_path))
    assert saved == [35.0 * n for n in range(1, 12)]


def test_where_trials_stand_at_a_rung_is_kept_too(tmp_path, begun, monkeypatch):
    """They wait there for others, in a batch that has ended."""
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 1e9)
    expected = outcomes(run(trials()))

    def race():
        with stop.noticed(), contextlib.closing(kept(tmp_path)) as checkpoints:
            by = Trainer(jax.devices()[:1], 1, checkpoints)
            run(trials(), 20, by=by)
            run(trials(), by=by, on_chunk=lambda batch, step: step > 20 and os.kill(os.getpid(), signal.SIGTERM))

    with pytest.raises(stop.Stopped):
        race()
    begun.clear()
    again = Trainer(jax.devices()[:1], 1, kept(tmp_path))
    assert outcomes(run(trials(), by=again)) == expected
    assert begun == [(1, 21), (1, 20), (1, 20)]


def test_a_batch_that_has_ended_is_kept_until_it_is_told(tmp_path, begun):
    """What another process of a job sends may not arrive."""
    with contextlib.closing(kept(tmp_path)) as checkpoints:
        by = Trainer(jax.devices()[:1], 1, checkpoints)
        run(trials(2), by=by)
        by.told([0])
        with pytest.raises(Killed):
            run(trials(3)[2:], by=by, on_chunk=kill_at(2 * program.FIRST_CHUNK))
    begun.clear()
    run(trials(3), checkpoints=kept(tmp_path))
    assert sorted(step for _, step in begun) == [0, program.FIRST_CHUNK, STEPS]
