"""The tasks, by name: each a class, whose fields say which one of its kind."""

from rnn_capacity.tasks.arithmetic import Arithmetic
from rnn_capacity.tasks.associative_recall import AssociativeRecall
from rnn_capacity.tasks.base import SPLITS, Batch, DrawnTask, Source, Task
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.tasks.parentheses import Parentheses
from rnn_capacity.tasks.random_functions import RandomFunctions
from rnn_capacity.tasks.recall import Recall
from rnn_capacity.tasks.text8 import Text8

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (Memorization, Recall, RandomFunctions, Text8, Parentheses, Arithmetic, AssociativeRecall)
}

__all__ = ["SPLITS", "TASKS", "Batch", "DrawnTask", "Source", "Task"]
