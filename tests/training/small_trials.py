"""Four trials that differ in everything, of a network that trains in a moment."""

import jax
import numpy as np
from helpers import make_hparams, make_keys, make_spec

from rnn_capacity.cells import CELLS
from rnn_capacity.training import program

RNN = CELLS["rnn"]


def small_spec(cell=RNN, **fields):
    defaults = {
        "num_units": 4,
        "num_inputs": 5,
        "unroll": 2,
        "train_steps": 120,
        "max_mappings": 14,
        "nonlinearity": "relu",
    }
    return make_spec(cell, **(defaults | fields))


def train_on(num_devices, spec, hparams, keys, **kwargs):
    return program.advance(spec, hparams, keys, devices=jax.devices()[:num_devices], **kwargs)[0]


def take(tree, *index):
    return jax.tree.map(lambda a: a[np.array(index)], tree)


def four_trials():
    """Trials that differ in everything: hparams, data, weights."""
    spread = np.linspace(0.5, 1.5, 4, dtype=np.float32)
    num_mappings = np.float32([6, 9, 11, 14])
    hparams = make_hparams(RNN, 4, learning_rate=0.03 * spread, num_mappings=num_mappings, input_scale=spread)
    return hparams, make_keys(4)
