"""sLSTM (Beck et al. 2024, arXiv 2405.04517): an LSTM with exponential gates and a normaliser.

    i^, f^, z^, o^ = W x + R h + b             b_f + b_fg
    m' = max(log sigma(f^) + m, i^)            only a scale: h does not depend on it
    i, f = exp(i^ - m'), exp(log sigma(f^) + m - m')
    c' = f * c + i * tanh(z^)
    n' = f * n + i
    h' = sigma(o^) * c' / n'

The matrices are stacked i, f, z, o: W (4h, i), R (4h, h), b (4h,); with heads R is a block for each, (heads, 4h /
heads, h / heads), with the gates of a head one below the other. Learned are the initial c and h. m starts at 0 and n
at 1, where the authors have n = 0 and a special case for 0 / 0. i, f and o share their scales.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, sigmoid, softplus
from rnn_capacity.cells.matrix_memory import check_heads
from rnn_capacity.checks import check_positive_int
from rnn_capacity.types import Array

GATES = ("gate", "gate", "z", "gate")  # of the scales


class SLSTMCarry(NamedTuple):
    c: Array
    n: Array
    m: Array
    h: Array


def initial_carry(params):
    c = params["c_0"]
    return SLSTMCarry(c=c, n=jnp.ones_like(c), m=jnp.zeros_like(c), h=params["h_0"])


def make(*, num_heads: int = 1) -> Cell:
    """An sLSTM whose recurrent matrices are diagonal in blocks, one for each head."""
    check_positive_int("num_heads", num_heads)

    def init(key, num_inputs, num_units, hparams):
        width = check_heads(num_units, num_heads)
        key_h, key_x, key_b = jax.random.split(key, 3)
        b_i, b_f, b_z, b_o = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 4)
        R = [initializers.recurrent(k, width, hparams, GATES) for k in jax.random.split(key_h, num_heads)]
        return {
            "R": R[0] if num_heads == 1 else jnp.stack(R),
            "W": initializers.rectangular(key_x, num_inputs, num_units, hparams, GATES),
            "b": jnp.concatenate([b_i, b_f + hparams["forget_bias"], b_z, b_o]),
            "c_0": jnp.zeros(num_units),
            "h_0": jnp.zeros(num_units),
        }

    def recurrent(R, h):
        """R h, gates outermost."""
        if num_heads == 1:
            return R @ h
        by_head = (R * h.reshape(num_heads, 1, -1)).sum(-1)
        return by_head.reshape(num_heads, 4, -1).swapaxes(0, 1).reshape(-1)

    def apply(params, carry, x, _):
        i, f, z, o = jnp.split(recurrent(params["R"], carry.h) + (params["W"] @ x + params["b"]), 4)
        log_f = carry.m - softplus(-f)  # log sigma(f), and m
        m = jax.lax.stop_gradient(jnp.maximum(log_f, i))
        i, f = jnp.exp(i - m), jnp.exp(log_f - m)
        c = f * carry.c + i * jnp.tanh(z)
        n = f * carry.n + i
        h = sigmoid(o) * c / n
        return SLSTMCarry(c, n, m, h), h

    name = "slstm" if num_heads == 1 else f"slstm H={num_heads}"
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",))


slstm = make()
