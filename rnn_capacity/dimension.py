"""What may be tuned of a number or a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


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
