"""The initialisations of the paper's appendix A, each read from hparams so that it can be tuned without recompiling.

A name is a family and, behind an underscore, the gate it belongs to: `recurrent_scale_f`, `bias_scale_f`. Which kind of
matrix or bias is used is traced as well: an index into RECURRENT_INITS or BIAS_INITS.
"""

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
    key_orthogonal, key_normal = jax.random.split(key)
    shape = (len(gates), num_units, num_units)
    scale = _scales("recurrent_scale", gates, hparams)[:, None, None]
    choices = [
        jnp.broadcast_to(jnp.eye(num_units), shape),
        scale * _orthogonal(key_orthogonal, shape),
        scale * jax.random.normal(key_normal, shape) / num_units**0.5,
    ]
    return _chosen(choices, hparams["recurrent_init"]).reshape(-1, num_units)


def rectangular(
    key: Array, num_inputs: int, num_units: int, hparams: Hparams, gates: Sequence[str] = ("",), family="input_scale"
) -> Array:
    """Matrices of all gates, (gates x num_units, num_inputs): scale x normal / sqrt(num_inputs)."""
    scale = _scales(family, gates, hparams)[:, None, None]
    normal = jax.random.normal(key, (len(gates), num_units, num_inputs))
    return (scale * normal / num_inputs**0.5).reshape(-1, num_inputs)


def bias(key: Array, num_units: int, hparams: Hparams, gates: Sequence[str] = ("",)) -> Array:
    """Biases of all gates, (gates x num_units,): scale x 1, or scale x standard normal."""
    shape = (len(gates), num_units)
    scale = _scales("bias_scale", gates, hparams)[:, None]
    return (scale * _chosen([jnp.ones(shape), jax.random.normal(key, shape)], hparams["bias_init"])).reshape(-1)


def _orthogonal(key: Array, shape: tuple[int, int, int]) -> Array:
    """As `jax.random.orthogonal`, to the bit, but one matrix after the other.

    Several at once, from some 80 units on, are decomposed by threads that a CPU's devices share, and each device waits
    for threads that the other holds, forever (seen with JAX 0.10.2, two devices, three matrices of 80 x 80).
    """
    q, r = jax.lax.map(jnp.linalg.qr, jax.random.normal(key, shape))
    sign = jnp.sign(jnp.diagonal(r, axis1=-2, axis2=-1))
    return q * sign[:, None, :]


def _scales(family: str, gates: Sequence[str], hparams: Hparams) -> Array:
    return jnp.stack([jnp.asarray(hparams[f"{family}_{gate}" if gate else family], float) for gate in gates])


def _chosen(choices: Sequence[Array], index: Array) -> Array:
    return jnp.stack(choices)[jnp.asarray(index, int)]
