"""What every module shares: the static Spec, the traced Hparams, the Outcome of a trial.

Shape suffixes, lower case, are used in names throughout: t time, b batch, i inputs, h units, o outputs, k trials.
Examples are always the last axis (`h_hb`, not `h_bh`): a small matrix product then has the long axis contiguous, which
is what makes it fast on a CPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from rnn_capacity.checks import check_choice, check_positive_int

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

    task: Array  #: which data
    network: Array  #: which initial weights


class Outcome(NamedTuple):
    """What a trial gave: scalars, or arrays [K] for K trials."""

    loss: Mapping[str, Array]  #: by split, one of `tasks.SPLITS`: the task's loss, a mean over examples, after training
    score: Mapping[str, Mapping[str, Array]]  #: by split: the task's own measures, of the trained network
    untrained_score: Mapping[str, Array]  #: the same of the network as initialised, on the validation split: chance
    feasible: Array  #: False where training diverged


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """All that is static about a trial: hashable, compiled once.

    Raises:
        InputError: a field out of its range, by name, before anything is compiled.
    """

    cell: Cell
    task: Task
    num_units: int  #: of each layer
    train_steps: int  #: gradient steps
    depth: int = 1  #: layers
    #: "first": after an example of fewer steps than T is silence; "every": its last step is repeated to the end
    input_steps: str = "first"
    nonlinearity: str = "tanh"
    optimizer: str = "rmsprop"
    schedule: str = "cosine"  #: of the learning rate, over the run
    batch_size: int | None = None  #: examples a step; None: all there are
    block_size: int | None = None  #: examples worked on at a time; None: what suits the backend
    programs: tuple[str, ...] = ()  #: digests of a user's own cell and task: what is edited is compiled again
    precision: str = "highest"  #: of matrix products; accelerators round float32 unless told otherwise

    def __post_init__(self):
        for field in ("num_units", "train_steps", "depth"):
            check_positive_int(field, getattr(self, field))
        for field in ("batch_size", "block_size"):
            if getattr(self, field) is not None:
                check_positive_int(field, getattr(self, field))
        self.task.check_batch_size(self.batch_size)
        check_choice("nonlinearity", self.nonlinearity, NONLINEARITY_NAMES)
        check_choice("input_steps", self.input_steps, INPUT_STEPS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)

    @property
    def sizes(self) -> dict[str, int]:
        """What decides the shapes of the weights."""
        sizes = {"num_inputs": self.task.num_inputs, "num_outputs": self.task.num_outputs}
        return sizes | {"num_units": self.num_units, "depth": self.depth}


class Trial(NamedTuple):
    """A trial of a study, ready to be trained."""

    number: int  #: in the study, from 0
    values: Mapping[str, Any]  #: what was proposed, by dimension of the search space: plain numbers and names
    spec: Spec  #: what is static of them
    hparams: Mapping[str, float]  #: what is traced, by name
    keys: Keys  #: where its draws come from
