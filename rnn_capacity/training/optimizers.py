"""The paper's optimizers, built from traced hparams."""

import functools

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


def optimizer(spec: Spec, hparams: Hparams, step: Array, fan_in: Array) -> optax.GradientTransformation:
    """The paper's optimizers, built from traced hparams, so that a new value never recompiles.

    L2 is part of the gradient, the norm of the whole is clipped, then SGD, momentum, RMSProp or Adam. The learning rate
    falls to `learning_rate_decay` of itself over the run, exponentially (the paper's), or to 0 along a cosine.

    Beyond the paper, and in its search space without effect: the rate rises over the first `learning_rate_warm_up` of
    the run; a matrix's steps are multiplied by (FAN_IN / its fan-in)^`fan_in_power`, as the more weights a unit has the
    further they move it together (Yang, Hu 2021); the rate times `weight_decay` of the weights is taken off beside the
    step, not in the gradient (Loshchilov, Hutter 2019).

    Args:
        step: how many steps were taken before this one.
        fan_in: of each weight of the vector that is trained, as `fan_ins` gives it.
    """
    progress = step / spec.train_steps
    risen = jnp.minimum((step + 1) / (hparams["learning_rate_warm_up"] * spec.train_steps + 1), 1)
    falls = {
        "exponential": lambda: hparams["learning_rate_decay"] ** progress,
        "cosine": lambda: 0.5 * (1 + jnp.cos(jnp.pi * progress)),
    }
    rate = hparams["learning_rate"] * spec.branch("schedule", hparams, lambda name: falls[name]()) * risen
    share = (FAN_IN / fan_in) ** hparams["fan_in_power"]
    return optax.chain(
        optax.add_decayed_weights(hparams["l2"]),
        optax.clip_by_global_norm(hparams["gradient_clip"]),
        _direction(spec, hparams),
        optax.stateless(lambda updates, _: updates * share),
        optax.add_decayed_weights(hparams["weight_decay"]),
        optax.scale_by_learning_rate(rate),
    )


def _direction(spec: Spec, hparams: Hparams) -> optax.GradientTransformation:
    """SGD, momentum, RMSProp or Adam; where several can be chosen each has its part of the state."""
    known = {
        "sgd": lambda: optax.identity(),
        "momentum": lambda: optax.trace(decay=jax.nn.sigmoid(hparams["momentum_logit"])),
        # Uncorrected, the first updates are several times the learning rate and throw the network into saturation: 2.4
        # bits per parameter for 4.0 (RNN, 991 parameters, 6000 steps).
        "rmsprop": lambda: optax.scale_by_rms(decay=hparams["squared_gradient_decay"], bias_correction=True),
        "adam": lambda: optax.scale_by_adam(),
    }
    each = [known[name]() for name in spec.branches("optimizer")]
    if len(each) == 1:
        return each[0]

    def update(gradient, states, params):
        def take(n):
            direction, state = each[n].update(gradient, states[n], params)
            return direction, (*states[:n], state, *states[n + 1 :])

        chosen = hparams["optimizer"].astype(jnp.int32)
        return jax.lax.switch(chosen, [functools.partial(take, n) for n in range(len(each))])

    return optax.GradientTransformation(lambda params: tuple(one.init(params) for one in each), update)


def fan_ins(params: Params) -> Array:
    """Of each weight, as one vector: how many weights its unit has in a matrix; FAN_IN for what is no matrix."""
    each = lambda a: jnp.full(a.shape, a.shape[-1] if a.ndim > 1 else FAN_IN, float)
    return ravel_pytree(jax.tree.map(each, params))[0]
