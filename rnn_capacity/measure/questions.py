"""The questions that the package answers, and the answers that a storage has."""

from collections.abc import Mapping
from typing import Any

from rnn_capacity.cells import Cell
from rnn_capacity.checks import first_line
from rnn_capacity.measure.association import ASSOCIATION
from rnn_capacity.measure.capacity import CAPACITY
from rnn_capacity.measure.question import Question
from rnn_capacity.measure.recall import RECALL
from rnn_capacity.measure.result import Result, result_of
from rnn_capacity.measure.trainability import TRAINABILITY
from rnn_capacity.studies import reader, store
from rnn_capacity.studies.plan import Plan, find_task, is_again
from rnn_capacity.tasks import Task
from rnn_capacity.tasks.associative_recall import AssociativeRecall
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.tasks.recall import Recall

QUESTIONS: dict[str, Question] = {q.name: q for q in (CAPACITY, RECALL, TRAINABILITY, ASSOCIATION)}
OF_UNITS: dict[type[Task], Question] = {
    Recall: RECALL,
    AssociativeRecall: ASSOCIATION,
}  # asked of so many units, not of a budget


def question_of(task: str | Task) -> Question:
    """The question that is asked on a task.

    Raises:
        InputError: there is no such task.
    """
    kind = find_task(task)
    if isinstance(kind, Memorization):
        return CAPACITY
    return next((question for of, question in OF_UNITS.items() if isinstance(kind, of)), TRAINABILITY)


def question_asked(described: Mapping[str, Any]) -> Question:
    """The question that a study answers, from what `Plan.describe` said of it.

    Recall and association are asked with units; with a budget of parameters their tasks are of trainability.
    """
    if "task's program" in described:  # a user's own, whatever its name
        return TRAINABILITY
    question = question_of(described["task"])
    of_budget = question in OF_UNITS.values() and described["max_params"] is not None
    return TRAINABILITY if of_budget else question


def plan_of(name: str, described: Mapping[str, Any], cell: Cell | None = None, task: Task | None = None) -> Plan:
    """The plan of a study, from what `Plan.describe` said of it.

    Args:
        cell, task: where they are a user's own.

    Raises:
        InputError: the cell or the task is not the one that was trained.
    """
    return question_asked(described).plan.of(name, described, cell, task)


def results_in(storage: reader.Storage, source: str = "") -> tuple[list[Result], list[str]]:
    """The results of all searches of an existing storage, finished or not, in the order in which they were begun.

    Args:
        source: the storage's name, for people.

    Returns:
        The results, and a sentence on each study that is left out.

    Raises:
        InputError: there is no such storage, or it is no database of studies.
    """
    found, failed = reader.read(storage)
    notes = [f"the study {name!r} cannot be read ({reason})" for name, reason in failed.items()]
    studies, results = {study.name: study for study in found}, []
    for name, study in studies.items():
        if is_again(name):
            continue
        if not study.plan:
            notes.append(f"the study {name!r} is none of this package's, and left out")
            continue
        try:
            results.append(result_of(question_asked(study.plan), name, studies, source=source))
        except Exception as error:  # of a version that nobody can foresee
            reason = f"{type(error).__name__}: {first_line(error)}"
            notes.append(f"the study {name!r} is of another version{_version(study)}, and left out ({reason})")
    return results, notes


def _version(study: reader.Stored) -> str:
    """Which version measured a study, and so reads it; empty where it was not kept."""
    known = (about for name, about in study.user_attrs.items() if name.startswith(store.WORKER))
    versions = {about["packages"]["rnn_capacity"] for about in known if "rnn_capacity" in about.get("packages", {})}
    return "".join(f", which rnn_capacity {version} reads" for version in sorted(versions)[-1:])
