"""A search space as a box: what a Gaussian process measures distances in.

A Range is a column in [0, 1], linear or logarithmic as the Range is. A Choice is a column for each of its names, with
1 / sqrt(2) in one of them: points that differ in the name are at distance 1, whichever the names. A Range that does not
hold (`space.condition`) stands in the middle, so that points that differ only in what has no effect are one point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_capacity.search.ranges import Choice, Space
from rnn_capacity.search.space import condition, from_unit, holding, to_unit, tuned

HOT = 0.5**0.5
MIDDLE = 0.5


class Encoding:
    """Points of a Space as rows of features (C,), and back.

    Attributes:
        dimension_of: (C,) the number of the dimension that a column belongs to.
        is_choice: (dimensions,) whether a dimension is a Choice.
    """

    def __init__(self, space: Space):
        self._space = space
        self._dimensions = tuned(space)
        self._columns: dict[str, slice] = {}
        start = 0
        for name, dimension in self._dimensions.items():
            width = len(dimension.options) if isinstance(dimension, Choice) else 1
            self._columns[name] = slice(start, start + width)
            start += width
        widths = [c.stop - c.start for c in self._columns.values()]
        self.dimension_of = np.repeat(np.arange(len(widths)), widths)
        self.is_choice = np.array([isinstance(d, Choice) for d in self._dimensions.values()], bool)

    @property
    def num_dimensions(self) -> int:
        return len(self._dimensions)

    def is_complete(self, values: Mapping[str, Any]) -> bool:
        """Whether there is a value for all that has an effect."""
        if any(name not in values for name, d in self._dimensions.items() if isinstance(d, Choice)):
            return False
        return set(holding(self._space, {**self._space, **values})) & self._dimensions.keys() <= values.keys()

    def to_unit(self, values: Mapping[str, Any]) -> list[float]:
        """A trial's values, without those that do not hold, as a point of the unit cube."""
        return to_unit(self._space, values)

    def encode(self, values: Mapping[str, Any]) -> np.ndarray:
        """The same as features (C,)."""
        return self.features(np.array([self.to_unit(values)]))[0][0]

    def decode(self, features: np.ndarray) -> dict[str, float | str]:
        """Features (C,) as values, without those that do not hold."""
        point = []
        for name, dimension in self._dimensions.items():
            column = features[self._columns[name]]
            is_choice = isinstance(dimension, Choice)
            point.append((np.argmax(column) + 0.5) / len(column) if is_choice else column[0])
        return from_unit(self._space, np.array(point))

    def features(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the unit cube (m, dimensions) -> their features (m, C), and which of these may be moved (m, C)."""
        features = np.zeros((len(points), len(self.dimension_of)))
        free = np.zeros(features.shape, bool)
        for (name, dimension), u in zip(self._dimensions.items(), points.T, strict=True):
            column = self._columns[name]
            if isinstance(dimension, Choice):
                index = np.minimum((u * len(dimension.options)).astype(int), len(dimension.options) - 1)
                features[np.arange(len(points)), column.start + index] = HOT
            else:
                features[:, column] = u[:, None]
                free[:, column] = True
        for name in self._dimensions:  # once the choices are known
            if (needed := condition(self._space, name)) and needed[0] in self._columns:
                parent, options = needed
                names = self._dimensions[parent].options
                first = self._columns[parent].start
                holds = features[:, [first + names.index(option) for option in options if option in names]].any(axis=1)
                features[~holds, self._columns[name]] = MIDDLE
                free[~holds, self._columns[name]] = False
        return features, free
