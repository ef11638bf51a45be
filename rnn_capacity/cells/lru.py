"""LRU, the linear recurrent unit (Orvieto et al. 2023, arXiv 2303.06349): a diagonal of complex numbers.

    h' = lambda * h + gamma * (B x)            complex, lambda = exp(-exp(nu) + j exp(theta)), gamma = exp(log_gamma)
    y  = s(Re(C h') + b)

Complex numbers are two real ones: the carry (2h,) and B (2h, i) are real parts above imaginary ones, C (h, 2h) is [Re
C, -Im C]. The square of lambda's modulus starts uniform between the square of `radius` and 1, its angle between 0 and
`phase`, and gamma at the root of what the first lacks to 1; all are trained freely from there. Our deviation: s and b.
Without s a single layer with its readout is one linear map of x, of i + 1 effective parameters whatever its units; the
official blocks have their nonlinearity there. There is no D x.
"""

import jax
import jax.numpy as jnp

from rnn_capacity.cells import initializers
from rnn_capacity.cells.base import WIDER_RATE, Cell, h_0
from rnn_capacity.dimension import Range


def init(key, num_inputs, num_units, hparams):
    key_x, key_c, key_b, key_radius, key_phase = jax.random.split(key, 5)
    uniform = lambda key: jax.random.uniform(key, (num_units,), minval=0.001, maxval=0.999)  # no logarithm of 0
    lowest = hparams["radius"] ** 2
    squared = lowest + (1 - lowest) * uniform(key_radius)
    return {
        "nu": jnp.log(-0.5 * jnp.log(squared)),
        "theta": jnp.log(hparams["phase"] * uniform(key_phase)),
        "log_gamma": 0.5 * jnp.log1p(-squared),
        "B": initializers.rectangular(key_x, num_inputs, 2 * num_units, hparams),
        "C": initializers.rectangular(key_c, 2 * num_units, num_units, hparams, ("c",)),
        "b": initializers.bias(key_b, num_units, hparams),
        "h_0": jnp.zeros(2 * num_units),
    }


def apply(params, h, x, s):
    modulus, angle = jnp.exp(-jnp.exp(params["nu"])), jnp.exp(params["theta"])
    a, b = modulus * jnp.cos(angle), modulus * jnp.sin(angle)
    re, im = jnp.split(h, 2)
    gamma = jnp.tile(jnp.exp(params["log_gamma"]), 2)
    h = jnp.concatenate([a * re - b * im, b * re + a * im]) + gamma * (params["B"] @ x)
    return h, s(params["C"] @ h + params["b"])


RANGES = {
    "quick": {"learning_rate": WIDER_RATE, "radius": Range(0.3, 0.95), "phase": Range(0.1, 6.28, log=True)},
    "paper": {"radius": Range(0.0, 0.99), "phase": Range(0.01, 6.28, log=True)},
}

lru = Cell("lru", init, h_0, apply, ranges=RANGES)
