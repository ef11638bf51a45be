"""What every way of `speed.py` trains: memorization of 512 random labels, full batch, by RMSProp.

An example is n_in bits, shown at the first of T steps, with silence after; the label is read at the last. The
gradient's norm is clipped, the learning rate falls along a cosine. n_in is 20, or the most that leaves the budget a
unit.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np
from machine import middle_trials

from rnn_capacity.measure.capacity import CapacityConfig, CapacityPlan
from rnn_capacity.model import layout
from rnn_capacity.studies.plan import find_cell
from rnn_capacity.training import program

NUM_EXAMPLES = 512
INPUTS = range(20, NUM_EXAMPLES.bit_length() - 2, -1)  # n_in: the first that fits; fewer bits repeat examples
LEARNING_RATE, DECAY, CLIP, TRAIN_STEPS = 0.001, 0.97, 1.0, 10_000
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
MOST_TRIALS = {"cpu": 64}  # at once, where a step of them is quick; elsewhere 512
STEP_OPERATIONS, STEP_BYTES = 1.2e10, 16 * 2**30  # at most of a step of all trials: on a CPU, on an accelerator
KEPT = 8  # floats that a unit keeps of a step for the gradient, each gate


ALL = 2**30  # mappings a step, of however many


class Trial(NamedTuple):
    """One network and its data, NumPy: weights as the cells name them, examples last."""

    params: Any
    x_ib: np.ndarray
    labels_b: np.ndarray


@dataclasses.dataclass(frozen=True)
class Problem:
    """A row of the table.

    Args:
        budget: number of parameters, at most.
        unroll: T, steps in time.
    """

    cell: str
    budget: int
    unroll: int
    depth: int

    @functools.cached_property
    def plan(self) -> CapacityPlan:
        fits = lambda i: layout.num_params(find_cell(self.cell), num_inputs=i, num_units=1, depth=self.depth)
        num_inputs = next((i for i in INPUTS if fits(i) <= self.budget), INPUTS[-1])
        make = functools.partial(
            capacity_plan, self.cell, self.budget, depth=self.depth, unroll=self.unroll, num_inputs=num_inputs
        )
        return make(mappings_per_param=NUM_EXAMPLES / make(mappings_per_param=1.0).num_params)

    @property
    def sizes(self) -> dict[str, Any]:
        """What a program in another process is told of the problem."""
        return {
            "cell": self.cell,
            "unroll": self.unroll,
            "depth": self.depth,
            "units": self.plan.num_units,
            "inputs": self.plan.task.num_inputs,
        }

    @property
    def operations(self) -> int:
        """Of a trial's step in matrix products: forward, the weights' gradient, and back in time.

        The input is there at one step and needs no gradient; layers above the first have inputs at all steps.
        """
        units, inputs, above = self.plan.num_units, self.plan.task.num_inputs, self.depth - 1
        recurrent = self.depth * units * (3 * self.unroll - 1)
        return 2 * NUM_EXAMPLES * GATES[self.cell] * units * (recurrent + 2 * inputs + above * units * 3 * self.unroll)

    def num_trials(self, devices) -> int:
        """How many to train at once: many, unless a step of them all would take long, or not fit."""
        platform = devices[0].platform
        if platform == "cpu":
            limit, least = STEP_OPERATIONS / self.operations, 2 * len(devices)
        else:
            floats = KEPT * GATES[self.cell] * self.plan.num_units * NUM_EXAMPLES * self.unroll * self.depth
            limit, least = STEP_BYTES / (4 * floats), len(devices)
        most = max(least, min(MOST_TRIALS.get(platform, 512), 2 ** int(math.log2(max(1, limit)))))
        return -(-most // len(devices)) * len(devices)


def capacity_plan(cell, budget, *, depth, unroll, num_inputs, mappings_per_param) -> CapacityPlan:
    """A capacity study as `measure_capacity` would run it."""
    hparams = {"learning_rate": LEARNING_RATE, "squared_gradient_decay": DECAY, "gradient_clip": CLIP}
    hparams |= {"learning_rate_warm_up": 0.0, "weight_decay": 0.0, "fan_in_power": 0.0}  # as the other ways do
    return CapacityConfig(
        cell=cell,
        num_params=budget,
        depth=depth,
        unroll=unroll,
        num_inputs=num_inputs,
        train_steps=TRAIN_STEPS,
        batch_size=ALL,
        hparams=hparams | {"mappings_per_param": mappings_per_param},
        sampler="random",
    ).plan()


def planned_trials(plan, num_trials):
    """What a `TrialProgram` is given: spec, hparams [K], keys [K]."""
    spec, hparams, keys = middle_trials(plan, num_trials)
    return program.in_blocks(spec, jax.devices()), hparams, keys
