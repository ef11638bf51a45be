"""Frozen protocols: everything that decides a measurement but the cell, and a digest of it that names the results."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from rnn_capacity.cells import Cell, initializers
from rnn_capacity.checks import check_choice
from rnn_capacity.measure.question import Question
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.studies.plan import Plan

DIGITS = 8  # of a digest
OF_ALL = {
    "depth": 1,
    "space": "quick",
    "hparams": None,
    "sampler": "gp",
    "halving": None,
    "seed": 0,  # one for all, so that nobody looks for a lucky one
    "precision": "highest",
}
REPEATS = 8  # each on data and weights of its own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured of every cell alike.

    A protocol never changes: one that differs in anything has another name. Its `digest` also covers what its fields
    stand for, so that an edit of a default, of a task or of the search space shows, even where nobody meant it.
    """

    name: str
    question: str  #: a name of `QUESTIONS`
    text: str  #: what is asked, in a sentence
    config: Mapping[str, Any]  #: every field of the question's config but the cell
    num_trials: int
    num_repeats: int = REPEATS
    score: str  #: the field of the result that is of the best trial; the repeats are of the same
    unit: str
    sign: int  #: 1 where more is better, -1 where less is
    resolution: float  #: a difference that means nothing

    @property
    def asked(self) -> Question:
        """The question."""
        return QUESTIONS[self.question]

    @property
    def fields(self) -> dict[str, Any]:
        """The protocol as plain JSON, as entries have it."""
        return json.loads(json.dumps({**self.config, "num_trials": self.num_trials, "num_repeats": self.num_repeats}))

    def plan(self, cell: Cell) -> Plan:
        """Of the one study that it has of a cell."""
        (study,) = self.asked.config(cell=cell, **self.config).studies()
        return study.plan()

    @functools.cached_property
    def digest(self) -> str:
        """Of the fields, and of all that they come to for a cell that reads an hparam of every family."""
        settings = self.plan(PROBE).settings()
        known = json.dumps([self.question, self.score, self.fields, settings], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()[:DIGITS]

    @property
    def version(self) -> str:
        """The name of the folder of its entries."""
        return f"{self.name}-{self.digest}"


def _probe_init(key, num_inputs, num_units, hparams):
    return {
        "W_h": initializers.recurrent(key, num_units, hparams),
        "W_x": initializers.rectangular(key, num_inputs, num_units, hparams),
        "b": initializers.bias(key, num_units, hparams) + hparams["forget_bias"],
        "h_0": jnp.zeros(num_units),
    }


def _probe_apply(params, h, x, nonlinearity):
    h = nonlinearity(params["W_h"] @ h + params["W_x"] @ x + params["b"])
    return h, h


PROBE = Cell("probe", _probe_init, lambda params: params["h_0"], _probe_apply)


def _capacity(num_params: int) -> Protocol:
    sizes = {"num_params": num_params, "num_inputs": 20, "unroll": 5}
    return Protocol(
        name=f"capacity-{num_params}-v1",
        question="capacity",
        text=f"How many bits do {num_params} parameters store, each?",
        config=OF_ALL | sizes | {"train_steps": 10_000, "batch_size": 4096},
        num_trials=24,
        score="bits_per_param",
        unit="bits per parameter",
        sign=1,
        resolution=0.005,
    )


RECALL = Protocol(
    name="recall-64-v1",
    question="recall",
    text="Shown 64 random numbers, what of them do 32 units give back 12 steps later?",
    config=OF_ALL | {"num_units": 32, "num_inputs": 64, "unroll": 12, "train_steps": 4_000, "batch_size": 64},
    num_trials=12,
    score="error",
    unit="squared error",
    sign=-1,
    resolution=0.002,
)
ASSOCIATION = Protocol(
    name="association-v1",
    question="association",
    text="Shown 8 pairs of a key and a value, for how many keys do 32 units find the value?",
    config=OF_ALL
    | {"num_pairs": 8, "num_units": 32, "num_keys": 32, "num_values": 8, "unroll": 16}
    | {"train_steps": 4_000, "batch_size": 64},
    num_trials=12,
    score="accuracy",
    unit="fraction of values right",
    sign=1,
    resolution=0.002,
)
TRAINABILITY = Protocol(
    name="trainability-parens-v1",
    question="trainability",
    text="How well do 1000 parameters learn to count two types of bracket in two streams over 20 steps?",
    config=OF_ALL
    | {"task": "parentheses", "task_fields": {"num_types": 2, "num_noise": 2, "noise_fraction": 0.5, "max_count": 9}}
    | {"num_params": 1000, "unroll": 20, "train_steps": 2_000, "batch_size": 64},
    num_trials=24,
    score="loss",
    unit="cross entropy, nats",
    sign=-1,
    resolution=0.002,
)
PROTOCOLS: dict[str, Protocol] = {
    p.name: p for p in (_capacity(500), _capacity(1000), RECALL, ASSOCIATION, TRAINABILITY)
}


def protocol_of(name: Any) -> Protocol:
    """A protocol by its name.

    Raises:
        InputError: there is none.
    """
    return PROTOCOLS[check_choice("protocol", name, tuple(PROTOCOLS))]
