"""The network: units for a budget, and cells and specs that are refused by name."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_hparams, make_spec

from rnn_capacity import network
from rnn_capacity.cells import CELLS, Cell

pytestmark = pytest.mark.usefixtures("quick_compile")
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


@every_cell
@pytest.mark.parametrize(("budget", "depth"), [(400, 1), (1000, 2), (5000, 4)])
def test_the_units_for_a_budget_fit_and_one_more_does_not(cell, budget, depth):
    count = functools.partial(network.num_params, cell, num_inputs=20, depth=depth)
    units = network.units_for_budget(budget, cell, num_inputs=20, depth=depth)
    assert count(num_units=units) <= budget < count(num_units=units + 1)


@pytest.mark.parametrize("num_inputs", [7, 17])
@pytest.mark.parametrize("extra", [-1, 0, 1, 5])
def test_the_units_for_a_budget_are_the_largest_where_the_plus_rnns_projection_disappears(num_inputs, extra):
    """A +RNN of as many units as inputs needs no projection, and can have fewer parameters than one of a unit less."""
    cell = CELLS["+rnn"]
    counts = {n: network.num_params(cell, num_inputs=num_inputs, num_units=n) for n in range(1, 2 * num_inputs + 2)}
    budget = counts[num_inputs] + extra
    largest = max(n for n, count in counts.items() if count <= budget)
    assert network.units_for_budget(budget, cell, num_inputs=num_inputs) == largest


@every_cell
def test_a_budget_that_fits_one_unit_exactly_gives_one_unit(cell):
    smallest = network.num_params(cell, num_inputs=20, num_units=1, depth=2)
    assert network.units_for_budget(smallest, cell, num_inputs=20, depth=2) == 1


@every_cell
def test_a_budget_too_small_for_one_unit_is_refused_by_name_with_the_smallest_that_fits(cell):
    smallest = network.num_params(cell, num_inputs=20, num_units=1, depth=2)
    with pytest.raises(ValueError, match=rf"^num_params: {smallest - 1} given.*\b{smallest} or more") as error:
        network.units_for_budget(smallest - 1, cell, num_inputs=20, depth=2)
    assert re.search(rf"{re.escape(cell.name)} of depth 2 with 20 inputs", str(error.value))


@pytest.mark.parametrize("depth", [0, -1, 1.5, True])
def test_a_depth_that_is_no_positive_integer_is_refused_by_name(depth):
    with pytest.raises(ValueError, match=f"^depth: {depth} given"):
        network.units_for_budget(1000, CELLS["rnn"], num_inputs=20, depth=depth)
    with pytest.raises(ValueError, match=f"^depth: {depth} given"):
        make_spec(CELLS["rnn"], depth=depth)


def test_the_hparams_of_a_cell_are_the_names_that_its_network_reads():
    readout = {"readout_scale", "bias_init", "bias_scale_readout"}
    gates = lambda *letters: {
        f"{family}_{g}" for family in ("recurrent_scale", "input_scale", "bias_scale") for g in letters
    }
    assert set(network.hparam_names(CELLS["irnn"])) == readout | {"input_scale"}
    assert set(network.hparam_names(CELLS["rnn"])) == readout | {
        "recurrent_init",
        "recurrent_scale",
        "input_scale",
        "bias_scale",
    }
    assert set(network.hparam_names(CELLS["gru"])) == readout | gates("r", "u", "c") | {"recurrent_init", "forget_bias"}
    plus = gates("y", "h", "gy", "gh") | {"input_scale_in", "bias_scale_in", "forget_bias"}
    assert set(network.hparam_names(CELLS["+rnn"])) == readout | plus | {"recurrent_init"}


def test_layers_share_the_hparams_and_not_the_draws():
    spec = make_spec(CELLS["rnn"], depth=3, num_inputs=4, num_units=4)
    params = network.init(jax.random.key(0), spec, make_hparams(spec.cell, recurrent_scale=0.5))
    matrices = [np.asarray(layer["W_h"]) for layer in params["layers"]]
    for matrix in matrices:
        np.testing.assert_allclose(matrix @ matrix.T, 0.25 * np.eye(4), atol=1e-5)
    assert not np.allclose(matrices[0], matrices[1])
    assert not np.allclose(matrices[1], matrices[2])


@pytest.mark.parametrize("num_steps", [3, network.FULL_UNROLL + 2])
def test_inputs_beyond_the_last_step_are_not_read(num_steps):
    params = CELLS["rnn"].init(jax.random.key(0), 3, 4, make_hparams(CELLS["rnn"]))
    x_tib = np.random.default_rng(0).normal(size=(num_steps + 2, 3, 2)).astype(np.float32)
    run = jax.jit(lambda x_tib: network.unroll(CELLS["rnn"], params, x_tib, num_steps, jnp.tanh)[1])
    assert run(x_tib).shape == (num_steps, 4, 2)
    np.testing.assert_allclose(run(x_tib), run(x_tib[:num_steps]), rtol=1e-6, atol=1e-6)


# --- Cells that are refused -------------------------------------------------------------------------------------------


def _cell(apply, initial_carry=lambda params: params["h_0"]):
    init = lambda key, num_inputs, num_units, hparams: {"h_0": jnp.zeros(num_units)}
    return Cell("mine", init, initial_carry, apply)


BROKEN_CARRIES = {
    "grows": lambda params, h, x, s: (jnp.concatenate([h, h]), h),
    "of another structure": lambda params, h, x, s: ((h, h), h),
    "of another type": lambda params, h, x, s: (h > 0, h),
}


@pytest.mark.parametrize("apply", BROKEN_CARRIES.values(), ids=BROKEN_CARRIES.keys())
def test_a_carry_that_changes_is_told_with_what_it_was_and_what_it_became(apply):
    with pytest.raises(ValueError, match=r"^cell: 'mine' changes its carry from float32\[4\] to ") as error:
        network.check_cell(_cell(apply), make_spec(_cell(apply), num_units=4))
    became = {"grows": "float32[8]", "of another structure": "'float32[4]', 'float32[4]'", "of another type": "bool[4]"}
    assert any(apply is BROKEN_CARRIES[kind] and became[kind] in str(error.value) for kind in became)


@pytest.mark.parametrize("width", [3, 5])
def test_an_output_of_the_wrong_size_is_told_with_its_shape_and_the_right_one(width):
    cell = _cell(lambda params, h, x, s: (h, jnp.zeros(width)))
    with pytest.raises(
        ValueError, match=rf"^cell: 'mine' gives an output float32\[{width}\]; it must be of shape \(4,\)"
    ):
        network.check_cell(cell, make_spec(cell, num_units=4))


def test_a_cell_that_breaks_in_the_second_layer_only_is_told():
    def apply(params, h, x, s):
        return h, jnp.zeros(5) if x.shape == (4,) else h

    cell = _cell(apply)
    network.check_cell(cell, make_spec(cell, num_units=4, num_inputs=6, depth=1))
    with pytest.raises(ValueError, match=r"^cell: 'mine' gives an output"):
        network.check_cell(cell, make_spec(cell, num_units=4, num_inputs=6, depth=2))


@every_cell
def test_the_papers_cells_pass_the_check(cell):
    network.check_cell(cell, make_spec(cell, depth=2))


# --- Cells that are odd, but right ------------------------------------------------------------------------------------


def _odd_cells():
    init = lambda key, num_inputs, num_units, hparams: {
        "W": hparams["input_scale"] * jax.random.normal(key, (num_units, num_inputs)),
        "h_0": jnp.ones(num_units),
    }
    start = lambda params: params["h_0"]
    applies = {
        "forgets its carry": lambda p, h, x, s: (p["h_0"], s(p["W"] @ x)),
        "ignores its input": lambda p, h, x, s: (0.5 * h, s(h)),
        "says a constant": lambda p, h, x, s: (h + 1, jnp.ones_like(h)),
        "has a table of constants": lambda p, h, x, s: (
            h @ jnp.asarray(np.tri(len(h), dtype=np.float32)) / 4,
            h + x.sum(),
        ),
    }
    cells = {name: Cell(name, init, start, apply) for name, apply in applies.items()}
    cells["has a matrix for a carry"] = Cell(
        "matrix",
        init,
        lambda p: jnp.zeros_like(p["W"]),
        lambda p, m, x, s: (0.5 * m + jnp.outer(p["h_0"], x), s(m @ x + (p["W"] * m).sum(1))),
    )
    cells["counts its steps"] = Cell(
        "counter",
        init,
        lambda p: (p["h_0"], jnp.int32(0)),
        lambda p, c, x, s: ((0.5 * c[0] + p["W"] @ x, c[1] + 1), c[0] * (c[1] % 2)),
    )
    return cells


ODD = _odd_cells()


@pytest.mark.parametrize("cell", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("num_steps", [3, network.FULL_UNROLL + 2])
def test_an_odd_cell_unrolls_as_a_python_loop_over_it_would(cell, num_steps):
    spec = make_spec(cell, num_units=4, num_inputs=3)
    network.check_cell(cell, spec)
    params = cell.init(jax.random.key(0), 3, 4, {"input_scale": 1.0})
    x_tib = np.random.default_rng(0).normal(size=(num_steps, 3, 2)).astype(np.float32)
    actual = jax.jit(lambda params, x_tib: network.unroll(cell, params, x_tib, num_steps, jnp.tanh)[1])(params, x_tib)
    step = jax.jit(lambda params, carry, x: cell.apply(params, carry, x, jnp.tanh))
    for b in range(2):
        carry = cell.initial_carry(params)
        for t in range(num_steps):
            carry, y_h = step(params, carry, x_tib[t, :, b])
            np.testing.assert_allclose(actual[t, :, b], y_h, rtol=1e-5, atol=1e-5)
