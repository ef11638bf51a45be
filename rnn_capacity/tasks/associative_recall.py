"""Associative recall: pairs of a key and a value are shown, then each key, and its value is asked for.

After the multi-query associative recall of Arora et al. 2023 (Zoology, arXiv 2312.04927) and 2024 (Based, 2402.18668).
There key and value are tokens in turn, and who has no convolution over neighbours needs a layer to join the two. Here a
step shows both, so that one layer of any recurrent cell can solve it: what is asked is how much its state holds.

    step      1    2    3   ...   4    5    6
    key       c    a    f         f    c    a
    value     2    0    2         -    -    -
    answer                        2    2    0
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnn_capacity.checks import InputError, check_int, check_positive_int
from rnn_capacity.dimension import Range, Space
from rnn_capacity.information import mutual_information
from rnn_capacity.tasks.base import DRAWN, Batch, DrawnTask, Source, cross_entropy, one_hot, uniform_below
from rnn_capacity.types import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssociativeRecall(DrawnTask):
    """Recall of the values of `num_pairs` keys, each asked for once, in random order, at the last `num_pairs` steps.

    The keys of an example differ; its values are independent and uniform. Inputs are a key, one-hot, then a value,
    one-hot, or nothing where a key is asked for. Between pairs and questions the input is silent: `unroll` less two
    steps a pair.

    `accuracy` is the fraction of answers that are right, by chance 1 / num_values. `bits` of an example follow from it:
    by Fano's inequality answers of accuracy p share at least log2 V + p log2 p + (1 - p) log2((1 - p) / (V - 1)) bits
    with one of V values; `num_pairs` times that is what the state holds at least. That a key was shown is not counted.

    Raises:
        InputError: a field out of its range, by name.
    """

    name: ClassVar[str] = "association"
    measure: ClassVar[str] = "accuracy"
    quick: ClassVar[Space] = {
        **DRAWN,
        "input_scale": Range(0.7, 5.0, log=True),  # each input is two ones among zeros
        "forget_bias": Range(1.0, 4.0),
        "learning_rate": Range(0.015, 0.08, log=True),
    }

    unroll: int = 16  #: T
    num_pairs: int = 8  #: P
    num_keys: int = 32  #: that keys are drawn from
    num_values: int = 8  #: V

    def __post_init__(self):
        super().__post_init__()
        check_positive_int("num_pairs", self.num_pairs)
        check_int("num_values", self.num_values, 2)
        if check_positive_int("num_keys", self.num_keys) < self.num_pairs:
            raise InputError(f"num_keys: {self.num_keys} given; it must be at least num_pairs, {self.num_pairs}")
        if self.unroll < 2 * self.num_pairs:
            must = (
                f"with {self.num_pairs} pairs it must be at least {2 * self.num_pairs}, as each is shown and asked for"
            )
            raise InputError(f"unroll: {self.unroll} given; {must}")

    @property
    def num_inputs(self) -> int:
        return self.num_keys + self.num_values

    @property
    def num_outputs(self) -> int:
        return self.num_values

    @property
    def read_steps(self) -> int:
        return self.num_pairs

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        """Inputs as int8, and the values asked for as targets, int32 (num_pairs, b)."""
        key_keys, key_values, key_order = jax.random.split(key, 3)
        shuffled = lambda key, size: jnp.argsort(jax.random.bits(key, (size, num_examples)), axis=0)
        keys_pb = shuffled(key_keys, self.num_keys)[: self.num_pairs]
        values_pb = uniform_below(key_values, (self.num_pairs, num_examples), self.num_values)
        order_pb = shuffled(key_order, self.num_pairs)
        asked_pb, answers_pb = (jnp.take_along_axis(a, order_pb, axis=0) for a in (keys_pb, values_pb))
        shown_tib = jnp.concatenate([one_hot(keys_pb, self.num_keys), one_hot(values_pb, self.num_values)], axis=1)
        asked_tib = jnp.pad(one_hot(asked_pb, self.num_keys), ((0, 0), (0, self.num_values), (0, 0)))
        shown_tib = jnp.pad(shown_tib, ((0, self.unroll - 2 * self.num_pairs), (0, 0), (0, 0)))
        return Batch(jnp.concatenate([shown_tib, asked_tib]), answers_pb, jnp.ones(num_examples))

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """Cross-entropy of each example, nats, the mean over its questions."""
        return jnp.mean(cross_entropy(outputs_tob, batch.targets), axis=0)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        """The fraction of answers that are right, and the bits that an example's are worth."""
        right_pb = outputs_tob.argmax(axis=1) == batch.targets
        accuracy = jnp.average(right_pb.mean(axis=0), weights=batch.weights_b)
        return {"accuracy": accuracy, "bits": mutual_information(self.num_pairs, accuracy, self.num_values)}
