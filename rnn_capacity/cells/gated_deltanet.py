"""Gated DeltaNet (Yang, Kautz, Hatamizadeh 2025, arXiv 2412.06464): a DeltaNet whose memory decays first.

    q, k, v = silu(W x + b)                    q and k then of length 1
    beta  = sigma(W_beta x + b_beta)           a number a head
    alpha = exp(-exp(log_a) softplus(W_d x + b_d - b_fg))
    S' = alpha S + beta k (v - (alpha S)^T k)^T
    y  = S'^T q

All as in `deltanet.py`, and W_d (H, i), b_d and log_a (H,) for H heads. log_a starts at log 1..H, where the authors
draw from 0 to 16 before the logarithm. A small step keeps, so the forget bias is subtracted.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import matrix_memory as memory
from rnn_capacity.cells.base import Cell, sigmoid, softplus
from rnn_capacity.cells.deltanet import corrected, init_with_beta, initial_carry, keys_and_values


def apply(params, S, x, _):
    q, k, v = keys_and_values(params, x, len(params["b_beta"]))
    beta = sigmoid(params["W_beta"] @ x + params["b_beta"])
    alpha = jnp.exp(-jnp.exp(params["log_a"]) * softplus(params["W_d"] @ x + params["b_d"]))
    S = corrected(memory.spread(alpha, len(v)) * S, k, v, beta)
    return S, memory.read(S, q)


def make(*, num_heads: int = 1, key_width: int | None = None) -> Cell:
    """A Gated DeltaNet with keys of `key_width` numbers a head, by default as many as values."""
    memory.check_sizes(num_heads, key_width)

    def init(key, num_inputs, num_units, hparams):
        key_delta, key_d = jax.random.split(key)
        W_d, b_d = memory.init_gate(key_d, num_inputs, num_heads, hparams, "d")
        return init_with_beta(key_delta, num_inputs, num_units, hparams, num_heads, key_width) | {
            "W_d": W_d,
            "b_d": b_d - hparams["forget_bias"],
            "log_a": jnp.log(jnp.arange(1.0, num_heads + 1)),
        }

    name = memory.named("gated deltanet", num_heads, key_width)
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",), ranges={"quick": memory.QUICK})


gated_deltanet = make()
