"""All that is static about a trial, and how a program branches on what is not."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_capacity.cells.base import Cell
from rnn_capacity.checks import InputError, check_choice, check_positive_int
from rnn_capacity.dimension import options
from rnn_capacity.tasks.base import Task
from rnn_capacity.types import Hparams

NONLINEARITY_NAMES = ("tanh", "relu")
INPUT_STEPS = ("first", "every")
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
SCHEDULES = ("exponential", "cosine")
# What a program can branch on: a trial's choice is an hparam, so a study that searches them is one program.
BRANCHES = {
    "nonlinearity": NONLINEARITY_NAMES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "input_steps": INPUT_STEPS,
}
PRECISIONS = ("default", "high", "highest", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """All that is static about a trial: hashable, compiled once.

    A field of `BRANCHES` is a name, or several: which of them holds for a trial is then its hparam of that name, an
    index into them.

    Raises:
        InputError: a field out of its range, by name, before anything is compiled.
    """

    cell: Cell
    task: Task
    num_units: int  #: of each layer
    train_steps: int  #: gradient steps
    depth: int = 1  #: layers
    #: "first": after an example of fewer steps than T is silence; "every": its last step is repeated to the end
    input_steps: str | tuple[str, ...] = "first"
    nonlinearity: str | tuple[str, ...] = "tanh"
    optimizer: str | tuple[str, ...] = "rmsprop"
    schedule: str | tuple[str, ...] = "cosine"  #: of the learning rate, over the run
    batch_size: int | None = None  #: examples a step; None: all there are
    block_size: int | None = None  #: examples worked on at a time; None: what suits the backend
    #: where steps of time are scanned, compute the inside of each again for its gradient; None: what suits the backend
    recompute: bool | None = None
    programs: tuple[str, ...] = ()  #: digests of a user's own cell and task: what is edited is compiled again
    #: of matrix products, which accelerators round unless told otherwise; bfloat16: all but the weights in training
    precision: str = "highest"
    rounded: bool = False  #: also score the trained weights as stored in fewer bits (`formats.ROUNDED`)

    def __post_init__(self):
        for field in ("num_units", "train_steps", "depth"):
            check_positive_int(field, getattr(self, field))
        for field in ("batch_size", "block_size"):
            if getattr(self, field) is not None:
                check_positive_int(field, getattr(self, field))
        self.task.check_batch_size(self.batch_size)
        for field, known in BRANCHES.items():
            given = options(getattr(self, field))
            if not given or not isinstance(given, tuple):
                raise InputError(f"{field}: {given!r} given; it must be one or several of {', '.join(known)}")
            for name in given:
                check_choice(field, name, known)
        check_choice("precision", self.precision, PRECISIONS)

    @property
    def sizes(self) -> dict[str, int]:
        """What decides the shapes of the weights."""
        sizes = {"num_inputs": self.task.num_inputs, "num_outputs": self.task.num_outputs}
        return sizes | {"num_units": self.num_units, "depth": self.depth}

    def branches(self, field: str) -> tuple[str, ...]:
        """The names among which a trial may choose."""
        return tuple(options(getattr(self, field)))

    @property
    def chosen(self) -> tuple[str, ...]:
        """The fields of which a trial's hparams say the name."""
        return tuple(field for field in BRANCHES if len(self.branches(field)) > 1)

    def branch(self, field: str, hparams: Hparams, values: Callable[[str], Any]) -> Any:
        """Of a value for each name the one that holds for a trial; all are computed where there are several.

        Args:
            values: name -> an array, all of one shape and dtype, or with a single name anything.
        """
        first, *others = map(values, self.branches(field))
        return jax.lax.select_n(hparams[field].astype(jnp.int32), first, *others) if others else first
