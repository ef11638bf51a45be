"""The cells: against independent NumPy float64 implementations of their papers, against Flax, and as initialised."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_cells
from helpers import make_hparams, make_spec, random_cell, random_network

from rnn_capacity.cells import CELLS, PAPER_CELLS, initializers
from rnn_capacity.cells.base import NONLINEARITIES, relu, sigmoid
from rnn_capacity.model import layout, network
from rnn_capacity.tasks.memorization import Memorization

UNITS, INPUTS, STEPS = 4, 3, 6

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
every_paper_cell = pytest.mark.parametrize("cell", PAPER_CELLS.values(), ids=PAPER_CELLS.keys())
gated = pytest.mark.parametrize("name", ["ugrnn", "gru", "lstm", "+rnn"])
both_nonlinearities = pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])


@functools.cache
def make_params(cell, num_inputs=INPUTS):
    return random_cell(cell, num_inputs, UNITS)


def make_inputs(num_inputs=INPUTS):
    return np.random.default_rng(1).normal(size=(STEPS, num_inputs))


@functools.cache
def _step(cell, nonlinearity):
    return jax.jit(lambda params, carry, x: cell.apply(params, carry, x, NONLINEARITIES[nonlinearity]))


def run(cell, params, inputs, nonlinearity, dtype=jnp.float32):
    """The package's cell, step by step for one example."""
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), params)
    step = _step(cell, nonlinearity)
    carry, outputs = cell.initial_carry(params), []
    for x_i in inputs:
        carry, y_h = step(params, carry, jnp.asarray(x_i, dtype))
        assert y_h.dtype == dtype
        outputs.append(np.asarray(y_h))
    return np.stack(outputs)


FIXED = [cell.name for cell in CELLS.values() if len(cell.nonlinearities) == 1]  # they have their own
CASES = [(cell, INPUTS, "tanh") for cell in CELLS.values()]
CASES += [(cell, INPUTS, "relu") for cell in CELLS.values() if cell.name not in FIXED]
CASES += [(CELLS["+rnn"], UNITS, "tanh")]  # where it projects nothing


@pytest.mark.parametrize(("cell", "num_inputs", "nonlinearity"), CASES, ids=[f"{c.name}-{n}-{s}" for c, n, s in CASES])
def test_a_cell_equals_its_papers_equations(cell, num_inputs, nonlinearity):
    params, inputs = make_params(cell, num_inputs), make_inputs(num_inputs)
    expected = reference_cells.run(cell.name, reference_cells.unpack(cell.name, params), inputs, nonlinearity)
    np.testing.assert_allclose(run(cell, params, inputs, nonlinearity), expected, rtol=1e-5, atol=1e-5)
    with jax.enable_x64(True):
        double = run(cell, params, inputs, nonlinearity, jnp.float64)
    np.testing.assert_allclose(double, expected, rtol=1e-10, atol=1e-10)


class TwoOutputs(Memorization):
    num_outputs = 2


# What the network gives at later steps is not of the cell, so of most with inputs at every step alone.
DEPTH_2 = [
    (cell, steps)
    for cell in CELLS.values()
    for steps in ("first", "every")
    if cell.name in PAPER_CELLS or steps == "every"
]


@pytest.mark.parametrize(("cell", "input_steps"), DEPTH_2, ids=[f"{cell.name}-{steps}" for cell, steps in DEPTH_2])
def test_a_network_of_depth_2_equals_its_papers_equations(cell, input_steps):
    task = TwoOutputs(num_inputs=INPUTS, max_mappings=3)
    spec = make_spec(cell, task=task, num_units=UNITS, depth=2, input_steps=input_steps)
    params = random_network(spec, scale=0.3)
    x_ib = np.random.default_rng(3).normal(size=(INPUTS, 3)).astype(np.float32)
    actual = jax.jit(lambda params, x_tib: network.apply(params, spec, {}, x_tib))(params, x_ib[None])
    for x_i, output_o in zip(x_ib.T, np.asarray(actual)[0].T, strict=True):
        after = x_i if input_steps == "every" else np.zeros(INPUTS)
        inputs = [x_i] + [after] * (task.unroll - 1)
        expected = reference_cells.network(cell.name, params, inputs, spec.nonlinearity)
        np.testing.assert_allclose(output_o, expected, rtol=1e-5, atol=1e-5)


@gated
def test_the_forget_bias_is_the_papers_b_fg(name):
    cell = CELLS[name]
    names = [hparam for hparam in layout.hparam_names(cell) if hparam.startswith("forget_bias")]
    init = lambda value: cell.init(jax.random.key(0), INPUTS, UNITS, make_hparams(cell, **dict.fromkeys(names, value)))
    without, with_bias = (reference_cells.unpack(name, init(value)) for value in (0.0, 2.5))
    for key in without:
        forgets = key in {"ugrnn": ["bg"], "gru": ["bu"], "lstm": ["bf"], "+rnn": ["bgy", "bgh"]}[name]
        np.testing.assert_allclose(with_bias[key], without[key] + 2.5 * forgets, rtol=1e-6)
    outputs = (reference_cells.run(name, w, make_inputs(), "tanh", b) for w, b in ((without, 2.5), (with_bias, 0.0)))
    np.testing.assert_allclose(*outputs, rtol=1e-6)


@every_paper_cell
def test_the_scales_of_a_gate_change_that_gates_matrices_only(cell):
    unpack = lambda hparams: reference_cells.unpack(cell.name, cell.init(jax.random.key(4), INPUTS, UNITS, hparams))
    base = unpack(make_hparams(cell))
    for gate in reference_cells.GATES[cell.name]:
        suffix = f"_{gate}" if gate else ""
        scaled = {
            f"recurrent_scale{suffix}": f"W{gate}h",
            f"input_scale{suffix}": f"W{gate}x",
            f"bias_scale{suffix}": f"b{gate}",
        }
        if cell.name == "irnn":
            scaled = {"input_scale": "Wx"}
        for hparam, changed in scaled.items():
            after = unpack(make_hparams(cell, **{hparam: 3.0}))
            assert [key for key in base if not np.array_equal(base[key], after[key])] == [changed]


@every_paper_cell
def test_recurrent_matrices_start_as_the_identity_whatever_their_scale(cell):
    scales = {name: 7.0 for name in layout.hparam_names(cell) if name.startswith("recurrent_scale")}
    kind = {} if cell.name == "irnn" else {"recurrent_init": initializers.RECURRENT_INITS.index("identity")}
    w = reference_cells.unpack(
        cell.name, cell.init(jax.random.key(4), INPUTS, UNITS, make_hparams(cell, **kind, **scales))
    )
    for gate in reference_cells.GATES[cell.name]:
        np.testing.assert_array_equal(w[f"W{gate}h"], np.eye(UNITS))


def test_the_irnn_starts_with_biases_and_initial_state_at_zero():
    params = CELLS["irnn"].init(jax.random.key(0), INPUTS, UNITS, make_hparams(CELLS["irnn"]))
    np.testing.assert_array_equal(params["b"], 0.0)
    np.testing.assert_array_equal(params["h_0"], 0.0)


@pytest.mark.parametrize("name", FIXED)
def test_cells_of_one_nonlinearity_do_not_ask_which(name):
    params, inputs = make_params(CELLS[name]), make_inputs()
    with_tanh, with_relu = (run(CELLS[name], params, inputs, nonlinearity) for nonlinearity in ("tanh", "relu"))
    np.testing.assert_array_equal(with_tanh, with_relu)


@pytest.mark.parametrize("num_inputs", [UNITS - 1, UNITS, UNITS + 1])
def test_the_plus_rnn_projects_an_input_of_another_size_only(num_inputs):
    params = make_params(CELLS["+rnn"], num_inputs)
    projected = num_inputs != UNITS
    assert ("W_in" in params) == ("b_in" in params) == projected
    if projected:
        assert params["W_in"].shape == (UNITS, num_inputs)
    assert params["W_x"].shape == (4 * UNITS, UNITS)


def test_upper_layers_of_the_plus_rnn_project_nothing():
    spec = make_spec(CELLS["+rnn"], num_inputs=INPUTS, num_units=UNITS, depth=3)
    params = jax.eval_shape(lambda key: network.init(key, spec, make_hparams(spec.cell)), jax.random.key(0))
    assert ["W_in" in layer for layer in params["layers"]] == [True, False, False]


@pytest.mark.parametrize(("name", "units", "published"), [("rnn", 22, 991), ("ugrnn", 13, 911), ("lstm", 8, 953)])
def test_parameters_of_20_inputs_are_as_many_as_published(name, units, published):
    assert layout.num_params(CELLS[name], num_inputs=20, num_units=units) == published


@every_paper_cell
@pytest.mark.parametrize("depth", [1, 2])
def test_parameters_are_the_equations_weights_biases_and_initial_states(cell, depth):
    n, i = 5, 7
    gates = len(reference_cells.GATES[cell.name])
    carries = 2 if cell.name == "lstm" else 1
    layer = lambda size: gates * (n * n + n * size + n) + carries * n
    first = layer(n) + n * i + n if cell.name == "+rnn" else layer(i)
    expected = first + (depth - 1) * layer(n) + n + 1
    assert layout.num_params(cell, num_inputs=i, num_units=n, depth=depth) == expected


# --- Flax -------------------------------------------------------------------------------------------------------------


def _flax_params(name, w, gates):
    """Flax's weights from one matrix a gate: kernels are transposed; `gates` maps Flax's letters to the paper's."""
    params = {}
    for theirs, ours in gates.items():
        params[f"i{theirs}"] = {"kernel": w[f"W{ours}x"].T}
        params[f"h{theirs}"] = {"kernel": w[f"W{ours}h"].T}
        # One bias a gate: Flax's LSTM has it beside the recurrent matrix, its GRU and simple cell beside the input's.
        params["h" + theirs if name == "lstm" else "i" + theirs]["bias"] = w[f"b{ours}"]
    return {"params": jax.tree.map(jnp.float32, params)}


def _run_flax(flax_cell, params, carry, inputs):
    step, outputs = jax.jit(flax_cell.apply), []
    for x_i in inputs:
        carry, y_h = step(params, carry, jnp.float32(x_i))
        outputs.append(np.asarray(y_h))
    return np.stack(outputs)


@both_nonlinearities
def test_the_rnn_equals_flaxs_simple_cell(nonlinearity):
    params, inputs = make_params(CELLS["rnn"]), make_inputs()
    theirs = _flax_params("rnn", reference_cells.unpack("rnn", params), {"": ""})
    flax_cell = nn.SimpleCell(features=UNITS, activation_fn=NONLINEARITIES[nonlinearity])
    expected = _run_flax(flax_cell, theirs, params["h_0"], inputs)
    np.testing.assert_allclose(run(CELLS["rnn"], params, inputs, nonlinearity), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("flax_cell", [nn.LSTMCell, nn.OptimizedLSTMCell])
def test_the_lstm_equals_flaxs(flax_cell):
    params, inputs = make_params(CELLS["lstm"]), make_inputs()
    theirs = _flax_params("lstm", reference_cells.unpack("lstm", params), {"i": "i", "f": "f", "g": "c", "o": "o"})
    expected = _run_flax(flax_cell(features=UNITS), theirs, (params["c_0"], params["h_0"]), inputs)
    np.testing.assert_allclose(run(CELLS["lstm"], params, inputs, "tanh"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("reset_bias", "same"), [(0.0, False), (100.0, True)], ids=["resetting", "never resetting"])
def test_the_gru_differs_from_flaxs_in_where_it_resets_and_in_nothing_else(reset_bias, same):
    params, inputs = make_params(CELLS["gru"]), make_inputs()
    params = params | {"b": jnp.asarray(params["b"]).at[:UNITS].add(reset_bias)}  # r = 1 where the bias is large
    theirs = _flax_params("gru", reference_cells.unpack("gru", params), {"r": "r", "z": "u", "n": "c"})
    theirs["params"]["hn"]["bias"] = jnp.zeros(UNITS)
    expected = _run_flax(nn.GRUCell(features=UNITS), theirs, params["h_0"], inputs)
    difference = np.abs(run(CELLS["gru"], params, inputs, "tanh") - expected).max(axis=1)
    assert (difference < 1e-5).all() if same else (difference > 1e-3).all()


# --- Initialisers and nonlinearities ----------------------------------------------------------------------------------


def test_orthogonal_matrices_are_orthogonal_times_their_scale():
    hparams = {"recurrent_init": 1, "recurrent_scale_a": 0.5, "recurrent_scale_b": 2.0}
    stacked = np.asarray(initializers.recurrent(jax.random.key(0), 6, hparams, ("a", "b")))
    for matrix, scale in ((stacked[:6], 0.5), (stacked[6:], 2.0)):
        np.testing.assert_allclose(matrix @ matrix.T, scale**2 * np.eye(6), atol=1e-5)
    assert not np.allclose(stacked[6:], 4 * stacked[:6])


def _deviates_as(values, scale):
    """The values have mean 0 and standard deviation `scale`, within 5 standard errors."""
    n = values.size
    assert abs(values.mean()) < 5 * scale / n**0.5
    assert abs(values.std() / scale - 1) < 5 / (2 * n) ** 0.5


def test_normal_recurrent_matrices_deviate_by_scale_over_root_units():
    hparams = {"recurrent_init": 2, "recurrent_scale": 0.5}
    _deviates_as(np.asarray(initializers.recurrent(jax.random.key(0), 60, hparams)), 0.5 / 60**0.5)


def test_rectangular_matrices_deviate_by_scale_over_root_inputs():
    hparams = {"input_scale_a": 0.5, "input_scale_b": 3.0}
    stacked = np.asarray(initializers.rectangular(jax.random.key(0), 30, 60, hparams, ("a", "b")))
    assert stacked.shape == (120, 30)
    _deviates_as(stacked[:60], 0.5 / 30**0.5)
    _deviates_as(stacked[60:], 3.0 / 30**0.5)


def test_biases_are_constant_or_normal_times_a_scale_of_either_sign():
    hparams = {"bias_scale_a": -1.5, "bias_scale_b": 0.5}
    constant, normal = (
        np.asarray(initializers.bias(jax.random.key(0), 500, hparams | {"bias_init": kind}, ("a", "b")))
        for kind in (0, 1)
    )
    np.testing.assert_array_equal(constant, np.repeat([-1.5, 0.5], 500).astype(np.float32))
    _deviates_as(normal[:500], 1.5)
    _deviates_as(normal[500:], 0.5)


def test_sigmoid_and_relu_are_what_they_are_called_and_so_are_their_slopes():
    z = np.linspace(-8, 8, 33).astype(np.float32)
    np.testing.assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(relu(jnp.asarray(z)), np.maximum(z, 0))
    slope = jax.vmap(jax.grad(lambda z: relu(z)))(jnp.asarray(z))
    np.testing.assert_array_equal(slope, z > 0)
