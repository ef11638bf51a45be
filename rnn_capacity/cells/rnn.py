"""The vanilla RNN (Elman 1990), as in Collins et al. 2017, section 2.

    h' = s(W_h h + W_x x + b)

W_h (h, h), W_x (h, i), b (h,); s is tanh or ReLU, as the search has it.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell
from rnn_capacity.dimension import Choice


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b = jax.random.split(key, 3)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams),
        "b": initializers.bias(key_b, num_units, hparams),
        "h_0": jnp.zeros(num_units),
    }


def initial_carry(params):
    return params["h_0"]


def apply(params, h, x, s):
    h = s(params["W_h"] @ h + (params["W_x"] @ x + params["b"]))
    return h, h


# That of the identity is a cell of its own, the IRNN.
PAPER = {"recurrent_init": Choice(("orthogonal", "normal"))}

rnn = Cell("rnn", init, initial_carry, apply, ranges={"paper": PAPER})
