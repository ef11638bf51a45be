"""S6, the selective state space of Mamba (Gu, Dao 2023, arXiv 2312.00752): h channels of N linear states each.

    u  = W_u x + b_u
    d, B, C = W_s u + b_s                      of d and of b_s what belongs to B and C alone
    D  = softplus(W_d d + b_d - b_fg)          the step in time of each channel
    S' = exp(-D exp(log_a)) * S + (D * u) B^T
    y  = S'^T C + skip * u

W_u (h, i), W_s (R + 2N, h) stacked d, B, C, with R = h / 16 rounded up, W_d (h, R); b_s (2N,) is our deviation, so
that silent steps are read (`matrix_memory.py`). log_a (N h,) starts at log 1..N for each channel; skip (h,) at 1. The
carry S is (N, h), zero at the start and not trained. A small D keeps, so the forget bias is subtracted; the authors
draw D from 0.001 to 0.1, which in 5 steps would write next to nothing. N is 4 here and 16 in print.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import Cell, softplus
from rnn_capacity.cells.matrix_memory import QUICK
from rnn_capacity.checks import check_positive_int

STATE_SIZE = 4
CHANNELS_A_RANK = 16
RANGES = {"quick": {**QUICK, "bias_scale_d": 1.0}}  # D spread over a decade, as the authors' is


def initial_carry(params):
    return jnp.zeros((len(params["b_s"]) // 2, len(params["skip"])), params["skip"].dtype)


def apply(params, S, x, _):
    state_size, rank = len(S), params["W_d"].shape[1]
    u = params["W_u"] @ x + params["b_u"] if "W_u" in params else x
    d, B, C = jnp.split(params["W_s"] @ u, (rank, rank + state_size))
    b_B, b_C = jnp.split(params["b_s"], 2)
    D = softplus(params["W_d"] @ d + params["b_d"])
    A = -jnp.exp(params["log_a"]).reshape(S.shape)
    S = jnp.exp(D * A) * S + (B + b_B)[:, None] * (D * u)
    return S, (S * (C + b_C)[:, None]).sum(0) + params["skip"] * u


def make(*, state_size: int = STATE_SIZE, rank: int | None = None, project: bool = True) -> Cell:
    """An S6.

    Args:
        state_size: N, states a channel.
        rank: R; None: a sixteenth of the units, rounded up.
        project: False: u is x where it has as many numbers as there are units.
    """
    check_positive_int("state_size", state_size)
    if rank is not None:
        check_positive_int("rank", rank)

    def init(key, num_inputs, num_units, hparams):
        key_u, key_s, key_d, key_b_u, key_b_s, key_b_d = jax.random.split(key, 6)
        R = rank or -(-num_units // CHANNELS_A_RANK)
        params = {}
        if project or num_inputs != num_units:
            params["W_u"] = initializers.rectangular(key_u, num_inputs, num_units, hparams, ("u",))
            params["b_u"] = initializers.bias(key_b_u, num_units, hparams, ("u",))
        return params | {
            "W_s": initializers.rectangular(key_s, num_units, R + 2 * state_size, hparams, ("s",)),
            "b_s": initializers.bias(key_b_s, 2 * state_size, hparams, ("s",)),
            "W_d": initializers.rectangular(key_d, R, num_units, hparams, ("d",)),
            "b_d": initializers.bias(key_b_d, num_units, hparams, ("d",)) - hparams["forget_bias"],
            "log_a": jnp.repeat(jnp.log(jnp.arange(1.0, state_size + 1)), num_units),
            "skip": jnp.ones(num_units),
        }

    name = "s6" if state_size == STATE_SIZE else f"s6 N={state_size}"
    name += (f" R={rank}" if rank else "") + ("" if project else " unprojected")
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",), ranges=RANGES)


s6 = make()
