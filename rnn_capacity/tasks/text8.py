"""text8: the next character of English, from random places in a long text (Collins et al. 2017).

A character is one-hot over 27 symbols, the space and a to z. An example is T characters from a random pointer into the
text, and at each of them the character that follows is asked for; the first steps only warm the network up and carry no
loss. Validation and evaluation have parts of the text of their own, which training never sees.
"""

import dataclasses
import math
import os
import pathlib
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from rnn_capacity.checks import InputError, check_choice, check_int
from rnn_capacity.tasks import corpus
from rnn_capacity.tasks.base import SPLITS, Batch, DrawnTask, Source, cross_entropy, one_hot, uniform_below
from rnn_capacity.types import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text8(DrawnTask):
    """The next character of text8, or of a synthetic text whose entropy is known.

    The paper has T = 50 and 13 steps of warm-up. It leaves open how the text is divided, which here is the usual 90, 5
    and 5 million characters, in the same shares where a text is of another length; and the batch size.

    Raises:
        InputError: a field out of its range, by name.
    """

    name: ClassVar[str] = "text8"
    measure: ClassVar[str] = "bits_per_char"
    num_inputs: ClassVar[int] = len(corpus.SYMBOLS)
    num_outputs: ClassVar[int] = len(corpus.SYMBOLS)
    located_by: ClassVar[tuple[str, ...]] = ("data_dir",)

    unroll: int = 50  #: T, characters read
    warm_up: int = 13  #: the first steps, which carry no loss
    text: str = "text8"  #: where the characters come from, one of corpus.TEXTS
    #: a folder with the user's file text8 or text8.zip; None: text8 is downloaded
    data_dir: str | os.PathLike | None = None

    def __post_init__(self):
        super().__post_init__()
        check_int("warm_up", self.warm_up, 0)
        if self.unroll <= self.warm_up:
            raise InputError(f"unroll: {self.unroll!r} given; it must be above warm_up = {self.warm_up}")
        check_choice("text", self.text, corpus.TEXTS)
        if isinstance(self.data_dir, os.PathLike):
            object.__setattr__(self, "data_dir", os.fspath(self.data_dir))
        if self.data_dir is not None and (not isinstance(self.data_dir, str) or self.text != "text8"):
            raise InputError(
                f"data_dir: {self.data_dir!r} given; it must be the path of a folder where text is 'text8', or None"
            )

    @property
    def kind(self) -> str:
        return self.name if self.text == self.name else f"{self.name}:{self.text}"

    @property
    def label(self) -> str:
        if self.data_dir is None:
            return self.kind
        return f"{self.name}:{pathlib.Path(self.data_dir).expanduser().resolve().name}"

    def digest(self) -> str:
        """Of the characters."""
        self.shared()  # refuses a text that is too short
        return corpus.digest(self.text, self.data_dir)

    @property
    def read_steps(self) -> int:
        return self.unroll - self.warm_up

    def shared(self) -> corpus.Corpus:
        """The whole text as codes, and the bounds of its parts.

        Raises:
            InputError, ConnectionError, ImportError: as `corpus.load`; and a part shorter than T + 1 characters.
        """
        text = corpus.load(self.text, self.data_dir)
        lengths = np.diff(text.bounds).tolist()
        if min(lengths) < self.unroll + 1:
            parts = ", ".join(f"{split} {length}" for split, length in zip(SPLITS, lengths, strict=True))
            raise InputError(
                f"unroll: {self.unroll!r} given; it must be at most {min(lengths) - 1} with the characters that this "
                f"text has ({parts}), or the text longer"
            )
        return text

    def draw(self, key: Array, num_examples: int, source: Source) -> Batch:
        """The characters after uniform pointers, such that each and the one after the last lie inside the part."""
        codes, bounds = map(jnp.asarray, source.shared)
        first = bounds[source.split]
        num_pointers = bounds[source.split + 1] - first - self.unroll
        pointers_b = first + uniform_below(key, (num_examples,), num_pointers)
        codes_tb = codes[pointers_b + jnp.arange(self.unroll + 1)[:, None]]
        return Batch(
            x_tib=one_hot(codes_tb[:-1], self.num_inputs),
            targets=codes_tb[1 + self.warm_up :],
            weights_b=jnp.ones(num_examples),
        )

    def loss(self, outputs_tob: Array, batch: Batch) -> Array:
        """Mean cross-entropy over the steps that are read, nats a character."""
        return jnp.mean(cross_entropy(outputs_tob, batch.targets), axis=0)

    def score(self, outputs_tob: Array, batch: Batch) -> dict[str, Array]:
        """The cross-entropy in bits a character, and the fraction of characters that were thought the likeliest."""
        right_b = jnp.mean(jnp.argmax(outputs_tob, axis=1) == batch.targets, axis=0)
        return {
            "bits_per_char": jnp.average(self.loss(outputs_tob, batch), weights=batch.weights_b) / math.log(2),
            "accuracy": jnp.average(right_b, weights=batch.weights_b),
        }
