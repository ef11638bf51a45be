"""What cells share that carry a matrix: a memory S that maps keys to values, one for each head.

    S' = S + k v^T                             write
    y  = S^T q                                 read

S is (key width, h), the heads side by side: products are sums over its first axis. It starts at zero and is not
trained, so a network has no parameters for it. q, k and v, and in Mamba B and C, have biases, which the official codes
have not: without them a step without input has q = 0, and the output of the last step says nothing.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import WIDER_RATE
from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.dimension import Range, Space
from rnn_capacity.types import Array, Hparams, Params

# Products of two and three small numbers are read out: they must not start as small as what a tanh squashes.
QUICK: Space = {
    "learning_rate": WIDER_RATE,
    "input_scale": Range(0.4, 1.6, log=True),
    "bias_scale": 0.5,
    "forget_bias": Range(0.0, 3.0),
}
WITHOUT_FORGETTING = {name: dimension for name, dimension in QUICK.items() if name != "forget_bias"}


def check_heads(num_units: int, num_heads: int) -> int:
    """The width of a head.

    Raises:
        InputError: the heads do not divide the units.
    """
    if num_units % num_heads:
        raise InputError(f"num_heads: {num_heads} given; it must divide the number of units, here {num_units}")
    return num_units // num_heads


def check_sizes(num_heads: int, key_width: int | None, field: str = "key_width") -> None:
    """Refuses sizes that no cell can have.

    Raises:
        InputError: such a size.
    """
    check_positive_int("num_heads", num_heads)
    if key_width is not None:
        check_positive_int(field, key_width)


def named(name: str, num_heads: int, key_width: int | None) -> str:
    """The name of a variant, in which it says where it differs."""
    heads = f" H={num_heads}" if num_heads > 1 else ""
    return name + heads + (f" K={key_width}" if key_width else "")


def init_qkv(
    key: Array, num_inputs: int, num_units: int, hparams: Hparams, num_heads: int, key_width: int | None
) -> Params:
    """Queries above keys, W_qk (2 x key width x heads, i), and values, W_v (h, i), with biases."""
    key_qk, key_v, key_b_qk, key_b_v = jax.random.split(key, 4)
    width = check_heads(num_units, num_heads)
    rows = 2 * num_heads * (key_width or width)
    return {
        "W_qk": initializers.rectangular(key_qk, num_inputs, rows, hparams, ("qk",)),
        "b_qk": initializers.bias(key_b_qk, rows, hparams, ("qk",)),
        "W_v": initializers.rectangular(key_v, num_inputs, num_units, hparams, ("v",)),
        "b_v": initializers.bias(key_b_v, num_units, hparams, ("v",)),
    }


def init_gate(key: Array, num_inputs: int, rows: int, hparams: Hparams, gate: str) -> tuple[Array, Array]:
    """A gate's matrix (rows, i) and bias (rows,)."""
    key_x, key_b = jax.random.split(key)
    matrix = initializers.rectangular(key_x, num_inputs, rows, hparams, (gate,))
    return matrix, initializers.bias(key_b, rows, hparams, (gate,))


def qkv(params: Params, x: Array, num_heads: int) -> tuple[Array, Array, Array]:
    """q and k, (key width, heads), and v, (h,)."""
    q, k = (params["W_qk"] @ x + params["b_qk"]).reshape(2, -1, num_heads)
    return q, k, params["W_v"] @ x + params["b_v"]


def empty(params: Params, num_heads: int) -> Array:
    """The memory at the start."""
    return jnp.zeros((len(params["b_qk"]) // (2 * num_heads), len(params["b_v"])), params["b_v"].dtype)


def spread(z: Array, num_units: int) -> Array:
    """A number a head, the last axis, as a number a unit; that of a single head goes with all of them as it is."""
    return z if z.shape[-1] == 1 else jnp.repeat(z, num_units // z.shape[-1], axis=-1)


def read(S: Array, q: Array) -> Array:
    """S^T q of each head, (h,), from a q that is spread over the units."""
    return (S * q).sum(0)


def unit(z: Array) -> Array:
    """Of length 1 along the first axis; near 0 it goes to 0, and its slope stays finite."""
    return z * jax.lax.rsqrt((z * z).sum(0) + 1e-6)
