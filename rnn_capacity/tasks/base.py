"""What a task is: pure functions that make data on the device from a key and score a network's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rnn_capacity.types import Array, Hparams, Spec


class Batch(NamedTuple):
    """Examples, on the last axis of every array."""

    x_tib: Array  # inputs of the first step or steps
    targets_b: Array
    weights_b: Array  # 1 for an example, 0 for padding, which comes last


class Task(NamedTuple):
    """A task, for one trial. Like a cell it knows nothing of trials side by side or of devices."""

    name: str
    data: Callable[[Array, Spec, Hparams], Any]  # (key, spec, hparams) -> what stays fixed during a trial
    sample: Callable[[Any, Array, Spec], Batch]  # (data, step, spec) -> the batch of a training step
    everything: Callable[[Any], Batch]  # (data) -> what the final score is taken on
    loss: Callable[[Array, Batch], Array]  # (outputs_ob, batch) -> loss_b, of each example
    score: Callable[[Array, Batch], Mapping[str, Array]]  # (outputs_ob, batch) -> named measures
