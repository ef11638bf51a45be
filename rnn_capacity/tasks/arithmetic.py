"""Arithmetic: the sum of two numbers, read and written character by character (Collins et al. 2017).

The problem is a string such as `-343243+93851=`; a second number that is negative is written with its sign, `12+-7=`.
Then come `compute_steps` spaces, in which the network has time to think, and then the steps in which it gives the
answer, a character a step, right-aligned. How the paper divides its 36 steps is open; here the answer stands at the
very end and the problem right before the compute steps. With compute_steps = 2 (a dot is a space):

    input    ...........-343243+93851=...........
    output                              ..-249392     only these last steps are judged
                                      ^^            compute steps
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from rnn_capacity.checks import InputError, check_int
from rnn_capacity.dimension import Dimension, Range, Space
from rnn_capacity.tasks.base import DRAWN, Batch, DrawnTask, Source, cross_entropy, one_hot, uniform_below
from rnn_capacity.types import Array

SYMBOLS = "0123456789- +="  # of the input; a symbol's code is its place, so a digit's code is the digit
ANSWER_SYMBOLS = SYMBOLS[:12]  # of the output
MINUS, SPACE, PLUS, EQUALS = map(SYMBOLS.index, "- +=")
MAX_COMPUTE_STEPS = 6
MAX_NUMBER = 5 * 10**8 - 1  # sums then have at most nine digits, and powers of ten up to their width fit an int32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arithmetic(DrawnTask):
    """Adding two numbers, uniform among the integers from -max_number to max_number.

    Reads the hparam `compute_steps`, a whole number from 1 to 6: it moves the problem in time, and nothing is compiled
    for a new one. Let T = unroll and A = answer_width. Counted from 0, the answer's steps are T - A to T - 1, and `=`
    stands at step T - A - 1 - compute_steps, so that compute_steps spaces lie between. All other steps are spaces. A
    target is the answer's codes in SYMBOLS, int (A, b).

    Open in the paper: how the 36 steps are divided, and whether the loss of an answer is the sum or the mean over its
    characters (here the mean, nats a character).

    Raises:
        InputError: a field out of its range, by name; or an unroll in which the longest problem, the most compute steps
            and the answer have no room.
    """

    name: ClassVar[str] = "arithmetic"
    measure: ClassVar[str] = "accuracy"
    dimensions: ClassVar[Mapping[str, Dimension]] = {"compute_steps": Range(1, MAX_COMPUTE_STEPS, whole=True)}
    quick: ClassVar[Space] = {
        **DRAWN,
        "forget_bias": Range(0.0, 1.0),
        "learning_rate": Range(0.008, 0.016, log=True),
        "compute_steps": float(MAX_COMPUTE_STEPS),
    }
    num_inputs: ClassVar[int] = len(SYMBOLS)
    num_outputs: ClassVar[int] = len(ANSWER_SYMBOLS)

    unroll: int = 36  #: T, of the problem, the compute steps and the answer
    max_number: int = 10**7  #: the largest size of a number, below 5 x 10^8

    def __post_init__(self):
        super().__post_init__()
        check_int("max_number", self.max_number, 1, MAX_NUMBER)
        least = self.problem_width + MAX_COMPUTE_STEPS + self.answer_width
        if self.unroll < least:
            raise InputError(
                f"unroll: {self.unroll!r} given; it must be at least {least}: the longest problem has "
                f"{self.problem_width} characters, then come up to {MAX_COMPUTE_STEPS} compute steps and "
                f"{self.answer_width} steps of answer"
            )

    @property
    def number_width(self) -> int:
        """Characters of the longest number."""
        return len(str(-self.max_number))

    @property
    def problem_width(self) -> int:
        """Characters of the longest problem, with `+` and `=`."""
        return 2 * self.number_width + 2

    @property
    def answer_width(self) -> int:
        """Characters of the longest answer."""
        return len(str(-2 * self.max_number))

    @property
    def read_steps(self) -> int:
        return self.answer_width

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        first_b, second_b = uniform_below(key, (2, num_examples), 2 * self.max_number + 1) - self.max_number
        problem_tb = self.problem(first_b, second_b, source.hparams["compute_steps"])
        return Batch(
            x_tib=one_hot(problem_tb, self.num_inputs),
            targets=self.answer(first_b + second_b),
            weights_b=jnp.ones(num_examples),
        )

    def problem(self, first_b: Array, second_b: Array, compute_steps: Array) -> Array:
        """Codes (T, b) of what the network reads at each step.

        Args:
            first_b: the first numbers, int32.
            second_b: the second numbers, int32.
            compute_steps: how many spaces lie between `=` and the answer; rounded.
        """
        equals = self.unroll - self.answer_width - 1 - jnp.round(compute_steps).astype(jnp.int32)
        back_tb = equals - jnp.arange(self.unroll)[:, None]  # how many steps before `=`
        second_wb = written_backwards(second_b, self.number_width)
        back_of_plus_b = (second_wb != SPACE).sum(axis=0) + 1
        return jnp.select(
            [back_tb < 0, back_tb == 0, back_tb < back_of_plus_b, back_tb == back_of_plus_b],
            [SPACE, EQUALS, _pick(second_wb, back_tb - 1), PLUS],
            _pick(written_backwards(first_b, self.number_width), back_tb - back_of_plus_b - 1),
        )

    def answer(self, sum_b: Array) -> Array:
        """Codes (answer_width, b) of what the network is to write, padded with spaces on the left."""
        return written_backwards(sum_b, self.answer_width)[::-1]

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """The mean cross-entropy of the answer's characters, nats."""
        return jnp.mean(cross_entropy(outputs_tob, batch.targets), axis=0)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        """The fraction of answers with every character right, and of characters that are right."""
        right_tb = outputs_tob.argmax(axis=1) == batch.targets
        return {
            "accuracy": jnp.average(right_tb.all(axis=0), weights=batch.weights_b),
            "characters": jnp.average(right_tb.mean(axis=0), weights=batch.weights_b),
        }


def written_backwards(number_b: Array, width: int) -> Array:
    """Codes (width, b) of numbers in decimal, the last character first, and spaces after the first one.

    Args:
        number_b: int32 numbers of at most `width` characters.
        width: at most 10, for powers of ten up to it to fit.
    """
    place_w1 = np.arange(width)[:, None]
    rest_wb = jnp.abs(number_b) // (10**place_w1).astype(np.int32)
    is_digit_wb = (rest_wb > 0) | (place_w1 == 0)
    is_sign_wb = (number_b < 0) & (place_w1 == is_digit_wb.sum(axis=0))
    return jnp.select([is_digit_wb, is_sign_wb], [rest_wb % 10, MINUS], SPACE)


def _pick(codes_wb: Array, place_tb: Array) -> Array:
    """The codes at some places of each example, a space beyond the last place; places below 0 give anything."""
    return jnp.take_along_axis(codes_wb, place_tb, axis=0, mode="fill", fill_value=SPACE)
