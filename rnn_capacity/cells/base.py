"""What a recurrent cell is: three pure functions for one example and one trial."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_capacity.dimension import Range, Space
from rnn_capacity.types import Array, Carry, Hparams, Params

Nonlinearity = Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """The logistic function by tanh, which XLA vectorises where it does not vectorise the exponential's division."""
    return 0.5 * jnp.tanh(0.5 * z) + 0.5


def relu(z: Array) -> Array:
    """max(z, 0), as a product that XLA fuses with what is around it; `jax.nn.relu`, a call, is half as fast."""
    return z * (z > 0)


def silu(z: Array) -> Array:
    """z sigma(z), without the call of `jax.nn.silu`."""
    return z * sigmoid(z)


def gelu(z: Array) -> Array:
    """z times the normal distribution of z, by its usual approximation."""
    return 0.5 * z * (1 + jnp.tanh(0.7978845608 * (z + 0.044715 * z * z * z)))


def softplus(z: Array) -> Array:
    """log(1 + e^z), without overflow and without the call of `jax.nn.softplus`."""
    return jnp.maximum(z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z)))


def inverse_softplus(z: Array) -> Array:
    """What `softplus` makes z of, for z > 0."""
    return z + jnp.log(-jnp.expm1(-z))


def where(condition: Array, a: Array, b: Array) -> Array:
    """As `jnp.where` for arrays of one shape, without its call."""
    return jax.lax.select(condition, a, b)


NONLINEARITIES: dict[str, Nonlinearity] = {"tanh": jnp.tanh, "relu": relu}
RELU_RATE = Range(0.0165, 0.037125, log=True)  # the quick space's learning rate where a cell is of ReLUs: smaller steps
# Where what a cell carries decays linearly, good rates lie lower and further apart (Okpekpe and Orvieto 2025).
WIDER_RATE = Range(0.01, 0.0675, log=True)


def h_0(params: Params) -> Carry:
    """The initial carry of a cell that carries h alone, learned."""
    return params["h_0"]


class Cell(NamedTuple):
    """A recurrent cell. Anyone's, written this way, can be measured without registration.

    The functions see one example and one trial; batches, trials and devices are added outside with `vmap`, `lax.map`
    and `shard_map`. Every array that `init` returns is trained and counted as parameters. Every name that `init` reads
    from `hparams` becomes a dimension of the search, by its family (`search/ranges.py`) or by an entry of `ranges`, so
    scales and forget biases are tuned and never literal. A matrix is (units, inputs): its last axis is summed over, by
    the length of which the quick space of memorization slows the matrix's steps.
    """

    name: str  #: in tables, studies and plots
    init: Callable[
        [Array, int, int, Hparams], Params
    ]  #: (key, num_inputs, num_units, hparams) -> params, a tree of arrays
    initial_carry: Callable[[Params], Carry]  #: (params) -> carry, a tree of arrays: the learned initial state
    #: (params, carry, x, nonlinearity) -> (carry, y): a step in time, x (num_inputs,), y (num_units,)
    apply: Callable[[Params, Carry, Array, Nonlinearity], tuple[Carry, Array]]
    nonlinearities: tuple[str, ...] = tuple(NONLINEARITIES)  #: those that a search may choose from
    #: "quick" or "paper" -> dimensions: of hparams that no other cell has (one space's serve both where the other has
    #: none), or in place of the usual ones of that space; where batches are drawn `Task.quick` goes first. A Choice in
    #: "paper" holds in both spaces: other names make no sense in this cell.
    ranges: Mapping[str, Space] = {}
    track: str = "bare"  #: "bare", or "block" with the norms, gates and convolutions that its authors have around it

    def __hash__(self) -> int:  # `ranges` is a plain mapping, and what is wrong with it is reported later
        return hash((self.name, self.init, self.initial_carry, self.apply))
