"""mLSTM (Beck et al. 2024, arXiv 2405.04517): a matrix memory with exponential gates and a normaliser.

    q, k, v = W x + b                          k divided by the root of its width K
    i^, f^ = 15 tanh((W_if x + b_if) / 15)     b_f + b_fg
    m' = max(log sigma(f^) + m, i^)            only a scale: y does not depend on it
    i, f = exp(i^ - m'), exp(log sigma(f^) + m - m')
    S' = f S + i k v^T
    n' = f n + i k
    y  = sigma(W_o x + b_o) * S'^T q / max(|n' q|, exp(-m'))

W_qk (2K H, i) stacked q, k, W_v (h, i), W_if (2H, i), W_o (h, i), for H heads, with biases. The carry (S, n, m) is zero
at the start and not trained. As in xLSTM-7B the gates see x and are capped, so that exp(-m') cannot overflow, and the
output is gated. The biases of q, k, v are the authors' own here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_capacity.cells import matrix_memory as memory
from rnn_capacity.cells.base import Cell, sigmoid, softplus
from rnn_capacity.types import Array

CAP = 15.0


class MLSTMCarry(NamedTuple):
    S: Array
    n: Array
    m: Array


def initial_carry(params):
    num_heads = len(params["b_if"]) // 2
    S = memory.empty(params, num_heads)
    return MLSTMCarry(S, n=S[:, :num_heads], m=S[0, :num_heads])


def apply(params, carry, x, _):
    num_heads = len(carry.m)
    q, k, v = memory.qkv(params, x, num_heads)
    k = k / len(k) ** 0.5
    i, f = jnp.split(CAP * jnp.tanh((params["W_if"] @ x + params["b_if"]) / CAP), 2)
    o = sigmoid(params["W_o"] @ x + params["b_o"])
    log_f = carry.m - softplus(-f)  # log sigma(f), and m
    m = jax.lax.stop_gradient(jnp.maximum(log_f, i))
    i, f = jnp.exp(i - m), jnp.exp(log_f - m)
    per_unit = lambda z: memory.spread(z, len(v))
    S = per_unit(f) * carry.S + per_unit(k) * (per_unit(i) * v)
    n = f * carry.n + i * k
    scale = jnp.maximum(jnp.abs((n * q).sum(0)), jnp.exp(-m))
    y = memory.read(S, per_unit(q)) / per_unit(scale)
    return MLSTMCarry(S, n, m), o * y


def make(*, num_heads: int = 1, key_width: int | None = None) -> Cell:
    """An mLSTM with keys of `key_width` numbers a head, by default as many as values."""
    memory.check_sizes(num_heads, key_width)

    def init(key, num_inputs, num_units, hparams):
        key_qkv, key_if, key_o = jax.random.split(key, 3)
        W_if, b_if = memory.init_gate(key_if, num_inputs, 2 * num_heads, hparams, "gate")
        W_o, b_o = memory.init_gate(key_o, num_inputs, num_units, hparams, "o")
        return memory.init_qkv(key_qkv, num_inputs, num_units, hparams, num_heads, key_width) | {
            "W_if": W_if,
            "b_if": b_if.at[num_heads:].add(hparams["forget_bias"]),
            "W_o": W_o,
            "b_o": b_o,
        }

    name = memory.named("mlstm", num_heads, key_width)
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",), ranges={"quick": memory.QUICK})


mlstm = make()
