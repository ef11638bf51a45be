"""A protocol of moments, and the file of a cell as a user would write it."""

import hashlib
import json

from tiny import TINY

from rnn_capacity.information import confidence_interval
from rnn_capacity.leaderboard.protocols import OF_ALL, Protocol

CONFIG = {name: value for name, value in TINY.items() if name not in ("num_trials", "num_repeats")}
PROTOCOL = Protocol(
    name="capacity-tiny-v1",
    question="capacity",
    text="How many bits do 60 parameters store, each?",
    config={**OF_ALL, **CONFIG, "batch_size": 4096, "sampler": "random"},
    num_trials=4,
    num_repeats=5,
    score="bits_per_param",
    unit="bits per parameter",
    sign=1,
    resolution=0.005,
)
CELL = '''"""A leaky cell."""
import pathlib

import jax
import jax.numpy as jnp

import rnn_capacity
from rnn_capacity.cells import initializers

pathlib.Path("RAN").touch()


def init(key, num_inputs, num_units, hparams):
    key_h, key_x = jax.random.split(key)
    return {
        "W_h": initializers.recurrent(key_h, num_units, hparams),
        "W_x": initializers.rectangular(key_x, num_inputs, num_units, hparams),
        "h_0": jnp.zeros(num_units),
    }


def apply(params, h, x, nonlinearity):
    h = 0.5 * h + 0.5 * nonlinearity(params["W_h"] @ h + params["W_x"] @ x)
    return h, h


cell = rnn_capacity.Cell("leaky", init, lambda params: params["h_0"], apply)
'''


def edit(path, **fields):
    """Changes fields of an entry; a dot leads into an object."""
    known = json.loads(path.read_text(encoding="utf-8"))
    for name, value in fields.items():
        *parents, last = name.split("__")
        of = known
        for parent in parents:
            of = of[parent]
        of[last] = value
    path.write_text(json.dumps(known), encoding="utf-8")
    return path


def invent_repeats(path, factor):
    """Better repeats, with the interval that such have."""
    repeats = [factor * value for value in json.loads(path.read_text())["result"]["repeats"]]
    return edit(path, result__repeats=repeats, result__interval=list(confidence_interval(repeats)))


def invent_best(path, score):
    """A better best, in the table of trials too, and with its digest."""
    known, table = json.loads(path.read_text()), path.with_suffix(".csv")
    text = table.read_text().replace(repr(known["result"]["bits_per_param"]), repr(score))
    table.write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return edit(path, result__bits_per_param=score, trials_digest=digest)
