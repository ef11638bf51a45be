"""Parallel parentheses: how many brackets of each type are open, counted in streams side by side (Collins et al. 2017).

At every step each stream shows one character: an opening or closing bracket of any type, or a noise character. Stream s
asks only about brackets of type s; for it the others are noise. So the network has to run several counters at once,
over a long time, and its gradient comes from the last step alone.

    stream 0    a ( [ b ) ( c ]     1 open: "(" is its bracket, "[" is not
    stream 1    ] [ a [ ( b b [     3 open: the first "]" closes nothing
"""

import dataclasses
import numbers
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnn_capacity.checks import InputError, check_int, check_positive_int
from rnn_capacity.dimension import Range, Space
from rnn_capacity.tasks.base import DRAWN, Batch, DrawnTask, Source, cross_entropy, one_hot
from rnn_capacity.types import Array

DRAWN_VALUES = 2**16  # a character is drawn by 16 random bits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parentheses(DrawnTask):
    """Counting the open brackets of several types, one type a stream, read at the last step.

    Characters are numbered: 2k opens a bracket of type k, 2k + 1 closes it, and the noise follows the brackets. Each
    stream is one-hot over all of them; inputs and outputs are ordered stream by stream. A target is the count of each
    stream, int (num_types, b).

    The paper leaves open with what chance a character is which, beyond half of them being noise: here the noise
    characters share `noise_fraction` evenly, all the brackets the rest. It also leaves open what a closing bracket does
    where nothing is open: here the count stays at 0.

    Raises:
        InputError: a field out of its range, by name.
    """

    name: ClassVar[str] = "parentheses"
    measure: ClassVar[str] = "accuracy"
    quick: ClassVar[Space] = {
        **DRAWN,
        "forget_bias": Range(0.0, 1.0),
        "learning_rate": Range(0.015, 0.06, log=True),
    }

    unroll: int = 175  #: T, characters of each stream
    num_types: int = 10  #: types of bracket, and streams
    num_noise: int = 10  #: noise characters
    noise_fraction: float = 0.5  #: the chance that a character is noise, at least 0 and below 1
    max_count: int = 9  #: where a count would exceed it, it stays

    def __post_init__(self):
        super().__post_init__()
        check_int("num_types", self.num_types, 1, DRAWN_VALUES // 4)
        check_int("num_noise", self.num_noise, 0)
        check_positive_int("max_count", self.max_count)
        given = f"noise_fraction: {self.noise_fraction!r} given; it must be "
        if not isinstance(self.noise_fraction, numbers.Real) or not 0 <= self.noise_fraction < 1:
            raise InputError(f"{given}a number of at least 0 and below 1")
        if self.noise_fraction > 0 and self.num_noise == 0:
            raise InputError(f"{given}0 where num_noise is 0")
        noise_needed = self.num_noise if self.noise_fraction > 0 else 0
        if not noise_needed <= self._noise_values <= DRAWN_VALUES - 2 * self.num_types:
            least, most = self.num_noise / DRAWN_VALUES, 1 - 2 * self.num_types / DRAWN_VALUES
            raise InputError(
                f"{given}from {least:.6f} to {most:.6f} (or 0), so that each of {2 * self.num_types} bracket and "
                f"{self.num_noise} noise characters has a chance of at least 1 in {DRAWN_VALUES}"
            )

    @property
    def num_characters(self) -> int:
        """Brackets and noise characters."""
        return 2 * self.num_types + self.num_noise

    @property
    def num_inputs(self) -> int:
        return self.num_types * self.num_characters

    @property
    def num_outputs(self) -> int:
        return self.num_types * (self.max_count + 1)

    @property
    def _noise_values(self) -> int:
        return round(self.noise_fraction * DRAWN_VALUES)

    def characters(self, drawn: Array) -> Array:
        """The characters that 16 random bits stand for; a character's chance is within 2^-15 of the exact one.

        Args:
            drawn: integers below 2^16, of any shape, as uint32.
        """
        num_brackets, bracket_values = 2 * self.num_types, DRAWN_VALUES - self._noise_values
        # An even spread of the values over the characters; the products fit 32 bits, as there are more values.
        bracket = drawn * num_brackets // bracket_values
        noise = num_brackets + (drawn - bracket_values) * self.num_noise // max(self._noise_values, 1)
        return jnp.where(drawn < bracket_values, bracket, noise).astype(jnp.int32)

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        # To draw 16 bits costs JAX as much as 32, so each word gives two characters, one for either half of the time.
        words = jax.random.bits(key, (-(-self.unroll // 2), self.num_types, num_examples), jnp.uint32)
        drawn_tsb = jnp.concatenate([words % DRAWN_VALUES, words // DRAWN_VALUES])[: self.unroll]
        characters_tsb = self.characters(drawn_tsb)
        return Batch(
            x_tib=one_hot(characters_tsb, self.num_characters).reshape(self.unroll, self.num_inputs, num_examples),
            targets=count_open(characters_tsb, self.max_count),
            weights_b=jnp.ones(num_examples),
        )

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """The sum of the streams' cross-entropies, nats."""
        return jnp.sum(cross_entropy(self._by_stream(outputs_tob), batch.targets), axis=0)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        """The fraction of counts that are right, and of sequences with every count right."""
        right_sb = self._by_stream(outputs_tob).argmax(axis=1) == batch.targets
        return {
            "accuracy": jnp.average(right_sb.mean(axis=0), weights=batch.weights_b),
            "sequences": jnp.average(right_sb.all(axis=0), weights=batch.weights_b),
        }

    def _by_stream(self, outputs_tob: Array) -> Array:
        """Outputs (stream, count, b)."""
        return outputs_tob[-1].reshape(self.num_types, self.max_count + 1, -1)


def count_open(characters_tsb: Array, max_count: int) -> Array:
    """How many brackets of type s are open in stream s at the end: int32 (s, b), from 0 to max_count.

    A character turns the count n into clip(n + change, low, high). Two such maps, one after the other, make a third of
    the same form, so that neighbours in time are joined until one map is left: log2 T steps in place of T.

    Args:
        characters_tsb: characters as `Parentheses` numbers them.
        max_count: where a count would exceed it, it stays; at 0 it stays where a bracket closes nothing.
    """
    num_steps, num_types, _ = characters_tsb.shape
    rounds = (num_steps - 1).bit_length()
    opening_s1 = 2 * jnp.arange(num_types)[:, None]
    change = (characters_tsb == opening_s1).astype(jnp.int32) - (characters_tsb == opening_s1 + 1)
    change = jnp.pad(change, ((0, 2**rounds - num_steps), (0, 0), (0, 0)))
    low, high = jnp.zeros_like(change), jnp.full_like(change, max_count)
    for _ in range(rounds):
        (change, low, high), (change_2, low_2, high_2) = ([a[i::2] for a in (change, low, high)] for i in (0, 1))
        low, high = jnp.clip(low + change_2, low_2, high_2), jnp.clip(high + change_2, low_2, high_2)
        change += change_2
    return jnp.clip(change, low, high)[0]
