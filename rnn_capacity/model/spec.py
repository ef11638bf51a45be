"""All that is static about a trial."""

from __future__ import annotations

import dataclasses

from rnn_capacity.cells.base import Cell
from rnn_capacity.checks import check_choice, check_positive_int
from rnn_capacity.tasks.base import Task

NONLINEARITY_NAMES = ("tanh", "relu")
INPUT_STEPS = ("first", "every")
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
SCHEDULES = ("exponential", "cosine")
PRECISIONS = ("default", "high", "highest")


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
