"""The update-gate RNN (Collins et al. 2017, section 2): a GRU without its reset gate.

    c  = s(W_ch h + W_cx x + b_c)
    g  = sigma(W_gh h + W_gx x + b_g + b_fg)
    h' = g * h + (1 - g) * c

The matrices of c and g are stacked in that order: W_h (2h, h), W_x (2h, i), b (2h,).
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, h_0, sigmoid

GATES = ("c", "g")


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    b_c, b_g = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams, GATES),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_c, b_g + hparams["forget_bias"]]),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, s):
    c, g = jnp.split(params["W_h"] @ h + (params["W_x"] @ x + params["b"]), 2)
    c, g = s(c), sigmoid(g)
    h = g * h + (1 - g) * c
    return h, h


ugrnn = Cell("ugrnn", init, h_0, apply)
