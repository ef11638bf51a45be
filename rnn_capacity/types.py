"""What every module shares: the static Spec, the traced Hparams, the Outcome of a trial, and the checks of bad input.

Shape suffixes, lower case, are used in names throughout: t time, b batch, i inputs, h units, o outputs, k trials.
Examples are always the last axis (`h_hb`, not `h_bh`): a small matrix product then has the long axis contiguous, which
is what makes it fast on a CPU.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

if TYPE_CHECKING:
    from rnn_capacity.cells.base import Cell
    from rnn_capacity.tasks.base import Task

Array = jax.Array
Params = Any  # a pytree of weights
Carry = Any  # a pytree: what a cell hands from one step to the next
Hparams = Mapping[str, Array]  # name -> traced scalar; with a leading axis [K] for K trials

NONLINEARITY_NAMES = ("tanh", "relu")
INPUT_STEPS = ("first", "every")
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
SCHEDULES = ("exponential", "cosine")
PRECISIONS = ("default", "high", "highest")


class Keys(NamedTuple):
    """The two sources of chance in a trial, apart so that one can be fixed (the paper fixes the task's)."""

    task: Array  # which data
    network: Array  # which initial weights


class Outcome(NamedTuple):
    """What a trial gave: scalars, or arrays [K] for K trials."""

    loss: Array  # nats an example, over the whole data set, after training
    score: Mapping[str, Array]  # the task's own measures, of the trained network
    untrained_score: Mapping[str, Array]  # the same of the network as initialised: the chance level
    feasible: Array  # False where training diverged


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """All that is static about a trial: hashable, compiled once.

    Raises:
        ValueError: a field out of its range, by name, before anything is compiled.
    """

    cell: Cell
    task: Task
    num_units: int
    num_inputs: int
    train_steps: int
    max_mappings: int  # data sets are padded to this many examples; an hparam says how many are real
    depth: int = 1
    num_outputs: int = 1
    unroll: int = 5  # T, steps in time
    input_steps: str = "first"  # the example is shown at the first step only, or at every step
    nonlinearity: str = "tanh"
    optimizer: str = "rmsprop"
    schedule: str = "cosine"  # of the learning rate, over the run
    batch_size: int | None = None  # None: the whole data set at every step
    block_size: int | None = None  # examples worked on at a time; None: what suits the backend
    precision: str = "highest"  # of matrix products; accelerators round float32 unless told otherwise

    def __post_init__(self):
        for field in ("num_units", "num_inputs", "train_steps", "max_mappings", "depth", "num_outputs", "unroll"):
            check_positive_int(field, getattr(self, field))
        for field in ("batch_size", "block_size"):
            if getattr(self, field) is not None:
                check_positive_int(field, getattr(self, field))
        if self.batch_size is not None and self.batch_size * self.max_mappings >= 2**32:
            most = (2**32 - 1) // self.max_mappings
            raise ValueError(
                f"batch_size: {self.batch_size} given; it must be at most {most}, or None for all mappings"
            )
        check_choice("nonlinearity", self.nonlinearity, NONLINEARITY_NAMES)
        check_choice("input_steps", self.input_steps, INPUT_STEPS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)


def check_int(field: str, value: Any, least: int) -> int:
    """The value as an int of at least so much, or a ValueError that names the field."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{field}: {value!r} given; it must be a whole number of at least {least}")
    return number


def check_positive_int(field: str, value: Any) -> int:
    """The value as an int of at least 1, or a ValueError that names the field."""
    return check_int(field, value, 1)


def check_choice(field: str, value: Any, choices: Sequence[str]) -> Any:
    """The value if it is one of the choices, or a ValueError that names the field and lists them."""
    if value not in choices:
        raise ValueError(f"{field}: {value!r} given; it must be one of {', '.join(map(repr, choices))}")
    return value
