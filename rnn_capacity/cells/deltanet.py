"""DeltaNet (Schlag, Irie, Schmidhuber 2021, arXiv 2102.11174; Yang et al. 2024, 2406.06484): a corrected memory.

    q, k, v = silu(W x + b)                    q and k then of length 1
    beta = sigma(W_beta x + b_beta)            a number a head
    S' = S + beta k (v - S^T k)^T
    y  = S'^T q

W_qk (2K H, i) stacked q, k, W_v (h, i), W_beta (H, i) for H heads and keys of K numbers, with biases, which are our
deviation (`matrix_memory.py`). The carry S is zero at the start and not trained. The official code divides y by the
root of K; here the readout's scale says how large it is. Nothing forgets by itself, so there is no forget bias. With
`make(negative=True)` beta is doubled, and what is written over may change its sign (Grazzi et al. 2024, 2411.12537).
"""

import jax

from rnn_capacity.cells import matrix_memory as memory
from rnn_capacity.cells.base import Cell, sigmoid, silu
from rnn_capacity.dimension import Range

QUICK = memory.WITHOUT_FORGETTING | {"input_scale_beta": Range(0.1, 0.8, log=True)}


def initial_carry(params):
    return memory.empty(params, len(params["b_beta"]))


def keys_and_values(params, x, num_heads):
    q, k, v = memory.qkv(params, x, num_heads)
    q, k = (memory.spread(memory.unit(silu(z)), len(v)) for z in (q, k))
    return q, k, silu(v)


def corrected(S, k, v, beta):
    """The memory after beta of what it says wrongly of k is put right."""
    return S + k * (memory.spread(beta, len(v)) * (v - memory.read(S, k)))


def init_with_beta(key, num_inputs, num_units, hparams, num_heads, key_width):
    key_qkv, key_beta = jax.random.split(key)
    W_beta, b_beta = memory.init_gate(key_beta, num_inputs, num_heads, hparams, "beta")
    params = memory.init_qkv(key_qkv, num_inputs, num_units, hparams, num_heads, key_width)
    return params | {"W_beta": W_beta, "b_beta": b_beta}


def make(*, num_heads: int = 1, key_width: int | None = None, negative: bool = False) -> Cell:
    """A DeltaNet with keys of `key_width` numbers a head, by default as many as values."""
    memory.check_sizes(num_heads, key_width)

    def init(key, num_inputs, num_units, hparams):
        return init_with_beta(key, num_inputs, num_units, hparams, num_heads, key_width)

    def apply(params, S, x, _):
        q, k, v = keys_and_values(params, x, num_heads)
        beta = (1 + negative) * sigmoid(params["W_beta"] @ x + params["b_beta"])
        S = corrected(S, k, v, beta)
        return S, memory.read(S, q)

    name = memory.named("deltanet", num_heads, key_width) + " negative" * negative
    return Cell(name, init, initial_carry, apply, nonlinearities=("tanh",), ranges={"quick": QUICK})


deltanet = make()
