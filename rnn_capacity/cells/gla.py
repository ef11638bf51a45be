"""Gated linear attention, and with two switches linear attention and RetNet.

    q, k, v = W x + b
    S' = alpha * S + k v^T
    y  = S'^T q / sqrt(K)

- GLA (Yang et al. 2024, arXiv 2312.06635): alpha = sigma(W_alpha x + b_alpha + b_fg), a number for each of K keys and
  H heads. The authors take its 16th root, so that it forgets 16 times slower, and a W_alpha of rank 16; at our sizes
  and steps it is whole.
- Linear attention (Katharopoulos et al. 2020, 2006.16236): alpha = 1; q and k are made positive, elu + 1. Without the
  division by the sum of the weights, as today.
- RetNet (Sun et al. 2023, 2307.08621): alpha = 1 - 2^(-5 - head), fixed. Its rotation of q and k by the position is a
  rotation of S back at each step, by fixed angles, so that q and k do not depend on the carry.

W_qk (2K H, i) stacked q, k, W_v (h, i), W_alpha (K H, i), with biases; those of q, k, v are our deviation
(`matrix_memory.py`). The carry S is (K, h), zero at the start and not trained.
"""

import jax
import jax.numpy as jnp
import numpy as np

from rnn_capacity.cells import matrix_memory as memory
from rnn_capacity.cells.base import Cell, sigmoid, where
from rnn_capacity.checks import check_choice
from rnn_capacity.dimension import Range

NAMES = {"learned": "gla", "none": "linear attention", "fixed": "retnet"}
# Linear attention learns a few mappings worse than many: shown half of one a parameter most trials come to rest at a
# third of it. A search that goes up from a few stays there.
LINEAR_ATTENTION = {
    "input_scale_qk": Range(0.8, 3.2, log=True),
    "input_scale_v": Range(0.2, 0.8, log=True),
    "mappings_per_param": Range(0.5, 4.0, log=True),
}
QUICK = {
    "learned": memory.QUICK,
    "none": memory.WITHOUT_FORGETTING | LINEAR_ATTENTION,
    "fixed": memory.WITHOUT_FORGETTING,
}


def elu_plus_one(z):
    return where(z > 0, z + 1, jnp.exp(jnp.minimum(z, 0)))


def turned_back(key_width):
    """The rotation by -1 ... -1/10000 of pairs of keys, one of each half; an odd one out stays."""
    pairs = key_width // 2
    matrix, a = np.eye(key_width), np.arange(pairs)
    angle = 10_000.0 ** -np.linspace(0, 1, pairs)
    matrix[a, a] = matrix[a + pairs, a + pairs] = np.cos(angle)
    matrix[a, a + pairs], matrix[a + pairs, a] = np.sin(angle), -np.sin(angle)
    return matrix


def make(*, decay: str = "learned", num_heads: int = 1, key_width: int | None = None) -> Cell:
    """GLA, linear attention or RetNet, with keys of `key_width` numbers a head, by default as many as values.

    Args:
        decay: "learned" (GLA), "none" (linear attention), "fixed" (RetNet).
    """
    check_choice("decay", decay, tuple(NAMES))
    memory.check_sizes(num_heads, key_width)

    def init(key, num_inputs, num_units, hparams):
        key_qkv, key_alpha = jax.random.split(key)
        params = memory.init_qkv(key_qkv, num_inputs, num_units, hparams, num_heads, key_width)
        if decay != "learned":
            return params
        W, b = memory.init_gate(key_alpha, num_inputs, len(params["b_qk"]) // 2, hparams, "alpha")
        return params | {"W_alpha": W, "b_alpha": b + hparams["forget_bias"]}

    def initial_carry(params):
        return memory.empty(params, num_heads)

    def decayed(params, S, x):
        num_units = S.shape[1]
        if decay == "learned":
            alpha = sigmoid(params["W_alpha"] @ x + params["b_alpha"])
            return memory.spread(alpha.reshape(-1, num_heads), num_units) * S
        if decay == "fixed":
            kept = 1 - 2.0 ** (-5 - np.arange(num_heads))
            return memory.spread(jnp.asarray(kept, S.dtype), num_units) * (turned_back(len(S)).astype(S.dtype) @ S)
        return S

    def apply(params, S, x, _):
        q, k, v = memory.qkv(params, x, num_heads)
        if decay == "none":
            q, k = elu_plus_one(q), elu_plus_one(k)
        q, k = (memory.spread(z, len(v)) for z in (q / len(q) ** 0.5, k))
        S = decayed(params, S, x) + k * v
        return S, memory.read(S, q)

    name = memory.named(NAMES[decay], num_heads, key_width)
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",), ranges={"quick": QUICK[decay]})


gla = make()
linear_attention = make(decay="none")
retnet = make(decay="fixed")
