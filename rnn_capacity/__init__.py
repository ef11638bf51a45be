"""How many bits a recurrent cell can store, how much it can remember, and how hard it is to train."""

import importlib
import pkgutil

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.measure import (
    AssociationResult,
    CapacityResult,
    Comparison,
    PrecisionResult,
    RecallResult,
    TrainabilityResult,
    compare,
    measure_association,
    measure_capacity,
    measure_precision,
    measure_recall,
    measure_trainability,
    train_again,
)
from rnn_capacity.tasks import TASKS, Task

__version__ = "0.1.0"  # setup.py reads it here
__all__ = [
    "CELLS",
    "TASKS",
    "AssociationResult",
    "CapacityResult",
    "Cell",
    "Comparison",
    "PrecisionResult",
    "RecallResult",
    "Task",
    "TrainabilityResult",
    "compare",
    "measure_association",
    "measure_capacity",
    "measure_precision",
    "measure_recall",
    "measure_trainability",
    "train_again",
]


def __getattr__(name):
    """Imports a module of the package when it is first used: `rnn_capacity.paper.dataset.read`."""
    if name in _modules():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_modules()})


def _modules():
    return {module.name for module in pkgutil.iter_modules(__path__)}
