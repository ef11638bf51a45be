"""How many bits a recurrent cell can store, how much it can remember, and how hard it is to train."""

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.measure import (
    CapacityResult,
    Comparison,
    RecallResult,
    TrainabilityResult,
    compare,
    measure_capacity,
    measure_recall,
    measure_trainability,
    train_again,
)
from rnn_capacity.tasks import TASKS, Task

__all__ = [
    "CELLS",
    "TASKS",
    "CapacityResult",
    "Cell",
    "Comparison",
    "RecallResult",
    "Task",
    "TrainabilityResult",
    "compare",
    "measure_capacity",
    "measure_recall",
    "measure_trainability",
    "train_again",
]
