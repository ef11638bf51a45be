"""RG-LRU, the recurrence of Griffin, Hawk and RecurrentGemma (De et al. 2024, arXiv 2402.19427): a gated linear vector.

    u  = W_u x + b_u
    r  = sigma(W_r u + b_r - b_fg)
    i  = sigma(W_i u + b_i)
    a  = exp(-8 r softplus(lambda))
    h' = a * h + sqrt(1 - a^2) * i * u

W_u (h, i); those of the gates are stacked r, i: W (2h, h), b (2h,); lambda (h,). r forgets, so the forget bias is
subtracted. At r = 1, a^2 starts uniform between the square of `radius` and 1, as the paper words it; the authors' code
has the eighth root there. Their code also erases the carry at the first step: here it is h_0, learned. The square
root's slope is bounded, as in their code.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import WIDER_RATE, Cell, h_0, inverse_softplus, sigmoid, softplus
from rnn_capacity.dimension import Range

GATES = ("r", "i")
SHARPNESS = 8  # the paper's c
LEAST = 2.5e-7  # of 1 - a^2: below, the slope of its root would exceed 1000

RANGES = {
    "quick": {"learning_rate": WIDER_RATE, "radius": Range(0.3, 0.95)},
    "paper": {"radius": Range(0.0, 0.99)},
}


def apply(params, h, x, _):
    u = params["W_u"] @ x + params["b_u"] if "W_u" in params else x
    r, i = jnp.split(sigmoid(params["W"] @ u + params["b"]), 2)
    log_a = -SHARPNESS * r * softplus(params["lambda"])
    write = jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_a), LEAST)) * i * u
    h = jnp.exp(log_a) * h + write
    return h, h


def make(*, project: bool = True) -> Cell:
    """An RG-LRU; with `project=False` u is x where it has as many numbers as there are units."""

    def init(key, num_inputs, num_units, hparams):
        key_u, key_b_u, key_w, key_b, key_a = jax.random.split(key, 5)
        b_r, b_i = jnp.split(initializers.bias(key_b, num_units, hparams, GATES), 2)
        lowest = hparams["radius"] ** 2
        a_squared = lowest + (1 - lowest) * jax.random.uniform(key_a, (num_units,), minval=0.001, maxval=0.999)
        params = {}
        if project or num_inputs != num_units:
            params["W_u"] = initializers.rectangular(key_u, num_inputs, num_units, hparams, ("u",))
            params["b_u"] = initializers.bias(key_b_u, num_units, hparams, ("u",))
        return params | {
            "W": initializers.rectangular(key_w, num_units, num_units, hparams, GATES),
            "b": jnp.concatenate([b_r - hparams["forget_bias"], b_i]),
            "lambda": inverse_softplus(-jnp.log(a_squared) / (2 * SHARPNESS)),
            "h_0": jnp.zeros(num_units),
        }

    name = "rg-lru" if project else "rg-lru unprojected"
    return Cell(name, init, h_0, apply, nonlinearities=("tanh",), ranges=RANGES)


rg_lru = make()
