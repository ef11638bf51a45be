"""JANET, an LSTM of just a forget gate (van der Westhuizen, Lasenby 2018, arXiv 1804.04849).

    f  = W_fh h + W_fx x + b_f + b_fg
    c  = s(W_ch h + W_cx x + b_c)
    h' = sigma(f) * h + (1 - sigma(f - beta)) * c

The matrices of f and c are stacked in that order: W_h (2h, h), W_x (2h, i), b (2h,). beta = 1, as in the paper, lets a
little more in than is forgotten; `make(beta=...)` has another.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, h_0, sigmoid
from rnn_capacity.dimension import Range

GATES = ("f", "c")
RANGES = {"quick": {"forget_bias": Range(0.0, 0.5)}}


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    b_f, b_c = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams, GATES),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_f + hparams["forget_bias"], b_c]),
        "h_0": jnp.zeros(num_units),
    }


def make(*, beta: float = 1.0) -> Cell:
    """A JANET whose input gate lies `beta` below its forget gate."""

    def apply(params, h, x, s):
        f, c = jnp.split(params["W_h"] @ h + (params["W_x"] @ x + params["b"]), 2)
        h = sigmoid(f) * h + (1 - sigmoid(f - beta)) * s(c)
        return h, h

    return Cell("janet" if beta == 1 else f"janet beta={beta:g}", init, h_0, apply, ranges=RANGES)


janet = make()
