"""What every cell keeps to: the package's, two written here as a user would write them, and cells of Flax."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from helpers import (
    check_two_steps,
    flatten,
    make_hparams,
    make_keys,
    make_spec,
    noisy,
    random_network,
    trial,
)

from rnn_capacity.cells import CELLS, MODERN_CELLS, PAPER_CELLS, Cell, initializers
from rnn_capacity.cells.adapters import from_flax
from rnn_capacity.model import layout, network
from rnn_capacity.model.hoist import hoist
from rnn_capacity.tasks.base import Source
from rnn_capacity.training import steps
from rnn_capacity.types import Array


class MGUParams(NamedTuple):
    W_f: Array
    W_c: Array
    U_f: Array
    U_c: Array
    b_f: Array
    b_c: Array
    h_0: Array


def _mgu() -> Cell:
    """The minimal gated unit (Zhou et al. 2016), with a NamedTuple of weights and JAX's own sigmoid."""

    def init(key, num_inputs, num_units, hparams):
        keys = jax.random.split(key, 6)
        return MGUParams(
            W_f=initializers.recurrent(keys[0], num_units, hparams, ("f",)),
            W_c=initializers.recurrent(keys[1], num_units, hparams, ("c",)),
            U_f=initializers.rectangular(keys[2], num_inputs, num_units, hparams, ("f",)),
            U_c=initializers.rectangular(keys[3], num_inputs, num_units, hparams, ("c",)),
            b_f=initializers.bias(keys[4], num_units, hparams, ("f",)) + hparams["forget_bias"],
            b_c=initializers.bias(keys[5], num_units, hparams, ("c",)),
            h_0=jnp.zeros(num_units),
        )

    def apply(w, h, x, s):
        f = jax.nn.sigmoid(w.W_f @ h + w.U_f @ x + w.b_f)
        c = s(w.W_c @ (f * h) + w.U_c @ x + w.b_c)
        h = f * h + (1 - f) * c
        return h, h

    return Cell("my mgu", init, lambda w: w.h_0, apply)


def _diagonal() -> Cell:
    """A diagonal linear unit with a trace of its input: a dict for a carry, an output that is not h."""

    def init(key, num_inputs, num_units, hparams):
        key_a, key_x = jax.random.split(key)
        return {
            "a": hparams["recurrent_scale"] * jax.random.uniform(key_a, (num_units,), minval=0.5),
            "W": hparams["input_scale"] * jax.random.normal(key_x, (num_units, num_inputs)),
            "start": (jnp.zeros(num_units), jnp.zeros(1)),
        }

    def apply(params, carry, x, s):
        h = params["a"] * carry["h"] + params["W"] @ x
        trace = 0.5 * carry["trace"] + x.sum()
        return {"h": h, "trace": trace}, s(h) + 0.1 * trace + jnp.arange(len(h))

    return Cell("diagonal", init, lambda params: dict(zip(("h", "trace"), params["start"], strict=True)), apply)


MINE = {cell.name: cell for cell in (_mgu(), _diagonal())}
OF_FLAX = {cell.name: cell for cell in map(from_flax, (linen.GRUCell, nnx.GRUCell, nnx.LSTMCell))}
ALL = CELLS | MINE | OF_FLAX
every_cell = pytest.mark.parametrize("cell", ALL.values(), ids=ALL.keys())
UNITS, INPUTS, BATCH = 3, 4, 2


class Init(NamedTuple):
    """A cell's initialisation as one program of (key, hparams), and a list that grows each time it is traced."""

    run: Callable
    traced: list


@functools.cache
def compiled_init(cell):
    traced = []

    def init(key, hparams):
        traced.append(1)
        return cell.init(key, INPUTS, UNITS, hparams)

    return Init(jax.jit(init), traced)


def init(cell, seed=0, **hparams):
    """Initial weights, all in one vector."""
    return flatten(compiled_init(cell).run(jax.random.key(seed), make_hparams(cell, **hparams)))


@functools.cache
def make_params(cell):
    """Weights as initialised, with noise on each."""
    return noisy(compiled_init(cell).run(jax.random.key(1), make_hparams(cell)))


def make_inputs(num_steps, num_inputs=INPUTS):
    return np.random.default_rng(2).normal(size=(num_steps, num_inputs, BATCH)).astype(np.float32)


@every_cell
@pytest.mark.parametrize("num_inputs", [INPUTS, UNITS])
def test_the_carry_keeps_its_structure_and_the_output_has_one_number_a_unit(cell, num_inputs):
    params = jax.eval_shape(lambda key: cell.init(key, num_inputs, UNITS, make_hparams(cell)), jax.random.key(0))
    step = lambda params, carry, x: cell.apply(params, carry, x, jnp.tanh)
    first = carry = jax.eval_shape(cell.initial_carry, params)
    for _ in range(3):
        carry, y_h = jax.eval_shape(step, params, carry, jax.ShapeDtypeStruct((num_inputs,), jnp.float32))
        assert jax.tree.structure(carry) == jax.tree.structure(first)
        for before, after in zip(jax.tree.leaves(first), jax.tree.leaves(carry), strict=True):
            assert (after.shape, after.dtype) == (before.shape, before.dtype)
        assert (y_h.shape, y_h.dtype) == ((UNITS,), jnp.float32)


@every_cell
def test_the_key_decides_the_initial_weights_and_nothing_else_does(cell):
    draw = lambda seed: jax.tree.leaves(compiled_init(cell).run(jax.random.key(seed), make_hparams(cell)))
    once, again, other = draw(1), draw(1), draw(2)
    np.testing.assert_array_equal(flatten(once), flatten(again))
    differ = [not np.allclose(a, b) for a, b in zip(once, other, strict=True)]
    constants = [a for a, d in zip(once, differ, strict=True) if not d]  # 0 or 1, an identity, or S6's log 1 ... N
    assert all(np.unique(a).size <= (4 if cell.name == "s6" else 2) for a in constants)
    assert any(differ)


@every_cell
@pytest.mark.parametrize("depth", [1, 3])
def test_num_params_counts_every_number_of_the_initialised_network(cell, depth):
    spec = make_spec(cell, depth=depth, num_inputs=INPUTS, num_units=UNITS)
    params = jax.eval_shape(lambda key: network.init(key, spec, make_hparams(cell)), jax.random.key(0))
    counted = layout.num_params(cell, num_inputs=INPUTS, num_units=UNITS, depth=depth)
    assert counted == sum(a.size for a in jax.tree.leaves(params))


def scales_of(cell):
    return [name for name in layout.hparam_names(cell) if "_scale" in name and "readout" not in name]


@every_cell
def test_a_scale_doubled_doubles_what_it_scales_and_each_scales_something_of_its_own(cell):
    base = init(cell)
    claimed = np.zeros(base.size, int)
    for name in scales_of(cell):
        none, double = init(cell, **{name: 0.0}), init(cell, **{name: 2 * make_hparams(cell)[name]})
        scaled = base != none
        assert scaled.any(), name
        np.testing.assert_allclose(double - none, 2 * (base - none), atol=1e-6)
        claimed += scaled
    assert claimed.max() == 1


@every_cell
def test_the_larger_the_forget_bias_the_more_of_the_carry_is_kept(cell):
    """Two carries of one structure stay the further apart; they meet no recurrent matrix, which would stretch them."""
    forgets = cell.name not in WITHOUT_FORGET_BIAS
    names = [name for name in layout.hparam_names(cell) if name.startswith("forget_bias")]
    assert names == ["forget_bias"] * forgets
    if not forgets:
        return
    step, x_ib = _step(cell)[0], make_inputs(1)[0]
    apart = []
    for value in (-2.0, 0.0, 2.0, 4.0):
        hparams = make_hparams(cell, forget_bias=value, **without_matrices(cell))
        params = compiled_init(cell).run(jax.random.key(5), hparams)
        carries = [jax.tree.map(lambda a, c=c: a + np.float32(c), start(cell, params)) for c in (0.1, 0.2)]
        one, other = (flatten(step(params, carry, x_ib)[0]) for carry in carries)
        apart.append(np.linalg.norm(one - other))
    assert (np.diff(apart) > 1e-3).all()


FLAX = [name for name in ALL if name.startswith(("linen.", "nnx."))]
WITHOUT_FORGET_BIAS = ("rnn", "irnn", "lru", "deltanet", "linear attention", "retnet", "diagonal", *FLAX)


def without_matrices(cell):
    scales = {name: 0.0 for name in layout.hparam_names(cell) if name.startswith("recurrent_scale")}
    return scales | ({"input_scale_r": 0.0} if cell.name == "rg-lru" else {})


@every_cell
def test_new_values_of_the_hparams_never_trace_again(cell):
    run, traced = compiled_init(cell)
    steps, traced_steps = _step(cell)
    seen = []
    for k, kind in enumerate([0, 1, 2]):
        hparams = {name: np.float32(value * (1 + 0.1 * k)) for name, value in make_hparams(cell).items()}
        hparams |= {name: np.float32(kind % 2 if "bias" in name else kind) for name in hparams if "_init" in name}
        params = run(jax.random.key(4), hparams)
        _, y_bh = steps(params, start(cell, params), make_inputs(1)[0])
        seen.append(np.concatenate([flatten(params), flatten(y_bh)]))
    assert (len(traced), len(traced_steps)) == (1, 1)
    assert not np.allclose(seen[0], seen[1])
    assert not np.allclose(seen[1], seen[2])


# Two programs of each are compiled, so of the modern cells those whose carries differ most.
@pytest.mark.parametrize("name", [*PAPER_CELLS, *MINE, "rg-lru", "s6", "slstm", "mlstm", "gated deltanet", "retnet"])
def test_vmap_over_trials_equals_a_loop_over_trials(name):
    cell = ALL[name]

    @jax.jit
    @jax.vmap
    def together(key, hparams):
        params = cell.init(key, INPUTS, UNITS, hparams)
        return params, network.unroll(cell, params, make_inputs(1), 2, jnp.tanh)[1]

    keys = make_keys(3).network
    hparams = make_hparams(cell, 3, **{name: np.array([0.3, 0.6, 0.9], np.float32) for name in scales_of(cell)})
    params, y_kthb = together(keys, hparams)
    for k in range(3):
        alone = compiled_init(cell).run(keys[k], trial(hparams, k))
        np.testing.assert_allclose(flatten(trial(params, k)), flatten(alone), rtol=1e-5, atol=1e-5)
        expected = loop(cell, make_inputs(1), 2, hold=False, params=alone)
        np.testing.assert_allclose(y_kthb[k], expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(y_kthb[0], y_kthb[1])


@functools.cache
def _step(cell):
    """One step of a batch as one program, and a list that grows each time it is traced."""
    traced = []

    def step(params, carry, x):
        traced.append(1)
        return cell.apply(params, carry, x, jnp.tanh)

    return jax.jit(jax.vmap(step, in_axes=(None, 0, -1))), traced


def start(cell, params):
    """The initial carry of every example."""
    return jax.tree.map(lambda a: np.stack([a] * BATCH), cell.initial_carry(params))


def loop(cell, x_tib, num_steps, hold, params=None):
    """The unroll as a Python loop over the cell itself: (T, units, batch)."""
    params = make_params(cell) if params is None else params
    step, _ = _step(cell)
    carry, y_thb = start(cell, params), []
    for t in range(num_steps):
        x_ib = x_tib[min(t, len(x_tib) - 1)] * np.float32(hold or t < len(x_tib))
        carry, y_bh = step(params, carry, x_ib)
        y_thb.append(np.asarray(y_bh).T)
    return np.stack(y_thb)


LOOPED, SCANNED = 5, network.FULL_UNROLL + 2
# Every cell in the loop that is written out; the scan, which is the network's, with some.
LOOPS = [(cell, LOOPED) for cell in ALL.values()]
LOOPS += [(ALL[name], SCANNED) for name in (*PAPER_CELLS, *MINE, "rg-lru", "mlstm", "lem")]
every_loop = pytest.mark.parametrize(("cell", "num_steps"), LOOPS, ids=[f"{c.name}-{steps}" for c, steps in LOOPS])


@every_loop
def test_the_unroll_equals_a_python_loop_over_the_cell_in_silence_and_with_the_input_held(cell, num_steps):
    run = functools.partial(network.unroll, cell, num_steps=num_steps, nonlinearity=jnp.tanh)
    both = jax.jit(lambda params, x_tib: (run(params, x_tib)[1], run(params, x_tib, hold=True)[1]))
    x_tib = make_inputs(2)
    silent, held = both(make_params(cell), x_tib)
    np.testing.assert_allclose(silent, loop(cell, x_tib, num_steps, hold=False), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(held, loop(cell, x_tib, num_steps, hold=True), rtol=1e-5, atol=1e-5)
    assert not np.allclose(silent, held)


# The loop that every cell equals is causal as it is written; here is what the network's own are.
@pytest.mark.parametrize("num_steps", [LOOPED, SCANNED])
@pytest.mark.parametrize("name", ["rnn", "lstm", "+rnn", "mlstm", "diagonal"])
def test_outputs_do_not_depend_on_later_inputs_but_do_on_present_ones(name, num_steps):
    cell = ALL[name]
    params = make_params(cell)
    run = jax.jit(lambda x_tib: network.unroll(cell, params, x_tib, num_steps, jnp.tanh)[1])
    x_tib = make_inputs(num_steps)
    before = np.asarray(run(x_tib))
    for t in (0, num_steps // 2, num_steps - 1):
        changed = x_tib.copy()
        changed[t:] += 1.0
        after = np.asarray(run(changed))
        np.testing.assert_array_equal(after[:t], before[:t])
        assert not np.allclose(after[t], before[t])


@functools.cache
def make_batch(num_mappings=7):
    task = make_spec(CELLS["rnn"], num_inputs=INPUTS).task
    given = Source(0, (), {"num_mappings": num_mappings})
    return jax.tree.map(np.asarray, task.examples(task.data(make_keys().task), given))


@every_cell
def test_the_gradient_of_the_loss_matches_finite_differences(cell):
    depth = 2 if cell.name in PAPER_CELLS else 1  # the network passes gradients from layer to layer, not the cell
    spec = make_spec(cell, num_inputs=INPUTS, num_units=UNITS, depth=depth, unroll=2)
    double = functools.partial(jax.tree.map, np.float64)
    batch, params = double(make_batch()), double(random_network(spec))
    rng, size = np.random.default_rng(6), 1e-6
    with jax.enable_x64(True):
        measure = jax.jit(functools.partial(steps.loss_and_gradient, spec, {}))
        loss, gradient = measure(params, batch)
        assert loss.dtype == jnp.float64
        for _ in range(4):
            direction = jax.tree.map(lambda a: rng.normal(size=a.shape), params)
            shifted = (jax.tree.map(lambda a, d, way=way: a + way * size * d, params, direction) for way in (1, -1))
            ahead, behind = (float(measure(weights, batch)[0]) for weights in shifted)
            slope = (ahead - behind) / (2 * size)
            assert abs(slope) > 1e-4
            assert slope == pytest.approx(flatten(direction) @ flatten(gradient), rel=1e-6, abs=1e-8)


@every_cell
def test_two_steps_of_training_move_every_array_and_leave_it_finite(cell):
    """With input at every step: what decays by the input would see either an empty memory or no input."""
    spec = make_spec(cell, num_inputs=INPUTS, num_units=UNITS, train_steps=2, unroll=2, input_steps="every")
    hparams, params = make_hparams(cell, l2=0.0), random_network(spec)
    check_two_steps(spec, (), hparams, params)


@every_cell
def test_the_hoisted_stages_equal_the_cell(cell):
    params, x_i = make_params(cell), make_inputs(1)[0, :, 0]
    apply = lambda params, carry, x: cell.apply(params, carry, x, jnp.tanh)
    carry = jax.tree.map(lambda a: a + 0.5, cell.initial_carry(params))
    stages = hoist(apply, params, carry, x_i)

    @jax.jit
    def both(params, carry, x_i):
        weights = stages.prepare(params)
        return stages.step(weights, stages.project(weights, x_i), carry), apply(params, carry, x_i)

    for shift in (0.0, 1.0):  # the stages hold for other values than they were traced with
        staged, direct = both(jax.tree.map(lambda a, s=shift: a + s, params), carry, x_i - shift)
        assert jax.tree.structure(staged) == jax.tree.structure(direct)
        np.testing.assert_allclose(flatten(staged), flatten(direct), rtol=1e-6, atol=1e-6)


@every_cell
def test_a_step_multiplies_no_input(cell):
    params, x_i = make_params(cell), make_inputs(1)[0, :, 0]
    apply = lambda params, carry, x: cell.apply(params, carry, x, jnp.tanh)
    stages = hoist(apply, params, cell.initial_carry(params), x_i)
    weights = stages.prepare(params)
    count = lambda fn, *args: str(jax.make_jaxpr(fn)(*args)).count("dot_general")
    in_cell = count(apply, params, cell.initial_carry(params), x_i)
    in_step = count(stages.step, weights, stages.project(weights, x_i), cell.initial_carry(params))
    in_project = count(stages.project, weights, x_i)
    assert in_project >= 1
    assert in_step + in_project == in_cell
    known = {"gru": 2, "mgu": 2, "my mgu": 2, "lem": 2, "linen.GRUCell": 3, "nnx.LSTMCell": 4}
    linear = {*MODERN_CELLS, "diagonal"} - {"lru", "slstm", "retnet"}  # what they carry meets no matrix
    assert in_step == known.get(cell.name, 0 if cell.name in linear else 1)
