"""What all results have, and how one is made from the trials of a study: just trained, or read from a storage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity import information
from rnn_capacity.cells import NAMED_CELLS, Cell
from rnn_capacity.display import tables
from rnn_capacity.measure.shown import Shown
from rnn_capacity.model import counters
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import store
from rnn_capacity.studies.plan import HPARAM, again_name, described_task, space_of
from rnn_capacity.studies.reader import Stored
from rnn_capacity.studies.trials import still_improving
from rnn_capacity.tasks import TASKS, Task

if TYPE_CHECKING:
    from rnn_capacity.measure.question import Question

NAN = float("nan")
WORKER: dict[str, Any] = {"packages": {}, "code": None, "device": None, "command": None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What a storage has of a study beside the numbers of its result."""

    source: str  #: the folder or the URL that it is in, for people
    plan: Mapping[str, Any]  #: everything that defines the study, as plain JSON
    best_number: int | None  #: of the best trial; None where there is none
    finished: bool  #: whether it has all the trials and repeats that were asked for
    measured: bool  #: whether that was so before, or is; more may have been asked for since
    wanted_trials: int | None  #: how many trials were asked for; None where it was not kept
    workers: Sequence[Mapping[str, Any]]  #: what trained it, each once: packages, code, device and command

    @property
    def space(self) -> dict[str, Any]:
        """The range of each dimension, tuned or fixed, as plain JSON."""
        return {n.removeprefix(HPARAM): dimension for n, dimension in self.plan.items() if n.startswith(HPARAM)}


def per(amount: float, number: float) -> float:
    """So much of an amount for each of a number; NaN where there is none."""
    return amount / number if number else NAN


class Facts(NamedTuple):
    """What a result is made from: the trials that count, and what is known of their task."""

    plan: Mapping[str, Any]
    task: Task | None  # None where it is a user's own, and not at hand
    cell: Cell | None  # likewise
    kept: Mapping[str, Any]  # the result that was kept with the study, which knows more of such a task
    trials: Sequence[FrozenTrial]
    best: FrozenTrial | None
    repeats: Sequence[FrozenTrial]  # of the best, on fresh data and weights

    def of_best(self, name: str, otherwise: float = NAN) -> Any:
        """What the best trial gave."""
        return otherwise if self.best is None else self.best.user_attrs[store.OUTCOME][name]

    def of_all(self, name: str) -> list[Any]:
        """What each trial gave."""
        return [trial.user_attrs[store.OUTCOME][name] for trial in self.trials]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Result(Shown):
    """What a study gave. The best of `num_trials` trials is reported, as in the paper, and so it is optimistic.

    With it come `still_improving`, whether more trials would find more, and `interval`, the 95 % interval of the
    mean over `repeats`: the best hparams again, on fresh data and fresh initial weights.
    """

    measure: ClassVar[str]  #: which question it answers
    more: ClassVar[tuple[str, ...]] = ()  #: what `to_dict` has beside the fields

    study: str  #: its name in the storage, for `train_again`
    cell: str  #: its name
    depth: int  #: layers
    max_params: int | None  #: the budget; None where the units were given
    num_params: int  #: all that is trained, readout and initial carry included
    num_units: int  #: of each layer
    state_floats: float  #: carried from step to step, in all layers; NaN where an older version measured a user's cell
    operations: float  #: of a step for one example, in all layers, as `counters.Counts` has them; NaN as above
    num_inputs: int
    unroll: int  #: T, steps in time
    still_improving: bool  #: as `studies.trials.still_improving` has it
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
    record: Record  #: what defines the study, how far it is, and what trained it

    @property
    def question(self) -> Question:
        """The question that it answers."""
        from rnn_capacity.measure.questions import QUESTIONS

        return QUESTIONS[self.measure]

    @classmethod
    def own_fields(cls, facts: Facts) -> dict[str, Any]:
        """The fields that no other question's result has."""
        raise NotImplementedError

    @property
    def mean(self) -> float:
        """The mean of the repeats; NaN without any."""
        return float(np.mean(self.repeats)) if self.repeats else NAN

    @property
    def parts(self) -> Sequence[Result]:
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

    def notes(self, config: str = "") -> list[str]:
        found = []
        for name, (low, high) in self.wider.items():
            ends = f"({low:g}, {high:g})"
            remedy = f"hparams={{{name!r}: {ends}}}"
            if config and name == spaces.family_of(name):
                remedy += f" or --{config}.hparams.{name}='{ends}'"
            best = tables.short(self.best_hparams[name])
            found.append(f"{self.cell}: the best {name}, {best}, lies at an end of its range; {remedy} looks further")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything but the table of trials and the record, as plain JSON types."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("trials", "record")]
        return {"measure": self.measure} | tables.plain({n: getattr(self, n) for n in (*names, *self.more)})


R = TypeVar("R", bound=Result)


def result_of(
    question: Question[R],
    name: str,
    studies: Mapping[str, Stored],
    task: Task | None = None,
    cell: Cell | None = None,
    source: str = "",
) -> R:
    """The result of a study, finished or not, from its plan and its trials.

    Args:
        name: of the study.
        studies: by name; the repeats of its best trial among them, if there are any.
        task, cell: if they are at hand; those of the package are known from the plan.
        source: where the study is kept, for people.

    Raises:
        LookupError, TypeError, ValueError: the study is of another version.
    """
    study = studies[name]
    plan, kept, asked = study.plan, study.user_attrs.get(store.RESULT, {}), study.user_attrs.get(store.ASKED, {})
    wanted, wanted_repeats = asked.get("num_trials"), asked.get("num_repeats")
    trials = study.measured[:wanted]  # workers side by side may have stored a few more
    best = best_of(trials, question.plan.sign)
    repeating = None if best is None else studies.get(again_name(name, best.number))
    again = [] if repeating is None else repeating.measured[:wanted_repeats]
    if wanted is None:  # of before this was kept
        finished = (kept.get("num_trials"), _count(kept)) == (len(trials), len(again))
    else:
        finished = len(trials) >= wanted and (best is None or len(again) >= wanted_repeats)
    facts = Facts(plan, task or task_of(plan), cell or cell_of(plan), kept, trials, best, again)
    record = Record(
        source=source,
        plan=plan,
        best_number=None if best is None else best.number,
        finished=finished,
        measured=finished or bool(kept),
        wanted_trials=wanted,
        workers=_workers([study, *filter(None, [repeating])]),
    )
    fields = _of_plan(facts) | _of_trials(facts, again, question) | question.result.own_fields(facts)
    return question.result(study=name, record=record, trials=store.trials_frame(trials), **fields)


def task_of(plan: Mapping[str, Any]) -> Task | None:
    """The task of a described plan; None where it is a user's own."""
    return None if "task's program" in plan or plan["task"] not in TASKS else described_task(plan)


def cell_of(plan: Mapping[str, Any]) -> Cell | None:
    """The cell of a described plan; None where it is a user's own."""
    return None if "cell's program" in plan else NAMED_CELLS.get(plan["cell"])


def best_of(trials: Sequence[FrozenTrial], sign: int) -> FrozenTrial | None:
    """The trial of the best objective, of those that were trained to the end if any was; None where there is none."""
    ended = [t for t in trials if t.state == TrialState.COMPLETE] or [t for t in trials if t.value is not None]
    return max(ended, key=lambda t: sign * (t.value or 0.0), default=None)


def _of_plan(facts: Facts) -> dict[str, Any]:
    names = ("cell", "depth", "max_params", "num_params", "num_units", "train_steps")
    known = lambda name: getattr(facts.task, name, facts.plan.get(name, facts.kept.get(name)))
    found = {name: facts.plan[name] for name in names} | {name: known(name) for name in ("num_inputs", "unroll")}
    counted = counters.Counts._fields
    if facts.cell is None or found["num_inputs"] is None:
        return found | {name: NAN if (n := facts.kept.get(name)) is None else n for name in counted}
    sizes = {name: found[name] for name in ("num_inputs", "num_units", "depth")}
    return found | counters.count(facts.cell, **sizes)._asdict()


def _of_trials(facts: Facts, repeats: Sequence[FrozenTrial], question: Question) -> dict[str, Any]:
    best, space, sign, reported = facts.best, space_of(facts.plan), question.plan.sign, question.plan.reported
    outcomes = [t.user_attrs[store.OUTCOME] for t in repeats]
    again = tuple(float(o[reported]) for t, o in zip(repeats, outcomes, strict=True) if t.value is not None)
    ended = [t.value if t.state == TrialState.COMPLETE else None for t in facts.trials]
    return {
        "still_improving": still_improving(ended, sign),
        "interval": information.confidence_interval(again),
        "repeats": again,
        "best_hparams": {} if best is None else spaces.holding(space, {**space, **best.params}),
        "wider": {} if best is None else spaces.wider(space, best.params),
        "num_trials": len(facts.trials),
        "num_infeasible": facts.of_all("feasible").count(False),
        "num_stopped_early": sum(facts.of_all("stopped_early")),
        "num_infeasible_repeats": len(repeats) - len(again),
        "total_steps": sum(facts.of_all("steps")),
        "seconds": sum([*facts.of_all("seconds"), *(o["seconds"] for o in outcomes)]),
    }


def _count(kept: Mapping[str, Any]) -> int:
    """The repeats of a result that was kept."""
    return len(kept.get("repeats", ())) + kept.get("num_infeasible_repeats", 0)


def _workers(studies: Iterable[Stored]) -> list[dict[str, Any]]:
    """What trained some studies, each once."""
    found: list[dict[str, Any]] = []
    for name, about in (item for study in studies for item in study.user_attrs.items()):
        if name.startswith(store.WORKER) and WORKER | about not in found:
            found.append(WORKER | about)
    return found
