"""Memorization: b random binary vectors, each with a random binary label, to be stored (Collins et al. 2017, 3.1).

An input is a vector of n_in bits, given as -1 and +1; it is shown at the first step only or at every step (a choice of
the spec), and the label is read after T steps. Training, validation and evaluation set are one: what is asked is how
many of the labels the network can hold. The paper's vectors are 0 and 1; the signed ones differ by a shift and a scale
of the first layer's input.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.dimension import Space
from rnn_capacity.information import mutual_information
from rnn_capacity.tasks.base import Batch, Source, Task
from rnn_capacity.types import Array

FEISTEL_ROUNDS = 8
PERMUTED_BITS = 32  # of an input; enough that any number of mappings is told apart by them


def check_mappings(num_mappings: int, num_inputs: int) -> None:
    """Refuses more mappings than there are distinct inputs: labels that contradict each other cannot be stored.

    Raises:
        InputError: num_mappings > 2^num_inputs.
    """
    if num_mappings > 2**num_inputs:
        raise InputError(
            f"num_mappings: {num_mappings} given; with num_inputs = {num_inputs} there are only {2**num_inputs} "
            f"distinct inputs, so give at most that many, or num_inputs of at least {(num_mappings - 1).bit_length()}"
        )


def distinct_bits(key: Array, num_vectors: int, num_bits: int) -> Array:
    """Random binary vectors that are all different: bool (num_bits, num_vectors).

    Vector j is the image of j under a random bijection of the numbers below 2^m, m = min(num_bits, 32): a balanced
    Feistel network, which for any round functions whatever is one to one (Luby and Rackoff 1988); here they are random
    tables. So drawing without replacement needs no memory of what was drawn, and the first vectors are the same however
    many are made. Bits beyond the 32nd are drawn independently.
    """
    low_size = min(num_bits, PERMUTED_BITS) // 2
    high_size = min(num_bits, PERMUTED_BITS) - low_size
    key_tables, key_rest = jax.random.split(key)
    tables = jax.random.bits(key_tables, (FEISTEL_ROUNDS, 2**high_size), jnp.uint16)
    index = jnp.arange(num_vectors, dtype=jnp.uint32)
    # The halves trade places each round; each keeps its own size.
    source, source_size = index & (2**low_size - 1), low_size
    target, target_size = index >> low_size, high_size
    for table in tables:
        changed = target ^ (table[source] & (2**target_size - 1))
        source, source_size, target, target_size = changed, target_size, source, source_size
    bits = [(half >> i) & 1 for half, size in ((source, source_size), (target, target_size)) for i in range(size)]
    for word in range(PERMUTED_BITS, num_bits, 32):
        more = jax.random.bits(jax.random.fold_in(key_rest, word), (num_vectors,))
        bits += [(more >> i) & 1 for i in range(min(32, num_bits - word))]
    return jnp.stack(bits).astype(bool)


def multiply_modulo(x: Array, y: int, modulus: Array, most: int) -> Array:
    """x * y modulo a modulus of at most `most` < 2^31, uint32, although the product may need 64 bits."""
    x, y, bits = x % modulus, jnp.uint32(y) % modulus, most.bit_length()
    digit_size = 32 - bits  # bits; a digit times what is below the modulus then fits
    product = jnp.uint32(0)
    for place in reversed(range(0, bits, digit_size)):
        digit = (x >> place) & (2**digit_size - 1)
        product = ((product << digit_size) % modulus + digit * y % modulus) % modulus
    return product


class Mappings(NamedTuple):
    """All mappings, a byte a bit; the first b of them are the trial's."""

    x_ib: Array  #: inputs, -1 and +1
    labels_b: Array  #: 0 and 1


def _batch(data: Mappings, is_real_b: Array) -> Batch:
    return Batch(data.x_ib[None], data.labels_b.astype(float), is_real_b.astype(float))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memorization(Task):
    """b mappings to be stored; b is the hparam `num_mappings`, so one program serves every b.

    Raises:
        InputError: a field that is no whole number of at least 1, by name.
    """

    name: ClassVar[str] = "memorization"
    measure: ClassVar[str] = "accuracy"
    hparam_names = ("num_mappings",)
    quick: ClassVar[Space] = {}  # `search/recipe.py` has it, by size and steps
    tunes: ClassVar[tuple[str, ...]] = ("input_steps", "mappings_per_param")
    num_outputs: ClassVar[int] = 1
    batch_size: ClassVar[int] = 4096
    one_set: ClassVar[bool] = True

    unroll: int = 5  #: T, the steps after which the label is read
    num_inputs: int = 20  #: n_in, bits of a vector
    max_mappings: int  #: size that data sets are padded to; the weights of a batch mark the first b as the real ones

    def __post_init__(self):
        super().__post_init__()
        check_positive_int("num_inputs", self.num_inputs)
        check_positive_int("max_mappings", self.max_mappings)

    def data(self, key: Array) -> Mappings:
        key_inputs, key_labels = jax.random.split(key)
        bits_ib = distinct_bits(key_inputs, self.max_mappings, self.num_inputs)
        labels_b = jax.random.bits(key_labels, (self.max_mappings,), jnp.uint32) & 1
        return Mappings(2 * bits_ib.astype(jnp.int8) - 1, labels_b.astype(jnp.int8))

    def sample(self, data: Mappings, step: Array, batch_size: int | None, source: Source) -> Batch:
        """All mappings, or the next `batch_size` of them in turn: they are in random order already."""
        if batch_size is None or batch_size >= self.max_mappings:
            return self.examples(data, source)
        num_mappings = source.hparams["num_mappings"].astype(jnp.uint32)
        start = multiply_modulo(step.astype(jnp.uint32), batch_size, num_mappings, self.max_mappings)
        place = jnp.arange(batch_size, dtype=jnp.uint32)
        drawn = jax.tree.map(lambda a: jnp.take(a, (start + place) % num_mappings, axis=-1, mode="clip"), data)
        return _batch(drawn, place < num_mappings)  # where there are fewer, each once

    def examples(self, data: Mappings, source: Source) -> Batch:
        return _batch(data, jnp.arange(self.max_mappings) < source.hparams["num_mappings"])

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """Cross-entropy of each example, nats."""
        return optax.sigmoid_binary_cross_entropy(outputs_tob[-1, 0], batch.targets)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        """Bits stored, and the fraction of labels right that they follow from."""
        right_b = (outputs_tob[-1, 0] > 0) == (batch.targets > 0.5)
        num_mappings = jnp.sum(batch.weights_b)
        accuracy = jnp.sum(batch.weights_b * right_b) / num_mappings
        return {"bits": mutual_information(num_mappings, accuracy), "accuracy": accuracy}
