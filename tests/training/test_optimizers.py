"""The optimizers' rules in NumPy, and gradients of blocks of examples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import evaluate, flatten, make_hparams, make_keys, make_spec, noisy, train_step
from small_trials import RNN

from rnn_capacity.cells import CELLS
from rnn_capacity.model import network
from rnn_capacity.model.spec import OPTIMIZERS
from rnn_capacity.tasks.base import Source
from rnn_capacity.training import steps

RUN = 5  # steps
FAN_IN = np.array([3] * 9 + [4] * 12 + [20] * 6 + [3] * 3 + [20])  # of W_h, W_x, b and h_0, and of the readout


@functools.cache
def _problem():
    """Weights, data, and the gradient of the loss at any weights, all float64."""
    spec = make_spec(RNN, num_units=3, num_inputs=4, unroll=1, train_steps=RUN)
    data = spec.task.data(make_keys().task)
    params = noisy(network.init(jax.random.key(0), spec, make_hparams(RNN)))
    with jax.enable_x64(True):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        _, unflatten = jax.flatten_util.ravel_pytree(params)
        gradient = jax.jit(jax.grad(lambda flat: evaluate(spec, data, unflatten(flat), {"num_mappings": 9})[0]))
    return params, data, gradient


def _reference_run(optimizer, schedule, hparams, weights, gradient, fan_in):
    """The update rules in NumPy, from the papers that they are from."""
    velocity, square, first, second = (np.zeros_like(weights) for _ in range(4))
    momentum = 1 / (1 + np.exp(-hparams["momentum_logit"]))
    decay = hparams["squared_gradient_decay"]
    for step in range(RUN):
        g = np.asarray(gradient(weights)) + hparams["l2"] * weights
        norm = np.sqrt((g**2).sum())
        if norm > hparams["gradient_clip"]:
            g = g * hparams["gradient_clip"] / norm
        if optimizer == "momentum":
            velocity = momentum * velocity + g
            g = velocity
        elif optimizer == "rmsprop":
            square = decay * square + (1 - decay) * g**2
            g = g / np.sqrt(square / (1 - decay ** (step + 1)) + 1e-8)
        elif optimizer == "adam":
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g**2
            g = (first / (1 - 0.9 ** (step + 1))) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        if schedule == "exponential":
            rate = hparams["learning_rate"] * hparams["learning_rate_decay"] ** (step / RUN)
        else:
            rate = hparams["learning_rate"] * (1 + np.cos(np.pi * step / RUN)) / 2
        rate = rate * min(1, (step + 1) / (hparams["learning_rate_warm_up"] * RUN + 1))
        weights = weights - rate * (g * (20 / fan_in) ** hparams["fan_in_power"] + hparams["weight_decay"] * weights)
    return weights


@pytest.mark.parametrize(
    ("optimizer", "schedule"), [(optimizer, "exponential") for optimizer in OPTIMIZERS] + [("adam", "cosine")]
)
def test_an_optimizer_equals_its_rule_in_numpy(optimizer, schedule):
    params, data, gradient = _problem()
    spec = make_spec(RNN, num_units=3, num_inputs=4, unroll=1, train_steps=RUN, optimizer=optimizer, schedule=schedule)
    with jax.enable_x64(True):
        base = make_hparams(
            RNN,
            learning_rate=0.05,
            learning_rate_decay=0.02,
            num_mappings=9,
            l2=0.0,
            gradient_clip=1e3,
        )
        beyond = {"learning_rate_warm_up": 0.5, "weight_decay": 0.4, "fan_in_power": 0.7}
        step = jax.jit(functools.partial(train_step, spec, ()))
        start, results = flatten(params), []
        for changed in ({}, {"l2": 0.1}, {"gradient_clip": 0.1, "l2": 0.1}, {"momentum_logit": 0.5}, beyond):
            hparams = base | {name: np.float64(value) for name, value in changed.items()}
            state = steps.before_training(spec, hparams, params)
            for n in range(RUN):
                state = step(data, n, hparams, state)
            expected = _reference_run(optimizer, schedule, hparams, start, gradient, FAN_IN)
            results.append(flatten(state.params))
            np.testing.assert_allclose(results[-1], expected, rtol=1e-6, atol=1e-7)
            assert bool(state.feasible)
    differs = [np.abs(result - results[0]).max() > 1e-4 for result in results]
    _moved, with_l2, clipped, other_momentum, with_what_is_beyond = differs
    assert np.abs(results[0] - start).max() > 1e-2
    assert with_l2
    assert with_what_is_beyond
    assert clipped or optimizer == "adam"
    assert other_momentum == (optimizer == "momentum")


def test_blocks_of_examples_change_neither_loss_nor_gradient_nor_score():
    specs = [make_spec(CELLS["ugrnn"], max_mappings=16, unroll=2, block_size=size) for size in (None, 4)]
    data = specs[0].task.data(make_keys().task)

    def both(spec, params, hparams):
        batch = spec.task.examples(data, Source(0, (), hparams))
        return steps.loss_and_gradient(spec, hparams, params, batch), evaluate(spec, data, params, hparams)

    whole, in_blocks = (jax.jit(functools.partial(both, spec)) for spec in specs)
    params = noisy(network.init(jax.random.key(0), specs[0], make_hparams(specs[0].cell)))
    for num_mappings in (3, 8, 13, 16):
        hparams = {"num_mappings": np.float32(num_mappings)}
        blocks = flatten(in_blocks(params, hparams))
        np.testing.assert_allclose(blocks, flatten(whole(params, hparams)), rtol=1e-5, atol=1e-6)
