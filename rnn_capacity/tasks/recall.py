"""Recall: one random vector is shown, and must be given back T steps later (Collins et al. 2017, Figure 2c).

It asks how much of an input a unit can carry. The components are independent and of variance 1, so the squared error
of a component is 1 where nothing is known of it, and a network that keeps n_h of n_in numbers has 1 - n_h / n_in.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rnn_capacity.checks import check_positive_int
from rnn_capacity.dimension import Range, Space
from rnn_capacity.tasks.base import DRAWN, Batch, DrawnTask, Source
from rnn_capacity.types import Array

BOUND = 3**0.5  # of a uniform component of variance 1


def line(num_units, num_inputs):
    """The paper's curve for the squared error: 1 - n_h / n_in with fewer units than inputs, 0 from there on.

    It takes numbers, or NumPy arrays that broadcast.

    >>> line(np.array([16, 48, 80]), 64).tolist()
    [0.75, 0.25, 0.0]
    """
    return np.maximum(0.0, 1.0 - np.divide(num_units, num_inputs))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recall(DrawnTask):
    """Recall of a vector of `num_inputs` numbers, each uniform in +-sqrt(3), drawn afresh for every example.

    `unroll` is T, the network's steps: the vector is shown at the first of them alone, the input is silent after it,
    and the output of the last should be the vector. So it is held over T - 1 further steps. The paper says "after 12
    time steps"; counting them so is our choice.

    Raises:
        InputError: a field that is no whole number of at least 1, by name.
    """

    name = "recall"
    measure = "squared_error"
    quick: ClassVar[Space] = {
        **DRAWN,
        "recurrent_scale": Range(0.9, 1.1),
        "input_scale": Range(0.1, 0.5, log=True),
        "forget_bias": Range(1.0, 4.0),
        "learning_rate": Range(0.004, 0.02, log=True),
    }

    num_inputs: int = 64  #: n_in, numbers of a vector
    unroll: int = 12  #: T

    def __post_init__(self):
        super().__post_init__()
        check_positive_int("num_inputs", self.num_inputs)

    @property
    def num_outputs(self) -> int:
        return self.num_inputs

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        """Vectors x_tib (1, num_inputs, b), which are the targets (num_inputs, b) too."""
        x_ib = jax.random.uniform(key, (self.num_inputs, num_examples), minval=-BOUND, maxval=BOUND)
        return Batch(x_ib[None], x_ib, jnp.ones(num_examples))

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """Squared error of each example, the mean over its components."""
        return jnp.mean((outputs_tob[-1] - batch.targets) ** 2, axis=0)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        return {"squared_error": jnp.average(self.loss(outputs_tob, batch), weights=batch.weights_b)}
