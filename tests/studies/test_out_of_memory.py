"""Devices whose memory does not suffice: batches are cut to what fits, and a single trial that does not is told."""

import jax
import pytest
from small_study import contents
from tiny import FakeTrainer
from watched_study import expected, open_study

from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent
from rnn_capacity.training import program, sharding
from rnn_capacity.training.memory import NotEnoughMemoryError
from rnn_capacity.training.trainer import OutOfMemoryError


class Small(FakeTrainer):
    """A device on which so many trials fit."""

    def __init__(self, fit):
        super().__init__()
        self._fit = fit

    def __call__(self, spec, hparams, keys, *args, **kwargs):
        if len(keys.task) > self._fit:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.")
        return super().__call__(spec, hparams, keys, *args, **kwargs)


def run_wide(storage, num_trials, width):
    plan, opened = open_study(storage)
    options = {"devices": jax.devices()[:1], "trials_per_device": width, "reporter": Silent()}
    return study.run(opened, plan, num_trials=num_trials, **options)


def test_a_batch_that_does_not_fit_is_halved_and_the_size_remembered(monkeypatch, caplog):
    storage = store.open_storage(None)
    trainer = Small(fit=3).install(monkeypatch)
    assert contents(run_wide(storage, 24, width=8)) == expected(24)
    assert "out of memory: 2 trials a device" in caplog.text
    again = Small(fit=2).install(monkeypatch)
    run_wide(storage, 40, width=8)  # would raise if it were tried at more
    assert max(trainer.batches + again.batches) == 2
    assert len(trainer.trained) + len(again.trained) == 40


class Estimated(FakeTrainer):
    """Training of which it is known beforehand that no more than so many trials a device fit."""

    def __init__(self, fit):
        super().__init__()
        self._fit, self.refused = fit, []

    def __call__(self, spec, hparams, keys, state, start, until, *, devices, trials_per_device, **kwargs):
        per_device = sharding.padded_count(len(keys.task), devices, trials_per_device) / len(devices)
        if per_device > self._fit:
            self.refused.append(per_device)
            raise NotEnoughMemoryError(needed=int(1000 * per_device), available=int(1000 * self._fit + 999))
        return super().__call__(spec, hparams, keys, state, start, until, devices=devices, **kwargs)


def test_a_batch_that_is_estimated_not_to_fit_is_cut_at_once_to_what_does(monkeypatch):
    storage, trainer = store.open_storage(None), Estimated(fit=3).install(monkeypatch)
    assert contents(run_wide(storage, 32, width=16)) == expected(32)
    assert len(trainer.refused) == 1
    assert max(trainer.batches) == 3


def test_where_batches_are_padded_the_padding_must_fit_too(monkeypatch):
    trainer = Estimated(fit=3).install(monkeypatch)
    monkeypatch.setattr(sharding, "SIDE_BY_SIDE", {})  # as on an accelerator: powers of two
    assert contents(run_wide(store.open_storage(None), 32, width=16)) == expected(32)
    assert max(trainer.batches) == 3
    assert len(trainer.refused) == 1


def test_a_single_trial_that_is_estimated_not_to_fit_is_told_with_what_it_needs(monkeypatch):
    Estimated(fit=0.5).install(monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"^a single trial of irnn, .*0\.00 GiB needed, 0\.00 GiB available"):
        run_wide(store.open_storage(None), 4, width=1)


def test_a_single_trial_that_does_not_fit_is_told_in_a_line(monkeypatch):
    storage = store.open_storage(None)
    Small(fit=0).install(monkeypatch)
    with pytest.raises(OutOfMemoryError, match=r"^a single trial of irnn, .*smaller network"):
        run_wide(storage, 4, width=4)
    FakeTrainer().install(monkeypatch)
    assert contents(run_wide(storage, 4, width=4)) == expected(4)


def test_another_failure_of_the_runtime_is_not_taken_for_one_of_memory(monkeypatch):
    def fail(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(program, "advance", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        run_wide(store.open_storage(None), 4, width=4)
