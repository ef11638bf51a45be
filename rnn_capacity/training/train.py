"""Training: one trial is a pure function of (spec, hparams, key), and K of them run at once."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from rnn_capacity.checks import InputError
from rnn_capacity.model import network
from rnn_capacity.model.spec import Spec
from rnn_capacity.tasks.base import SPLITS, Batch, Source, Task
from rnn_capacity.training import memory, sharding
from rnn_capacity.training.trial import Keys, Outcome
from rnn_capacity.types import Array, Hparams, Params

CHUNK_SECONDS = 1.0  # how often a batch in training shows its progress
FAN_IN = 20.0  # of a matrix that has the learning rate itself: the first, of the paper's capacity task
FIRST_CHUNK = 1  # steps, to learn how long one takes: nothing is kept, and no SIGTERM obeyed, before it has ended

HPARAM_NAMES = (
    "learning_rate",
    "learning_rate_decay",
    "momentum_logit",
    "squared_gradient_decay",
    "gradient_clip",
    "l2",
    "learning_rate_warm_up",
    "weight_decay",
    "fan_in_power",
)  # read by training itself; cells and tasks read others


class TrialState(NamedTuple):
    """What the next step of a trial needs, beside its data."""

    step: Array
    params: Params
    optimizer_state: Any  # of the weights as one vector
    feasible: Array  # False once the loss or its gradient was not finite; the trial then stands still


def optimizer(spec: Spec, hparams: Hparams, fan_in: Array) -> optax.GradientTransformation:
    """The paper's optimizers, built from traced hparams, so that a new value never recompiles.

    L2 is part of the gradient, the norm of the whole is clipped, then SGD, momentum, RMSProp or Adam. The learning rate
    falls to `learning_rate_decay` of itself over the run, exponentially (the paper's), or to 0 along a cosine.

    Beyond the paper, and in its search space without effect: the rate rises over the first `learning_rate_warm_up` of
    the run; a matrix's steps are multiplied by (FAN_IN / its fan-in)^`fan_in_power`, as the more weights a unit has the
    further they move it together (Yang, Hu 2021); the rate times `weight_decay` of the weights is taken off beside the
    step, not in the gradient (Loshchilov, Hutter 2019).

    Args:
        fan_in: of each weight of the vector that is trained, as `fan_ins` gives it.
    """
    progress = lambda step: step / spec.train_steps
    risen = lambda step: jnp.minimum((step + 1) / (hparams["learning_rate_warm_up"] * spec.train_steps + 1), 1)
    if spec.schedule == "exponential":
        fallen = lambda step: hparams["learning_rate_decay"] ** progress(step)
    else:
        fallen = lambda step: 0.5 * (1 + jnp.cos(jnp.pi * progress(step)))
    schedule = lambda step: hparams["learning_rate"] * fallen(step) * risen(step)
    share = (FAN_IN / fan_in) ** hparams["fan_in_power"]
    direction = {
        "sgd": lambda: optax.identity(),
        "momentum": lambda: optax.trace(decay=jax.nn.sigmoid(hparams["momentum_logit"])),
        # Uncorrected, the first updates are several times the learning rate and throw the network into saturation: 2.4
        # bits per parameter for 4.0 (RNN, 991 parameters, 6000 steps).
        "rmsprop": lambda: optax.scale_by_rms(decay=hparams["squared_gradient_decay"], bias_correction=True),
        "adam": lambda: optax.scale_by_adam(),
    }[spec.optimizer]
    return optax.chain(
        optax.add_decayed_weights(hparams["l2"]),
        optax.clip_by_global_norm(hparams["gradient_clip"]),
        direction(),
        optax.stateless(lambda updates, _: updates * share),
        optax.add_decayed_weights(hparams["weight_decay"]),
        optax.scale_by_learning_rate(schedule),
    )


def fan_ins(params: Params) -> Array:
    """Of each weight, as one vector: how many weights its unit has in a matrix; FAN_IN for what is no matrix."""
    each = lambda a: jnp.full(a.shape, a.shape[-1] if a.ndim > 1 else FAN_IN, float)
    return ravel_pytree(jax.tree.map(each, params))[0]


def init_trial(spec: Spec, hparams: Hparams, key: Keys) -> TrialState:
    """A trial before its first step."""
    return before_training(spec, hparams, network.init(key.network, spec, hparams))


def before_training(spec: Spec, hparams: Hparams, params: Params) -> TrialState:
    """A trial that starts from these weights."""
    weights, _ = ravel_pytree(params)
    return TrialState(jnp.int32(0), params, optimizer(spec, hparams, fan_ins(params)).init(weights), jnp.bool_(True))


def loss_and_gradient(spec: Spec, params: Params, batch: Batch) -> tuple[Array, Params]:
    """The mean loss of a batch and its gradient, summed over blocks of examples.

    A block's activations stay in a CPU's cache, which halves the time of the gated cells; blocks that hold nothing but
    padding are left out.
    """

    def total(params, block):
        return jnp.sum(block.weights_b * spec.task.loss(network.apply(params, spec, block.x_tib), block))

    num_examples, size = batch.weights_b.shape[-1], spec.block_size
    if size is None or num_examples <= size or num_examples % size:
        sums = jax.value_and_grad(total)(params, batch)
    else:

        def add_block(i, sums):
            block = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, i * size, size, axis=-1), batch)
            return jax.tree.map(jnp.add, sums, jax.value_and_grad(total)(params, block))

        num_real = jnp.max(jnp.where(batch.weights_b > 0, jnp.arange(1, num_examples + 1), 0))
        nothing = jax.tree.map(jnp.zeros_like, (jnp.float32(0), params))
        sums = jax.lax.fori_loop(0, -(-num_real // size), add_block, nothing)
    share = 1 / jnp.sum(batch.weights_b)  # divided here, or XLA may or may not do so itself, with other last bits
    return jax.tree.map(lambda a: a * share, sums)


def train_step(spec: Spec, shared: Any, hparams: Hparams, data: Any, state: TrialState) -> TrialState:
    """One gradient step; where it is not finite the trial keeps what it had and is infeasible from then on.

    The optimizer sees all weights as one vector: fewer operations, and so few at a time that a CPU's device does not
    hand some to threads that the other devices need.
    """
    source = Source(jnp.int32(SPLITS.index("train")), shared, hparams)
    batch = spec.task.sample(data, state.step, spec.batch_size, source)
    value, gradient = loss_and_gradient(spec, state.params, batch)
    fan_in, (params, to_tree), (gradient, _) = fan_ins(state.params), ravel_pytree(state.params), ravel_pytree(gradient)
    updates, optimizer_state = optimizer(spec, hparams, fan_in).update(gradient, state.optimizer_state, params)
    feasible = state.feasible & jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(gradient))
    keep = lambda new, old: jnp.where(feasible, new, old)
    return TrialState(
        step=state.step + 1,
        params=to_tree(keep(optax.apply_updates(params, updates), params)),
        optimizer_state=jax.tree.map(keep, optimizer_state, state.optimizer_state),
        feasible=feasible,
    )


def train_chunk(spec: Spec, shared: Any, until: Array, hparams: Hparams, data: Any, state: TrialState) -> TrialState:
    """The trial's next steps, up to step `until`, on the device."""
    step = lambda _, state: train_step(spec, shared, hparams, data, state)
    run = lambda state: jax.lax.fori_loop(state.step, until, step, state)
    return jax.lax.cond(state.feasible, run, lambda state: state._replace(step=jnp.int32(until)), state)


def evaluate(
    spec: Spec, shared: Any, split: Array, hparams: Hparams, data: Any, params: Params
) -> tuple[Array, Mapping[str, Array]]:
    """The mean loss and the task's score on the examples of a split, an index into SPLITS."""
    batch = spec.task.examples(data, Source(split, shared, hparams))
    # As many at a time as in training, where the backend asks for no blocks: the memory is then no more than that.
    (num_steps, num_inputs, num_examples), size = batch.x_tib.shape, spec.block_size or spec.batch_size
    if size is None or num_examples <= size or num_examples % size:
        outputs_tob = network.apply(params, spec, batch.x_tib)
    else:
        blocks = jnp.moveaxis(batch.x_tib.reshape(num_steps, num_inputs, -1, size), 2, 0)
        outputs_ktob = jax.lax.map(lambda x_tib: network.apply(params, spec, x_tib), blocks)
        outputs_tob = jnp.moveaxis(outputs_ktob, 0, 2).reshape(*outputs_ktob.shape[1:3], num_examples)
    losses_b = spec.task.loss(outputs_tob, batch)
    return jnp.sum(batch.weights_b * losses_b) / jnp.sum(batch.weights_b), spec.task.score(outputs_tob, batch)


def train_trial(spec: Spec, hparams: Hparams, key: Keys) -> Outcome:
    """A trial from beginning to end: the pure function that all else runs many of."""
    shared = jax.tree.map(jnp.asarray, spec.task.shared())
    data, state = begin(spec, hparams, key)
    measure = lambda split, params: evaluate(spec, shared, split, hparams, data, params)
    _, untrained_score = measure(jnp.int32(SPLITS.index("valid")), state.params)
    state = train_chunk(spec, shared, jnp.int32(spec.train_steps), hparams, data, state)
    return outcome(spec, untrained_score, lambda split: measure(split, state.params), state)


def begin(spec: Spec, hparams: Hparams, key: Keys) -> tuple[Any, TrialState]:
    """A trial's data, and its state before the first step."""
    return spec.task.data(key.task, hparams), init_trial(spec, hparams, key)


def outcome(spec: Spec, untrained_score, measure: Callable, state: TrialState) -> Outcome:
    """Put together from what `evaluate` gives; where all splits are one set it is measured once."""
    measured = {
        split: measure(jnp.int32(SPLITS.index(split))) for split in (SPLITS[:1] if spec.task.one_set else SPLITS)
    }
    loss, score = ({s: measured.get(s, measured[SPLITS[0]])[i] for s in SPLITS} for i in (0, 1))
    finite = jnp.isfinite(jnp.stack([jnp.asarray(loss[split]) for split in SPLITS])).all(axis=0)
    return Outcome(loss, score, untrained_score, state.feasible & finite)


class _Programs(NamedTuple):
    begin: Callable
    chunk: Callable
    evaluate: Callable
    compiled: dict[tuple, list[jax.stages.Compiled]]  # the last two, by the number of trials and the hparams' names


# A spec's programs take some 700 memory maps of a CPU's process, which may have 65,530.
@functools.lru_cache(maxsize=32)
def _programs(spec: Spec, devices: tuple[jax.Device, ...]) -> _Programs:
    def with_precision(fn, **kwargs):
        def call(shared, *trial):
            with jax.default_matmul_precision(spec.precision):
                return fn(shared, *trial)

        return sharding.map_trials(call, devices, **kwargs)

    return _Programs(
        begin=with_precision(lambda _, hparams, key: begin(spec, hparams, key), runs_once=True),
        chunk=with_precision(lambda given, *trial: train_chunk(spec, *given, *trial)),
        evaluate=with_precision(lambda given, *trial: evaluate(spec, *given, *trial)),
        compiled={},
    )


@functools.lru_cache(maxsize=2)
def _shared(task: Task, digests: tuple[str | None, ...], devices: tuple[jax.Device, ...]) -> Any:
    """What all trials of a task read, on the devices. The digests tell apart what was edited meanwhile."""
    return sharding.replicate(task.shared(), devices)


def _compile(programs: _Programs, shared, hparams, data, state: TrialState) -> list[jax.stages.Compiled]:
    """Chunk and evaluation ahead of their first run, so that it is known what they need."""
    known = (len(state.step), tuple(sorted(hparams)))
    if known not in programs.compiled:
        given, trial = (shared, np.int32(0)), (hparams, data)
        lowered = (programs.chunk.lower(given, *trial, state), programs.evaluate.lower(given, *trial, state.params))
        programs.compiled[known] = [program.compile() for program in lowered]
    return programs.compiled[known]


def in_blocks(spec: Spec, devices: Sequence[jax.Device]) -> Spec:
    """The spec with the number of examples worked on at a time that suits the devices, unless it says one."""
    if spec.block_size is not None:
        return spec
    num_params = network.num_params(spec.cell, **spec.sizes)
    per_example = 4 * spec.task.unroll * num_params / spec.num_units  # a float32 for each row of a matrix, at each step
    return dataclasses.replace(spec, block_size=sharding.default_block_size(devices, per_example))


def train_trials(
    spec: Spec,
    hparams: Hparams,
    keys: Keys,
    *,
    devices: Sequence[jax.Device],
    on_chunk: Callable[[int, TrialState], None] = lambda step, state: None,
) -> Outcome:
    """K trials at once over the devices, from beginning to end; NumPy arrays [K]."""
    return advance(spec, hparams, keys, None, spec.train_steps, devices=devices, on_chunk=on_chunk)[0]


def advance(
    spec: Spec,
    hparams: Hparams,
    keys: Keys,
    state: TrialState | None,
    until: int,
    *,
    devices: Sequence[jax.Device],
    trials_per_device: int | None = None,
    on_chunk: Callable[[int, TrialState], None] = lambda step, state: None,
) -> tuple[Outcome, TrialState]:
    """K trials at once over the devices, in chunks of steps, up to step `until`.

    Args:
        hparams: each a [K] array.
        keys: each a [K] array of keys.
        state: where the trials stand, [K] each, all at one step of at most `until`; None: before the first.
        trials_per_device: no device is given more for the sake of padding; None: as padding likes.
        on_chunk: told after every chunk the step that the trials stand at, and where they stand.

    Returns:
        What came out so far, NumPy arrays [K], and where the trials stand, on the devices, padded as they are.

    Raises:
        NotEnoughMemoryError: so many trials at once do not fit; nothing was trained.
    """
    network.check_cell(spec.cell, spec)
    spec = in_blocks(spec, devices)
    num_trials = len(keys.task)
    needed = (*HPARAM_NAMES, *spec.task.hparam_names)
    if missing := [name for name in needed if name not in hparams]:
        raise InputError(f"hparams: {', '.join(missing)} not given; training reads {', '.join(needed)}")
    trials = ({name: np.asarray(values, np.float32) for name, values in hparams.items()}, keys, state)
    padded = sharding.padded_count(num_trials, devices, trials_per_device)
    hparams, keys, state = sharding.pad_trials(trials, padded)
    programs = _programs(spec, tuple(devices))
    shared = _shared(spec.task, (*spec.programs, spec.task.digest()), tuple(devices))
    data, initial = programs.begin(0, hparams, keys)
    run_chunk, run_evaluate = _compile(programs, shared, hparams, data, initial)
    memory.check((run_chunk, run_evaluate), devices)
    measure = lambda split, params: run_evaluate((shared, np.int32(split)), hparams, data, params)
    _, untrained_score = measure(SPLITS.index("valid"), initial.params)
    state = initial if state is None else state
    del initial  # or a copy of all states would lie beside the training
    done = int(np.asarray(state.step)[0])
    chunk = FIRST_CHUNK
    while done < until:
        start = time.perf_counter()
        target = min(done + chunk, until)
        state = jax.block_until_ready(run_chunk((shared, np.int32(target)), hparams, data, state))
        seconds = time.perf_counter() - start
        chunk = math.ceil(min(max(CHUNK_SECONDS / seconds, 0.25), 8.0) * (target - done))
        done = target
        on_chunk(done, state)
    outcomes = outcome(spec, untrained_score, lambda split: measure(split, state.params), state)
    return jax.tree.map(lambda a: np.asarray(a)[:num_trials], outcomes), state
