"""The +RNN, or intersection RNN (Collins et al. 2017, section 2): gated paths in depth and in time that cross.

    yin = s1(W_yh h + W_yx x + b_y)            s1 = ReLU
    hin = s2(W_hh h + W_hx x + b_h)            s2 = tanh
    gy  = sigma(W_gyh h + W_gyx x + b_gy + b_fgy)
    gh  = sigma(W_ghh h + W_ghx x + b_gh + b_fgh)
    y   = gy * x + (1 - gy) * yin              depth output, to the next layer
    h'  = gh * h + (1 - gh) * hin              recurrent output

The matrices are stacked y, h, gy, gh: W_h (4h, h), W_x (4h, h), b (4h,). x and y have one size, so an input of another
size is projected first, by W_in and b_in, as in the authors' TensorFlow cell. s1 and s2 are fixed. b_fgy and b_fgh are
one hparam, as in the authors' published table.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import RELU_RATE, Cell, h_0, relu, sigmoid
from rnn_capacity.dimension import Range, Space

GATES = ("y", "h", "gy", "gh")


def init(key, num_inputs, num_units, hparams):
    key_h, key_x, key_b, key_in, key_b_in = jax.random.split(key, 5)
    b_y, b_h, b_gy, b_gh = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 4)
    params = {
        "W_h": initializers.recurrent(key_h, num_units, hparams, GATES),
        "W_x": initializers.rectangular(key_x, num_units, num_units, hparams, GATES),
        "b": jnp.concatenate([b_y, b_h, b_gy + hparams["forget_bias"], b_gh + hparams["forget_bias"]]),
        "h_0": jnp.zeros(num_units),
    }
    if num_inputs != num_units:
        params["W_in"] = initializers.rectangular(key_in, num_inputs, num_units, hparams, ("in",))
        params["b_in"] = initializers.bias(key_b_in, num_units, hparams, ("in",))
    return params


def apply(params, h, x, _):
    if "W_in" in params:
        x = params["W_in"] @ x + params["b_in"]
    yin, hin, gy, gh = jnp.split(params["W_h"] @ h + (params["W_x"] @ x + params["b"]), 4)
    yin, hin, gy, gh = relu(yin), jnp.tanh(hin), sigmoid(gy), sigmoid(gh)
    y = gy * x + (1 - gy) * yin
    h = gh * h + (1 - gh) * hin
    return h, y


QUICK: Space = {
    "learning_rate": RELU_RATE,
    "recurrent_init": "orthogonal",
    "recurrent_scale": Range(0.9, 1.4),
    "input_scale": Range(0.5, 1.8, log=True),
    "readout_scale": Range(1.5, 3.0),
}

plus_rnn = Cell("+rnn", init, h_0, apply, nonlinearities=("tanh",), ranges={"quick": QUICK})
