"""A small task of every kind of the package, and one written as a user would write it."""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import SMALL_TASKS, make_spec

from rnn_capacity.cells import CELLS
from rnn_capacity.tasks import Batch, DrawnTask, Source
from rnn_capacity.types import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adding(DrawnTask):
    """The adding problem (Hochreiter and Schmidhuber 1997): numbers, two of them marked, whose sum is asked for.

    Both of the last two steps are to say it. Examples whose marks are far apart count double.
    """

    name: ClassVar[str] = "adding"
    measure: ClassVar[str] = "worst"
    hparam_names: ClassVar[tuple[str, ...]] = ("largest",)
    batch_size: ClassVar[int] = 20
    num_inputs: ClassVar[int] = 2
    num_outputs: ClassVar[int] = 1
    read_steps: ClassVar[int] = 2

    unroll: int = 17
    low: float = 0.0

    def shared(self):
        return {"steps": np.arange(self.unroll, dtype=np.int32)}

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        key_numbers, key_marks = jax.random.split(key)
        shape = (self.unroll, num_examples)
        number_tb = jax.random.uniform(key_numbers, shape, minval=self.low, maxval=source.hparams["largest"])
        place_tb = jnp.argsort(jax.random.uniform(key_marks, shape), axis=0)
        mark_tb = (place_tb < 2).astype(float)
        distance_b = jnp.abs(jnp.einsum("t,tb->b", source.shared["steps"], jnp.where(place_tb == 0, 1, 0)))
        weights_b = jnp.where(distance_b > self.unroll // 2, 2.0, 1.0)
        return Batch(jnp.stack([number_tb, mark_tb], axis=1), {"sum": (number_tb * mark_tb).sum(axis=0)}, weights_b)

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        return jnp.mean((outputs_tob[:, 0] - batch.targets["sum"]) ** 2, axis=0)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        return {"worst": jnp.abs(outputs_tob[:, 0] - batch.targets["sum"]).max()}


ALL = SMALL_TASKS | {"adding": Adding(num_held_out=8)}
DRAWN = {name: task for name, task in ALL.items() if isinstance(task, DrawnTask)}
every_task = pytest.mark.parametrize("task", ALL.values(), ids=ALL.keys())
every_drawn_task = pytest.mark.parametrize("task", DRAWN.values(), ids=DRAWN.keys())
HPARAMS = {"num_mappings": 12.0, "compute_steps": 2.0, "largest": 1.0}  # each is read by one of the tasks
BATCH = 4


def task_batch_size(task):
    return None if task.one_set else BATCH


@functools.cache
def shared(task):
    return jax.device_put(task.shared())


def spec_of(task, cell=CELLS["rnn"], **fields):
    defaults = {"num_units": 3, "train_steps": 2, "batch_size": task_batch_size(task)}
    return make_spec(cell, task=task, **(defaults | fields))
