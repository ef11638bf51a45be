"""The initialisations of the paper's appendix A, each read from hparams so that it can be tuned without recompiling.

A name is a family and, behind an underscore, the gate it belongs to: `recurrent_scale_f`, `input_scale_f`, `bias_scale_f`.
Which kind of matrix or bias is used is traced as well: an index into RECURRENT_INITS or BIAS_INITS.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from rnn_capacity.types import Array, Hparams

RECURRENT_INITS = ("identity", "orthogonal", "normal")
BIAS_INITS = ("constant", "normal")


def recurrent(key: Array, num_units: int, hparams: Hparams, gates: Sequence[str] = ("",)) -> Array:
    """Square matrices of all gates, one below the other: (gates x num_units, num_units).

    Identity (never scaled), scale x orthogonal, or scale x normal / sqrt(num_units).
    """

    def one(key, gate):
        scale = hparams[_name("recurrent_scale", gate)]
        choices = [
            jnp.eye(num_units),
            scale * jax.random.orthogonal(key, num_units),
            scale * jax.random.normal(key, (num_units, num_units)) / num_units**0.5,
        ]
        return jnp.stack(choices)[jnp.asarray(hparams["recurrent_init"], int)]

    return _for_each(one, key, gates)


def rectangular(
    key: Array, num_inputs: int, num_units: int, hparams: Hparams, gates: Sequence[str] = ("",), family: str = "input_scale"
) -> Array:
    """Input matrices of all gates, (gates x num_units, num_inputs): scale x normal / sqrt(num_inputs)."""

    def one(key, gate):
        return hparams[_name(family, gate)] * jax.random.normal(key, (num_units, num_inputs)) / num_inputs**0.5

    return _for_each(one, key, gates)


def bias(key: Array, num_units: int, hparams: Hparams, gates: Sequence[str] = ("",)) -> Array:
    """Biases of all gates, (gates x num_units,): scale x 1, or scale x standard normal."""

    def one(key, gate):
        choices = jnp.stack([jnp.ones(num_units), jax.random.normal(key, (num_units,))])
        return hparams[_name("bias_scale", gate)] * choices[jnp.asarray(hparams["bias_init"], int)]

    return _for_each(one, key, gates)


def _name(family: str, gate: str) -> str:
    return f"{family}_{gate}" if gate else family


def _for_each(one, key, gates):
    return jnp.concatenate([one(k, gate) for k, gate in zip(jax.random.split(key, len(gates)), gates, strict=True)])
