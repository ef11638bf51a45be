"""The paper's optimizers, built from traced hparams."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from rnn_capacity.model.spec import Spec
from rnn_capacity.types import Array, Hparams, Params

FAN_IN = 20.0  # of a matrix that has the learning rate itself: the first, of the paper's capacity task

HPARAM_NAMES = (
    "learning_rate",
    "learning_rate_decay",
    "momentum_logit",
    "squared_gradient_decay",
    "gradient_clip",
    "l2",
    "learning_rate_warm_up",
    "weight_decay",
    "fan_in_power",
)  # read by training itself; cells and tasks read others


def optimizer(spec: Spec, hparams: Hparams, fan_in: Array) -> optax.GradientTransformation:
    """The paper's optimizers, built from traced hparams, so that a new value never recompiles.

    L2 is part of the gradient, the norm of the whole is clipped, then SGD, momentum, RMSProp or Adam. The learning rate
    falls to `learning_rate_decay` of itself over the run, exponentially (the paper's), or to 0 along a cosine.

    Beyond the paper, and in its search space without effect: the rate rises over the first `learning_rate_warm_up` of
    the run; a matrix's steps are multiplied by (FAN_IN / its fan-in)^`fan_in_power`, as the more weights a unit has the
    further they move it together (Yang, Hu 2021); the rate times `weight_decay` of the weights is taken off beside the
    step, not in the gradient (Loshchilov, Hutter 2019).

    Args:
        fan_in: of each weight of the vector that is trained, as `fan_ins` gives it.
    """
    progress = lambda step: step / spec.train_steps
    risen = lambda step: jnp.minimum((step + 1) / (hparams["learning_rate_warm_up"] * spec.train_steps + 1), 1)
    if spec.schedule == "exponential":
        fallen = lambda step: hparams["learning_rate_decay"] ** progress(step)
    else:
        fallen = lambda step: 0.5 * (1 + jnp.cos(jnp.pi * progress(step)))
    schedule = lambda step: hparams["learning_rate"] * fallen(step) * risen(step)
    share = (FAN_IN / fan_in) ** hparams["fan_in_power"]
    direction = {
        "sgd": lambda: optax.identity(),
        "momentum": lambda: optax.trace(decay=jax.nn.sigmoid(hparams["momentum_logit"])),
        # Uncorrected, the first updates are several times the learning rate and throw the network into saturation: 2.4
        # bits per parameter for 4.0 (RNN, 991 parameters, 6000 steps).
        "rmsprop": lambda: optax.scale_by_rms(decay=hparams["squared_gradient_decay"], bias_correction=True),
        "adam": lambda: optax.scale_by_adam(),
    }[spec.optimizer]
    return optax.chain(
        optax.add_decayed_weights(hparams["l2"]),
        optax.clip_by_global_norm(hparams["gradient_clip"]),
        direction(),
        optax.stateless(lambda updates, _: updates * share),
        optax.add_decayed_weights(hparams["weight_decay"]),
        optax.scale_by_learning_rate(schedule),
    )


def fan_ins(params: Params) -> Array:
    """Of each weight, as one vector: how many weights its unit has in a matrix; FAN_IN for what is no matrix."""
    each = lambda a: jnp.full(a.shape, a.shape[-1] if a.ndim > 1 else FAN_IN, float)
    return ravel_pytree(jax.tree.map(each, params))[0]
