"""How many bits a cell can store in each of its parameters (Collins et al. 2017, section 3.1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from optuna.trial import FrozenTrial

from rnn_capacity.checks import check_positive_int
from rnn_capacity.measure.question import asks
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.search import outcome_of, save, search, summary
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import store
from rnn_capacity.studies.config import BUDGET_OF_PARAMS, Budget, Runtime, StudyConfig, checked, option
from rnn_capacity.studies.plan import BEYOND_THE_PAPER, Plan
from rnn_capacity.tasks import Task
from rnn_capacity.tasks.memorization import Memorization, check_mappings
from rnn_capacity.training.trial import Outcome, Trial

BUDGET = Budget(num_trials=24, num_repeats=4)
MIN_INPUTS = 20  # n_in, where the budget does not ask for more
PAPER_MAPPINGS = 10  # b is at most so many times the parameters (Collins et al. 2017, 3.1)
# Data sets are padded to a multiple of the largest that is smaller: of a block on a CPU, of a batch.
PAD_TO = (64, 512, Memorization.batch_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapacityConfig(StudyConfig):
    """A study of how many bits a network stores."""

    num_params: int = option(BUDGET_OF_PARAMS, 1000)
    unroll: int = option("T, steps in time; the label is read after the last", 5)
    num_inputs: int | None = option(
        "n_in, bits of an input; None: 20, or more where ten mappings a parameter ask for it", None
    )
    train_steps: int = 10_000
    batch_size: int | None = option("mappings a step; None: 4096, or all where there are fewer", None)

    @property
    def title(self) -> str:
        return f"capacity {self.network} params={check_positive_int('num_params', self.num_params)} T={self.unroll}"

    def plan(self) -> CapacityPlan:
        num_params = check_positive_int("num_params", self.num_params)
        most = spaces.largest(spaces.searched("mappings_per_param", self.space, self.hparams))
        if self.num_inputs is not None:
            num_inputs = check_positive_int("num_inputs", self.num_inputs)
        else:
            num_inputs = max(MIN_INPUTS, math.ceil(max(PAPER_MAPPINGS, most) * num_params).bit_length())
        task = Memorization(unroll=self.unroll, num_inputs=num_inputs, max_mappings=1)
        plan = self.make_plan(CapacityPlan, task, num_params=num_params)
        shown, distinct = plan.space["mappings_per_param"], 2 ** min(num_inputs, 64) / plan.num_params
        if spaces.follows_best(plan.space) and shown.low < distinct < shown.high:  # more need not be shown
            most = distinct
            space = {**plan.space, "mappings_per_param": dataclasses.replace(shown, high=distinct)}
            plan = dataclasses.replace(plan, space=space)
        max_mappings = plan.mappings(most)
        check_mappings(max_mappings, num_inputs)
        return checked(dataclasses.replace(plan, task=dataclasses.replace(plan.task, max_mappings=max_mappings)))


@dataclasses.dataclass(frozen=True)
class CapacityPlan(Plan):
    """A study of memorization: what is tuned is the bits stored in a parameter, and b belongs to the search."""

    direction: ClassVar[str] = "maximize"
    unit: ClassVar[str] = "bits/param"
    reported: ClassVar[str] = "bits_per_param"

    def mappings(self, per_param: float) -> int:
        return max(1, round(per_param * self.num_params))

    @property
    def padded_task(self) -> Task:
        return dataclasses.replace(self.task, max_mappings=padded_size(self.task.max_mappings))

    def hparams(self, values: dict[str, float]) -> dict[str, float]:
        rest = {name: value for name, value in values.items() if name != "mappings_per_param"}
        return BEYOND_THE_PAPER | rest | {"num_mappings": self.mappings(values["mappings_per_param"])}

    def outcome(self, trial: Trial, outcome: Outcome, seconds: float) -> tuple[dict[str, Any], float | None]:
        known = lambda value: float(value) if outcome.feasible else None
        score = outcome.score["eval"]
        kept = {
            "feasible": outcome.feasible,
            "bits": known(score["bits"]),
            "bits_per_param": known(score["bits"] / self.num_params),
            "accuracy": known(score["accuracy"]),
            "loss": known(outcome.loss["eval"]),
            "untrained_bits_per_param": float(outcome.untrained_score["bits"]) / self.num_params,
            "num_mappings": trial.hparams["num_mappings"],
            "seconds": seconds,
        }
        return kept, kept["bits_per_param"]


def padded_size(num_mappings: int) -> int:
    """The size that data sets of up to b mappings are padded to."""
    multiple = max(size for size in PAD_TO if size == PAD_TO[0] or size < num_mappings)
    return -(-num_mappings // multiple) * multiple


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CapacityResult(Result):
    """How many bits a cell stores of what it was shown.

    `bits` and `bits_per_param` are of the best trial; `repeats` and `interval` are bits per parameter.
    `chance_bits_per_param` is what the same selection finds among the same networks untrained.
    """

    measure: ClassVar[str] = "capacity"

    bits: float  #: mutual information between labels and answers, over all mappings
    bits_per_param: float  #: over everything that is trained
    chance_bits_per_param: float
    accuracy: float  #: the fraction of labels right
    num_mappings: int  #: b, labels shown to the best trial

    @property
    def mean_bits_per_param(self) -> float:
        """The mean of the repeats; NaN without any."""
        return self.mean

    @property
    def answer(self) -> str:
        return f"{self.bits_per_param:.2f} bits per parameter"


def scores(trials: Sequence[FrozenTrial], best: FrozenTrial | None) -> dict[str, Any]:
    """The fields of a CapacityResult that are of capacity alone, from the trials of a search."""
    found, nan = outcome_of(best), float("nan")
    untrained = [t.user_attrs[store.OUTCOME]["untrained_bits_per_param"] for t in trials]
    return {
        "bits": found.get("bits", nan),
        "bits_per_param": found.get("bits_per_param", nan),
        "chance_bits_per_param": max(untrained, default=nan),
        "accuracy": found.get("accuracy", nan),
        "num_mappings": found.get("num_mappings", 0),
    }


@asks(CapacityConfig, BUDGET, "cell")
def measure_capacity(config: CapacityConfig, budget: Budget, runtime: Runtime) -> CapacityResult:
    """How many bits the cell can store in each of its parameters (Collins et al. 2017, section 3.1).

    Trains `num_trials` networks, each to memorise random labels of random inputs, with hparams and the number of
    mappings b drawn from the search space; the best is trained again `num_repeats` times on fresh draws.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    plan = config.plan()
    searched = search(plan, budget, runtime)
    result = CapacityResult(**scores(searched.trials, searched.best), **summary(plan, searched))
    save(searched, result.to_dict())
    return result
