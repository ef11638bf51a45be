"""Results are those of the cell that was given: an edited cell never gets the numbers of its former self."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TINY

from rnn_capacity import Cell, measure_capacity, measure_recall
from rnn_capacity.cells import CELLS, initializers
from rnn_capacity.model.cell_check import program_digest
from rnn_capacity.model.fingerprint import fingerprint

RNN = CELLS["rnn"]
SIZES = {"num_inputs": 8, "num_units": 4, "depth": 1, "num_outputs": 1}
OPTIONS = TINY | {"num_trials": 2, "num_repeats": 0, "progress": False}


def digest(cell, nonlinearities=("tanh",), **sizes):
    return program_digest(cell, nonlinearities, **(SIZES | sizes))


def masked(mask, name="masked"):
    """An RNN whose units are multiplied by an array that `apply` captures."""

    def apply(params, h, x, s):
        h = s(params["W_h"] @ h + params["W_x"] @ x + params["b"]) * jnp.asarray(mask)[: len(h)]
        return h, h

    return Cell(name, RNN.init, RNN.initial_carry, apply)


def leaky(leak):
    """An RNN with a constant of Python's in `init`."""

    def init(key, num_inputs, num_units, hparams):
        return RNN.init(key, num_inputs, num_units, hparams) | {"leak": jnp.full(num_units, leak(hparams))}

    return Cell("leaky", init, RNN.initial_carry, RNN.apply)


def steep(slope):
    """An RNN with a gradient of its own."""

    @jax.custom_vjp
    def squash(x):
        return jnp.tanh(x)

    squash.defvjp(lambda x: (jnp.tanh(x), None), lambda _, cotangent: (slope * cotangent,))
    return Cell("steep", RNN.init, RNN.initial_carry, lambda p, h, x, s: RNN.apply(p, h, x, squash))


def branching(condition):
    """An RNN that is another one at some sizes, or with some nonlinearity."""

    def apply(params, h, x, s):
        after, y = RNN.apply(params, h, x, s)
        return after, 2 * y if condition(x, h, s) else y

    return Cell("branching", RNN.init, RNN.initial_carry, apply)


ONES, ZEROS = np.ones(64, np.float32), np.zeros(64, np.float32)
EDITS = {
    "a captured array": (masked(ONES), masked(ZEROS)),
    "one number of a captured array": (masked(ONES), masked(np.where(np.arange(64) == 3, 0.5, ONES))),
    "the dtype of a captured array": (masked(ONES), masked(ONES.astype(np.int32))),
    "a captured array within jit": (
        *(
            Cell("jitted", RNN.init, RNN.initial_carry, jax.jit(masked(m).apply, static_argnums=3))
            for m in (ONES, ZEROS)
        ),
    ),
    "a constant": (leaky(lambda hparams: 1.0), leaky(lambda hparams: 2.0)),
    "what is made of an hparam": (
        leaky(lambda hparams: hparams["forget_bias"] * 2),
        leaky(lambda hparams: hparams["forget_bias"] + 1),
    ),
    "a gradient": (steep(1.0), steep(2.0)),
    "another size": (branching(lambda x, h, s: len(x) == 8), branching(lambda x, h, s: False)),
    "a key": (*(masked(jax.random.normal(jax.random.key(seed), (64,))) for seed in (0, 1)),),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_digest_of_a_cell_tells_it_from_its_edited_self(edit):
    before, after = EDITS[edit]
    assert digest(before) == digest(before)
    assert digest(before) != digest(after)


def test_the_digest_is_of_the_sizes_and_nonlinearities_that_are_measured():
    of_relu = branching(lambda x, h, s: s is not jnp.tanh)
    assert digest(of_relu) == digest(branching(lambda x, h, s: False))
    assert digest(of_relu, ("tanh", "relu")) != digest(branching(lambda x, h, s: False), ("tanh", "relu"))
    of_deep_layers = branching(lambda x, h, s: len(x) == len(h))
    assert digest(of_deep_layers, depth=2) != digest(branching(lambda x, h, s: False), depth=2)


def test_arrays_of_equal_values_are_the_same_program_whatever_holds_them():
    assert digest(masked(ONES)) == digest(masked(ONES.copy())) == digest(masked(jnp.ones(64)))


def test_a_fingerprint_has_no_address_in_it():
    programs = [jax.custom_jvp(lambda x: x + 1) for _ in range(2)]
    for program in programs:
        program.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    assert fingerprint(programs[0], jnp.ones(3)) == fingerprint(programs[1], jnp.ones(3))


def losses(cell, **more):
    return measure_capacity(cell, **(OPTIONS | more)).trials["loss"].tolist()


def test_an_edited_cell_is_measured_again_on_the_same_storage(tmp_path):
    half = np.where(np.arange(64) % 2, 0, ONES)
    first = losses(masked(ONES), storage=tmp_path)
    assert losses(masked(half), storage=tmp_path) == losses(masked(half)) != first
    assert losses(masked(ONES), storage=tmp_path) == first


def test_an_array_that_is_edited_in_place_is_measured_as_it_is_now(tmp_path):
    mask = ONES.copy()
    cell = masked(mask)
    first = losses(cell, storage=tmp_path)
    mask[::2] = 0
    assert losses(cell, storage=tmp_path) == losses(masked(mask.copy())) != first


# --- What a cell reads, and which sizes it takes ----------------------------------------------------------------------


def heads(number):
    """An RNN whose units are dealt to heads."""

    def init(key, num_inputs, num_units, hparams):
        if num_units % number:
            raise ValueError(f"{num_units} units cannot be dealt to {number} heads")
        return RNN.init(key, num_inputs, num_units, hparams)

    def apply(params, h, x, s):
        after, y = RNN.apply(params, h, x, s)
        return after, y.reshape(number, -1).reshape(-1)

    return Cell(f"{number} heads", init, RNN.initial_carry, apply)


def test_recall_asks_a_cell_for_the_units_that_were_given_and_no_others():
    asked = set()

    def init(key, num_inputs, num_units, hparams):
        asked.add(num_units)
        return heads(8).init(key, num_inputs, num_units, hparams)

    cell = heads(8)._replace(init=init)
    (point,) = measure_recall(
        cell, num_units=8, num_inputs=4, unroll=2, num_trials=1, train_steps=2, progress=False
    ).points
    assert (point.num_units, asked) == (8, {8})


def test_units_that_a_cell_does_not_take_are_refused_with_its_own_reason():
    must = r"^num_units: 12 given; .*'8 heads' takes \(12 units cannot be dealt to 8 heads\)$"
    with pytest.raises(ValueError, match=must):
        measure_recall(heads(8), num_units=12, num_inputs=4, unroll=2, progress=False)


def test_a_name_that_init_asks_for_before_it_reads_it_is_tuned():
    def init(key, num_inputs, num_units, hparams):
        params = RNN.init(key, num_inputs, num_units, hparams)
        if "forget_bias" in hparams:
            params["b"] = params["b"] + hparams["forget_bias"]
        return params

    result = measure_capacity(RNN._replace(name="asking", init=init), **OPTIONS)
    assert "forget_bias" in result.trials


def test_a_cell_that_goes_over_all_hparams_is_refused():
    def init(key, num_inputs, num_units, hparams):
        return {name: value * initializers.bias(key, num_units, hparams) for name, value in hparams.items()}

    with pytest.raises(ValueError, match="must read each by its name"):
        measure_capacity(RNN._replace(name="greedy", init=init), **OPTIONS)
