"""One trial: a pure function of (spec, hparams, key), and the steps that it is made of."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from rnn_capacity.model import formats, network
from rnn_capacity.model.spec import Spec
from rnn_capacity.tasks.base import SPLITS, Batch, Source
from rnn_capacity.training.optimizers import fan_ins, optimizer
from rnn_capacity.training.trial import Outcome
from rnn_capacity.types import Array, Hparams, Params


class TrialState(NamedTuple):
    """State of a trial between two steps, without its data."""

    params: Params
    optimizer_state: Any  # of the weights as one vector
    feasible: Array  # False once the loss or its gradient was not finite; the trial then stands still


def init_trial(spec: Spec, hparams: Hparams, key: Array) -> TrialState:
    """A trial before its first step, its weights drawn from the key."""
    return before_training(spec, hparams, network.init(key, spec, hparams))


def before_training(spec: Spec, hparams: Hparams, params: Params) -> TrialState:
    """A trial that starts from these weights."""
    weights, _ = ravel_pytree(params)
    rule = optimizer(spec, hparams, jnp.int32(0), fan_ins(params))
    return TrialState(params, rule.init(weights), jnp.bool_(True))


def loss_and_gradient(spec: Spec, hparams: Hparams, params: Params, batch: Batch) -> tuple[Array, Params]:
    """The mean loss of a batch and its gradient, summed over blocks of examples.

    A block's activations stay in a CPU's cache, which halves the time of the gated cells; blocks that hold nothing but
    padding are left out.
    """

    def total(params, block):
        return jnp.sum(block.weights_b * spec.task.loss(network.apply(params, spec, hparams, block.x_tib), block))

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


def _train_step(
    spec: Spec, shared: Any, data: Any, step: Array, hparams: Hparams, state: TrialState, to_tree: Callable
) -> TrialState:
    """One gradient step; where it is not finite the trial keeps what it had and is infeasible from then on.

    Between steps all weights are one vector, as the optimizer sees them: fewer operations, and so few at a time that a
    CPU's device does not hand some to threads that the other devices need; and no array that XLA has to copy.
    """
    source = Source(jnp.int32(SPLITS.index("train")), shared, hparams)
    batch = spec.task.sample(data, step, spec.batch_size, source)
    weights, params = state.params, to_tree(state.params)
    value, gradient = loss_and_gradient(spec, hparams, params, batch)
    gradient, _ = ravel_pytree(gradient)
    rule = optimizer(spec, hparams, step, fan_ins(params))
    updates, optimizer_state = rule.update(gradient, state.optimizer_state, weights)
    feasible = state.feasible & jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(gradient))
    keep = lambda new, old: jnp.where(feasible, new, old)
    return TrialState(
        params=keep(optax.apply_updates(weights, updates), weights),
        optimizer_state=jax.tree.map(keep, optimizer_state, state.optimizer_state),
        feasible=feasible,
    )


def train_chunk(
    spec: Spec,
    shared: Any,
    data: Any,
    start: Array,
    until: Array,
    hparams: Hparams,
    state: TrialState,
    *,
    alone: bool = True,
) -> TrialState:
    """The trial's next steps, from step `start` up to step `until`, on the device.

    Args:
        alone: an infeasible trial, whose steps change nothing, is left out. Beside others that would save nothing, and
            `vmap` would give each trial the data for itself.
    """
    weights, to_tree = ravel_pytree(state.params)
    step = lambda step, state: _train_step(spec, shared, data, step, hparams, state, to_tree)
    run = lambda state: jax.lax.fori_loop(start, until, step, state)
    state = state._replace(params=weights)
    state = jax.lax.cond(state.feasible, run, lambda state: state, state) if alone else run(state)
    return state._replace(params=to_tree(state.params))


def evaluate(
    spec: Spec, shared: Any, data: Any, split: Array, hparams: Hparams, params: Params
) -> tuple[Array, Mapping[str, Array]]:
    """The mean loss and the task's score on the examples of a split, an index into SPLITS."""
    batch = spec.task.examples(data, Source(split, shared, hparams))
    # As many at a time as in training, where the backend asks for no blocks: the memory is then no more than that.
    (num_steps, num_inputs, num_examples), size = batch.x_tib.shape, spec.block_size or spec.batch_size
    if size is None or num_examples <= size or num_examples % size:
        outputs_tob = network.apply(params, spec, hparams, batch.x_tib)
    else:
        blocks = jnp.moveaxis(batch.x_tib.reshape(num_steps, num_inputs, -1, size), 2, 0)
        outputs_ktob = jax.lax.map(lambda x_tib: network.apply(params, spec, hparams, x_tib), blocks)
        outputs_tob = jnp.moveaxis(outputs_ktob, 0, 2).reshape(*outputs_ktob.shape[1:3], num_examples)
    losses_b = spec.task.loss(outputs_tob, batch)
    return jnp.sum(batch.weights_b * losses_b) / jnp.sum(batch.weights_b), spec.task.score(outputs_tob, batch)


def outcome(spec: Spec, untrained_score: Any, measure: Callable, state: TrialState, stored: Callable) -> Outcome:
    """Put together from what `evaluate` gives; where all splits are one set it is measured once.

    Args:
        measure: (split, params) -> (loss, score), split an index into SPLITS.
        stored: format -> the trained weights as stored in it.
    """
    measured = {
        split: measure(jnp.int32(SPLITS.index(split)), state.params)
        for split in (SPLITS[:1] if spec.task.one_set else SPLITS)
    }
    last = jnp.int32(SPLITS.index("eval"))
    rounded = {name: measure(last, stored(name))[1] for name in (formats.ROUNDED if spec.rounded else ())}
    loss, score = ({s: measured.get(s, measured[SPLITS[0]])[i] for s in SPLITS} for i in (0, 1))
    finite = jnp.isfinite(jnp.stack([jnp.asarray(loss[split]) for split in SPLITS])).all(axis=0)
    return Outcome(loss, score, untrained_score, state.feasible & finite, rounded)
