"""No cell has an infinity or a NaN, in values or gradients, where its hparams may lie: at one unit, and in silence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_hparams

from rnn_capacity.cells import CELLS
from rnn_capacity.dimension import Range
from rnn_capacity.model import layout
from rnn_capacity.search.space import space_for

INPUTS, LONG = 3, 200
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


@functools.cache
def _gradients(cell):
    """(hparams, x_ti) -> the outputs of one unit, and the gradient of all of them by every weight."""

    def outputs(params, x_ti):
        step = lambda carry, x_i: cell.apply(params, carry, x_i, jnp.tanh)
        y_th = jax.lax.scan(step, cell.initial_carry(params), x_ti)[1]
        return jnp.sum(y_th), y_th

    def run(hparams, x_ti):
        params = cell.init(jax.random.key(0), INPUTS, 1, hparams)
        return jax.grad(outputs, has_aux=True)(params, x_ti)

    return jax.jit(run)


def ends(cell):
    """Values of the hparams: all in the middle, and each at either end of its range, and all at once."""
    read = layout.hparam_names(cell)
    usual = make_hparams(cell)
    yield usual
    for space in ("quick", "paper"):
        ranges = {n: d for n, d in space_for(cell, space).items() if n in read and isinstance(d, Range)}
        for end in ("low", "high"):
            values = {name: np.float32(getattr(d, end)) for name, d in ranges.items()}
            yield usual | values
            yield from (usual | {name: value} for name, value in values.items())


@every_cell
def test_values_and_gradients_are_finite_at_both_ends_of_every_range(cell):
    silent = np.zeros((LONG, INPUTS), np.float32)
    shown = np.random.default_rng(0).normal(size=silent.shape).astype(np.float32)
    once = silent.copy()
    once[0] = 1.0
    for hparams in ends(cell):
        for x_ti in (silent, once, 10 * shown):
            found = _gradients(cell)(hparams, x_ti)
            assert all(np.isfinite(a).all() for a in jax.tree.leaves(found))
