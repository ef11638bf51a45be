"""What all results have: what was trained, the best again, and a table of the trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from rnn_capacity.measure.shown import Shown


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Result(Shown):
    """What a study gave. The best of `num_trials` trials is reported, as in the paper, and so it is optimistic.

    With it come `still_improving`, whether more trials would find more, and `interval`, the 95 % interval of the
    mean over `repeats`: the best hparams again, on fresh data and fresh initial weights.
    """

    measure: ClassVar[str]  #: which question it answers

    study: str  #: its name in the storage, for `train_again`
    cell: str  #: its name
    depth: int  #: layers
    max_params: int | None  #: the budget; None where the units were given
    num_params: int  #: all that is trained, readout and initial carry included
    num_units: int  #: of each layer
    num_inputs: int
    unroll: int  #: T, steps in time
    still_improving: bool  #: whether the last quarter of the trials bettered the best by over 1 %
    interval: tuple[float, float]  #: (low, high); NaN for fewer than two repeats
    repeats: tuple[float, ...]  #: those that did not diverge
    best_hparams: Mapping[str, float | str]  #: empty where every trial diverged
    wider: Mapping[str, tuple[float, float]]  #: a range beyond each one at whose end the best hparam lies
    num_trials: int  #: of the search
    num_infeasible: int  #: of these, how many diverged
    num_stopped_early: int  #: by `halving`
    num_infeasible_repeats: int
    train_steps: int  #: gradient steps of a trial that is not stopped
    total_steps: int  #: gradient steps of the whole search
    seconds: float  #: of training, the repeats included
    trials: pd.DataFrame  #: a row a trial of the search

    @property
    def mean(self) -> float:
        """The mean of the repeats; NaN without any."""
        return float(np.mean(self.repeats)) if self.repeats else float("nan")

    @property
    def parts(self) -> tuple[Result]:
        return (self,)

    @property
    def title(self) -> str:
        diverged = self.num_infeasible == self.num_trials
        return f"{self.subject}: {'every trial diverged' if diverged else self.answer}"

    @property
    def subject(self) -> str:
        """What was measured, in words."""
        return f"{self.cell}, depth {self.depth}"

    @property
    def answer(self) -> str:
        """What was found, in words."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Everything but the table of trials, as plain JSON types."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "trials"}
        lists = {"interval": list(self.interval), "repeats": list(self.repeats)}
        lists |= {"wider": {name: list(ends) for name, ends in self.wider.items()}}
        return {"measure": self.measure} | fields | lists | {"best_hparams": dict(self.best_hparams)}
