"""One trial at a time in JAX as one would plainly write it: a jitted train step, called from a Python loop.

It is also what every other way is checked against. For those whose equations differ from the project's it has theirs: a
GRU whose reset acts after the product ("gru_after", of Flax and PyTorch), and an initial carry of zeros where the
weights have none. Weights are (in, out), h is (batch, units), the input is dense in time.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from problem import CLIP, DECAY, LEARNING_RATE, TRAIN_STEPS


def rnn_step(params, h, x):
    h = jnp.tanh(h @ params["W_h"] + x @ params["W_x"] + params["b"])
    return h, h


def gru_step(params, h, x):
    x_r, x_u, x_c = jnp.split(x @ params["W_x"] + params["b"], 3, axis=-1)
    h_r, h_u = jnp.split(h @ params["W_h"], 2, axis=-1)
    r, u = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_u + h_u)
    c = jnp.tanh(x_c + (r * h) @ params["W_ch"])
    h = u * h + (1 - u) * c
    return h, h


def gru_after_step(params, h, x):
    x_r, x_u, x_c = jnp.split(x @ params["W_x"] + params["b"], 3, axis=-1)
    h_r, h_u = jnp.split(h @ params["W_h"], 2, axis=-1)
    r, u = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_u + h_u)
    c = jnp.tanh(x_c + r * (h @ params["W_ch"] + params.get("b_c", 0.0)))
    h = u * h + (1 - u) * c
    return h, h


def lstm_step(params, carry, x):
    c, h = carry
    i, f, g, o = jnp.split(h @ params["W_h"] + x @ params["W_x"] + params["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


STEPS = {"rnn": rnn_step, "gru": gru_step, "gru_after": gru_after_step, "lstm": lstm_step}


def initial_carry(cell, params, batch):
    num_units = params["W_h"].shape[0]
    start = lambda name: jnp.broadcast_to(params.get(name, jnp.zeros(num_units)), (batch, num_units))
    return (start("c_0"), start("h_0")) if cell == "lstm" else start("h_0")


def loss(cell, params, x_tbi, labels_b):
    y = x_tbi
    for layer in params["layers"]:
        step = functools.partial(STEPS[cell], layer)
        _, y = jax.lax.scan(step, initial_carry(cell, layer, y.shape[1]), y)
    logits_b = (y[-1] @ params["readout"]["W"] + params["readout"]["b"])[:, 0]
    return optax.sigmoid_binary_cross_entropy(logits_b, labels_b).mean()


def optimizer():
    rate = optax.cosine_decay_schedule(LEARNING_RATE, TRAIN_STEPS)
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.rmsprop(rate, decay=DECAY, bias_correction=True))


@functools.partial(jax.jit, static_argnames="cell")
def train_step(cell, params, optimizer_state, x_tbi, labels_b):
    value, gradient = jax.value_and_grad(functools.partial(loss, cell))(params, x_tbi, labels_b)
    updates, optimizer_state = optimizer().update(gradient, optimizer_state)
    return optax.apply_updates(params, updates), optimizer_state, value


class PlainJax:
    """One trial, trained from its beginning at each call; `cell` says whose equations, where not the project's."""

    def __init__(self, problem, trial, cell=None):
        self.cell = cell or problem.cell
        self.params = jax.tree.map(lambda a: jnp.asarray(a.T), trial.params)
        x_bi = jnp.asarray(trial.x_ib.T)
        self.x_tbi = jnp.zeros((problem.unroll, *x_bi.shape)).at[0].set(x_bi)
        self.labels_b = jnp.asarray(trial.labels_b)

    def losses(self, num_steps):
        """Before each step."""
        params, optimizer_state, losses = self.params, optimizer().init(self.params), []
        for _ in range(num_steps):
            params, optimizer_state, value = train_step(self.cell, params, optimizer_state, self.x_tbi, self.labels_b)
            losses.append(value)
        return jax.block_until_ready(losses)
