"""The IRNN (Le, Jaitly, Hinton 2015), as in Collins et al. 2017: an RNN of ReLUs that starts as the identity.

    h' = s(W_h h + W_x x + b)                  s = ReLU, always

W_h (h, h) = I and b (h,) = 0 at the start; W_x (h, i) is drawn.
"""

import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import RELU_RATE, Cell, relu
from rnn_capacity.cells.rnn import rnn


def init(key, num_inputs, num_units, hparams):
    return {
        "W_h": jnp.eye(num_units),
        "W_x": initializers.rectangular(key, num_inputs, num_units, hparams),
        "b": jnp.zeros(num_units),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, _):
    return rnn.apply(params, h, x, relu)


QUICK = {"learning_rate": RELU_RATE}

irnn = Cell("irnn", init, rnn.initial_carry, apply, nonlinearities=("relu",), ranges={"quick": QUICK})
