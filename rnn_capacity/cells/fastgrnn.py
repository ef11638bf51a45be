"""FastGRNN (Kusupati et al. 2018, arXiv 1901.02358): one matrix for the gate and the candidate.

    p  = W_h h + W_x x
    z  = sigma(p + b_z + b_fg)
    c  = s(p + b_c)
    h' = (sigma(zeta) * (1 - z) + sigma(nu)) * c + z * h

The biases are stacked z, c: b (2h,). zeta and nu are two trained scalars, and where they start are hparams (zeta = 1
and nu = -4 in the authors' code).
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, h_0, sigmoid
from rnn_capacity.dimension import Range, Space

GATES = ("z", "c")


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    b_z, b_c = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams),
        "b": jnp.concatenate([b_z + hparams["forget_bias"], b_c]),
        "zeta": jnp.asarray(hparams["zeta"], float),
        "nu": jnp.asarray(hparams["nu"], float),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, s):
    b_z, b_c = jnp.split(params["b"], 2)
    x_p, h_p = params["W_x"] @ x, params["W_h"] @ h
    z = sigmoid(h_p + (x_p + b_z))
    c = s(h_p + (x_p + b_c))
    h = (sigmoid(params["zeta"]) * (1 - z) + sigmoid(params["nu"])) * c + z * h
    return h, h


RANGES: dict[str, Space] = {
    "quick": {"zeta": 1.0, "nu": -4.0},
    "paper": {"zeta": Range(0.0, 3.0), "nu": Range(-6.0, 0.0)},
}

fastgrnn = Cell("fastgrnn", init, h_0, apply, ranges=RANGES)
