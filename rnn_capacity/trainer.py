"""Trains trials of a study on this process's devices: as many at once as fit, from where each of them stands."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity import hosts, sharding, train
from rnn_capacity.checkpoint import Checkpoints
from rnn_capacity.memory import NotEnoughMemoryError
from rnn_capacity.types import Keys, Outcome, Spec, Trial

SECONDS_BETWEEN_CHECKPOINTS = 30.0

_logger = logging.getLogger(__name__)


class OutOfMemoryError(RuntimeError):
    """A single trial does not fit on a device."""


class Trained(NamedTuple):
    """What a trial gave, as plain numbers, and the seconds that it took."""

    outcome: Outcome
    seconds: float


class _Standing(NamedTuple):
    """Where a trial stands; [K] each while K of them train."""

    state: train.TrialState
    seconds: Any  # that it took to get there
    identity: Any  # of the trial: a study that was deleted and begun anew numbers others alike

    @property
    def step(self) -> int:
        return int(self.state.step)


class Trainer:
    """Trains trials in batches, and holds where those stand that are to be trained on.

    Args:
        trials_per_device: how many a device is given at a time, as long as its memory suffices.
        checkpoints: where batches in training are kept; None: nowhere.
        on_reduced: told of a lower number of trials a device, when memory did not suffice.
    """

    def __init__(
        self,
        devices: Sequence[jax.Device],
        trials_per_device: int,
        checkpoints: Checkpoints | None = None,
        on_reduced: Callable[[int], None] = lambda trials_per_device: None,
    ):
        self.devices, self.trials_per_device = devices, trials_per_device
        self._checkpoints, self._on_reduced = checkpoints, on_reduced
        self._standing: dict[int, _Standing] = {}
        self._kept: dict[int, _Standing | None] = {}  # by a checkpoint, of a run before this one
        self._saved_at = time.monotonic()

    @property
    def together(self) -> int:
        return len(self.devices) * self.trials_per_device

    def train(
        self, trials: Sequence[Trial], until: int, on_chunk: Callable[[int, int], None]
    ) -> Iterator[dict[int, Trained]]:
        """Trains the trials up to a step; yields, batch by batch, what came out of each by its number.

        Args:
            on_chunk: told after each chunk how many trials now stand at which step.

        Raises:
            OutOfMemoryError: a single trial does not fit.
            stop.Stopped, hosts.JobError: the run was asked to stop, or has failed elsewhere; what trained is kept.
        """
        numbers = {trial.number for trial in trials}  # the others have ended
        self._standing = {n: standing for n, standing in self._standing.items() if n in numbers}
        self._kept = {n: standing for n, standing in self._kept.items() if n in numbers}
        groups: dict[Any, list[Trial]] = {}
        for trial in trials:
            start = self._start(trial, until)
            groups.setdefault((trial.spec, start and start.step), []).append(trial)
        waiting = collections.deque(groups.values())
        while waiting:
            hosts.check()
            group = waiting.popleft()
            batch, rest = group[: self.together], group[self.together :]
            try:
                trained = self._train(batch, until, on_chunk)
            except (jax.errors.JaxRuntimeError, NotEnoughMemoryError) as error:
                if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                self._reduce(batch, error)
                waiting.appendleft(group)
                continue
            if rest:
                waiting.appendleft(rest)
            yield trained

    def _start(self, trial: Trial, until: int) -> _Standing | None:
        """The furthest that is known of a trial up to a step; None: it has not begun."""
        if self._checkpoints is not None and trial.number not in self._kept:
            kept = self._checkpoints.load(trial.number, _like(trial.spec, tuple(trial.hparams)))
            self._kept[trial.number] = kept if kept is not None and kept.identity == _identity(trial) else None
        known = (self._standing.get(trial.number), self._kept.get(trial.number))
        return max((s for s in known if s is not None and s.step <= until), key=lambda s: s.step, default=None)

    def _train(self, batch: Sequence[Trial], until: int, on_chunk) -> dict[int, Trained]:
        spec, numbers = batch[0].spec, [trial.number for trial in batch]
        hparams = {name: np.array([t.hparams[name] for t in batch], np.float32) for name in batch[0].hparams}
        keys = jax.tree.map(lambda *k: jax.numpy.stack(k), *(t.keys for t in batch))
        starts = [self._start(trial, until) for trial in batch]
        state = None if starts[0] is None else jax.tree.map(lambda *a: np.stack(a), *(s.state for s in starts))
        before, begun = np.array([s.seconds if s is not None else 0.0 for s in starts]), time.perf_counter()
        seconds = lambda: before + (time.perf_counter() - begun) / len(batch)
        identities = np.array([_identity(trial) for trial in batch])

        def after_chunk(step, state):
            on_chunk(len(batch), step)
            if step == until:
                return  # what came out is known in a moment, and is then kept for good
            keep = lambda wait: self._keep(numbers, step, lambda: _Standing(state, seconds(), identities), wait)
            try:
                hosts.check()
            except BaseException:
                keep(True)
                raise
            keep(False)

        outcomes, state = train.advance(spec, hparams, keys, state, until, devices=self.devices, on_chunk=after_chunk)
        took = seconds()
        if until < spec.train_steps:
            state = jax.tree.map(np.asarray, state)  # off the devices: the next batch needs their memory
            for k, number in enumerate(numbers):
                self._standing[number] = _Standing(jax.tree.map(lambda a, k=k: a[k], state), took[k], identities[k])
        numbered = enumerate(numbers)
        return {n: Trained(jax.tree.map(lambda a, k=k: a[k].item(), outcomes), float(took[k])) for k, n in numbered}

    def _keep(self, numbers: Sequence[int], step: int, standing: Callable[[], _Standing], now: bool) -> None:
        due = time.monotonic() - self._saved_at >= SECONDS_BETWEEN_CHECKPOINTS
        if self._checkpoints is not None and (due or now):
            self._checkpoints.save(numbers, step, standing(), wait=now)
            self._saved_at = time.monotonic()

    def _reduce(self, batch: Sequence[Trial], error: Exception) -> None:
        """To a half of a batch that did not fit, or at once to what fits where that is known."""
        each = lambda num_trials: sharding.padded_count(num_trials, self.devices) // len(self.devices)
        spec, held = batch[0].spec, each(len(batch))
        if held == 1:
            known = f" ({error})" if isinstance(error, NotEnoughMemoryError) else ""
            raise OutOfMemoryError(
                f"a single trial of {spec.cell.name}, {spec.num_units} units, depth {spec.depth}, on {spec.task} "
                f"does not fit on a {self.devices[0].device_kind}{known}; give a smaller network or batch_size, or "
                "fewer devices"
            ) from error
        fits = held // 2
        if isinstance(error, NotEnoughMemoryError):
            fits = min(held - 1, held * max(error.available, 0) // error.needed)
        sizes = range(max(fits, 1), 0, -1)
        # With the padding.
        self.trials_per_device = next(size for size in sizes if each(size * len(self.devices)) == size)
        _logger.warning("out of memory: %d trials a device from now on", self.trials_per_device)
        self._on_reduced(self.trials_per_device)


def _identity(trial: Trial) -> np.uint64:
    values = json.dumps(trial.values, sort_keys=True).encode()
    return np.frombuffer(hashlib.sha256(values).digest(), np.uint64)[0]


@functools.lru_cache(maxsize=64)
def _like(spec: Spec, names: tuple[str, ...]) -> _Standing:
    """What the standing of a trial looks like: shapes and dtypes."""
    key = jax.eval_shape(jax.random.key, 0)
    hparams = dict.fromkeys(names, jax.ShapeDtypeStruct((), np.float32))
    state = jax.eval_shape(lambda hparams, key: train.init_trial(spec, hparams, key), hparams, Keys(key, key))
    return _Standing(state, jax.ShapeDtypeStruct((), np.float64), jax.ShapeDtypeStruct((), np.uint64))
