"""Numbers carried and operations a step: against the arrays, by hand, and as results have them."""

import functools
import json

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from helpers import make_hparams
from made import make
from tiny import FRAGILE, TINY

from rnn_capacity import Cell, measure_capacity
from rnn_capacity.cells import CELLS
from rnn_capacity.cells.adapters import from_flax
from rnn_capacity.display import tables
from rnn_capacity.measure.questions import CAPACITY, results_in
from rnn_capacity.model.counters import Counts, count
from rnn_capacity.studies import store

INPUTS, N = 5, 3


@pytest.mark.parametrize("cell", [*CELLS.values(), FRAGILE, from_flax(nnx.LSTMCell)], ids=lambda c: c.name)
def test_the_numbers_carried_are_those_of_the_arrays(cell):
    begin = lambda key: cell.initial_carry(cell.init(key, INPUTS, N, make_hparams(cell)))
    carry = jax.tree.leaves(jax.eval_shape(begin, jax.random.key(0)))
    found = count(cell, num_inputs=INPUTS, num_units=N)
    assert found.state_floats == sum(a.size * a.dtype.itemsize for a in carry) / 4
    assert found.operations > found.state_floats


def _of(step, carry=lambda n: jnp.zeros(n)):
    """A cell of a step (w, h, x) -> h, whose weights are a matrix and a vector."""

    def init(key, num_inputs, num_units, hparams):
        return {"W": jnp.ones((num_units, num_inputs)), "a": jnp.ones(num_units), "h_0": carry(num_units)}

    def apply(params, h, x, s):
        h = step(params, h, x)
        return h, jnp.real(h)

    return Cell("own", init, lambda params: params["h_0"], apply)


BY_HAND = {
    # Two products and their sum; the bias; tanh.
    "rnn": (CELLS["rnn"], 2 * N * (N + INPUTS) + 3 * N),
    # A product and a bias for each of three gates; r, u: a sum and a sigma of 4; r h; a sum and tanh; u h + (1 - u) c.
    "gru": (CELLS["gru"], 6 * N * (N + INPUTS) + 3 * N + 2 * 5 * N + N + 2 * N + 4 * N),
    # Four gates: bias and sum; three sigmas of 4; tanh twice; f c + i s; o tanh.
    "lstm": (CELLS["lstm"], 8 * N * (N + INPUTS) + 8 * N + 3 * 4 * N + 2 * N + 3 * N + N),
    # Flax's sigma is one operation.
    "flax": (from_flax(nnx.LSTMCell), 8 * N * (N + INPUTS) + 8 * N + 3 * N + 2 * N + 3 * N + N),
    # No product of matrices: the sum of the inputs; a h + x. What is made of the weights alone is made once.
    "no product": (_of(lambda w, h, x: jax.nn.sigmoid(w["a"]) * h + x.sum()), INPUTS + 2 * N),
    # A loop counts as often as it runs, its own counter included; a branch as its longest, with the comparison.
    "a loop": (_of(lambda w, h, x: jax.lax.fori_loop(0, 4, lambda _, h: h + x[0], h)), 4 * (N + 1)),
    "a branch": (
        _of(lambda w, h, x: jax.lax.cond(x[0] > 0, lambda h: h + 1, lambda h: h * h - 2 * h, h)),
        1 + 3 * N,
    ),
    # A function within, and views of arrays, which cost nothing.
    "a call": (_of(lambda w, h, x: jax.jit(lambda h: jnp.concatenate([h[1:], h[:1]]) + x[0])(h)), N),
    # Complex numbers: a product of 8 a multiplication with an addition; a multiplication of 6, an addition of 2.
    "complex": (_of(lambda w, h, x: w["a"] * h + w["W"] @ (x * 1j), lambda n: jnp.zeros(n, complex)), None),
}


@pytest.mark.parametrize(("cell", "operations"), BY_HAND.values(), ids=BY_HAND)
def test_the_operations_of_a_step_are_those_counted_by_hand(cell, operations):
    found = count(cell, num_inputs=INPUTS, num_units=N)
    if operations is None:
        assert found.state_floats == 2 * N
        operations = 6 * N + 2 * N + 6 * INPUTS + 8 * N * INPUTS
    assert found.operations == operations


def test_layers_add_up():
    first, above = (count(CELLS["gru"], num_inputs=size, num_units=N) for size in (INPUTS, N))
    assert count(CELLS["gru"], num_inputs=INPUTS, num_units=N, depth=3) == Counts(
        *(a + 2 * b for a, b in zip(first, above, strict=True))
    )


@pytest.mark.parametrize("cell", ["gru", FRAGILE], ids=["gru", "own"])
def test_a_result_has_both_and_so_has_the_one_that_is_read_again(cell, tmp_path, trainer):
    result = measure_capacity(cell, storage=tmp_path, progress=False, **TINY)
    counts = count(CELLS.get(cell, cell), num_inputs=8, num_units=result.num_units)
    (again,), _ = results_in(tmp_path)
    for found in (result, again):
        assert (found.state_floats, found.operations) == counts
        assert found.bits_per_state == pytest.approx(found.bits / counts.state_floats)
        assert found.operations_per_bit == pytest.approx(counts.operations / found.bits)
        shown = tables.cells(CAPACITY.columns, found)
        assert shown["bits/state"] == f"{found.bits_per_state:.1f}"
        assert shown["ops/bit"] == f"{found.operations_per_bit:.2f}"
        assert {"state_floats", "operations", "bits_per_state", "operations_per_bit"} <= found.to_dict().keys()


@pytest.mark.parametrize("cell", ["gru", FRAGILE], ids=["gru", "own"])
def test_of_an_older_version_what_is_known_is_counted_and_the_rest_is_not_a_number(cell, tmp_path, trainer):
    result = measure_capacity(cell, storage=tmp_path, progress=False, **TINY)
    study = next(s for s in store.open_storage(tmp_path).get_all_studies() if s.study_name == result.study)
    kept = {k: v for k, v in study.user_attrs[store.RESULT].items() if k not in Counts._fields}
    store.open_storage(tmp_path).set_study_user_attr(study._study_id, store.RESULT, kept)
    (old,), notes = results_in(tmp_path)
    assert not notes
    known = (result.state_floats, result.operations, result.bits_per_state)
    unknown = (float("nan"),) * 3
    expected = known if cell == "gru" else unknown
    assert (old.state_floats, old.operations, old.bits_per_state) == pytest.approx(expected, nan_ok=True)
    json.dumps(old.to_dict())


def test_the_table_of_capacity_fits_160_columns_and_no_bits_have_no_price():
    result = make("capacity", bits=0.0, bits_per_param=0.0, accuracy=0.5, chance_bits_per_param=0.0)
    show = functools.partial(tables.line, CAPACITY.columns)
    assert len(show(result)) <= 160
    assert tables.cells(CAPACITY.columns, result)["ops/bit"] == "nan"
