"""The network: layers in depth, unrolled in time, equal to a Python loop over the cell, in segments or not."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import check_cell, equations, flatten, make_hparams, make_spec, random_network

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.cells.base import NONLINEARITIES
from rnn_capacity.model import network
from rnn_capacity.model.spec import INPUT_STEPS
from rnn_capacity.tasks import Task

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


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
    check_cell(spec)
    params = cell.init(jax.random.key(0), 3, 4, {"input_scale": 1.0})
    x_tib = np.random.default_rng(0).normal(size=(num_steps, 3, 2)).astype(np.float32)
    actual = jax.jit(lambda params, x_tib: network.unroll(cell, params, x_tib, num_steps, jnp.tanh)[1])(params, x_tib)
    step = jax.jit(lambda params, carry, x: cell.apply(params, carry, x, jnp.tanh))
    for b in range(2):
        carry = cell.initial_carry(params)
        for t in range(num_steps):
            carry, y_h = step(params, carry, x_tib[t, :, b])
            np.testing.assert_allclose(actual[t, :, b], y_h, rtol=1e-5, atol=1e-5)


# --- From the inputs to the outputs that are read ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes(Task):
    """As much of a task as a network knows."""

    name = "sizes"

    num_inputs: int = 3
    num_outputs: int = 2
    read_steps: int = 1


def _with_a_trace():
    """A user's cell: its carry is a dict of two sizes, its output is not in it."""
    init = lambda key, num_inputs, num_units, hparams: {
        "W": hparams["input_scale"] * jax.random.normal(key, (num_units, num_inputs)),
        "h": jnp.zeros(num_units),
        "trace": jnp.zeros(1),
    }

    def apply(params, carry, x, s):
        h = s(params["W"] @ x + 0.8 * carry["h"])
        trace = 0.9 * carry["trace"] + x.sum()
        return {"trace": trace, "h": h}, h - 0.1 * trace

    return Cell("with a trace", init, lambda params: {"trace": params["trace"], "h": params["h"]}, apply)


NETWORKS = {
    "rnn": (CELLS["rnn"], 1),
    "lstm": (CELLS["lstm"], 2),
    "dict": (_with_a_trace(), 1),
    "deep dict": (_with_a_trace(), 2),
}
every_network = pytest.mark.parametrize(("cell", "depth"), NETWORKS.values(), ids=NETWORKS.keys())
LONGEST, BATCH = 40, 2


def sized_spec(cell, depth, num_steps, read_steps=None, **fields):
    task = Sizes(unroll=num_steps, read_steps=num_steps if read_steps is None else read_steps)
    return make_spec(cell, task=task, depth=depth, num_units=3, **fields)


@functools.cache
def random_weights(cell, depth):
    return random_network(sized_spec(cell, depth, 1))


@functools.cache
def given_inputs(kind):
    """Inputs (t, i, b) of some first steps, and whether the last is held."""
    rng = np.random.default_rng(1)
    one_hot_tib = np.eye(3, dtype=np.int8)[rng.integers(3, size=(LONGEST, BATCH))].swapaxes(1, 2)
    x_tib = rng.normal(size=(LONGEST, 3, BATCH)).astype(np.float32)
    return {
        "at all steps": (x_tib, False),
        "at the first step": (x_tib[:1], False),
        "at the first step and held": (x_tib[:1], True),
        "at 16 steps": (x_tib[:16], False),
        "at 18 steps and the last held": (x_tib[:18], True),
        "one-hot": (one_hot_tib, False),
    }[kind]


KINDS = ("at all steps", "at the first step", "at the first step and held", "at 16 steps")
KINDS += ("at 18 steps and the last held", "one-hot")


@functools.cache
def by_hand(cell, depth, kind):
    """The outputs (t, o, b) of the longest unroll, by a Python loop over the cell; a shorter one has the first ones."""
    params, (x_tib, hold) = random_weights(cell, depth), given_inputs(kind)
    step = jax.jit(jax.vmap(lambda layer, carry, x: cell.apply(layer, carry, x, jnp.tanh), in_axes=(None, 0, 0)))
    start = lambda layer: jax.tree.map(lambda a: np.stack([a] * BATCH), cell.initial_carry(layer))
    carries = [start(layer) for layer in params["layers"]]
    outputs_tob = []
    for t in range(LONGEST):
        there = t < len(x_tib)
        y_bh = (x_tib[t if there else -1].T * (there or hold)).astype(np.float32)
        for n, layer in enumerate(params["layers"]):
            carries[n], y_bh = step(layer, carries[n], y_bh)
        outputs_tob.append((np.asarray(y_bh) @ params["readout"]["W"].T + params["readout"]["b"]).T)
    return np.stack(outputs_tob)


def apply_to(kind, spec, params, searched=False):
    """The network's outputs; inputs that come at all steps are as many as there are steps.

    Args:
        searched: whether what follows the given inputs, and the nonlinearity, are hparams.
    """
    x_tib, hold = given_inputs(kind)
    branches = {"input_steps": INPUT_STEPS, "nonlinearity": ("relu", "tanh")} if searched else {}
    spec = dataclasses.replace(spec, **{"input_steps": "every" if hold else "first"} | branches)
    hparams = {"input_steps": jnp.float32(hold), "nonlinearity": jnp.float32(1)}
    return network.apply(params, spec, hparams, x_tib[: spec.task.unroll])


@pytest.fixture
def short_is_long(monkeypatch):
    """Segments from 16 steps on, so that few steps show what many do."""
    monkeypatch.setattr(network, "LONG", 15)


LENGTHS = [("rnn", t) for t in (5, 15, 16, 37, LONGEST)]
LENGTHS += [(name, t) for name in NETWORKS if name != "rnn" for t in (15, 37)]  # all at once, and in segments


@pytest.mark.usefixtures("short_is_long")
@pytest.mark.parametrize(("name", "num_steps"), LENGTHS)
def test_the_network_equals_a_python_loop_over_cells_and_readout(name, num_steps):
    cell, depth = NETWORKS[name]
    spec, params = sized_spec(cell, depth, num_steps), random_weights(cell, depth)
    found = jax.jit(lambda params: {kind: apply_to(kind, spec, params) for kind in KINDS})(params)
    for kind in KINDS:
        expected = by_hand(cell, depth, kind)[:num_steps]
        assert found[kind].dtype == jnp.float32
        assert found[kind].shape == expected.shape == (num_steps, 2, BATCH)
        np.testing.assert_allclose(found[kind], expected, rtol=1e-5, atol=1e-5, err_msg=kind)
    searched = jax.jit(lambda params: {kind: apply_to(kind, spec, params, searched=True) for kind in KINDS[1:3]})
    for kind, outputs in searched(params).items():  # as one program that does either
        np.testing.assert_allclose(outputs, found[kind], rtol=1e-5, atol=1e-5, err_msg=kind)
    if num_steps > 18:
        assert len({np.asarray(found[kind][-1]).tobytes() for kind in KINDS}) == len(KINDS)


@pytest.mark.usefixtures("short_is_long")
@pytest.mark.parametrize("num_steps", [5, 16, 37])
def test_the_last_steps_are_read_and_no_others(num_steps):
    cell, depth = NETWORKS["rnn"]
    specs = [sized_spec(cell, depth, num_steps, read_steps) for read_steps in (1, 3)]
    run = jax.jit(lambda params: [apply_to("at 16 steps", spec, params) for spec in specs])
    for found, read_steps in zip(run(random_weights(cell, depth)), (1, 3), strict=True):
        expected = by_hand(cell, depth, "at 16 steps")[:num_steps][-read_steps:]
        assert found.shape == (read_steps, 2, BATCH)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@every_network
@pytest.mark.usefixtures("short_is_long")
def test_in_segments_outputs_do_not_depend_on_later_inputs_but_do_on_present_ones(cell, depth):
    num_steps = 37  # in segments of 5, 16 and 16
    spec, params = sized_spec(cell, depth, num_steps), random_weights(cell, depth)
    run = jax.jit(functools.partial(network.apply, params, spec, {}))
    x_tib = given_inputs("at all steps")[0][:num_steps]
    before = np.asarray(run(x_tib))
    for t in (0, 5, 21, num_steps - 1):  # also where these meet
        after = np.asarray(run(np.concatenate([x_tib[:t], x_tib[t:] + np.float32(1)])))
        np.testing.assert_array_equal(after[:t], before[:t])
        assert (after[t] != before[t]).all()


# --- Segments ---------------------------------------------------------------------------------------------------------


def without_segments(monkeypatch):
    """All steps in one loop, which keeps what each of them needs for the gradient."""
    at_once = lambda through_layers, carries, x_tib, num_steps: through_layers(carries, x_tib, num_steps)
    monkeypatch.setattr(network, "_in_segments", at_once)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_what_a_step_computes_again_for_the_gradient_changes_none(name, monkeypatch):
    """As on a CPU and as on accelerators; the plain scan is what they must equal."""
    spec = sized_spec(CELLS[name], 2, 37, read_steps=31)
    total = lambda spec, params: jnp.sum(jnp.sin(apply_to("at 16 steps", spec, params)))
    gradient = lambda spec: jax.jit(jax.grad(functools.partial(total, spec)))
    some, all_of_it = (dataclasses.replace(spec, recompute=recompute) for recompute in (None, True))
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, random_weights(CELLS[name], 2))
        found = [gradient(one)(params) for one in (some, all_of_it)]
        assert all("remat" in str(jax.make_jaxpr(gradient(one))(params)) for one in (some, all_of_it))
        monkeypatch.setattr(jax, "checkpoint", lambda fn, **_: fn)
        assert "remat" not in str(jax.make_jaxpr(gradient(spec))(params))
        expected = gradient(spec)(params)
    for one in found:
        np.testing.assert_allclose(flatten(one), flatten(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("num_given", [1, 8, 20])
def test_the_last_output_alone_is_that_of_all(num_given):
    cell, x_tib = CELLS["lstm"], given_inputs("at all steps")[0][:num_given]
    layer = random_weights(cell, 1)["layers"][0]

    def last(layer, only_last):
        carry, y_thb = network.unroll(cell, layer, x_tib, 20, jnp.tanh, only_last=only_last)
        return jnp.sum(jnp.sin(y_thb[-1])), (carry, y_thb[-1])

    run = jax.jit(jax.value_and_grad(last, has_aux=True), static_argnums=1)
    found, expected = run(layer, True), run(layer, False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


@pytest.mark.parametrize(
    ("name", "recompute", "kept"),
    [
        ("rnn", None, 1),  # its tanh
        ("rnn", True, 1),  # its product with the carry, which is as large
        ("lstm", None, 6),  # three sums of gates, two tanh, the carry c
        ("lstm", True, 2),  # its carry
        ("gru", None, 4),  # two sums of gates, the tanh, the carry
        ("gru", True, 1),  # its carry
    ],
)
def test_of_each_step_of_a_loop_so_many_numbers_a_unit_are_kept_for_the_gradient(name, recompute, kept):
    num_steps, units, batch = 20, 5, 7
    cell = CELLS[name]
    params = cell.init(jax.random.key(0), 2, units, make_hparams(cell))

    def total(params, x_tib):
        return network.unroll(cell, params, x_tib, num_steps, jnp.tanh, recompute=bool(recompute))[1].sum()

    length = num_steps - 2  # the input is there at the first, and the last is outside
    forward = next(
        eqn
        for eqn in equations(jax.make_jaxpr(jax.grad(total))(params, jnp.zeros((1, 2, batch))))
        if eqn.primitive.name == "scan" and eqn.params["length"] == length
    )
    stacked = [v.aval.size for v in forward.outvars if v.aval.shape[:1] == (length,)]
    assert sum(stacked) == length * batch * units * (kept + 1)  # and its outputs


@pytest.mark.usefixtures("short_is_long")
@pytest.mark.parametrize(("name", "depth"), [("rnn", 2), ("lstm", 1), ("dict", 1)])
def test_segments_change_no_gradient(name, depth, monkeypatch):
    cell, _ = NETWORKS[name]
    spec = sized_spec(cell, depth, 37, read_steps=31)

    def total(params):  # in a segment of 16, then one of 21; and of 18, then 19
        kinds = ("at 16 steps", "at 18 steps and the last held")
        outputs = jnp.stack([apply_to(kind, spec, params) for kind in kinds])
        return jnp.sum(outputs * jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape))  # each with its own weight

    params = jax.tree.map(np.float64, random_weights(cell, depth))
    with jax.enable_x64(True):
        gradient = lambda: jax.jit(jax.grad(lambda params: total(params)))
        in_segments = gradient()(params)
        checkpoints = lambda: str(jax.make_jaxpr(gradient())(params)).count("remat")  # of segments, and of steps
        found = checkpoints()
        without_segments(monkeypatch)
        at_once = gradient()(params)
        assert found > checkpoints()
    assert flatten(in_segments).dtype == np.float64
    np.testing.assert_allclose(flatten(in_segments), flatten(at_once), rtol=1e-10, atol=1e-12)
    assert all(np.abs(a).max() > 1e-9 for a in jax.tree.leaves(at_once))


@every_network
def test_an_unroll_goes_on_from_the_carry_of_another(cell, depth):
    layer, x_tib = random_weights(cell, depth)["layers"][0], given_inputs("at all steps")[0]
    run = functools.partial(network.unroll, cell, layer, nonlinearity=NONLINEARITIES["tanh"])
    with jax.disable_jit():  # operation by operation, so that the bits can be the same
        carry, y_thb = run(x_tib[:5], num_steps=5)
        half, first_thb = run(x_tib[:3], num_steps=3)
        after, last_thb = run(x_tib[3:5], num_steps=2, carry=half)
    np.testing.assert_array_equal(np.concatenate([first_thb, last_thb]), y_thb)
    assert jax.tree.structure(after) == jax.tree.structure(carry)
    np.testing.assert_array_equal(flatten(after), flatten(carry))
    afresh = run(x_tib[3:5], num_steps=2)[1]
    assert not np.allclose(afresh, last_thb)


@pytest.mark.usefixtures("optimized")
def test_segments_save_most_of_the_memory_of_a_long_gradient(monkeypatch):
    """Of 20 segments 20 carries are kept and the inside of one, in place of the inside of 320 steps."""
    cell, units, batch = CELLS["lstm"], 8, 32
    spec = make_spec(cell, task=Sizes(unroll=320), num_units=units)
    shapes = jax.eval_shape(lambda key: network.init(key, spec, make_hparams(cell)), jax.random.key(0))
    x_tib = jax.ShapeDtypeStruct((320, 3, batch), jnp.int8)

    def temporary_bytes():
        gradient = jax.grad(lambda params, x_tib: network.apply(params, spec, {}, x_tib).sum())
        compiled = jax.jit(gradient).lower(shapes, x_tib).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    in_segments = temporary_bytes()
    without_segments(monkeypatch)
    at_once = temporary_bytes()
    assert at_once > 4 * 320 * units * batch  # float32 of each step, unit and example, at the least
    assert in_segments < at_once / 5


@pytest.mark.parametrize(("name", "products"), [("rnn", 1), ("lstm", 1), ("gru", 2)])
def test_what_the_initial_carry_is_multiplied_to_is_made_once_for_all_examples(name, products):
    cell, batch, num_steps = CELLS[name], 7, 3
    params = cell.init(jax.random.key(0), 2, 4, make_hparams(cell))
    unroll = lambda params, x_tib: network.unroll(cell, params, x_tib, num_steps, jnp.tanh)
    products_made = [
        eqn.outvars[0].aval.shape
        for eqn in equations(jax.make_jaxpr(unroll)(params, jnp.zeros((num_steps, 2, batch))))
        if eqn.primitive.name == "dot_general"
    ]
    wide = [shape for shape in products_made if shape[-1] == batch]
    # One less than those of the input and the carry at all steps: the GRU's second needs the reset, and so the input.
    assert len(wide) == num_steps * (1 + products) - 1
