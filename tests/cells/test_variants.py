"""What factories of cells make: heads, other sizes, switches; and what they refuse."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_modern_cells as modern
from helpers import random_cell

from rnn_capacity.cells import CELLS, deltanet, gated_deltanet, gla, janet, mamba_2, mingru, mlstm, rg_lru, s6, slstm
from rnn_capacity.checks import InputError
from rnn_capacity.model import layout

UNITS, INPUTS, HEADS = 6, 3, 2
INPUTS_TI = np.random.default_rng(1).normal(size=(4, INPUTS)).astype(np.float32)


def make_params(cell, num_inputs=INPUTS):
    return random_cell(cell, num_inputs, UNITS)


def run(cell, params, inputs=INPUTS_TI):
    step = lambda carry, x: cell.apply(params, carry, x, jnp.tanh)
    return np.asarray(jax.jit(lambda inputs: jax.lax.scan(step, cell.initial_carry(params), inputs)[1])(inputs))


def run_reference(name, params, step=None, inputs=INPUTS_TI):
    w = {key: np.asarray(value, float) for key, value in params.items()}
    carry, outputs = modern.initial_carry(name, w), []
    for x_i in inputs:
        carry, y_h = (step or modern.STEPS[name])(w, carry, x_i, np.tanh)
        outputs.append(y_h)
    return np.stack(outputs)


def of_head(params, j, shared=()):
    """One head's weights of a cell with heads, as those of a cell with one."""
    cut = {
        "qk": lambda a: a.reshape(2, -1, HEADS, *a.shape[1:])[:, :, j].reshape(-1, *a.shape[1:]),
        "v": lambda a: np.split(a, HEADS)[j],
        "o": lambda a: np.split(a, HEADS)[j],
        "if": lambda a: a.reshape(2, HEADS, *a.shape[1:])[:, j],
        "alpha": lambda a: a.reshape(-1, HEADS, *a.shape[1:])[:, j],
    }
    one = {}
    for name, value in params.items():
        part = name.partition("_")[2] if name[0] in "Wb" else name
        value = np.asarray(value)
        one[name] = value if part in shared else cut.get(part, lambda a: a[j : j + 1])(value)
    return one


@pytest.mark.parametrize(
    ("cell", "name", "heads"),
    [
        (mamba_2.make(num_heads=HEADS, state_size=4), "mamba-2", (0, 1)),
        (mlstm.make(num_heads=HEADS, key_width=4), "mlstm", (0, 1)),
        (deltanet.make(num_heads=HEADS), "deltanet", (0, 1)),
        (gated_deltanet.make(num_heads=HEADS, key_width=1), "gated deltanet", (0, 1)),
        (gla.make(num_heads=HEADS), "gla", (0, 1)),
        (gla.make(num_heads=HEADS, key_width=5, decay="none"), "linear attention", (0, 1)),
        (gla.make(num_heads=HEADS, decay="fixed"), "retnet", (0,)),  # the others decay slower
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_head_is_a_cell_of_its_own(cell, name, heads):
    params = make_params(cell)
    found = np.split(run(cell, params), HEADS, axis=1)
    for j in heads:
        one = of_head(params, j, shared=("qk",) if name == "mamba-2" else ())
        np.testing.assert_allclose(found[j], run_reference(name, one), rtol=1e-4, atol=1e-5)


def test_the_heads_of_an_slstm_are_blocks_of_its_recurrent_matrix():
    cell = slstm.make(num_heads=HEADS)
    params, width = make_params(cell), UNITS // HEADS
    R = np.zeros((4, HEADS, width, HEADS, width))
    for j in range(HEADS):
        R[:, j, :, j] = np.asarray(params["R"][j]).reshape(4, width, width)
    expected = run_reference("slstm", params | {"R": R.reshape(4 * UNITS, UNITS)})
    np.testing.assert_allclose(run(cell, params), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", [rg_lru.make(project=False), s6.make(project=False, state_size=2, rank=3)])
def test_what_projects_nothing_takes_its_input_as_it_is(cell):
    params, inputs = make_params(cell, UNITS), np.random.default_rng(2).normal(size=(4, UNITS)).astype(np.float32)
    assert not {"W_u", "b_u"} & set(params)
    np.testing.assert_allclose(
        run(cell, params, inputs), run_reference(cell.name.split()[0], params, inputs=inputs), rtol=1e-5, atol=1e-5
    )


def test_switches_do_what_they_say():
    negative = deltanet.make(negative=True)
    expected = run_reference(
        "deltanet", make_params(negative), lambda w, S, x, s: modern.delta(w, S, x, decay=1.0, most=2)
    )
    np.testing.assert_allclose(run(negative, make_params(negative)), expected, rtol=1e-4, atol=1e-5)
    signed = mingru.make(positive=False)
    params = make_params(signed)
    assert (run(signed, params) < 0).any()
    assert (run(mingru.mingru, params) > 0).all()
    later = janet.make(beta=0.0)
    assert not np.allclose(run(later, make_params(later)), run(janet.janet, make_params(later)))


VARIANTS = [
    mingru.make(positive=False),
    s6.make(state_size=2),
    s6.make(rank=2),
    mamba_2.make(state_size=8),
    mlstm.make(key_width=3),
    deltanet.make(negative=True),
    gla.make(num_heads=2),
    janet.make(beta=0.5),
]


def test_variants_have_names_of_their_own():
    names = [*CELLS, *(cell.name for cell in VARIANTS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: s6.make(state_size=0), "state_size: 0 given; it must be a whole number of at least 1"),
        (lambda: s6.make(rank=1.5), "rank: 1.5 given; it must be a whole number of at least 1"),
        (lambda: mamba_2.make(state_size=0), "state_size: 0 given; it must be a whole number of at least 1"),
        (lambda: deltanet.make(key_width=0), "key_width: 0 given; it must be a whole number of at least 1"),
        (lambda: mlstm.make(num_heads=0), "num_heads: 0 given; it must be a whole number of at least 1"),
        (lambda: slstm.make(num_heads=True), "num_heads: True given; it must be a whole number of at least 1"),
        (lambda: gla.make(decay="slow"), "decay: 'slow' given; it must be one of 'learned', 'none', 'fixed'"),
    ],
)
def test_a_bad_argument_is_refused_in_a_line(make, line):
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        make()


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        (deltanet.make(num_heads=4), "num_heads: 4 given; it must divide the number of units, here 6"),
        (slstm.make(num_heads=4), "num_heads: 4 given; it must divide the number of units, here 6"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_width_that_a_cell_cannot_have_is_refused_in_a_line(cell, line):
    with pytest.raises(InputError, match=re.escape(line)):
        layout.num_params(cell, num_inputs=INPUTS, num_units=UNITS)


def test_sizes_that_the_heads_do_not_divide_are_skipped():
    assert layout.units_for_budget(500, deltanet.make(num_heads=4), num_inputs=20) % 4 == 0
