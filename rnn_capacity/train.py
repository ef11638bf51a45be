"""Training: one trial is a pure function of (spec, hparams, key), and K of them run at once."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_capacity import network, sharding
from rnn_capacity.types import Array, Hparams, Keys, Outcome, Params, Spec

CHUNK_SECONDS = 1.0  # how often a batch in training shows its progress
FIRST_CHUNK = 50  # steps, to learn how long a step takes

HPARAM_NAMES = (
    "learning_rate",
    "learning_rate_decay",
    "momentum_logit",
    "squared_gradient_decay",
    "gradient_clip",
    "l2",
    "num_mappings",
)


class TrialState(NamedTuple):
    """What the next step of a trial needs. Its data are made again from the key instead of kept."""

    step: Array
    params: Params
    optimizer_state: Any
    feasible: Array  # False once the loss or its gradient was not finite; the trial then stands still


def optimizer(spec: Spec, hparams: Hparams) -> optax.GradientTransformation:
    """The paper's optimizers, built from traced hparams, so that a new value never recompiles.

    L2 is part of the gradient, the norm of the whole is clipped, then SGD, momentum, RMSProp or Adam. The learning rate
    falls to `learning_rate_decay` of itself over the run, exponentially (the paper's), or to 0 along a cosine.
    """
    progress = lambda step: step / spec.train_steps
    if spec.schedule == "exponential":
        schedule = lambda step: hparams["learning_rate"] * hparams["learning_rate_decay"] ** progress(step)
    else:
        schedule = lambda step: hparams["learning_rate"] * 0.5 * (1 + jnp.cos(jnp.pi * progress(step)))
    direction = {
        "sgd": lambda: optax.identity(),
        "momentum": lambda: optax.trace(decay=jax.nn.sigmoid(hparams["momentum_logit"])),
        "rmsprop": lambda: optax.scale_by_rms(decay=hparams["squared_gradient_decay"]),
        "adam": lambda: optax.scale_by_adam(),
    }[spec.optimizer]
    return optax.chain(
        optax.add_decayed_weights(hparams["l2"]),
        optax.clip_by_global_norm(hparams["gradient_clip"]),
        direction(),
        optax.scale_by_learning_rate(schedule),
    )


def init_trial(spec: Spec, hparams: Hparams, key: Keys) -> TrialState:
    """A trial before its first step."""
    params = network.init(key.network, spec, hparams)
    state = optimizer(spec, hparams).init(params)
    return TrialState(jnp.int32(0), params, state, jnp.bool_(True))


def train_step(spec: Spec, hparams: Hparams, data: Any, state: TrialState) -> TrialState:
    """One gradient step; where it is not finite the trial keeps what it had and is infeasible from then on."""
    batch = spec.task.sample(data, state.step, spec)

    def loss(params):
        return spec.task.loss(network.apply(params, spec, batch.x_tib), batch)

    value, gradient = jax.value_and_grad(loss)(state.params)
    updates, optimizer_state = optimizer(spec, hparams).update(gradient, state.optimizer_state, state.params)
    feasible = state.feasible & jnp.isfinite(value) & jnp.isfinite(optax.global_norm(gradient))
    keep = lambda new, old: jnp.where(feasible, new, old)
    return TrialState(
        step=state.step + 1,
        params=jax.tree.map(keep, optax.apply_updates(state.params, updates), state.params),
        optimizer_state=jax.tree.map(keep, optimizer_state, state.optimizer_state),
        feasible=feasible,
    )


def train_chunk(spec: Spec, until: Array, hparams: Hparams, key: Keys, state: TrialState) -> TrialState:
    """The trial's next steps, up to step `until`, on the device."""
    data = spec.task.data(key.task, spec, hparams)
    step = functools.partial(train_step, spec, hparams, data)
    run = lambda state: jax.lax.fori_loop(state.step, until, lambda _, state: step(state), state)
    return jax.lax.cond(state.feasible, run, lambda state: state._replace(step=jnp.int32(until)), state)


def evaluate(spec: Spec, hparams: Hparams, key: Keys, params: Params) -> tuple[Array, Mapping[str, Array]]:
    """The loss and the task's score on everything there is to score."""
    batch = spec.task.everything(spec.task.data(key.task, spec, hparams))
    outputs_ob = network.apply(params, spec, batch.x_tib)
    return spec.task.loss(outputs_ob, batch), spec.task.score(outputs_ob, batch)


def finish_trial(spec: Spec, hparams: Hparams, key: Keys, state: TrialState) -> Outcome:
    """Scores a trial, as it is and as it was before training."""
    loss, score = evaluate(spec, hparams, key, state.params)
    _, untrained_score = evaluate(spec, hparams, key, init_trial(spec, hparams, key).params)
    return Outcome(loss, score, untrained_score, state.feasible & jnp.isfinite(loss))


def train_trial(spec: Spec, hparams: Hparams, key: Keys) -> Outcome:
    """A trial from beginning to end: the pure function that all else runs many of."""
    state = train_chunk(spec, jnp.int32(spec.train_steps), hparams, key, init_trial(spec, hparams, key))
    return finish_trial(spec, hparams, key, state)


class _Programs(NamedTuple):
    init: Callable
    chunk: Callable
    finish: Callable


@functools.lru_cache(maxsize=64)
def _programs(spec: Spec, devices: tuple[jax.Device, ...]) -> _Programs:
    def with_precision(fn):
        def call(shared, *trial):
            with jax.default_matmul_precision(spec.precision):
                return fn(shared, *trial)

        return sharding.map_trials(call, devices)

    return _Programs(
        init=with_precision(lambda _, hparams, key: init_trial(spec, hparams, key)),
        chunk=with_precision(functools.partial(train_chunk, spec)),
        finish=with_precision(lambda _, hparams, key, state: finish_trial(spec, hparams, key, state)),
    )


def train_trials(
    spec: Spec,
    hparams: Hparams,
    keys: Keys,
    *,
    devices: Sequence[jax.Device],
    on_chunk: Callable[[float], None] = lambda fraction: None,
) -> Outcome:
    """K trials at once over the devices, in chunks of steps; NumPy arrays [K].

    Args:
        hparams: each a [K] array.
        keys: each a [K] array of keys.
        on_chunk: called after every chunk with the fraction of the steps that is done.
    """
    network.check_cell(spec.cell, spec)
    num_trials = len(keys.task)
    hparams, keys = sharding.pad_trials((dict(hparams), keys), len(devices))
    programs = _programs(spec, tuple(devices))
    state = programs.init(0, hparams, keys)
    done, chunk = 0, min(FIRST_CHUNK, spec.train_steps)
    while done < spec.train_steps:
        start = time.perf_counter()
        until = min(done + chunk, spec.train_steps)
        state = jax.block_until_ready(programs.chunk(np.int32(until), hparams, keys, state))
        if done:  # the first chunk's time is mostly compilation
            seconds = time.perf_counter() - start
            chunk = math.ceil(min(max(CHUNK_SECONDS / seconds, 0.25), 8.0) * (until - done))
        done = until
        on_chunk(done / spec.train_steps)
    outcome = programs.finish(0, hparams, keys, state)
    return jax.tree.map(lambda a: np.asarray(a)[:num_trials], outcome)
