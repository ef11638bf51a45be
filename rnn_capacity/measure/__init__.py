"""The questions that the package answers, one call each."""

from rnn_capacity.measure.again import train_again
from rnn_capacity.measure.association import AssociationResult, measure_association
from rnn_capacity.measure.capacity import CapacityResult, measure_capacity
from rnn_capacity.measure.comparison import Comparison, compare
from rnn_capacity.measure.precision import PrecisionResult, measure_precision
from rnn_capacity.measure.recall import RecallResult, measure_recall
from rnn_capacity.measure.trainability import TrainabilityResult, measure_trainability

__all__ = [
    "AssociationResult",
    "CapacityResult",
    "Comparison",
    "PrecisionResult",
    "RecallResult",
    "TrainabilityResult",
    "compare",
    "measure_association",
    "measure_capacity",
    "measure_precision",
    "measure_recall",
    "measure_trainability",
    "train_again",
]
