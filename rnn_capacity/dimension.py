"""What may be tuned of a number or a name."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rnn_capacity.checks import InputError


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from low to high, uniform on a linear or a logarithmic scale, or whole numbers only.

    Attributes:
        around_best: of what is in the unit of the objective, (from, to, at first to): as multiples of the best
            objective so far, the part of the range that is proposed from; the third instead of the second until a
            larger number than that was tried. None: all of it.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    around_best: tuple[float, float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some names."""

    options: tuple[str, ...]


Dimension = Range | Choice | float | str  # a plain value is fixed
Space = Mapping[str, Dimension]


def options(dimension: Any) -> Sequence[str]:
    """The names that a Choice, a name that is fixed, or an override holds."""
    if isinstance(dimension, Choice):
        return dimension.options
    return (dimension,) if isinstance(dimension, str) else dimension


def check_range(field: str, dimension: Any) -> None:
    """Refuses what is neither a Range of numbers nor a number.

    Raises:
        InputError: such a dimension, or a Range that is upside down; `field` begins the line.
    """
    number = isinstance(dimension, int | float) and not isinstance(dimension, bool)
    if not (number and math.isfinite(dimension)) and not (isinstance(dimension, Range) and _ends_fit(dimension)):
        must = "a number, or a Range whose lower end is below the upper, above 0 if logarithmic, whole if whole"
        raise InputError(f"{field} = {dimension!r}; it must be {must}")


def _ends_fit(dimension: Range) -> bool:
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or dimension.around_best is not None:
        return False
    if dimension.whole:
        return not dimension.log and low % 1 == high % 1 == 0
    return low > 0 or not dimension.log
