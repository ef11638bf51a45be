"""One trial at a time in Flax as its users would write it: `nn.RNN` layers, a jitted train step, optax.

Its initial carries are zeros and not learned, and its GRU has the reset act after the product, with a bias of its own
inside it; the work of a step is otherwise the project's. `reference` says the same to plain JAX.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from ways import plain_jax

CELLS = {"rnn": nn.SimpleCell, "gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}
GATES = {"rnn": ("",), "gru": ("r", "z", "n"), "lstm": ("i", "f", "g", "o")}


class Network(nn.Module):
    cell: str
    num_units: int
    depth: int

    @nn.compact
    def __call__(self, x_bti):
        for _ in range(self.depth):
            x_bti = nn.RNN(CELLS[self.cell](self.num_units))(x_bti)
        return nn.Dense(1)(x_bti[:, -1])[:, 0]


@functools.partial(jax.jit, static_argnames="network")
def train_step(network, params, optimizer_state, x_bti, labels_b):
    def loss(params):
        return optax.sigmoid_binary_cross_entropy(network.apply(params, x_bti), labels_b).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    updates, optimizer_state = plain_jax.optimizer().update(gradient, optimizer_state)
    return optax.apply_updates(params, updates), optimizer_state, value


class FlaxRNN:
    """One trial, trained from its beginning at each call."""

    def __init__(self, problem, trial):
        self.network = Network(problem.cell, problem.plan.num_units, problem.depth)
        layers = [to_flax(problem.cell, layer) for layer in trial.params["layers"]]
        readout = {"kernel": trial.params["readout"]["W"].T, "bias": trial.params["readout"]["b"]}
        names = [f"{CELLS[problem.cell].__name__}_{n}" for n in range(problem.depth)]
        params = dict(zip(names, layers, strict=True)) | {"Dense_0": readout}
        self.params = jax.tree.map(jnp.asarray, {"params": params})
        x_bi = jnp.asarray(trial.x_ib.T)
        self.x_bti = jnp.zeros((len(x_bi), problem.unroll, x_bi.shape[1])).at[:, 0].set(x_bi)
        self.labels_b = jnp.asarray(trial.labels_b)

    def losses(self, num_steps):
        """Before each step."""
        params, optimizer_state, losses = self.params, plain_jax.optimizer().init(self.params), []
        for _ in range(num_steps):
            step = (self.network, params, optimizer_state, self.x_bti, self.labels_b)
            params, optimizer_state, value = train_step(*step)
            losses.append(value)
        return jax.block_until_ready(losses)


def to_flax(cell, layer):
    """The project's weights of a layer, under the names of Flax's cells."""
    if cell == "rnn":
        return {"i": {"kernel": layer["W_x"].T, "bias": layer["b"]}, "h": {"kernel": layer["W_h"].T}}
    W_h = np.concatenate([layer["W_h"], layer["W_ch"]]) if cell == "gru" else layer["W_h"]
    params, gates = {}, GATES[cell]
    for gate, w_h, w_x, b in zip(
        gates, *(np.split(a, len(gates)) for a in (W_h, layer["W_x"], layer["b"])), strict=True
    ):
        bias_at = "h" if cell == "lstm" else "i"
        params[f"i{gate}"], params[f"h{gate}"] = {"kernel": w_x.T}, {"kernel": w_h.T}
        params[f"{bias_at}{gate}"]["bias"] = b
    if cell == "gru":
        params["hn"]["bias"] = np.zeros_like(b)
    return params


def reference(problem, trial):
    """Plain JAX with Flax's equations."""
    layers = [{name: a for name, a in layer.items() if not name.endswith("_0")} for layer in trial.params["layers"]]
    if problem.cell == "gru":
        layers = [layer | {"b_c": np.zeros(len(layer["W_ch"]), np.float32)} for layer in layers]
    trial = trial._replace(params=trial.params | {"layers": layers})
    return plain_jax.PlainJax(problem, trial, "gru_after" if problem.cell == "gru" else None)
