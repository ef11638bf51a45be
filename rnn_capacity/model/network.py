"""From a cell to a network: layers stacked in depth, unrolled in time, read out at the top."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import NONLINEARITIES, Cell, Nonlinearity
from rnn_capacity.model.examples_last import over_examples, to_all
from rnn_capacity.model.hoist import hoist
from rnn_capacity.model.spec import Spec
from rnn_capacity.types import Array, Carry, Hparams, Params

# Up to this many steps the time loop is unrolled; of more XLA makes kernels for a CPU that work the same out many times
# over (an LSTM's 12 steps take twice as long as in a loop). On an accelerator a single layer's are fewer kernels so.
FULL_UNROLL, FULL_UNROLL_ACCELERATOR = 5, 15
LONG = 64  # beyond so many steps a loop is cut into segments: only what passes between them is kept for the gradient,
SEGMENTS = range(8, 33)  # and the inside of each, so many steps, is computed again


def init(key: Array, spec: Spec, hparams: Hparams) -> Params:
    """The weights of all layers and of the readout. Layers share the hparams, not the draws."""
    *layer_keys, key_w, key_b = jax.random.split(key, spec.depth + 2)
    sizes = [spec.task.num_inputs] + [spec.num_units] * (spec.depth - 1)
    layers = [spec.cell.init(k, size, spec.num_units, hparams) for k, size in zip(layer_keys, sizes, strict=True)]
    return {"layers": layers, "readout": init_readout(key_w, key_b, spec.num_units, spec.task.num_outputs, hparams)}


def init_readout(key_w: Array, key_b: Array, num_units: int, num_outputs: int, hparams: Hparams) -> Params:
    """The weights that read the top layer out."""
    return {
        "W": initializers.rectangular(key_w, num_units, num_outputs, hparams, family="readout_scale"),
        "b": initializers.bias(key_b, num_outputs, hparams, ("readout",)),
    }


def apply(params: Params, spec: Spec, hparams: Hparams, x_tib: Array) -> Array:
    """The outputs of the last steps, those that the task reads, (read_steps, num_outputs, batch).

    x_tib, inputs from the first step on, may be shorter than the unroll: then the input is silent afterwards, or, where
    it comes at every step, held. Inputs of a small integer type become floats a segment at a time.
    """
    dtype = params["readout"]["W"].dtype  # of the outputs
    if spec.precision == "bfloat16":
        params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    num_steps, layers, readout = spec.task.unroll, params["layers"], params["readout"]
    hold = spec.branch("input_steps", hparams, lambda name: name == "every")
    s = _nonlinearity(spec, hparams)

    def through_layers(carries, x_tib, num_steps):
        after, y_tib = [], jnp.asarray(x_tib, readout["W"].dtype)
        how = {"hold": hold, "depth": spec.depth, "recompute": bool(spec.recompute) and spec.task.unroll <= LONG}
        for layer, carry in zip(layers, carries, strict=True):
            only_last = len(after) == spec.depth - 1 and spec.task.read_steps == 1
            carry, y_tib = unroll(spec.cell, layer, y_tib, num_steps, s, carry=carry, only_last=only_last, **how)
            after.append(carry)
        return after, y_tib

    if num_steps <= LONG:
        _, y_thb = through_layers([None] * len(layers), x_tib, num_steps)
    else:
        to_batch = functools.partial(to_all, size=x_tib.shape[-1])
        carries = [jax.tree.map(to_batch, _start(spec.cell, layer)) for layer in layers]
        shown = x_tib[:num_steps]
        carries, y_thb = _in_segments(through_layers, carries, shown, len(shown))
        if num_after := num_steps - len(shown):
            last = shown[:0] if hold is False else shown[-1:] * jnp.asarray(hold, shown.dtype)
            _, y_after_thb = _in_segments(through_layers, carries, last, num_after)
            y_thb = jnp.concatenate([y_thb, y_after_thb])
    # One product for all steps and examples: `vmap` over the steps would transpose its operands, even for a single one.
    y_htb = jnp.moveaxis(y_thb[-spec.task.read_steps :], 0, 1)
    outputs_on = (readout["W"] @ y_htb.reshape(len(y_htb), -1) + readout["b"][:, None]).astype(dtype)
    return jnp.moveaxis(outputs_on.reshape(-1, *y_htb.shape[1:]), 1, 0)


def _nonlinearity(spec: Spec, hparams: Hparams) -> Nonlinearity:
    if "nonlinearity" not in spec.chosen:
        return NONLINEARITIES[spec.branches("nonlinearity")[0]]
    return lambda z: spec.branch("nonlinearity", hparams, lambda name: NONLINEARITIES[name](z))


def _in_segments(through_layers, carries, x_tib: Array, num_steps: int) -> tuple[Carry, Array]:
    """The carries after `num_steps`, and the top layer's outputs y_thb.

    x_tib is the input of all steps; or where it has fewer (one that is held, or none) of each segment.
    """

    def segment(carries, x_tib, num_steps):
        run = lambda carries, x_tib: through_layers(carries, x_tib, num_steps)
        return jax.checkpoint(run, prevent_cse=False)(carries, x_tib)

    # A length that leaves no rest has the layers compiled once.
    length = min(SEGMENTS, key=lambda length: (num_steps % length > 0, abs(length - 16)))
    num_segments, rest = divmod(num_steps, length)
    given = len(x_tib) == num_steps
    pieces = []
    if rest:
        carries, y_thb = segment(carries, x_tib[:rest] if given else x_tib, rest)
        pieces.append(y_thb)
    if num_segments:
        x_ntib = x_tib[rest:].reshape(num_segments, length, *x_tib.shape[1:]) if given else None
        advance = lambda carries, x: segment(carries, x_tib if x is None else x, length)
        carries, y_nthb = jax.lax.scan(advance, carries, x_ntib, num_segments)
        pieces.append(y_nthb.reshape(-1, *y_nthb.shape[2:]))
    return carries, jnp.concatenate(pieces)


def _start(cell: Cell, params: Params) -> Carry:
    return jax.tree.map(jnp.asarray, cell.initial_carry(params))


def unroll(
    cell: Cell,
    params: Params,
    x_tib: Array,
    num_steps: int,
    nonlinearity,
    *,
    hold: bool | Array = False,
    carry: Carry | None = None,
    depth: int = 1,
    only_last: bool = False,
    recompute: bool = False,
) -> tuple[Carry, Array]:
    """The carry after, and the outputs y_thb of one layer at all steps: the only loop over time.

    Inputs beyond the end of x_tib are zero, or with `hold`, which may be traced, the last one again.

    Args:
        carry: what the layer starts from, examples last; None: the learned initial carry.
        depth: layers of the network that this is one of.
        only_last: no output but that of the last step is asked for, and a loop stores no other.
        recompute: as on an accelerator: in a loop nothing of a step is kept for the gradient but what the one before
            passed on, and all else made again; without, its products, exp and tanh are kept, too.
    """
    apply = functools.partial(apply_cell, cell, nonlinearity)
    start = _start(cell, params)
    stages = hoist(apply, params, start, jnp.zeros(x_tib.shape[1], x_tib.dtype))

    weights = stages.prepare(params)
    looped = num_steps > (FULL_UNROLL_ACCELERATOR if recompute and depth == 1 else FULL_UNROLL)
    project, recall, combine = (  # inline, or what one gives and the next reads would be kept twice
        functools.partial(jax.jit(over_examples(stage, looped=looped), inline=looped), weights)
        for stage in (stages.project, stages.recall, stages.combine)
    )
    to_batch = functools.partial(to_all, size=x_tib.shape[-1])

    # Without input it is the same for all examples what a step adds, so that is computed once and spread; so is what is
    # made of the learned initial carry.
    silent = lambda: tuple(map(to_batch, stages.project(weights, jnp.zeros(x_tib.shape[1], x_tib.dtype))))
    memory = tuple(map(to_batch, stages.recall(weights, start))) if carry is None else recall(carry)
    drive_after = functools.partial(_drive_after, hold, silent)
    if looped:
        # From step to step passes what the next makes of the carry alone. So an RNN's tanh, its carry, is kept for the
        # gradient once: within the step. Where only what passes is kept, it is this or the carry, the smaller of both.
        pass_on: Callable[[Any], Any] = recall
        step, passed = (lambda memory, drive: combine(drive, memory)), memory
        if recompute:
            begin = jax.tree.map(to_batch, start) if carry is None else carry
            if _num_floats(begin) < _num_floats(memory):
                step, passed = (lambda carry, drive: combine(drive, recall(carry))), begin
                pass_on = lambda carry: carry
        policy = None if recompute else _is_kept
        return _loop(project, step, pass_on, passed, x_tib, num_steps, drive_after, policy, only_last)

    drives = [project(x_ib) for x_ib in x_tib[:num_steps]]
    drives += [drive_after(lambda: drives[-1])] * (num_steps - len(drives))
    outputs: list[Array] = []
    for drive in drives:
        carry, y_hb = combine(drive, recall(carry) if outputs else memory)
        outputs.append(y_hb)
    return carry, jnp.stack(outputs)


def _num_floats(tree: Any) -> int:
    return sum(a.size for a in jax.tree.leaves(tree))


def _loop(project, step, pass_on, passed, x_tib, num_steps, drive_after, policy, only_last) -> tuple[Carry, Array]:
    """The same by `jax.lax.scan`, but for the last step: an output that is not asked for need not be computed.

    Args:
        step: (passed, drive) -> (carry, y).
        pass_on: carry -> passed, from a step to the next.
        policy: what is kept of a step for the gradient, beside what passed.
    """

    def advance(passed, drive):
        carry, y_hb = step(passed, drive)
        return pass_on(carry), None if only_last else y_hb

    advance = jax.checkpoint(advance, prevent_cse=False, policy=policy)
    num_given = min(len(x_tib), num_steps)
    num_after = num_steps - num_given
    drive_t = jax.vmap(project)(x_tib[:num_given])
    last = lambda: tuple(d[-1] for d in drive_t)
    drive = drive_after(last) if num_after else last()
    outputs = []
    if num_given:
        count = min(num_given, num_steps - 1)
        passed, y_thb = jax.lax.scan(advance, passed, jax.tree.map(lambda d: d[:count], drive_t), count)
        outputs.append(y_thb)
    if num_after:
        passed, y_thb = jax.lax.scan(lambda passed, _: advance(passed, drive), passed, None, num_after - 1)
        outputs.append(y_thb)
    carry, y_hb = step(passed, drive)
    return carry, y_hb[None] if only_last else jnp.concatenate([*outputs, y_hb[None]])


def _is_kept(primitive: Primitive, *_: Any, **__: Any) -> bool:
    """Whether a CPU, on which the rest takes less to make again than to read, keeps this of a step for its gradient."""
    return primitive.name in ("dot_general", "exp", "tanh")


def _drive_after(hold: bool | Array, silent: Callable[[], tuple], last: Callable[[], tuple]) -> tuple:
    """What the input adds at a step that is not given: as at the last one that is, or nothing."""
    if isinstance(hold, bool):
        return last() if hold else silent()
    return tuple(map(functools.partial(jnp.where, hold), last(), silent()))


def apply_cell(cell: Cell, nonlinearity, params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
    return cell.apply(params, carry, x, nonlinearity)
