"""minGRU (Feng, Tung, Ahmed, Bengio, Hajimirsadeghi 2024, arXiv 2410.01201): a GRU whose gates see the input alone.

    z  = sigma(W_z x + b_z - b_fg)
    c  = g(W_c x + b_c)                        g(v) = v + 1/2 for v >= 0, sigma(v) below
    h' = (1 - z) * h + z * c

The matrices are stacked z, c: W (2h, i), b (2h,). z writes, so the forget bias is subtracted. g keeps h positive, as
the initial h is, g(h_0). With `make(positive=False)` g is the searched nonlinearity, and the initial h is h_0. Steps
without input add no computation: they let h move towards what the biases alone write.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import WIDER_RATE, Cell, sigmoid, where
from rnn_capacity.dimension import Range

GATES = ("z", "c")

QUICK = {"learning_rate": WIDER_RATE, "input_scale": Range(0.05, 0.4, log=True), "forget_bias": Range(0.0, 2.0)}


def init(key, num_inputs, num_units, hparams):
    key_x, key_b = jax.random.split(key)
    b_z, b_c = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
    return {
        "W": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
        "b": jnp.concatenate([b_z - hparams["forget_bias"], b_c]),
        "h_0": jnp.zeros(num_units),
    }


def positive_part(v):
    return where(v >= 0, v + 0.5, sigmoid(v))


def make(*, positive: bool = True) -> Cell:
    """A minGRU of positive states, or one with the searched nonlinearity."""

    def initial_carry(params):
        return positive_part(params["h_0"]) if positive else params["h_0"]

    def apply(params, h, x, s):
        z, c = jnp.split(params["W"] @ x + params["b"], 2)
        z, c = sigmoid(z), (positive_part if positive else s)(c)
        h = (1 - z) * h + z * c
        return h, h

    name, names = ("mingru", ("tanh",)) if positive else ("mingru signed", ("tanh", "relu"))
    return Cell(name, init, initial_carry, apply, nonlinearities=names, ranges={"quick": QUICK})


mingru = make()
