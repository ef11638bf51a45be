"""What a task is: pure functions that make examples on the device from a key, and judge a network's outputs.

A task is a frozen dataclass: its fields are what is static about it, so that two tasks of equal fields compile once.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.dimension import Dimension, Range, Space
from rnn_capacity.types import Array, Hparams

SPLITS = ("train", "valid", "eval")  # the tuner sees the second; the third is what is reported

# The quick space where batches are drawn: smaller steps than those of a full batch, and Adam's.
DRAWN: dict[str, Dimension] = {
    "optimizer": "adam",
    "recurrent_init": "orthogonal",
    "recurrent_scale": Range(0.7, 1.2),
    "input_scale": Range(0.3, 1.5, log=True),
    "readout_scale": Range(0.5, 1.5),
    "forget_bias": Range(0.0, 3.0),
    "learning_rate": Range(0.005, 0.03, log=True),
}


class Batch(NamedTuple):
    """Examples, on the last axis of every array."""

    x_tib: (
        Array  #: inputs (T or fewer, num_inputs, b) of the first steps; where they are one-hot, of a small integer type
    )
    targets: Any  #: what `loss` and `score` judge by: a tree of arrays [..., b]
    weights_b: Array  #: (b,), of each example in the mean loss; 0 for padding, which comes last


class Source(NamedTuple):
    """What a draw depends on apart from its key."""

    split: Array  #: which of SPLITS, as an index
    shared: Any  #: what `Task.shared` gave, on the device
    hparams: Hparams  #: those that the task reads


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A task, for one trial; like a cell it is written for one trial on one device.

    It says `num_inputs` and `num_outputs`, as fields, class variables or properties. Most draw their examples afresh:
    see `DrawnTask`.
    """

    name: ClassVar[str]  #: in tables and studies
    measure: ClassVar[str]  #: the entry of `score` that people look at
    dimensions: ClassVar[Mapping[str, Dimension]] = {}  #: hparams that the task itself reads: a Range, or fixed numbers
    quick: ClassVar[Space] = DRAWN  #: what the quick space tunes otherwise than `search/ranges.py` says
    tunes: ClassVar[tuple[str, ...]] = ()  #: dimensions of those of `ranges.OF_SOME_TASKS` that have a meaning here
    batch_size: ClassVar[int | None] = None  #: examples a step, unless the user says otherwise; None: all there are
    one_set: ClassVar[bool] = False  #: training, validation and evaluation are the same examples
    located_by: ClassVar[tuple[str, ...]] = ()  #: fields that say where its data are, and not which they are

    unroll: int  #: T, steps in time

    if TYPE_CHECKING:

        @property
        def num_inputs(self) -> int: ...

        @property
        def num_outputs(self) -> int: ...

    @property
    def read_steps(self) -> int:
        """The last steps, whose outputs are judged."""
        return 1

    @property
    def hparam_names(self) -> tuple[str, ...]:
        """Those that the task itself reads."""
        return tuple(self.dimensions)

    @property
    def kind(self) -> str:
        """Its name, with a part of its own where one name stands for several kinds of data."""
        return self.name

    @property
    def label(self) -> str:
        """Its kind, for tables, with where its data are."""
        return self.kind

    def digest(self) -> str | None:
        """What tells data from outside apart, so that no study goes on with other data; None: there is none."""
        return None

    def __post_init__(self):
        for field in dataclasses.fields(self):  # a number from NumPy would not go into a study's store
            if isinstance(value := getattr(self, field.name), np.generic):
                object.__setattr__(self, field.name, value.item())
        check_positive_int("unroll", self.unroll)

    def check_batch_size(self, batch_size: int | None) -> None:
        """Refuses a batch size that the task cannot give.

        Raises:
            InputError: such a one; says what would be right.
        """

    def shared(self) -> Any:
        """NumPy arrays that all trials read, put on each device once; made on the host."""
        return ()

    def data(self, key: Array) -> Any:
        """What stays fixed during a trial; trials of one key, as all of a search have, share it."""
        raise NotImplementedError

    def sample(self, data: Any, step: Array, batch_size: int | None, source: Source) -> Batch:
        """The batch of a training step."""
        raise NotImplementedError

    def examples(self, data: Any, source: Source) -> Batch:
        """What the loss and the score of a split are taken on."""
        raise NotImplementedError

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """loss_b (b,), of each example, from the outputs of the last steps, (read_steps, num_outputs, b)."""
        raise NotImplementedError

    def score(self, outputs_tob: Array, batch: Batch) -> Mapping[str, Array]:
        """Named measures, each a scalar over all examples of a batch, from the outputs as `loss` has them."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnTask(Task):
    """A task that draws its examples afresh at every step: it writes `draw`, `loss` and `score`.

    Training, validation and evaluation draws are independent of each other, and fixed by the trial's task key.
    """

    batch_size: ClassVar[int | None] = 64

    num_held_out: int = 1024  #: examples that validation and evaluation are each taken on

    def __post_init__(self):
        super().__post_init__()
        check_positive_int("num_held_out", self.num_held_out)

    def check_batch_size(self, batch_size: int | None) -> None:
        if batch_size is None:
            raise InputError(f"batch_size: None given; {self.name} draws its examples, so it must say how many a step")

    def data(self, key: Array) -> Any:
        return key

    def sample(self, data: Any, step: Array, batch_size: int | None, source: Source) -> Batch:
        assert batch_size is not None  # see check_batch_size
        key_train, _ = jax.random.split(data)
        return self.draw(jax.random.fold_in(key_train, step), batch_size, source)

    def examples(self, data: Any, source: Source) -> Batch:
        _, key_held_out = jax.random.split(data)
        return self.draw(jax.random.fold_in(key_held_out, source.split), self.num_held_out, source)

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        """Draws independent examples from one key."""
        raise NotImplementedError


def one_hot(codes: Array, num_symbols: int) -> Array:
    """Codes (..., b) as int8 (..., num_symbols, b), a byte a symbol."""
    return (codes[..., None, :] == jnp.arange(num_symbols)[:, None]).astype(jnp.int8)


def cross_entropy(logits: Array, codes: Array) -> Array:
    """Of codes (..., b) under logits (..., symbols, b), nats (..., b).

    The likelihood is normalised before it is picked: a logit less a logsumexp rounds at the logits' size, where good
    networks have a loss of 1e-4. It is picked by a mask, whose gradient has no scatter.
    """
    is_code = one_hot(codes, logits.shape[-2]) > 0
    return -jnp.sum(jax.nn.log_softmax(logits, axis=-2), axis=-2, where=is_code)


def uniform_below(key: Array, shape: tuple[int, ...], size: int | Array) -> Array:
    """Uniform int32 numbers from 0 to size - 1, for a size below 2^31 that may be traced."""
    return scale(jax.random.bits(key, shape, jnp.uint32), jnp.asarray(size))


def scale(bits: Array, size: Array) -> Array:
    """floor(size * bits / 2^32), exactly, of uint32 bits and a size below 2^31: uniform below the size if the bits are.

    Each number has 2^32 / size words of bits, rounded up or down, and the two kinds alternate evenly. A remainder
    (`jax.random.randint`) would make the first numbers below the size likelier, by 2 percent at 9 x 10^7.
    """
    low_half = jnp.uint32(0xFFFF)
    size = size.astype(jnp.uint32)
    bits_high, bits_low = bits >> 16, bits & low_half
    size_high, size_low = size >> 16, size & low_half
    cross, other_cross = bits_high * size_low, bits_low * size_high
    carry = (cross & low_half) + (other_cross & low_half) + (bits_low * size_low >> 16) >> 16
    return (bits_high * size_high + (cross >> 16) + (other_cross >> 16) + carry).astype(jnp.int32)
