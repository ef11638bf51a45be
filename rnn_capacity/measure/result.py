"""What all results have: what was trained, what came out again, and a table of the trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from rnn_capacity.measure.shown import Shown


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Result(Shown):
    """What a study gave. The best of `num_trials` trials is reported, as in the paper, and so it is optimistic.

    Beside it stand `still_improving`, whether more trials would find more, and `interval`, the 95 % interval of the
    mean over `repeats`: the best hparams again, on fresh data and fresh initial weights.
    """

    measure: ClassVar[str]  # which question it answers

    cell: str
    depth: int
    max_params: int | None  # the budget; None where the units were given
    num_params: int
    num_units: int
    num_inputs: int
    unroll: int
    still_improving: bool  # when the trials ended
    interval: tuple[float, float]
    repeats: tuple[float, ...]
    best_hparams: Mapping[str, float | str]
    num_trials: int
    num_infeasible: int
    num_stopped_early: int
    num_infeasible_repeats: int
    train_steps: int
    total_steps: int  # of the search
    seconds: float
    trials: pd.DataFrame = dataclasses.field(compare=False)

    @property
    def mean(self) -> float:
        """Of the repeats."""
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
        return {"measure": self.measure} | fields | lists | {"best_hparams": dict(self.best_hparams)}
