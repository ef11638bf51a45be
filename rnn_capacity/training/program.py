"""K trials at once over the devices: what is compiled of a spec, and how it is run in chunks of steps."""

import dataclasses
import functools
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity.checks import InputError
from rnn_capacity.model import cell_check, formats, layout
from rnn_capacity.model.spec import Spec
from rnn_capacity.tasks.base import SPLITS, Task
from rnn_capacity.training import memory, sharding, steps
from rnn_capacity.training.optimizers import HPARAM_NAMES
from rnn_capacity.training.steps import TrialState
from rnn_capacity.training.trial import Keys, Outcome
from rnn_capacity.types import Array, Hparams

CHUNK_SECONDS = 1.0  # how often a batch in training shows its progress
LOWERED, TRAINED = "/rnn_capacity/lowered", "/rnn_capacity/trained"  # durations that are recorded with `jax.monitoring`
FIRST_CHUNK = 1  # steps, to learn how long one takes: nothing is kept, and no SIGTERM obeyed, before it has ended


class Compiled(NamedTuple):
    """The two programs that a trial spends its time in, for K trials at once."""

    advance: jax.stages.Compiled  #: ((shared, start, until), data, hparams, state) -> the state at step `until`
    evaluate: jax.stages.Compiled  #: ((shared, split), data, hparams, params) -> (loss, score)


class TrialProgram:
    """What K trials of a spec run on some devices; a leaf of trials has a leading axis [K], a multiple of the devices.

    Attributes:
        spec: with the number of examples that are worked on at a time there.
    """

    def __init__(self, spec: Spec, devices: Sequence[jax.Device]):
        self.spec, self._devices = in_blocks(spec, devices), tuple(devices)
        self._data = self._mapped(lambda spec, _, no_data, key: spec.task.data(key), runs_once=True)
        self._begin = self._mapped(lambda spec, _, no_data, *trial: steps.init_trial(spec, *trial), runs_once=True)
        alone = sharding.SIDE_BY_SIDE.get(self._devices[0].platform) == 1
        self._advance = self._mapped(
            lambda spec, given, data, *trial: steps.train_chunk(spec, given[0], data, *given[1:], *trial, alone=alone)
        )
        self._evaluate = self._mapped(
            lambda spec, given, data, *trial: steps.evaluate(spec, given[0], data, *given[1:], *trial)
        )
        self._compiled: dict[tuple[int, int, tuple[str, ...]], Compiled] = {}
        self._lock = threading.Lock()

    def _mapped(self, fn: Callable[..., Any], **options: Any) -> Any:
        def call(given, data, *trial):
            with jax.default_matmul_precision(self.spec.precision):
                return fn(self.spec, given, data, *trial)

        return sharding.map_trials(call, self._devices, **options)

    def shared(self) -> Any:
        """What all trials of the task read, on the devices."""
        task = self.spec.task
        return _shared(task, (*self.spec.programs, task.digest()), self._devices)

    def data(self, keys: Array) -> Any:
        """The trials' data: an entry for each device where all its trials have one key, as those of a search do."""
        on_device = jax.random.key_data(keys).reshape(len(self._devices), len(keys) // len(self._devices), -1)
        one_key = bool((on_device == on_device[:, :1]).all())
        return self._data((), (), keys[:: on_device.shape[1]] if one_key else keys)

    def begin(self, hparams: Hparams, keys: Array) -> TrialState:
        """The trials' states before the first step, their weights drawn from the keys."""
        return self._begin((), (), hparams, keys)

    def lower_begin(self, num_trials: int, hparam_names: Collection[str]) -> jax.stages.Lowered:
        """The program of `begin` for K trials, from shapes alone."""
        return self._begin.lower((), (), *self._trials(num_trials, hparam_names))

    def lower(
        self, num_trials: int, hparam_names: Collection[str], num_data: int | None = None, shared: Any = None
    ) -> tuple[jax.stages.Lowered, jax.stages.Lowered]:
        """The programs of `Compiled` for K trials, from shapes alone: nothing is run, and no device need be here.

        Args:
            num_data: entries of the data; None: one a device.
            shared: what the task's trials read, where it is known already.
        """
        hparams, keys = self._trials(num_trials, hparam_names)
        _, data_keys = self._trials(len(self._devices) if num_data is None else num_data, ())
        placed = functools.partial(sharding.shapes, devices=self._devices, over_trials=True)
        data = placed(jax.eval_shape(self._data, (), (), data_keys))
        state = placed(jax.eval_shape(self._begin, (), (), hparams, keys))
        shared = jax.tree.map(np.asarray, self.spec.task.shared()) if shared is None else shared
        shared, number = sharding.shapes(shared, self._devices), np.int32(0)
        advance = self._advance.lower((shared, number, number), data, hparams, state)
        return advance, self._evaluate.lower((shared, number), data, hparams, state.params)

    @staticmethod
    def _trials(num_trials: int, names: Collection[str]) -> tuple[dict[str, jax.ShapeDtypeStruct], Any]:
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), num_trials))
        return {name: jax.ShapeDtypeStruct((num_trials,), np.float32) for name in names}, keys

    def compile(self, num_trials: int, hparam_names: Collection[str], num_data: int | None = None) -> Compiled:
        """The same compiled, once for each number of trials and of entries of the data, and set of hparams."""
        num_data = len(self._devices) if num_data is None else num_data
        known = num_trials, num_data, tuple(sorted(hparam_names))
        with self._lock:  # another thread may compile it ahead
            if known not in self._compiled:
                begun = time.perf_counter()
                lowered = self.lower(num_trials, hparam_names, num_data, self.shared())
                jax.monitoring.record_event_duration_secs(LOWERED, time.perf_counter() - begun)
                self._compiled[known] = Compiled(*(program.compile() for program in lowered))
            return self._compiled[known]


# A spec's programs take some 700 memory maps of a CPU's process, which may have 65,530.
@functools.lru_cache(maxsize=32)
def trial_program(spec: Spec, devices: tuple[jax.Device, ...]) -> TrialProgram:
    """The program of a spec, kept for the trials that come."""
    return TrialProgram(spec, devices)


@functools.lru_cache(maxsize=16)  # of as many points at a time
def _shared(task: Task, digests: tuple[str | None, ...], devices: tuple[jax.Device, ...]) -> Any:
    """What all trials of a task read, on the devices. The digests tell apart what was edited meanwhile."""
    return sharding.replicate(task.shared(), devices)


def in_blocks(spec: Spec, devices: Sequence[jax.Device]) -> Spec:
    """The spec with the number of examples worked on at a time, and what is kept of them, that suit the devices."""
    if spec.recompute is None:
        spec = dataclasses.replace(spec, recompute=devices[0].platform not in sharding.KEEPS_STEPS)
    if spec.block_size is not None:
        return spec
    num_params = layout.num_params(spec.cell, **spec.sizes)
    per_example = 4 * spec.task.unroll * num_params / spec.num_units  # a float32 for each row of a matrix, at each step
    return dataclasses.replace(spec, block_size=sharding.default_block_size(devices, per_example))


def advance(
    spec: Spec,
    hparams: Hparams,
    keys: Keys,
    state: TrialState | None = None,
    start: int = 0,
    until: int | None = None,
    *,
    devices: Sequence[jax.Device],
    trials_per_device: int | None = None,
    on_chunk: Callable[[int, TrialState], None] = lambda step, state: None,
) -> tuple[Outcome, TrialState]:
    """K trials at once over the devices, in chunks of steps, from step `start` up to step `until`.

    Args:
        hparams: each a [K] array.
        keys: each a [K] array of keys.
        state: where the trials stand at `start`, [K] each; None: before the first step.
        until: None: the last step of the spec.
        trials_per_device: no device is given more for the sake of padding; None: as padding likes.
        on_chunk: called after every chunk with the step that the trials are at, and their state.

    Returns:
        The outcomes so far, NumPy arrays [K], and the trials' state, on the devices, padded as they are.

    Raises:
        NotEnoughMemoryError: the trials do not fit together; nothing was trained.
    """
    cell_check.check_cell(spec.cell, spec.branches("nonlinearity"), **spec.sizes)
    num_trials = len(keys.task)
    needed = (*HPARAM_NAMES, *spec.chosen, *spec.task.hparam_names)
    if missing := [name for name in needed if name not in hparams]:
        raise InputError(f"hparams: {', '.join(missing)} not given; training reads {', '.join(needed)}")
    trials = ({name: np.asarray(values, np.float32) for name, values in hparams.items()}, keys, state)
    padded = sharding.padded_count(num_trials, devices, trials_per_device)
    hparams, keys, state = sharding.pad_trials(trials, padded)
    program = trial_program(spec, tuple(devices))
    shared, data, initial = program.shared(), program.data(keys.task), program.begin(hparams, keys.network)
    compiled = program.compile(padded, tuple(hparams), len(jax.tree.leaves(data)[0]))
    memory.check(compiled, devices)
    measure = lambda split, params: compiled.evaluate((shared, np.int32(split)), data, hparams, params)
    _, untrained_score = measure(SPLITS.index("valid"), initial.params)
    state = initial if state is None else state
    del initial  # or a copy of all states would lie beside the training
    chunk, until = FIRST_CHUNK, spec.train_steps if until is None else until
    while start < until:
        begun, target = time.perf_counter(), min(start + chunk, until)
        steps_given = shared, np.int32(start), np.int32(target)
        state = jax.block_until_ready(compiled.advance(steps_given, data, hparams, state))
        seconds = time.perf_counter() - begun
        jax.monitoring.record_event_duration_secs(TRAINED, seconds)
        chunk = math.ceil(min(max(CHUNK_SECONDS / seconds, 0.25), 8.0) * (target - start))
        start = target
        on_chunk(start, state)
    stored = lambda name: jax.jit(jax.vmap(functools.partial(formats.stored, name=name)))(state.params)
    outcomes = steps.outcome(spec, untrained_score, measure, state, stored)
    return jax.tree.map(lambda a: np.asarray(a)[:num_trials], outcomes), state
