"""Weights in fewer bits: what is left of a trained network that is stored so."""

import jax
import jax.numpy as jnp

from rnn_capacity.types import Array, Params

BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "int8": 8, "int6": 6, "int4": 4}  # of a weight
ROUNDED = tuple(BITS)[1:]


def stored(params: Params, name: str) -> Params:
    """The weights as they are read back, float32, each array stored in a format of BITS.

    A whole number of n bits times a scale of the array's own, symmetric: the largest magnitude is 2^(n - 1) - 1. The
    scale is not counted: it is one number an array.
    """
    return jax.tree.map(lambda a: _whole(a, BITS[name]) if name.startswith("int") else _float(a, name), params)


def _float(a: Array, name: str) -> Array:
    return a.astype(name).astype(a.dtype)


def _whole(a: Array, bits: int) -> Array:
    most = 2 ** (bits - 1) - 1
    scale = jnp.max(jnp.abs(a)) / most
    return jnp.round(a / jnp.where(scale > 0, scale, 1.0)) * scale
