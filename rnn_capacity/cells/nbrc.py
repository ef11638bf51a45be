"""nBRC, the recurrently neuromodulated bistable cell (Vecoven, Ernst, Drion 2021, arXiv 2006.05252).

    a  = 1 + tanh(W_ah h + W_ax x + b_a)
    c  = sigma(W_ch h + W_cx x + b_c + b_fg)
    h' = c * h + (1 - c) * tanh(a * h + W_hx x)

Where a > 1 a unit has two stable states. The input's matrices are stacked a, c, h: W_x (3h, i); the others a, c: W_h
(2h, h), b (2h,). The candidate has no bias, as in the authors' code, and tanh is what makes it bistable, so s is
unused.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, h_0, sigmoid

GATES = ("a", "c")


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    b_a, b_c = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams, GATES),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, (*GATES, "h")),
        "b": jnp.concatenate([b_a, b_c + hparams["forget_bias"]]),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, _):
    x_a, x_c, x_h = jnp.split(params["W_x"] @ x, 3)
    b_a, b_c = jnp.split(params["b"], 2)
    h_a, h_c = jnp.split(params["W_h"] @ h, 2)
    a = 1 + jnp.tanh(h_a + (x_a + b_a))
    c = sigmoid(h_c + (x_c + b_c))
    h = c * h + (1 - c) * jnp.tanh(a * h + x_h)
    return h, h


nbrc = Cell("nbrc", init, h_0, apply, nonlinearities=("tanh",))
