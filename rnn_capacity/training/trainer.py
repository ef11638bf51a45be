"""Trains trials of a study on this process's devices: as many at once as fit, from where each of them stands."""

import collections
import functools
import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity.model.spec import Spec
from rnn_capacity.training import program, sharding, steps, stop
from rnn_capacity.training.checkpoint import Batch, Checkpoints
from rnn_capacity.training.memory import NotEnoughMemoryError
from rnn_capacity.training.share import Share
from rnn_capacity.training.trial import Outcome, Trial

SECONDS_BETWEEN_CHECKPOINTS = 30.0

_logger = logging.getLogger(__name__)


class OutOfMemoryError(RuntimeError):
    """A single trial does not fit on a device."""


class Trained(NamedTuple):
    """Outcome of a trial, and the time that it took."""

    outcome: Outcome  #: as plain numbers
    seconds: float  #: that it took


class _Standing(NamedTuple):
    """Where a trial stands; [K] each while K of them train."""

    step: Any
    state: steps.TrialState
    seconds: Any  # that it took to get there
    identity: Any  # of the trial: a study that was deleted and begun anew numbers others alike


class Trainer:
    """Trains trials in batches, and holds where those stand that are to be trained on.

    Args:
        devices: of this process.
        trials_per_device: how many a device is given at a time, as long as its memory suffices.
        checkpoints: where batches in training are kept; None: nowhere.
        on_reduced: called with the lower number of trials a device when memory did not suffice.
    """

    def __init__(
        self,
        devices: Sequence[jax.Device],
        trials_per_device: int,
        checkpoints: Checkpoints | None = None,
        on_reduced: Callable[[int], None] = lambda trials_per_device: None,
    ):
        self.devices = devices if isinstance(devices, Share) else Share(devices)
        self.trials_per_device = trials_per_device
        self._checkpoints, self._on_reduced = checkpoints, on_reduced
        self._standing: dict[int, _Standing] = {}
        self._kept: dict[int, _Standing] = {}  # by a checkpoint, of a run before this one
        self._ended: list[Batch] = []  # what has come to a rung, or to its end and is not stored yet
        self._saved_at = time.monotonic()
        self._set_up = self._trained = 0.0  # seconds: the longest that a batch took to begin, and the last to train

    @property
    def together(self) -> int:
        """How many trials are trained at once where the study has all devices that it may come to have."""
        return self.devices.whole * self.trials_per_device

    def train(
        self, trials: Sequence[Trial], until: int, on_chunk: Callable[[Sequence[Trial], int], None]
    ) -> Iterator[dict[int, Trained]]:
        """Trains the trials up to a step; yields, batch by batch, their outcomes by trial number.

        Args:
            on_chunk: called before the first chunk of a batch and after each, with the trials and the step they are at.

        Raises:
            OutOfMemoryError: a single trial does not fit.
            stop.Stopped: the run was asked to stop; what trained is kept.
        """
        self._find_kept(trials)
        groups: dict[Any, list[Trial]] = {}
        for trial in trials:
            start = self._start(trial, until)
            groups.setdefault((trial.spec, 0 if start is None else int(start.step)), []).append(trial)
        waiting = collections.deque(groups.values())
        while waiting:
            self._pause()
            if self._trained > self._set_up:  # else compiling for more devices would take longer than it saves
                self.devices.grow()
            group, width = waiting.popleft(), len(self.devices) * self.trials_per_device
            batch, rest = group[:width], group[width:]
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

    def narrow(self, trials_per_device: int) -> None:
        """Lowers the number of trials a device, for want of memory."""
        if trials_per_device < self.trials_per_device:
            self.trials_per_device = trials_per_device
            self._on_reduced(trials_per_device)

    def told(self, numbers: Collection[int]) -> None:
        """Forgets the state of trials whose outcomes are stored."""
        for number in numbers:
            self._standing.pop(number, None)
            self._kept.pop(number, None)

    def _find_kept(self, trials: Sequence[Trial]) -> None:
        """Looks for what runs before this one have left of the trials."""
        if self._checkpoints is None:
            return
        new = {t.number: t for t in trials if t.number not in self._kept and t.number not in self._standing}
        kept = self._checkpoints.load(new, lambda number: _like(new[number].spec, tuple(new[number].hparams)))
        self._kept |= {n: standing for n, standing in kept.items() if standing.identity == _identity(new[n])}

    def _start(self, trial: Trial, until: int) -> _Standing | None:
        """The furthest that is known of a trial up to a step; None: it has not begun."""
        known = (self._standing.get(trial.number), self._kept.get(trial.number))
        return max((s for s in known if s is not None and s.step <= until), key=lambda s: s.step, default=None)

    def _train(self, batch: Sequence[Trial], until: int, on_chunk) -> dict[int, Trained]:
        spec, numbers = batch[0].spec, [trial.number for trial in batch]
        hparams: dict[str, Any] = {
            name: np.array([t.hparams[name] for t in batch], np.float32) for name in batch[0].hparams
        }
        keys = jax.tree.map(lambda *k: jax.numpy.stack(k), *(t.keys for t in batch))
        starts = [self._start(trial, until) for trial in batch]
        start = 0 if starts[0] is None else int(starts[0].step)
        state = None if starts[0] is None else jax.tree.map(lambda *a: np.stack(a), *(s.state for s in starts if s))
        before, begun = np.array([s.seconds if s is not None else 0.0 for s in starts]), time.perf_counter()
        seconds = lambda: before + (time.perf_counter() - begun) / len(batch)
        identities = np.array([_identity(trial) for trial in batch])
        stepped = lambda step: np.full(len(batch), step, np.int32)
        chunks: list[float] = []  # when each ended

        def after_chunk(step, state):
            chunks.append(time.perf_counter())
            on_chunk(batch, step)
            if step < until:  # what comes out at the end is known in a moment
                self._pause(lambda: Batch(numbers, step, _Standing(stepped(step), state, seconds(), identities)))

        on_chunk(batch, start)
        where: dict[str, Any] = {"devices": self.devices, "trials_per_device": self.trials_per_device}
        outcomes, state = program.advance(spec, hparams, keys, state, start, until, **where, on_chunk=after_chunk)
        took = seconds()
        if chunks:
            self._set_up, self._trained = max(self._set_up, chunks[0] - begun), chunks[-1] - chunks[0]
        # Off the devices: the next batch needs their memory.
        state = jax.tree.map(lambda a: np.asarray(a)[: len(batch)], state)
        standing = _Standing(stepped(until), state, took, identities)
        self._ended.append(Batch(numbers, until, standing))
        self._standing |= {n: jax.tree.map(lambda a, k=k: a[k], standing) for k, n in enumerate(numbers)}
        numbered = enumerate(numbers)
        return {n: Trained(jax.tree.map(lambda a, k=k: a[k].item(), outcomes), float(took[k])) for k, n in numbered}

    def _pause(self, training: Callable[[], Batch] | None = None) -> None:
        """Between two chunks: ends where the run is to stop, and keeps now and then where all trials stand."""
        try:
            stop.check()
        except BaseException:
            self._keep(training, wait=True)
            raise
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_CHECKPOINTS:
            self._keep(training, wait=False)

    def _keep(self, training: Callable[[], Batch] | None, wait: bool) -> None:
        waits = lambda batch: any(n in self._standing and self._standing[n].step == batch.step for n in batch.numbers)
        self._ended, self._saved_at = list(filter(waits, self._ended)), time.monotonic()
        if self._checkpoints is not None:
            self._checkpoints.save([*self._ended, *([training()] if training else [])], wait=wait)

    def _reduce(self, batch: Sequence[Trial], error: Exception) -> None:
        """To a half of a batch that did not fit, or at once to what fits where that is known."""
        padded = sharding.padded_count(len(batch), self.devices, self.trials_per_device)
        spec, held = batch[0].spec, padded // len(self.devices)
        if held == 1:
            known = f" ({error})" if isinstance(error, NotEnoughMemoryError) else ""
            raise OutOfMemoryError(
                f"a single trial of {spec.cell.name}, {spec.num_units} units, depth {spec.depth}, on {spec.task} "
                f"does not fit on a {self.devices[0].device_kind}{known}; give a smaller network or batch_size, or "
                "fewer devices"
            ) from error
        fits = held // 2
        if isinstance(error, NotEnoughMemoryError):
            fits = min(held - 1, max(held * error.available // error.needed, 1))
        _logger.warning("out of memory: %d trials a device from now on", fits)
        self.narrow(fits)


def _identity(trial: Trial) -> np.uint64:
    values = json.dumps(trial.values, sort_keys=True).encode()
    return np.frombuffer(hashlib.sha256(values).digest(), np.uint64)[0]


@functools.lru_cache(maxsize=64)
def _like(spec: Spec, names: tuple[str, ...]) -> _Standing:
    """What the standing of a trial looks like: shapes and dtypes."""
    key = jax.eval_shape(jax.random.key, 0)
    hparams = dict.fromkeys(names, jax.ShapeDtypeStruct((), np.float32))
    state = jax.eval_shape(lambda hparams, key: steps.init_trial(spec, hparams, key), hparams, key)
    step, seconds, identity = (jax.ShapeDtypeStruct((), kind) for kind in (np.int32, np.float64, np.uint64))
    return _Standing(step, state, seconds, identity)
