"""How many bits a recurrent cell can store, how much it can remember, and how hard it is to train."""

import importlib
import pkgutil

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.measure.again import train_again
from rnn_capacity.measure.association import AssociationResult, measure_association
from rnn_capacity.measure.capacity import CapacityResult, measure_capacity
from rnn_capacity.measure.comparison import Comparison, compare
from rnn_capacity.measure.precision import PrecisionResult, measure_precision
from rnn_capacity.measure.recall import RecallResult, measure_recall
from rnn_capacity.measure.trainability import TrainabilityResult, measure_trainability
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
