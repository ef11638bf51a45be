"""How many bits a cell can store in each of its parameters (Collins et al. 2017, section 3.1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rnn_capacity.checks import check_bool, check_positive_int
from rnn_capacity.dimension import Range
from rnn_capacity.display.tables import Column
from rnn_capacity.measure.question import Question, asks
from rnn_capacity.measure.result import NAN, Facts, Result, per
from rnn_capacity.measure.search import answer
from rnn_capacity.measure.shown import AGAIN, RISING, again, columns
from rnn_capacity.model import formats
from rnn_capacity.paper import published
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import store
from rnn_capacity.studies.config import BUDGET_OF_PARAMS, Budget, Runtime, StudyConfig, option
from rnn_capacity.studies.plan import BEYOND_THE_PAPER, Plan
from rnn_capacity.tasks import Task
from rnn_capacity.tasks.memorization import Memorization, check_mappings
from rnn_capacity.training.trial import Outcome, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGET = Budget(num_trials=24, num_repeats=4)
BITS_AS = "bits as "  # before the format, in what is kept of a trial
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
    rounded: bool = option("also score the trained weights as stored in bfloat16, float16, int8, int6 and int4", False)

    @property
    def title(self) -> str:
        return f"capacity {self.network} params={check_positive_int('num_params', self.num_params)} T={self.unroll}"

    def plan(self) -> CapacityPlan:
        num_params = check_positive_int("num_params", self.num_params)
        if self.num_inputs is not None:
            num_inputs = check_positive_int("num_inputs", self.num_inputs)
        else:
            most = spaces.largest(spaces.searched("mappings_per_param", self.space, self.hparams))
            num_inputs = max(MIN_INPUTS, math.ceil(max(PAPER_MAPPINGS, most) * num_params).bit_length())
        task = Memorization(unroll=self.unroll, num_inputs=num_inputs, max_mappings=1)
        plan = self.make_plan(CapacityPlan, task, num_params=num_params)
        if check_bool("rounded", self.rounded):
            plan = dataclasses.replace(plan, static={**plan.static, "rounded": True})
        shown, distinct = plan.space["mappings_per_param"], 2 ** min(num_inputs, 64) / plan.num_params
        given = (self.hparams or {}).get("mappings_per_param") is not None
        if isinstance(shown, Range) and not given and shown.low < distinct < shown.high:  # more is not shown
            shown = dataclasses.replace(shown, high=distinct)
            plan = dataclasses.replace(plan, space={**plan.space, "mappings_per_param": shown})
        max_mappings = plan.mappings(spaces.largest(shown))
        check_mappings(max_mappings, num_inputs)
        return dataclasses.replace(plan, task=dataclasses.replace(plan.task, max_mappings=max_mappings))


@dataclasses.dataclass(frozen=True)
class CapacityPlan(Plan):
    """A study of memorization: what is tuned is the bits stored in a parameter, and b belongs to the search."""

    task: Memorization

    sign: ClassVar[int] = 1
    unit: ClassVar[str] = "bits/param"
    objective: ClassVar[str] = "bits_per_param"
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
        kept: dict[str, Any] = {
            "feasible": outcome.feasible,
            "bits": known(score["bits"]),
            "bits_per_param": known(score["bits"] / self.num_params),
            "accuracy": known(score["accuracy"]),
            "loss": known(outcome.loss["eval"]),
            "untrained_bits_per_param": float(outcome.untrained_score["bits"]) / self.num_params,
            "num_mappings": trial.hparams["num_mappings"],
            "seconds": seconds,
        }
        kept |= {f"{BITS_AS}{name}": known(score["bits"]) for name, score in outcome.rounded.items()}
        return kept, kept[self.objective]


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
    more: ClassVar[tuple[str, ...]] = ("bits_per_state", "operations_per_bit")

    bits: float  #: mutual information between labels and answers, over all mappings
    bits_per_param: float  #: over everything that is trained
    chance_bits_per_param: float
    accuracy: float  #: the fraction of labels right
    num_mappings: int  #: b, labels shown to the best trial
    #: by format, the fraction of its bits that is left where the weights are stored so: of the best and its repeats
    rounded: Mapping[str, tuple[float, ...]]

    @classmethod
    def own_fields(cls, facts: Facts) -> dict[str, Any]:
        return {
            "bits": facts.of_best("bits"),
            "bits_per_param": facts.of_best("bits_per_param"),
            "chance_bits_per_param": max(facts.of_all("untrained_bits_per_param"), default=NAN),
            "accuracy": facts.of_best("accuracy"),
            "num_mappings": facts.of_best("num_mappings", 0),
            "rounded": {name: kept for name in formats.ROUNDED if (kept := _left(facts, f"{BITS_AS}{name}"))},
        }

    @property
    def bits_per_state(self) -> float:
        """Bits per number that is carried from step to step; NaN where none is."""
        return per(self.bits, self.state_floats)

    @property
    def operations_per_bit(self) -> float:
        """Operations of a step per bit; NaN where none is stored."""
        return per(self.operations, self.bits)

    @property
    def answer(self) -> str:
        return f"{self.bits_per_param:.2f} bits per parameter"


def _left(facts: Facts, name: str) -> tuple[float, ...]:
    """The fraction of its bits that each of the best trial and its repeats has by a rounded score."""
    trained = [] if facts.best is None else [facts.best, *facts.repeats]
    known = [outcome for trial in trained if (outcome := trial.user_attrs[store.OUTCOME])["feasible"]]
    return tuple(outcome[name] / outcome["bits"] for outcome in known if name in outcome and outcome["bits"])


@asks(CapacityConfig, BUDGET, "cell")
def measure_capacity(config: CapacityConfig, budget: Budget, runtime: Runtime) -> CapacityResult:
    """How many bits the cell can store in each of its parameters (Collins et al. 2017, section 3.1).

    Trains `num_trials` networks, each to memorise random labels of random inputs, with hparams and the number of
    mappings b drawn from the search space; the best is trained again `num_repeats` times on fresh draws.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    return answer(CAPACITY, config.plan(), budget, runtime)


COLUMNS = {
    **columns("cell", "depth", "T", "params", "units"),
    "bits": Column(lambda r: f"{r.bits:.0f}", 8),
    "bits/param": Column(lambda r: f"{r.bits_per_param:.2f}"),
    "bits/state": Column(lambda r: f"{r.bits_per_state:.1f}"),
    "ops/bit": Column(lambda r: f"{r.operations_per_bit:.2f}"),
    **columns("rising"),
    **again(".2f", 14),
    "chance": Column(lambda r: f"{r.chance_bits_per_param:.3f}"),
    "accuracy": Column(lambda r: f"{r.accuracy:.3f}"),
    **columns("trials", "infeasible", "seconds"),
    "paper": Column(lambda r: published.CAPACITY.get(r.cell, "-"), 9),
}


def draw_sizes(results: Sequence[CapacityResult], ax: Axes | None = None) -> Axes:
    """Bits per parameter against size, a line for each cell and depth, over the paper's band (its Figure 1)."""
    from rnn_capacity.display import plots

    ax = plots.axes(ax)
    low, high = published.CAPACITY_RANGE
    ax.axhspan(low, high, color="0.92", zorder=0)
    ax.text(0.01, high - 0.08, "the paper: 3 to 6", transform=ax.get_yaxis_transform(), va="top", color="0.35")
    several = ["unroll"] if len({r.unroll for r in results}) > 1 else []
    for (cell, depth, *_), group in plots.grouped(results, "cell", "depth", "unroll"):
        group.sort(key=lambda r: r.num_params)
        sizes = [r.num_params for r in group]
        label = plots.label(group[0], *several)
        plots.line(ax, cell, sizes, [r.bits_per_param for r in group], depth, label=label, markersize=7)
        plots.bars(ax, cell, sizes, *zip(*(r.interval for r in group), strict=True))
    chance = max(r.chance_bits_per_param for r in results)
    ax.axhline(chance, color="0.5", linewidth=1, linestyle=":")
    ax.text(0.99, chance + 0.05, "chance", transform=ax.get_yaxis_transform(), ha="right", color="0.35")
    sizes = [r.num_params for r in results]
    ax.set(xscale="log", xlim=(min(sizes) / 1.7, max(sizes) * 1.7))
    plots.plain(ax)
    ax.set_ylim(0, max([high, *(r.bits_per_param for r in results if r.bits_per_param > high)]) + 0.2)
    ax.set(xlabel="parameters", ylabel="bits per parameter")
    return plots.finished(ax, "Best of the trials; bars: its hparams again, 95 % interval of the mean")


def draw_trials(results: Sequence[CapacityResult], ax: Axes | None = None) -> Axes:
    """Bits stored against bits shown, a point a trial: the best lie just under the line (the paper's Figure App.1)."""
    from rnn_capacity.display import plots

    ax, most = plots.axes(ax), 0.0
    groups = plots.grouped(results, "cell", "depth", "unroll", "num_params")
    styles = plots.styles([key for key, _ in groups])
    for key, group in groups:
        color, marker = styles[key]
        label: str | None = plots.label(group[0], "num_params", "unroll")
        for result in group:
            found, size = result.trials[result.trials["feasible"]], result.num_params
            shown, stored = found["num_mappings"] / size, found["bits_per_param"].astype(float)
            most = max(most, shown.max()) if len(found) else most
            looks: dict[str, Any] = {"color": color, "marker": marker, "linewidth": 0}
            ax.scatter(shown, stored, s=45, alpha=0.6, label=label, **looks)
            ax.scatter(result.num_mappings / size, result.bits_per_param, s=140, **looks)
            label = None
    ax.plot([0, most], [0, most], color="0.6", linewidth=1, label="all of it stored", zorder=0)
    ax.set(xlabel="mappings shown, per parameter", ylabel="bits stored, per parameter")
    return plots.finished(ax, "A point a trial; large: the best", diverged=not most)


CAPACITY = Question(
    name="capacity",
    config=CapacityConfig,
    budget=BUDGET,
    plan=CapacityPlan,
    result=CapacityResult,
    call=measure_capacity,
    columns=COLUMNS,
    caption="bits/param: best of the trials; bits/state: per number carried from step to step; ops/bit: operations of "
    f"a step per bit. {RISING} {AGAIN} chance: the same selection, untrained. "
    "infeasible: diverged, + again. paper: best of 1000+ tuned trials.",
    draw=draw_trials,
    figures=lambda results: {"capacity": draw_sizes},
)
