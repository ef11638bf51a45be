"""The gated recurrent unit (Cho et al. 2014), as in Collins et al. 2017: the reset acts before the matrix product.

    r  = sigma(W_rh h + W_rx x + b_r)
    u  = sigma(W_uh h + W_ux x + b_u + b_fg)
    c  = s(W_ch (r * h) + W_cx x + b_c)
    h' = u * h + (1 - u) * c

r and u share one product: W_h (2h, h). The input's matrices are stacked r, u, c: W_x (3h, i), b (3h,).
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, h_0, sigmoid
from rnn_capacity.dimension import Range

GATES = ("r", "u", "c")


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    W_h = initializers.recurrent(key_h, num_units, hparams, GATES)
    b_r, b_u, b_c = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 3)
    return {
        "W_h": W_h[: 2 * num_units],
        "W_ch": W_h[2 * num_units :],
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_r, b_u + hparams["forget_bias"], b_c]),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, s):
    x_r, x_u, x_c = jnp.split(params["W_x"] @ x + params["b"], 3)
    h_r, h_u = jnp.split(params["W_h"] @ h, 2)
    r = sigmoid(h_r + x_r)
    u = sigmoid(h_u + x_u)
    c = s(params["W_ch"] @ (r * h) + x_c)
    h = u * h + (1 - u) * c
    return h, h


gru = Cell("gru", init, h_0, apply, ranges={"quick": {"forget_bias": Range(0.0, 0.5)}})
