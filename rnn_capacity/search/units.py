"""Optuna's distributions as the interval from 0 to 1: a value is a coordinate, on the scale of its distribution.

Where values can be counted (choices, steps, integers), each has a cell of the interval and stands in its middle. Cells
are equally wide, but for those of logarithmic integers, which reach from n - 1/2 to n + 1/2 on their scale.
"""

import math
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

MIDDLE = 0.5

Distribution = FloatDistribution | IntDistribution | CategoricalDistribution


def num_values(distribution: Distribution) -> int:
    """How many values there are; 0: a continuum."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if distribution.step is None:
        return 0
    return round((distribution.high - distribution.low) / distribution.step) + 1


def ends(distribution: Distribution) -> tuple[float, float, bool]:
    """The interval as one of numbers that are rounded: its lower and its upper end, and whether it is logarithmic."""
    if isinstance(distribution, IntDistribution) and distribution.log:
        return distribution.low - 0.5, distribution.high + 0.5, True
    return 0.5, num_values(distribution) + 0.5, False


def index_at(distribution: Distribution, u: float | np.ndarray) -> float | np.ndarray:
    """Which of the values, from 0, is at a coordinate; whole."""
    low, high, log = ends(distribution)
    if log:
        index = np.round(np.exp(np.log(low) + u * np.log(high / low))) - (low + 0.5)
    else:
        index = np.floor(u * num_values(distribution))
    return np.clip(index, 0, num_values(distribution) - 1)


def index_of(distribution: Distribution, value: Any) -> int:
    """Which of the values, from 0, a value is, or is nearest to."""
    if isinstance(distribution, CategoricalDistribution):
        return int(distribution.to_internal_repr(value))
    assert distribution.step is not None  # a continuum has no first value, nor a second
    return min(max(round((value - distribution.low) / distribution.step), 0), num_values(distribution) - 1)


def unit_of(distribution: Distribution, index: float | np.ndarray) -> float | np.ndarray:
    """The middle of a value's cell."""
    low, high, log = ends(distribution)
    if log:
        return np.log((low + 0.5 + index) / low) / np.log(high / low)
    return (index + 0.5) / num_values(distribution)


def from_unit(distribution: Distribution, u: float) -> Any:
    """The value at a coordinate."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(index_at(distribution, u))]
    low, high = distribution.low, distribution.high
    if distribution.step is not None:
        return min(low + int(index_at(distribution, u)) * distribution.step, high)  # rounding may take it above
    if distribution.log:
        return float(np.clip(math.exp(math.log(low) + u * math.log(high / low)), low, high))
    return float(np.clip(low + u * (high - low), low, high))


def to_unit(distribution: Distribution, value: Any) -> float:
    """The inverse."""
    if distribution.single():
        return MIDDLE
    if isinstance(distribution, CategoricalDistribution) or distribution.step is not None:
        return float(unit_of(distribution, index_of(distribution, value)))
    low, high = distribution.low, distribution.high
    return math.log(value / low) / math.log(high / low) if distribution.log else (value - low) / (high - low)
