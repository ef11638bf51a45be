"""Cells of Flax: step by step the same as Flax's own, counted alike, and refused in one line where they are none."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from helpers import PATHS, make_hparams, random_cell

from rnn_capacity.cells import CELLS
from rnn_capacity.cells.adapters import from_flax, from_linen, from_nnx
from rnn_capacity.checks import InputError
from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.model import layout
from rnn_capacity.search.space import space_for
from rnn_capacity.studies.plan import find_cell

UNITS, INPUTS, STEPS = 4, 3, 5
OF_FLAX = (nn.GRUCell, nn.LSTMCell, nn.MGUCell, nnx.GRUCell, nnx.LSTMCell, nnx.SimpleCell)
every_class = pytest.mark.parametrize("module", OF_FLAX, ids=lambda m: f"{m.__module__.split('.')[1]}-{m.__name__}")


def flaxs_arrays(params):
    """An adapted cell's weights as Flax has them: what is summed over comes first."""
    return jax.tree.map(lambda a: np.moveaxis(np.asarray(a), -1, 0) if a.ndim > 1 else a, params.arrays)


def one_step(module, arrays):
    """Flax's own cell with these arrays: (carry, x) -> (carry, y)."""
    if issubclass(module, nn.Module):
        cell = module(features=UNITS)
        return lambda carry, x: cell.apply({"params": arrays}, carry, x)
    cell = module(INPUTS, UNITS, rngs=nnx.Rngs(7))
    state = nnx.state(cell)
    nnx.replace_by_pure_dict(state, arrays)
    nnx.update(cell, state)
    return cell


@every_class
def test_an_adapted_cell_equals_flaxs_own_step_by_step(module):
    cell = from_flax(module)
    params = random_cell(cell, INPUTS, UNITS)
    theirs, step = one_step(module, flaxs_arrays(params)), jax.jit(cell.apply, static_argnums=3)
    carry = their_carry = cell.initial_carry(params)
    for x in np.random.default_rng(1).normal(size=(STEPS, INPUTS)).astype(np.float32):
        carry, y = step(params, carry, x, jnp.tanh)
        their_carry, their_y = theirs(their_carry, x)
        np.testing.assert_allclose(y, their_y, rtol=1e-5, atol=1e-6)
    assert np.abs(y).max() > 0.01


@every_class
def test_at_scales_of_one_and_no_bias_the_weights_are_flaxs_draw(module):
    cell = from_flax(module)
    names = layout.hparam_names(cell)
    hparams = make_hparams(cell, **{n: 0.0 if n.startswith("bias") else 1.0 for n in names if "_scale" in n})
    arrays = flaxs_arrays(jax.jit(lambda key: cell.init(key, INPUTS, 64, hparams))(jax.random.key(0)))
    for path, a in jax.tree_util.tree_leaves_with_path(arrays):
        if a.ndim == 1:
            np.testing.assert_array_equal(a, float(module is nn.MGUCell and path[0].key == "if"))  # a forget bias
        elif a.shape[0] == INPUTS:  # LeCun's normal, cut off at two standard deviations
            assert np.std(a) == pytest.approx(INPUTS**-0.5, rel=0.2), path
        else:
            np.testing.assert_allclose(a @ a.T, np.eye(64), atol=1e-5)
    quick, paper = (space_for(cell, name) for name in ("quick", "paper"))
    scales = [n for n in names if n.startswith(("input", "recurrent"))]
    assert scales
    assert all(space[n].low < 1 < space[n].high for space in (quick, paper) for n in scales)


def test_the_parameters_are_those_of_our_cells_and_what_flax_adds():
    count = functools.partial(layout.num_params, num_inputs=INPUTS, num_units=UNITS)
    for name, module, added in (
        ("gru", nnx.GRUCell, 0),
        ("gru", nn.GRUCell, UNITS),  # a bias of the candidate's recurrent matrix
        ("lstm", nnx.LSTMCell, 0),
        ("lstm", nn.OptimizedLSTMCell, 0),
        ("rnn", nn.SimpleCell, 0),
    ):
        assert count(from_flax(module)) == count(CELLS[name]) + added, (name, module)


def test_a_class_of_flax_is_found_wherever_a_cell_is_and_is_one_value():
    for module in (nn.GRUCell, nnx.LSTMCell):
        assert find_cell(module) is find_cell(module)
        plan = CapacityConfig(cell=module, num_params=200, depth=2).plan()
        assert plan.name.startswith(f"capacity {find_cell(module).name} depth=2")
    assert find_cell(nn.GRUCell).name == "linen.GRUCell" != find_cell(nnx.GRUCell).name
    assert from_linen(lambda features: nn.GRUCell(features), name="mine").name == "mine"
    assert find_cell(functools.partial(nn.LSTMCell, activation_fn=nn.relu)).name == "linen.LSTMCell"


IDENTITIES = """
import functools
from flax import linen as nn, nnx
from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.cells.adapters import from_nnx
modules = (nn.LSTMCell, functools.partial(nn.LSTMCell, activation_fn=nn.relu), nnx.LSTMCell)
print(*(CapacityConfig(cell=m, num_params=120).plan().programs["cell's program"] for m in modules))
"""


def test_studies_of_two_modules_are_two_and_the_same_in_a_new_process():
    run = functools.partial(subprocess.run, [sys.executable, "-c", IDENTITIES], capture_output=True, text=True)
    first, again = (run(env={"PYTHONPATH": PATHS, "JAX_PLATFORMS": "cpu", "HOME": "/tmp"}) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert len(set(first.stdout.split())) == 3


class Changing(nn.RNNCellBase):
    """A cell with what no Cell has."""

    features: int
    has: str = "statistics"

    @nn.compact
    def __call__(self, h, x):
        h = nn.Dense(self.features)(x) + h
        h = nn.BatchNorm(use_running_average=False)(h[None])[0] if self.has == "statistics" else h
        h = nn.Dropout(0.5, deterministic=False)(h) if self.has == "dropout" else h
        return h, h

    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        return jnp.zeros(self.features)


class Dropping(nnx.RNNCellBase):
    def __init__(self, in_features, hidden_features, *, rngs):
        self.cell, self.dropout = nnx.GRUCell(in_features, hidden_features, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def initialize_carry(self, input_shape, rngs):
        return self.cell.initialize_carry(input_shape, rngs)

    def __call__(self, h, x):
        return self.cell(h, self.dropout(x))


GIVEN = {
    nn.Dense: "Dense of Flax given; it must be a recurrent cell, which RNNCellBase is the base of",
    nnx.Linear: "Linear of Flax given; it must be a recurrent cell, which RNNCellBase is the base of",
    nn.RNN: "RNN of Flax given; it must be a recurrent cell",
    nn.GRUCell(features=3): "an instance of GRUCell given; it must be the class, or a functools.partial of it",
    nnx.GRUCell(2, 3, rngs=nnx.Rngs(0)): "an instance of GRUCell given; it must be the class",
    Changing: "Changing of Flax given, which has the collections batch_stats; it must have parameters alone",
    functools.partial(Changing, has="dropout"): "Changing of Flax given, which has random numbers in a step; it must",
    Dropping: r"Dropping of Flax given, which has variables of RngCount, RngKey; it must have nnx\.Param alone",
    len: "<built-in function len> given; it must be one of rnn, .*, a Cell, or a class of Flax",
}


@pytest.mark.parametrize(("given", "line"), GIVEN.items(), ids=range(len(GIVEN)))
def test_what_is_no_cell_is_refused_in_a_line(given, line):
    with pytest.raises(InputError, match=f"^cell: {line}") as error:
        CapacityConfig(cell=given)
    assert "\n" not in str(error.value)


def test_a_function_that_makes_no_recurrent_cell_is_refused_too():
    for adapt, make in ((from_linen, lambda features: nn.Dense(features)), (from_nnx, lambda i, n, rngs: object())):
        with pytest.raises(InputError, match=r"^cell: \w+ of Flax given; it must be a recurrent cell"):
            adapt(make)


def test_a_convolution_has_another_output():
    with pytest.raises(InputError, match=r"^cell: 'linen.ConvLSTMCell' given; its init must take some number of units"):
        CapacityConfig(cell=functools.partial(nn.ConvLSTMCell, kernel_size=(3,)), num_params=30).plan()
