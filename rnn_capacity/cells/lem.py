"""LEM, long expressive memory (Rusch, Mishra, Erichson, Mahoney 2022, arXiv 2110.04744): two states, each in its time.

    d1 = sigma(W_1y y + W_1x x + b_1 - b_fg)
    d2 = sigma(W_2y y + W_2x x + b_2 - b_fg)
    z' = (1 - d2) * z + d2 * s(W_zy y + W_zx x + b_z)
    y' = (1 - d1) * y + d1 * s(W_yz z' + W_yx x + b_y)

The input's matrices are stacked 1, 2, z, y: W_x (4h, i), b (4h,); those of the old y are 1, 2, z: W_y (3h, h). d1 and
d2 write, so the forget bias is subtracted; it takes the place of the authors' step in time. d1 and d2 share their
scales.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, sigmoid
from rnn_capacity.dimension import Range
from rnn_capacity.types import Array

GATES = ("d", "d", "z", "y")  # of the scales
RANGES = {"quick": {"forget_bias": Range(-1.0, 0.5)}}


class LEMCarry(NamedTuple):
    z: Array
    y: Array


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    W_h = initializers.recurrent(key_h, num_units, hparams, GATES)
    b_1, b_2, b_z, b_y = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 4)
    forget = hparams["forget_bias"]
    return {
        "W_y": W_h[: 3 * num_units],
        "W_yz": W_h[3 * num_units :],
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_1 - forget, b_2 - forget, b_z, b_y]),
        "z_0": jnp.zeros(num_units),
        "y_0": jnp.zeros(num_units),
    }


def initial_carry(params):
    return LEMCarry(z=params["z_0"], y=params["y_0"])


def apply(params, carry, x, s):
    x_1, x_2, x_z, x_y = jnp.split(params["W_x"] @ x + params["b"], 4)
    y_1, y_2, y_z = jnp.split(params["W_y"] @ carry.y, 3)
    d1, d2 = sigmoid(y_1 + x_1), sigmoid(y_2 + x_2)
    z = (1 - d2) * carry.z + d2 * s(y_z + x_z)
    y = (1 - d1) * carry.y + d1 * s(params["W_yz"] @ z + x_y)
    return LEMCarry(z, y), y


lem = Cell("lem", init, initial_carry, apply, ranges=RANGES)
