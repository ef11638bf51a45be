"""The LSTM with peepholes (Gers, Schraudolph, Schmidhuber 2002): its gates see the carry c as well.

    i  = sigma(W_ih h + W_ix x + p_i * c + b_i)
    f  = sigma(W_fh h + W_fx x + p_f * c + b_f + b_fg)
    c' = f * c + i * s(W_ch h + W_cx x + b_c)
    o  = sigma(W_oh h + W_ox x + p_o * c' + b_o)
    h' = o * tanh(c')

All is stacked as in the LSTM: i, f, c, o. The peepholes are stacked i, f, o: p (3h,), and drawn as a bias is.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, sigmoid
from rnn_capacity.cells.lstm import LSTMCarry, lstm


def init(key, num_inputs, num_units, hparams):
    key_lstm, key_p = jax.random.split(key)
    peepholes = initializers.bias(key_p, 3 * num_units, hparams, ("peephole",))
    return lstm.init(key_lstm, num_inputs, num_units, hparams) | {"p": peepholes}


def apply(params, carry, x, s):
    i, f, c, o = jnp.split(params["W_h"] @ carry.h + (params["W_x"] @ x + params["b"]), 4)
    p_i, p_f, p_o = jnp.split(params["p"], 3)
    c = sigmoid(f + p_f * carry.c) * carry.c + sigmoid(i + p_i * carry.c) * s(c)
    h = sigmoid(o + p_o * c) * jnp.tanh(c)
    return LSTMCarry(c, h), h


peephole_lstm = Cell("peephole lstm", init, lstm.initial_carry, apply)
