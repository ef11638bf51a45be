"""A trial before and after it is trained."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rnn_capacity.model.spec import Spec
from rnn_capacity.types import Array


class Keys(NamedTuple):
    """The two sources of chance in a trial, apart so that one can be fixed (the paper fixes the task's)."""

    task: Array  #: which data
    network: Array  #: which initial weights


class Outcome(NamedTuple):
    """What a trial gave: scalars, or arrays [K] for K trials."""

    loss: Mapping[str, Array]  #: by split, one of `tasks.SPLITS`: the task's loss, a mean over examples, after training
    score: Mapping[str, Mapping[str, Array]]  #: by split: the task's own measures, of the trained network
    untrained_score: Mapping[str, Array]  #: the same of the network as initialised, on the validation split: chance
    feasible: Array  #: False where training diverged
    #: by format: the task's own measures of the weights as stored in it, on the evaluation split; empty if not asked
    rounded: Mapping[str, Mapping[str, Array]] = {}


class Trial(NamedTuple):
    """A trial of a study, ready to be trained."""

    number: int  #: in the study, from 0
    values: Mapping[str, Any]  #: what was proposed, by dimension of the search space: plain numbers and names
    spec: Spec  #: what is static of them
    hparams: Mapping[str, float]  #: what is traced, by name
    keys: Keys  #: where its draws come from
