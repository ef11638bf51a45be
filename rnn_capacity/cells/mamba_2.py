"""Mamba-2 (Dao, Gu 2024, arXiv 2405.21060): a matrix memory that decays by a scalar, and whose step scales the write.

    v  = W_v x + b_v,   C, B = W_qk x + b_qk   in the place of q and k, the same for all heads
    D  = softplus(W_d x + b_d - b_fg)          the step in time, a number a head
    S' = exp(-D exp(log_a)) * S + B (D v)^T
    y  = S'^T C + skip * v

W_v (h, i), W_qk (2N, i) stacked C, B, W_d (H, i) for H heads; log_a and skip (H,). The carry S is (N, h), zero at the
start and not trained. The biases b_v, b_qk are our deviation (`matrix_memory.py`). log_a starts at log 1..H,
where the authors draw from log 1 to log 16; skip at 1. A small D keeps, so the forget bias is subtracted.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import matrix_memory as memory
from rnn_capacity.cells.base import Cell, softplus


def initial_carry(params):
    return memory.empty(params, 1)


def apply(params, S, x, _):
    C, B, v = memory.qkv(params, x, 1)
    D = softplus(params["W_d"] @ x + params["b_d"])
    decay = jnp.exp(-D * jnp.exp(params["log_a"]))
    per_unit = lambda z: memory.spread(z, len(v))
    S = per_unit(decay) * S + B * (per_unit(D) * v)
    return S, memory.read(S, C) + per_unit(params["skip"]) * v


def make(*, num_heads: int = 1, state_size: int | None = None) -> Cell:
    """A Mamba-2 with N = state_size, by default as many as units, and heads that share B and C."""
    memory.check_sizes(num_heads, state_size, "state_size")

    def init(key, num_inputs, num_units, hparams):
        key_qkv, key_d = jax.random.split(key)
        memory.check_heads(num_units, num_heads)
        W_d, b_d = memory.init_gate(key_d, num_inputs, num_heads, hparams, "d")
        return memory.init_qkv(key_qkv, num_inputs, num_units, hparams, 1, state_size) | {
            "W_d": W_d,
            "b_d": b_d - hparams["forget_bias"],
            "log_a": jnp.log(jnp.arange(1.0, num_heads + 1)),
            "skip": jnp.ones(num_heads),
        }

    name = memory.named("mamba-2", num_heads, state_size).replace("K=", "N=")
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",), ranges={"quick": memory.QUICK})


mamba_2 = make()
