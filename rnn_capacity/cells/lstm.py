"""The LSTM (Hochreiter and Schmidhuber 1997), as in Collins et al. 2017: no peepholes, the output squashed by tanh.

    i  = sigma(W_ih h + W_ix x + b_i)
    f  = sigma(W_fh h + W_fx x + b_f + b_fg)
    c' = f * c + i * s(W_ch h + W_cx x + b_c)
    o  = sigma(W_oh h + W_ox x + b_o)
    h' = o * tanh(c')

The matrices are stacked i, f, c, o: W_h (4h, h), W_x (4h, i), b (4h,). The initial c and h are both learned.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, sigmoid
from rnn_capacity.types import Array

GATES = ("i", "f", "c", "o")


class LSTMCarry(NamedTuple):
    c: Array
    h: Array


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    b_i, b_f, b_c, b_o = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 4)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams, GATES),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_i, b_f + hparams["forget_bias"], b_c, b_o]),
        "c_0": jnp.zeros(num_units),
        "h_0": jnp.zeros(num_units),
    }


def initial_carry(params):
    return LSTMCarry(c=params["c_0"], h=params["h_0"])


def apply(params, carry, x, s):
    i, f, c, o = jnp.split(params["W_h"] @ carry.h + (params["W_x"] @ x + params["b"]), 4)
    c = sigmoid(f) * carry.c + sigmoid(i) * s(c)
    h = sigmoid(o) * jnp.tanh(c)
    return LSTMCarry(c, h), h


lstm = Cell("lstm", init, initial_carry, apply)
