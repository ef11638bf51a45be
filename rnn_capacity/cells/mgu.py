"""MGU, the minimal gated unit (Zhou et al. 2016, arXiv 1603.09420): a GRU with one gate for both of its uses.

    f  = sigma(W_fh h + W_fx x + b_f - b_fg)
    c  = s(W_ch (f * h) + W_cx x + b_c)
    h' = (1 - f) * h + f * c

f writes, so the forget bias is subtracted. The input's matrices are stacked f, c: W_x (2h, i), b (2h,).
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, h_0, sigmoid

GATES = ("f", "c")


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    W_fh, W_ch = jnp.split(initializers.recurrent(key_h, num_units, hparams, GATES), 2)
    b_f, b_c = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
    return {
        "W_fh": W_fh,
        "W_ch": W_ch,
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_f - hparams["forget_bias"], b_c]),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, s):
    x_f, x_c = jnp.split(params["W_x"] @ x + params["b"], 2)
    f = sigmoid(params["W_fh"] @ h + x_f)
    c = s(params["W_ch"] @ (f * h) + x_c)
    h = (1 - f) * h + f * c
    return h, h


mgu = Cell("mgu", init, h_0, apply)
