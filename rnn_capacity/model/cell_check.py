"""A user's own cell, checked by its shapes before anything is compiled, and told apart from an edited one."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from rnn_capacity.cells.base import NONLINEARITIES, Cell
from rnn_capacity.checks import InputError, first_line
from rnn_capacity.model import network
from rnn_capacity.model.fingerprint import fingerprint
from rnn_capacity.model.layout import accepted, hparam_names, input_sizes, layer


def check_cell(
    cell: Cell, nonlinearities: Sequence[str], *, num_inputs: int, num_units: int, depth: int, num_outputs: int
) -> None:
    """Traces one step of a cell, so that a wrong shape is reported by name before anything is compiled.

    Raises:
        InputError: the cell's `init` refuses the size, a step fails, the carry changes its shape, or the output is not
            (num_units,).
    """
    accepted(cell, num_inputs, num_units, depth, num_outputs)
    for size in input_sizes(num_inputs, num_units, depth):
        for name in nonlinearities:
            _check_step(cell, size, num_units, name)


@functools.cache  # a sweep asks it of every point, and to trace takes long
def _check_step(cell: Cell, num_inputs: int, num_units: int, nonlinearity: str) -> None:
    params = layer(cell, num_inputs, num_units).shapes
    x = jax.ShapeDtypeStruct((num_inputs,), jnp.float32)
    step = functools.partial(network.apply_cell, cell, NONLINEARITIES[nonlinearity])
    try:
        carry = jax.eval_shape(lambda params: jax.tree.map(jnp.asarray, cell.initial_carry(params)), params)
        after, y = jax.eval_shape(step, params, carry, x)
    except Exception as error:  # of a user's own code
        raise InputError(
            f"cell: {cell.name!r} cannot take a step with {num_inputs} inputs: {first_line(error)}"
        ) from error
    if _signature(after) != _signature(carry):
        raise InputError(
            f"cell: {cell.name!r} changes its carry from {_signature(carry)} to {_signature(after)} in a step; "
            "apply must return a carry of the structure, shapes and dtypes of initial_carry"
        )
    if not isinstance(y, jax.ShapeDtypeStruct) or y.shape != (num_units,):
        given = _signature(y)
        raise InputError(f"cell: {cell.name!r} gives an output {given}; it must be of shape ({num_units},)")
    if not all(jnp.issubdtype(a.dtype, jnp.floating) for a in jax.tree.leaves(params)):
        raise InputError(f"cell: {cell.name!r} has parameters {_signature(params)}; all must be floating point")


def program_digest(
    cell: Cell, nonlinearities: Sequence[str], *, num_inputs: int, num_units: int, depth: int, num_outputs: int
) -> str:
    """A digest of all that a cell computes in a network of this size, which tells an edited cell from its former self.

    The initialisation, a step and its gradient are traced for every nonlinearity that the search may choose.
    """
    names = hparam_names(cell, num_inputs=num_inputs, num_units=num_units, depth=depth, num_outputs=num_outputs)

    def run(key, hparams, size, s):
        params = cell.init(key, size, num_units, hparams)

        def total(params):
            outputs = cell.apply(params, cell.initial_carry(params), jnp.ones(size), s)
            arrays = [jnp.asarray(a) for a in jax.tree.leaves(outputs)]
            return sum(jnp.sum(a) for a in arrays if jnp.issubdtype(a.dtype, jnp.floating)), outputs

        return params, jax.value_and_grad(total, has_aux=True)(params)

    def program(key, hparams):
        sizes = input_sizes(num_inputs, num_units, depth)
        return [run(key, hparams, size, NONLINEARITIES[name]) for size in sizes for name in nonlinearities]

    hparams = dict.fromkeys(names, jax.ShapeDtypeStruct((), jnp.float32))
    return fingerprint(program, jax.eval_shape(jax.random.key, 0), hparams)


def _signature(tree) -> str:
    return str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree))
