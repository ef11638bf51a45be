"""The questions that the package answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnn_capacity.cells import Cell
from rnn_capacity.measure import capacity, recall, trainability
from rnn_capacity.measure.capacity import CapacityConfig, CapacityPlan, measure_capacity
from rnn_capacity.measure.question import Question
from rnn_capacity.measure.recall import RecallConfig, measure_recall
from rnn_capacity.measure.trainability import TrainabilityConfig, measure_trainability
from rnn_capacity.studies.plan import Plan, find_task
from rnn_capacity.tasks import Task
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.tasks.recall import Recall

CAPACITY = Question("capacity", CapacityConfig, capacity.BUDGET, CapacityPlan, measure_capacity)
RECALL = Question("recall", RecallConfig, recall.BUDGET, Plan, measure_recall)
TRAINABILITY = Question("trainability", TrainabilityConfig, trainability.BUDGET, Plan, measure_trainability)

QUESTIONS: dict[str, Question] = {question.name: question for question in (CAPACITY, RECALL, TRAINABILITY)}


def question_of(task: str | Task) -> Question:
    """The question that is asked on a task.

    Raises:
        InputError: there is no such task.
    """
    kind = find_task(task)
    if isinstance(kind, Memorization):
        return CAPACITY
    return RECALL if isinstance(kind, Recall) else TRAINABILITY


def plan_of(name: str, described: Mapping[str, Any], cell: Cell | None = None, task: Task | None = None) -> Plan:
    """The plan of a study, from what `Plan.describe` said of it.

    Args:
        cell, task: where they are a user's own.

    Raises:
        InputError: the cell or the task is not the one that was trained.
    """
    question = question_of(task if isinstance(task, Task) else described["task"])
    return question.plan.of(name, described, cell, task)
