"""A search space as a box: what a Gaussian process measures distances in.

A number is a column in [0, 1], linear or logarithmic as its distribution is. A choice is a column for each option,
with 1 / sqrt(2) in one of them: points that differ in the option are at distance 1, whichever the options. What does
not hold (`Dimensions.conditions`), or is missing, stands in the middle, so that points that differ only in what has no
effect are one point.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from rnn_capacity.search import units
from rnn_capacity.search.acquisition import Grid
from rnn_capacity.search.dimensions import Dimensions

HOT = 0.5**0.5


class Encoding:
    """Points of some dimensions as rows of features (C,), and back.

    Attributes:
        dimensions: what is encoded.
        dimension_of: (C,) the number of the dimension that a column belongs to.
        is_choice: (dimensions,) whether a dimension is a choice.
        spacing: (dimensions,) how far the values of a number are apart, 0 in a continuum.
        grid: where the values of numbers with steps are; None where there are none.
    """

    def __init__(self, dimensions: Dimensions):
        self.dimensions = dimensions
        self._names = list(dimensions.distributions)
        distributions = dimensions.distributions.values()
        counts = np.array([units.num_values(d) for d in distributions], int)
        self.is_choice = np.array([isinstance(d, CategoricalDistribution) for d in distributions], bool)
        self.dimension_of = np.repeat(np.arange(len(counts)), np.where(self.is_choice, counts, 1))
        starts = np.searchsorted(self.dimension_of, np.arange(len(counts) + 1))
        self._columns = {name: slice(*starts[i : i + 2]) for i, name in enumerate(self._names)}
        stepped = (counts > 0) & ~self.is_choice
        self.spacing = np.where(stepped, 1 / np.maximum(counts, 1), 0.0)
        self.grid = None
        if stepped.any():
            ends = np.array(
                [units.ends(d) if s else (0.5, 1.5, False) for d, s in zip(distributions, stepped, strict=True)]
            )
            low, high, log = ends[self.dimension_of].T
            self.grid = Grid(stepped[self.dimension_of], low, high, log > 0)
        parents = {parent for parent, _ in dimensions.conditions.values()}
        self._movable = {n for n, choice in zip(self._names, self.is_choice, strict=True) if not choice} - parents

    @property
    def num_dimensions(self) -> int:
        return len(self._names)

    def is_complete(self, values: Mapping[str, Any]) -> bool:
        """Whether there is a possible value for all that has an effect and is not optional."""
        distributions, _, optional = self.dimensions
        try:
            needed = [name for name in self._names if name not in optional and self._holds(name, values)]
            return values.keys() >= set(needed) and all(
                math.isfinite(units.to_unit(distributions[name], value))
                for name, value in values.items()
                if name in distributions
            )
        except (TypeError, ValueError):  # of another space that has a parameter of this name
            return False

    def _holds(self, name: str, values: Mapping[str, Any]) -> bool:
        if name not in self.dimensions.conditions:
            return True
        parent, indices = self.dimensions.conditions[name]
        if not indices or parent not in values or not self._holds(parent, values):
            return False
        return units.index_of(self.dimensions.distributions[parent], values[parent]) in indices

    def to_unit(self, values: Mapping[str, Any]) -> list[float]:
        """A trial's values as a point of the unit cube."""
        return [
            units.to_unit(d, values[name]) if name in values else units.MIDDLE
            for name, d in self.dimensions.distributions.items()
        ]

    def from_unit(self, point: Iterable[float]) -> dict[str, Any]:
        """A point of the unit cube as values, without those that do not hold."""
        items = zip(self.dimensions.distributions.items(), point, strict=True)
        values = {name: units.from_unit(d, u) for (name, d), u in items}
        return {name: value for name, value in values.items() if self._holds(name, values)}

    def encode(self, values: Mapping[str, Any]) -> np.ndarray:
        """A trial's values as features (C,)."""
        features = self.features(np.array([self.to_unit(values)]))[0][0]
        for name in self.dimensions.optional - values.keys():
            features[self._columns[name]] = self._middle(name)
        return features

    def decode(self, features: np.ndarray) -> dict[str, Any]:
        """Features (C,) as values, without those that do not hold."""
        columns = [features[column] for column in self._columns.values()]
        chosen = zip(columns, self.is_choice, strict=True)
        return self.from_unit([(np.argmax(c) + 0.5) / len(c) if is_choice else c[0] for c, is_choice in chosen])

    def features(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the unit cube (m, dimensions) -> their features (m, C), and which of these may be moved (m, C)."""
        features = np.zeros((len(points), len(self.dimension_of)))
        free = np.zeros(features.shape, bool)
        for name, u, is_choice in zip(self._names, points.T, self.is_choice, strict=True):
            column, distribution = self._columns[name], self.dimensions.distributions[name]
            if is_choice:
                features[np.arange(len(points)), column.start + self._indices(name, points)] = HOT
            elif units.num_values(distribution):
                features[:, column.start] = units.unit_of(distribution, units.index_at(distribution, u))
            else:
                features[:, column.start] = u
            free[:, column] = name in self._movable
        holds = {}
        for name, (parent, indices) in self.dimensions.conditions.items():
            holds[name] = np.zeros(len(points), bool)
            if indices:
                holds[name] = np.isin(self._indices(parent, points), list(indices)) & holds.get(parent, True)
            features[~holds[name], self._columns[name]] = self._middle(name)
            free[~holds[name], self._columns[name]] = False
        return features, free

    def _indices(self, name: str, points: np.ndarray) -> np.ndarray:
        """Which of its values points (m, dimensions) have, (m,)."""
        index = units.index_at(self.dimensions.distributions[name], points[:, self._names.index(name)])
        return np.asarray(index, int)

    def _middle(self, name: str) -> float:
        """As far from each option of a choice as from any other."""
        width = self._columns[name].stop - self._columns[name].start
        return HOT / width if self.is_choice[self._names.index(name)] else units.MIDDLE
