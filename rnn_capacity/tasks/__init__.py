"""The tasks, by name: each a class, whose fields say which one of its kind."""

from rnn_capacity.tasks.base import SPLITS, Batch, DrawnTask, Source, Task
from rnn_capacity.tasks.memorization import Memorization

TASKS: dict[str, type[Task]] = {task.name: task for task in (Memorization,)}

__all__ = ["SPLITS", "TASKS", "Batch", "DrawnTask", "Source", "Task"]
