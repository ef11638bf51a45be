"""What a cell costs besides its parameters: the numbers that it carries, and the arithmetic of a step.

Both are read off the cell as it is written, traced at its shapes, and so are known of anyone's.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from rnn_capacity.cells.base import NONLINEARITIES, Cell
from rnn_capacity.model import network
from rnn_capacity.model.hoist import hoist
from rnn_capacity.model.layout import accepted, layer

# What moves numbers and computes none.
FREE = {"reshape", "transpose", "broadcast_in_dim", "slice", "dynamic_slice", "dynamic_update_slice", "concatenate"}
FREE |= {"squeeze", "expand_dims", "pad", "rev", "gather", "convert_element_type", "bitcast_convert_type", "split"}
FREE |= {"iota", "copy", "copy_p", "stop_gradient", "real", "imag", "complex", "optimization_barrier"}
OVER_INPUTS = ("reduce_", "arg", "cum")  # begins of the names of what reads more numbers than it makes
COMPLEX = {"mul": 6, "div": 11, "dot_general": 4}  # real operations for one on complex numbers; 2 of all else


class Counts(NamedTuple):
    """Of all layers of a network, for one example."""

    state_floats: int  #: numbers carried from a step to the next; a complex one is two
    #: of a step: a multiplication and an addition in a product are 2, and whatever is done to each number of an array
    #: is 1 a number. The readout, which not every step has, is left out, and so is what the weights alone decide, which
    #: is done once.
    operations: int


def count(cell: Cell, *, num_inputs: int, num_units: int, depth: int = 1) -> Counts:
    """Numbers carried and operations a step, of all layers.

    >>> from rnn_capacity.cells import CELLS
    >>> count(CELLS["lstm"], num_inputs=20, num_units=4)
    Counts(state_floats=8, operations=872)

    Raises:
        InputError: the cell's `init` refuses the size.
    """
    accepted(cell, num_inputs, num_units, depth)
    layers = [_of_layer(cell, size, num_units) for size in [num_inputs] + [num_units] * (depth - 1)]
    return Counts(*map(sum, zip(*layers, strict=True)))


@functools.cache
def _of_layer(cell: Cell, num_inputs: int, num_units: int) -> Counts:
    params, x = layer(cell, num_inputs, num_units).shapes, jax.ShapeDtypeStruct((num_inputs,), jnp.float32)
    carry = jax.eval_shape(lambda params: jax.tree.map(jnp.asarray, cell.initial_carry(params)), params)
    apply = functools.partial(network.apply_cell, cell, NONLINEARITIES[cell.nonlinearities[0]])
    stages = hoist(apply, params, carry, x)
    step = lambda weights, carry, x: stages.step(weights, stages.project(weights, x), carry)
    traced = jax.make_jaxpr(step)(jax.eval_shape(stages.prepare, params), carry, x)
    floats = sum(a.size * (1 + jnp.issubdtype(a.dtype, jnp.complexfloating)) for a in jax.tree.leaves(carry))
    return Counts(int(floats), _operations(traced))


def _operations(program: Any) -> int:
    program = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    return sum(map(_of_equation, program.eqns))


def _of_equation(eqn: JaxprEqn) -> int:
    name, shape_of = eqn.primitive.name, lambda v: jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype)
    within = [_operations(p) for p in jax.tree.leaves(eqn.params) if isinstance(p, ClosedJaxpr | Jaxpr)]
    if within:  # a loop that stops by itself counts as one pass
        return max(within) if name == "cond" else sum(within) * eqn.params.get("length", 1)
    if name in FREE or not eqn.outvars:
        return 0
    given, out = [shape_of(v) for v in eqn.invars], shape_of(eqn.outvars[0])
    if name == "dot_general":
        (summed, _), _ = eqn.params["dimension_numbers"]
        numbers = 2 * out.size * math.prod(given[0].shape[axis] for axis in summed)
    elif name == "conv_general_dilated":
        numbers = 2 * out.size * given[1].size // given[1].shape[eqn.params["dimension_numbers"].rhs_spec[0]]
    else:
        numbers = max(a.size for a in given) if name.startswith(OVER_INPUTS) else out.size
    return numbers * (COMPLEX.get(name, 2) if jnp.issubdtype(out.dtype, jnp.complexfloating) else 1)
