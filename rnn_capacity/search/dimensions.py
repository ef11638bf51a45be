"""What is tuned, and when: of a define-by-run study, read off its trials here; of a Space in `space.py`."""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from rnn_capacity.search import units
from rnn_capacity.search.units import Distribution

Condition = tuple[str, frozenset[int]]  # another dimension, and which of its values (`units.index_of`)


class Dimensions(NamedTuple):
    """What is tuned, and when.

    Attributes:
        distributions: by name.
        conditions: what must be chosen for a dimension to have an effect; those that others depend on come first.
        optional: what trials may lack although no condition explains it.
    """

    distributions: dict[str, Distribution]
    conditions: dict[str, Condition]
    optional: frozenset[str] = frozenset()


def observed(trials: Sequence[FrozenTrial]) -> Dimensions:
    """All that these trials tuned: each parameter of any of them, in the widest range it had.

    Trials that have a parameter of another kind than newer ones have it are left out.
    """
    widest: dict[str, Distribution] = {}
    counted = []
    for trial in reversed(trials):
        own = cast(dict[str, Distribution], trial.distributions)
        if all(_is_kind(d, widest.get(name, d)) for name, d in own.items()):
            widest |= {name: _union(d, widest.get(name, d)) for name, d in own.items()}
            counted.append(trial)
    distributions = {name: widest[name] for name in sorted(widest) if not widest[name].single()}

    having = {name: [t for t in counted if name in t.params] for name in distributions}
    conditional = [name for name in having if len(having[name]) < len(counted)]
    conditional.sort(key=lambda name: -len(having[name]))
    found = {name: _condition(name, having[name], counted, distributions) for name in conditional}
    conditions = {name: condition for name, condition in found.items() if condition}
    return Dimensions(distributions, conditions, frozenset(found) - conditions.keys())


def _is_kind(one: Distribution, other: Distribution) -> bool:
    if one is other or one == other:
        return True
    if isinstance(one, CategoricalDistribution) or isinstance(other, CategoricalDistribution):
        return False
    return type(one) is type(other) and one.log == other.log


def _union(one: Distribution, other: Distribution) -> Distribution:
    """The values of both, which are of a kind."""
    if one is other or one == other:
        return other
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        step = math.gcd(one.step, other.step, abs(one.low - other.low))
        return IntDistribution(min(one.low, other.low), max(one.high, other.high), one.log, step)
    if isinstance(one, FloatDistribution) and isinstance(other, FloatDistribution):
        step_or_none = one.step if one.step == other.step else None
        return FloatDistribution(min(one.low, other.low), max(one.high, other.high), one.log, step_or_none)
    return other


def _condition(name, having, trials, distributions) -> Condition | None:
    """The dimension that decides whether a trial has this one, and its values where it does.

    Of several the one with the fewest values; none that has another value in nearly every trial: it would explain all.
    """
    values = {parent: units.num_values(d) for parent, d in distributions.items() if units.num_values(d)}
    for parent in sorted(values, key=lambda parent: (values[parent], parent)):
        if all(parent in t.params for t in having):
            index = lambda trial, parent=parent: units.index_of(distributions[parent], trial.params[parent])
            present = {index(t) for t in having}
            absent = {index(t) for t in trials if parent in t.params and name not in t.params}
            if absent and not present & absent and 2 * len(present | absent) <= len(trials):
                return parent, frozenset(present)
    return None
