"""How hard a cell is to train on a task: what random or tuned hparams give (Collins et al. 2017, section 4)."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from rnn_capacity.cells import Cell
from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.display.tables import Column
from rnn_capacity.measure.question import Draw, Question, asks
from rnn_capacity.measure.result import NAN, Facts, Result
from rnn_capacity.measure.search import answer
from rnn_capacity.measure.shown import AGAIN, RISING, again, columns
from rnn_capacity.paper import published
from rnn_capacity.studies import store
from rnn_capacity.studies.config import A_CELL, BUDGET_OF_PARAMS, Budget, Runtime, StudyConfig, option
from rnn_capacity.studies.plan import Plan, find_task, of_the_package
from rnn_capacity.studies.trials import box, curve, finite, losses, welch
from rnn_capacity.tasks import Task
from rnn_capacity.tasks.memorization import Memorization

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGET = Budget(num_trials=32, num_repeats=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainabilityConfig(StudyConfig):
    """A study of how hard it is to train a network on a task."""

    cell: str | Cell | Callable[..., Any] = option(A_CELL)
    task: str | Task = option("a name of TASKS but memorization, text8:synthetic, or a Task of your own")
    task_fields: Mapping[str, Any] | None = option(
        "fields of the task, {'num_types': 2}; its class documents them", None
    )
    num_params: int = option(BUDGET_OF_PARAMS, 10_000)
    unroll: int | None = option("T, steps in time; None: the task's own", None)
    train_steps: int = 1_000
    space: str = "paper"

    @property
    def title(self) -> str:
        task, num_params = self.found_task(), check_positive_int("num_params", self.num_params)
        return f"{task.kind} {self.network} params={num_params} T={task.unroll}"

    def found_task(self) -> Task:
        """The task, with its fields."""
        fields, unroll = self.task_fields, self.unroll
        if unroll is not None and isinstance(fields, Mapping | None):
            unroll, fields = check_positive_int("unroll", unroll), dict(fields or {})
            if check_positive_int("task_fields.unroll", fields.get("unroll", unroll)) != unroll:
                raise InputError(f"unroll: {unroll!r} given; task_fields says {fields['unroll']!r}")
            fields = fields | {"unroll": unroll}
        task = find_task(self.task, fields)
        if isinstance(task, Memorization):
            raise InputError("task: 'memorization' given; it is measured by measure_capacity")
        return task

    def plan(self) -> Plan:
        task, num_params = self.found_task(), check_positive_int("num_params", self.num_params)
        return self.make_plan(Plan, task, num_params=num_params)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TrainabilityResult(Result):
    """What training on a task gave, over all trials; losses are the task's own, on the evaluation split.

    `loss` and `score` are of the trial with the least validation loss; `repeats` and `interval` are losses.
    """

    measure: ClassVar[str] = "trainability"
    more: ClassVar[tuple[str, ...]] = ("percent_infeasible",)

    task: str  #: its name
    task_fields: Mapping[str, Any]
    sampler: str
    loss: float  #: in the task's own unit, which its class says
    score: float  #: of what `score_name` says
    score_name: str  #: the task's `measure`
    chance: float  #: the same of the untrained networks, their mean
    median_loss: float  #: of the trials that did not diverge
    box: Mapping[str, float]  #: of these: the quartiles, and the last losses within 1.5 times their distance

    @classmethod
    def own_fields(cls, facts: Facts) -> dict[str, Any]:
        task, plan = facts.task, facts.plan
        name = facts.kept.get("score_name", _score_name(facts)) if task is None else task.measure
        untrained = finite(facts.of_all(f"untrained_{name}"))
        spread = box(losses(store.trials_frame(facts.trials)) if facts.trials else np.empty(0))
        return {
            "task": facts.kept.get("task", plan["task"]) if task is None else task.label,
            "task_fields": {field: plan[field] for field in plan if not of_the_package(field)},
            "sampler": plan["sampler"],
            "loss": facts.of_best("eval_loss"),
            "score": facts.of_best(name),
            "score_name": name,
            "chance": float(np.mean(untrained)) if untrained else NAN,
            "median_loss": spread["median"],
            "box": spread,
        }

    @property
    def percent_infeasible(self) -> float:
        """Of the trials of the search (the paper's Table 1)."""
        return 100 * self.num_infeasible / self.num_trials if self.num_trials else NAN

    @property
    def subject(self) -> str:
        return f"{super().subject}, on {self.task}"

    @property
    def answer(self) -> str:
        return f"loss {self.loss:.4g}, {self.score_name} {self.score:.3g}"

    @property
    def curve(self) -> pd.DataFrame:
        """The best and the median loss so far, against the tuner's iterations (the paper's Figure 4)."""
        return curve(self.trials)

    def welch(self, other: TrainabilityResult) -> tuple[float, float, float]:
        """Welch's t between the losses of two results, its degrees of freedom, and p (the paper's Table App.2).

        Negative where this one's losses are lower.
        """
        return welch(losses(self.trials), losses(other.trials))


def _score_name(facts: Facts) -> str:
    """Of a user's own task that is not at hand: what its networks scored before they were trained."""
    outcomes = [trial.user_attrs[store.OUTCOME] for trial in facts.trials[:1]]
    names = [name for outcome in outcomes for name in outcome if name.startswith("untrained_")]
    return names[0].removeprefix("untrained_") if names else "score"


@asks(TrainabilityConfig, BUDGET, "cell", "task")
def measure_trainability(config: TrainabilityConfig, budget: Budget, runtime: Runtime) -> TrainabilityResult:
    """How hard the cell is to train on a task (Collins et al. 2017, section 4).

    Trains `num_trials` networks with hparams drawn from the search space: `sampler="random"` gives what random hparams
    give (the paper's Figure 5 and Table 1), the default what a tuner finds and when (its Figure 4).

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
    return answer(TRAINABILITY, config.plan(), budget, runtime)


def _published_infeasible(result: TrainabilityResult) -> str:
    known = published.INFEASIBLE.get(result.depth, {}) if result.task == "parentheses" else {}
    return f"{known[result.cell]:.1f}" if result.cell in known else "-"


COLUMNS = {
    "task": Column(lambda r: r.task, 16),
    **columns("cell", "depth", "T", "params", "units"),
    "loss": Column(lambda r: f"{r.loss:#.3g}", 8),
    "score": Column(lambda r: f"{r.score:#.3g}", 8),
    "of": Column(lambda r: r.score_name, 13),
    "chance": Column(lambda r: f"{r.chance:#.3g}", 8),
    **columns("rising"),
    **again("#.3g", 21),
    "median": Column(lambda r: f"{r.median_loss:#.3g}", 8),
    **columns("trials"),
    "% infeasible": Column(lambda r: f"{r.percent_infeasible:.1f}"),
    **columns("seconds"),
    "paper, %": Column(_published_infeasible),
}


def pairs(results: Sequence[TrainabilityResult]) -> pd.DataFrame:
    """Welch's t between the losses of each two cells, all else being alike (the paper's Table App.2).

    A row a pair: t is negative where the first cell's losses are lower; with its degrees of freedom and p.
    """
    groups: dict[tuple, list[TrainabilityResult]] = {}
    for r in results:
        alike = json.dumps([dict(r.task_fields), r.max_params, r.sampler])
        groups.setdefault((r.task, r.depth, r.unroll, alike), []).append(r)
    rows = [
        (a.task, a.depth, a.unroll, a.cell, a.num_params, b.cell, b.num_params, *a.welch(b))
        for group in groups.values()
        for a, b in itertools.combinations(group, 2)
    ]
    names = ("task", "depth", "T", "cell", "params", "against", "its params", "t", "dof", "p")
    return pd.DataFrame(rows, columns=list(names))


def draw_curves(results: Sequence[TrainabilityResult], ax: Axes | None = None) -> Axes:
    """Best (thick) and median loss so far against the tuner's iterations, a colour a cell (the paper's Figure 4)."""
    from rnn_capacity.display import plots

    ax = plots.axes(ax)
    styles = plots.styles([(r.cell,) for r in results])
    for (cell, depth, *_), group in plots.grouped(results, "cell", "depth", "num_params", "unroll"):
        label: str | None = plots.label(group[0], "num_params", "unroll")
        for result in group:
            found = result.curve
            dot = "o" if found["best"].count() == 1 else None  # of one point a line shows nothing
            drawn: dict[str, Any] = {"where": "post", "color": styles[cell,][0], "marker": dot}
            ax.step(found["trials"], found["best"], plots.LINES.get(depth, "-"), label=label, **drawn)
            ax.step(found["trials"], found["median"], plots.LINES.get(depth, "-"), alpha=0.4, lw=1, **drawn)
            label = None
    if any((r.trials["eval_loss"].astype(float) > 0).any() for r in results):
        plots.log_losses(ax)
    plots.whole(ax.xaxis)
    ax.set(xlabel="trials", ylabel="loss")
    diverged = bool(results) and not any(r.trials["feasible"].any() for r in results)
    return plots.finished(ax, f"{_tasks(results)}: best so far, and pale the median", diverged)


def draw_boxes(results: Sequence[TrainabilityResult], ax: Axes | None = None) -> Axes:
    """The losses of all trials that did not diverge, a box a cell and depth (the paper's Figure 5)."""
    from rnn_capacity.display import plots

    ax = plots.axes(ax)
    found = [losses(r.trials) for r in results]
    names = [f"{plots.literal(r.cell)}, depth {r.depth}, {r.num_params}" for r in results]
    drawn = ax.boxplot(found, patch_artist=True, medianprops={"color": "black"}, flierprops={"ms": 3})
    for place, (patch, result) in enumerate(zip(drawn["boxes"], results, strict=True), 1):
        patch.set(facecolor=plots.look(result.cell)[0], alpha=0.6)
        share = f"{result.percent_infeasible:.0f} %"
        ax.text(place, 1.0, share, transform=ax.get_xaxis_transform(), ha="center", va="bottom", color="0.35")
    if any((values > 0).any() for values in found):
        ax.set_yscale("log")
    ax.set_xticks(ax.get_xticks(), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_ylabel("loss")
    title = f"{_tasks(results)}: losses of all trials; above, how many diverged"
    ax.set_title(title, fontsize="medium", loc="left", pad=18)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _tasks(results: Sequence[TrainabilityResult]) -> str:
    from rnn_capacity.display import plots

    return ", ".join(sorted({plots.literal(r.task) for r in results}))


def _figures(results: Sequence[TrainabilityResult]) -> dict[str, Draw]:
    """Two for each task."""
    found: dict[str, Draw] = {}
    for task in dict.fromkeys(r.task for r in results):
        name = f"trainability-{re.sub(r'[^A-Za-z0-9]+', '-', task)}"
        of_task = lambda draw, task=task: lambda results, ax: draw([r for r in results if r.task == task], ax)
        found |= {name: of_task(draw_curves), f"{name}-losses": of_task(draw_boxes)}
    return found


TRAINABILITY = Question(
    name="trainability",
    config=TrainabilityConfig,
    budget=BUDGET,
    plan=Plan,
    result=TrainabilityResult,
    call=measure_trainability,
    columns=COLUMNS,
    caption="loss, score: of the trial of the least validation loss, on the evaluation split. chance: the score "
    f"untrained. {RISING} {AGAIN} median: of the losses of all trials that did not diverge. paper: its Table 1, of "
    "1000 random draws at 200,000 parameters.",
    draw=draw_curves,
    figures=_figures,
)
