"""Blocks of cells: against NumPy, in size, and as cells like any other. What is inside is tested elsewhere."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_blocks
from helpers import check_cell, flatten, make_hparams, make_spec, random_cell

from rnn_capacity.cells import BLOCKS, CELLS, block
from rnn_capacity.cells.block import Switches
from rnn_capacity.checks import InputError
from rnn_capacity.model import layout, network
from rnn_capacity.model.hoist import hoist
from rnn_capacity.search.space import space_for, tuned
from rnn_capacity.studies.plan import find_cell

UNITS, INPUTS, STEPS = 4, 3, 6

every_block = pytest.mark.parametrize("cell", BLOCKS.values(), ids=BLOCKS.keys())


def make_params(cell, num_inputs=INPUTS, num_units=UNITS):
    return random_cell(cell, num_inputs, num_units)


@every_block
def test_a_block_equals_its_equations_and_its_stages_equal_it(cell):
    """Of six steps, of which the last two are silent, so that the convolution's past runs out."""
    params = make_params(cell)
    inputs = np.random.default_rng(1).normal(size=(STEPS, INPUTS)).astype(np.float32)
    inputs[-2:] = 0
    reference = reference_blocks.Block(cell.name, params)
    expected = np.stack([reference(x_i.astype(float)) for x_i in inputs])
    apply = lambda params, carry, x: cell.apply(params, carry, x, jnp.tanh)
    stages = hoist(apply, params, cell.initial_carry(params), inputs[0])

    @jax.jit
    def run(params, inputs):
        weights = stages.prepare(params)
        step = lambda carry, x: stages.step(weights, stages.project(weights, x), carry)
        start = cell.initial_carry(params)
        direct = jax.lax.scan(lambda carry, x: apply(params, carry, x), start, inputs)[1]
        return direct, jax.lax.scan(step, start, inputs)[1]

    direct, staged = run(params, inputs)
    np.testing.assert_allclose(direct, expected, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(staged, direct, rtol=1e-5, atol=1e-5)


@every_block
@pytest.mark.parametrize("num_inputs", [INPUTS, UNITS])
def test_a_block_is_a_cell_and_has_the_parameters_of_its_parts(cell, num_inputs):
    spec = make_spec(cell, num_inputs=num_inputs, num_units=UNITS, depth=2, nonlinearity=cell.nonlinearities[0])
    check_cell(spec)
    shapes = layout.layer(cell, num_inputs, UNITS).shapes
    inside = sum(a.size for a in jax.tree.leaves(shapes["cell"]))
    expected = inside + reference_blocks.sizes(cell.name, UNITS, num_inputs) + UNITS + 1
    assert layout.num_params(cell, num_inputs=num_inputs, num_units=UNITS) == expected
    assert (cell.track, CELLS[cell.name.removesuffix(" block")].track) == ("block", "bare")


@every_block
def test_a_block_of_one_unit_is_finite_in_silence_and_after_many_steps(cell):
    def total(params, x_ti):
        step = lambda carry, x: cell.apply(params, carry, x, jnp.tanh)
        return jnp.sum(jax.lax.scan(step, cell.initial_carry(params), x_ti)[1])

    measure = jax.jit(jax.value_and_grad(total))
    silent = np.zeros((200, INPUTS), np.float32)
    init = jax.jit(lambda key: cell.init(key, INPUTS, 1, make_hparams(cell)))
    for params in (make_params(cell, num_units=1), init(jax.random.key(0))):
        for x_ti in (silent, silent + 10):
            assert np.isfinite(flatten(measure(params, x_ti))).all()


# Of all switches they lack the GLU, and a norm behind the gate.
@pytest.mark.parametrize("name", ["mingru block", "gated deltanet block"])
def test_the_gradient_of_a_block_matches_finite_differences(name):
    cell = BLOCKS[name]
    rng, size = np.random.default_rng(6), 1e-6
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, make_params(cell))
        x_tib = rng.normal(size=(3, INPUTS, 2))
        run = lambda params: jnp.sum(jnp.sin(network.unroll(cell, params, x_tib, 4, jnp.tanh)[1]))
        measure = jax.jit(jax.value_and_grad(run))
        gradient = measure(params)[1]
        direction = jax.tree.map(lambda a: rng.normal(size=a.shape), params)
        shifted = (jax.tree.map(lambda a, d, way=way: a + way * size * d, params, direction) for way in (1, -1))
        ahead, behind = (float(measure(weights)[0]) for weights in shifted)
        assert (ahead - behind) / (2 * size) == pytest.approx(flatten(direction) @ flatten(gradient), rel=1e-5)


@every_block
def test_a_block_is_found_by_its_name_and_has_a_quick_space(cell):
    assert find_cell(cell.name) is cell
    assert len(tuned(space_for(cell))) <= 13


def test_a_block_is_made_around_any_cell():
    mine = block.make("gru block", CELLS["gru"], Switches(width=2, gate="silu"))
    check_cell(make_spec(mine, num_inputs=INPUTS, num_units=UNITS))
    assert mine.nonlinearities == CELLS["gru"].nonlinearities


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("convolution", "long"), ("norm", "layer"), ("gate", "relu"), ("output", "x"), ("mlp", "big")],
)
def test_a_bad_switch_is_refused_by_name(field, value):
    with pytest.raises(InputError, match=f"^{field}: {re.escape(repr(value))} given; it must be "):
        block.make("mine", CELLS["gru"], Switches(**{field: value}))
