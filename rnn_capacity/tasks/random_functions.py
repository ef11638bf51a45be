"""Random continuous functions (RCF): N random points of a function, some worth more (Collins et al. 2017, Figure 3).

Point i = 1 .. N is a Gaussian vector in d dimensions, scaled to norm 1, and a standard normal target for it; in the
squared error it has the weight beta_i = (i + tau)^-1 / Z. The weights fall as a power law, so that a larger network,
which can hold more points, finds some that are still worth holding. What is asked is storage: training, validation and
evaluation read the same points.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_capacity.checks import InputError, check_choice, check_int, check_positive_int
from rnn_capacity.tasks.base import Batch, DrawnTask, Source, uniform_below
from rnn_capacity.types import Array

DRAW_BY = ("weight", "uniform")


class Data(NamedTuple):
    """The keys of a trial: the points follow from the first alone."""

    points: Array
    train: Array
    held_out: Array


class AliasTable(NamedTuple):
    """Numbers 0 .. N-1 with given probabilities, from two uniform ones (Walker 1977).

    A slot is drawn uniformly; it stands for itself with probability keep / 2^32, else for its alias.
    """

    keep: Array | np.ndarray  # uint32 [N]
    alias: Array | np.ndarray  # int32 [N]


def weights(num_points: int, tau: float) -> np.ndarray:
    """beta_1 .. beta_N, which sum to 1: float64 [N], at index i - 1 that of point i."""
    beta = 1 / (np.arange(1, num_points + 1) + tau)
    return beta / beta.sum()


def alias_table(probabilities: np.ndarray) -> AliasTable:
    """The table of probabilities [N] that are largest first; each comes out right to within 1e-7 of itself.

    An inverse of the cumulative sum would not do: float32 holds it to 6e-8, and the last of a million weights is 2e-7.
    Here a slot has its own threshold, in 32 bits, and its content is about 1. The slots that lack content are filled
    in order, each by one that has more than 1, until that one lacks content itself and is filled by the next. With
    the sums of what lacks and of what is over side by side, that is two searches instead of a loop.
    """
    content = probabilities * len(probabilities)
    num_givers = max(1, int(np.count_nonzero(content >= 1)))  # the first is one, whatever rounding says
    over = np.cumsum(content[:num_givers] - 1)
    lacks = np.concatenate([[0.0], np.cumsum(1 - content[num_givers:])])
    last = num_givers - 1
    # A giver's threshold is what it keeps once the slot that empties it is full; rounding can leave the last unemptied.
    emptied = np.minimum(np.searchsorted(lacks, over), len(lacks) - 1)
    keep = np.concatenate([1 - (lacks[emptied] - over), content[num_givers:]])
    giver = np.searchsorted(over, lacks[:-1], side="right")
    alias = np.minimum(np.concatenate([np.arange(1, num_givers + 1), giver]), last)
    keep[last] = 1.0
    return AliasTable(
        keep=np.clip(np.round(keep * 2.0**32), 0, 2**32 - 1).astype(np.uint32), alias=alias.astype(np.int32)
    )


def draw_from(table: AliasTable, key: Array, num_draws: int) -> Array:
    """Independent numbers with the table's probabilities: int32 [num_draws]."""
    key_slot, key_coin = jax.random.split(key)
    slot = uniform_below(key_slot, (num_draws,), len(table.keep))
    coin = jax.random.bits(key_coin, (num_draws,), jnp.uint32)
    return jnp.where(coin < table.keep[slot], slot, table.alias[slot])


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomFunctions(DrawnTask):
    """A random function of `num_points` points in `num_inputs` dimensions, read after `unroll` steps.

    The points are fixed during a trial and never stored: point i is made from the trial's key and i whenever it is
    drawn, so a trial takes no memory for them.

    `draw_by` says how batches are drawn, which the paper leaves open. By "weight" point i is drawn with probability
    beta_i and counted once: the mean is an unbiased estimate of the weighted loss. "uniform" draws each point alike
    and counts it N beta_i times: the mean, being a ratio, is right only for large batches, and at the paper's N and
    tau it is as noisy as one of a seventh of the examples.

    Raises:
        InputError: a field out of its range, by name.
    """

    name = "random_functions"
    measure = "squared_error"
    tunes = ("input_steps",)
    batch_size = 256

    num_points: int = 10**6  #: N
    num_inputs: int = 50  #: d, dimensions
    tau: float = 5000  #: how many of the first points have about the same weight
    unroll: int = 50  #: T; the point is shown at the first step, or at every one
    draw_by: str = "weight"  #: or "uniform"

    def __post_init__(self):
        super().__post_init__()
        check_positive_int("num_points", self.num_points)
        check_int("num_inputs", self.num_inputs, 2)  # on a line there are but two vectors of norm 1
        number = isinstance(self.tau, int | float | np.number) and not isinstance(self.tau, bool)
        if not number or not 0 <= self.tau < math.inf:
            raise InputError(f"tau: {self.tau!r} given; it must be a finite number of at least 0")
        check_choice("draw_by", self.draw_by, DRAW_BY)

    @property
    def num_outputs(self) -> int:
        return 1

    def shared(self) -> AliasTable | np.ndarray:
        """What indices are drawn from; where that is uniform, N beta_i instead, float32 [N]."""
        beta = weights(self.num_points, self.tau)
        return alias_table(beta) if self.draw_by == "weight" else (self.num_points * beta).astype(np.float32)

    def data(self, key: Array) -> Data:
        return Data(*jax.random.split(key, 3))

    def sample(self, data: Data, step: Array, batch_size: int | None, source: Source) -> Batch:
        assert batch_size is not None  # see check_batch_size
        return self._drawn(data.points, jax.random.fold_in(data.train, step), batch_size, source.shared)

    def examples(self, data: Data, source: Source) -> Batch:
        key = jax.random.fold_in(data.held_out, source.split)
        return self._drawn(data.points, key, self.num_held_out, source.shared)

    def points(self, key: Array, index_b: Array) -> tuple[Array, Array]:
        """Inputs (num_inputs, b) and targets (1, b) of the points of these indices, counted from 0."""
        keys_b = jax.vmap(jax.random.fold_in, (None, 0))(key, index_b)
        normal = jax.vmap(lambda key: jax.random.normal(key, (self.num_inputs + 1,)), out_axes=-1)(keys_b)
        direction_ib = normal[:-1]
        return direction_ib / jnp.linalg.norm(direction_ib, axis=0), normal[-1:]

    def _drawn(self, key_points: Array, key: Array, num_examples: int, shared: Any) -> Batch:
        if self.draw_by == "weight":
            index_b, weights_b = draw_from(shared, key, num_examples), jnp.ones(num_examples)
        else:
            index_b = uniform_below(key, (num_examples,), self.num_points)
            weights_b = shared[index_b]
        x_ib, y_ob = self.points(key_points, index_b)
        return Batch(x_ib[None], y_ob, weights_b)

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """Squared error of each example."""
        return (outputs_tob[-1, 0] - batch.targets[0]) ** 2

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        """The squared error, weighted by beta: 1 where nothing is known."""
        return {"squared_error": jnp.average(self.loss(outputs_tob, batch), weights=batch.weights_b)}
