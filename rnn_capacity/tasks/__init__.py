"""The tasks, by name."""

from rnn_capacity.tasks.base import Task
from rnn_capacity.tasks.memorization import memorization

TASKS: dict[str, Task] = {task.name: task for task in (memorization,)}

__all__ = ["TASKS", "Task"]
