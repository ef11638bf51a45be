"""The search space of a cell on a task, and its points: a table (`table.py`) with what the user fixes or narrows.

Which scales and biases a cell has is what its `init` reads, so a user's cell needs no entry anywhere.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution

from rnn_capacity.cells.base import Cell
from rnn_capacity.checks import InputError, check_choice, check_mapping
from rnn_capacity.dimension import Choice, Dimension, Range, Space, options
from rnn_capacity.model import layout
from rnn_capacity.model.spec import BRANCHES, Spec
from rnn_capacity.search import units
from rnn_capacity.search.dimensions import Dimensions
from rnn_capacity.search.ranges import (
    CHOICES,
    CONDITIONS,
    INIT_FAMILIES,
    INITS,
    LIMITS,
    PAPER,
    UNLIMITED,
)
from rnn_capacity.search.table import SPACES, check_number, family_of, names_of, table_for
from rnn_capacity.search.units import Distribution
from rnn_capacity.tasks import Memorization, Task


def space_for(
    cell: Cell,
    space: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    task: type[Task] | Task = Memorization,
    sizes: Mapping[str, int] | None = None,
    *,
    num_params: int = 1000,
    train_steps: int = 10_000,
) -> dict[str, Dimension]:
    """All dimensions of a cell's search on a task: those of training, of the task, and those that its `init` reads.

    Args:
        space: "quick" or "paper".
        overrides: a dimension or a family -> a value that fixes it, (low, high) that narrows it, or a list of names.
        sizes: of the network, as `layout.hparam_names` takes them; by default small ones.
        num_params, train_steps: of a trial, which the quick space of memorization depends on.

    Raises:
        InputError: an unknown space; an override that names nothing, is out of range or upside down; an hparam of the
            cell whose family is not known; ranges or nonlinearities of the cell that cannot be.
    """
    check_choice("space", space, tuple(SPACES))
    overrides = _given(overrides)
    read = layout.hparam_names(cell, **(sizes or {}))
    table = table_for(cell, space, task, read, num_params=num_params, train_steps=train_steps)
    families = _families(cell, table, read, overrides)
    limits, chosen = names_of(cell), dict[str, Dimension]()
    for name, family in families.items():
        usual = table[name if name in table else family]
        given = name if name in overrides else family
        if given in overrides:
            chosen[name] = _parse(given, overrides[given], usual, limits.get(family))
        elif family in limits:
            kept = tuple(o for o in options(usual) if o in limits[family])
            chosen[name] = _choice(kept or limits[family])
        else:
            chosen[name] = usual
    for name, dimension in chosen.items():
        needed = condition(chosen, name)
        if needed and isinstance(dimension, Range) and not set(needed[1]).intersection(options(chosen[needed[0]])):
            if name in overrides or families[name] in overrides:
                raise InputError(
                    f"hparams.{name}: ({dimension.low}, {dimension.high}) given; it matters only where {needed[0]} is "
                    f"{' or '.join(needed[1])}, and that is {chosen[needed[0]]!r}"
                )
            chosen[name] = _middle(dimension)
    return chosen


def _families(cell: Cell, table: Space, read: Sequence[str], overrides: Mapping[str, Any]) -> dict[str, str]:
    """The family of every dimension, by name.

    Raises:
        InputError: an hparam of the cell has none; an override names no dimension and no family.
    """
    names = [name for name in table if name not in (*INIT_FAMILIES, *read)] + list(read)

    families: dict[str, str] = {}
    for name in names:
        families[name] = family_of(name) or (name if name in table else "")
        if not families[name]:
            raise InputError(
                f"cell: {cell.name!r} reads hparams[{name!r}], which is of no known family; name it after one of "
                f"{', '.join(INIT_FAMILIES)}, with an underscore and a gate behind it if there are several, or give "
                f"it a Range: Cell(..., ranges={{'quick': {{{name!r}: rnn_capacity.dimension.Range(low, high)}}}})"
            )
    known = sorted({*names, *families.values()})
    for name in overrides:
        if name not in known:
            raise InputError(f"hparams: {name!r} is no hparam of {cell.name!r}; there are {', '.join(known)}")
    return families


def searched(name: str, space: str, overrides: Mapping[str, Any] | None) -> Dimension:
    """One dimension of training or of the task, for which no cell need be known.

    Raises:
        InputError: as of `space_for`.
    """
    table, given = SPACES[check_choice("space", space, tuple(SPACES))], _given(overrides)
    return _parse(name, given[name], table[name], None) if name in given else table[name]


def _given(overrides: Any) -> dict[str, Any]:
    return {name: value for name, value in check_mapping("hparams", overrides).items() if value is not None}


def _parse(name: str, value: Any, dimension: Dimension, limit: tuple[str, ...] | None) -> Dimension:
    """An override from a config or a call, checked."""
    if name in CHOICES:
        given = options(value)
        if not isinstance(given, tuple | list) or not given:
            raise InputError(
                f"hparams.{name}: {value!r} given; it must be one or several of {', '.join(CHOICES[name])}"
            )
        for option in given:
            check_choice(f"hparams.{name}", option, limit or CHOICES[name])
        return _choice(given)
    if isinstance(value, Range):
        value = (value.low, value.high)
    low, high = value if isinstance(value, tuple | list) and len(value) == 2 else (value, value)
    # What is fixed has no scale itself.
    scale = dimension if isinstance(dimension, Range) else PAPER.get(family_of(name) or name)
    log, whole = (scale.log, scale.whole) if isinstance(scale, Range) else (False, False)
    for bound in (low, high):
        check_number(f"hparams.{name}:", name, bound, whole)
    if low > high:
        raise InputError(f"hparams.{name}: ({low}, {high}) given; the lower end must not be above the upper")
    if low == high:
        return float(low)
    if log and low <= 0:
        raise InputError(f"hparams.{name}: ({low}, {high}) given; its scale is logarithmic, so both must be above 0")
    return Range(float(low), float(high), log, whole)


def _choice(options: Sequence[str]) -> Dimension:
    return options[0] if len(options) == 1 else Choice(tuple(options))


def condition(space: Space, name: str) -> tuple[str, tuple[str, ...]] | None:
    """What must be chosen for a dimension to have an effect: (a dimension of the space, its names), or None."""
    family = family_of(name)
    if family is None or family not in CONDITIONS:
        return None
    parent, options = CONDITIONS[family]
    own = parent + name.removeprefix(family)  # of the same gate, where each gate has one
    parent = own if own in space else parent
    return (parent, options) if parent in space else None


def holding(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that have an effect."""
    found = {}
    for name, value in values.items():
        needed = condition(space, name)
        if needed is None or values.get(needed[0]) in needed[1]:
            found[name] = value
    return found


def complete(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every dimension: those proposed, those fixed, and the middle of those that have no effect."""
    return {name: params[name] if name in params else _middle(d) for name, d in space.items()}


def tuned(space: Space) -> dict[str, Range | Choice]:
    """The dimensions that are not fixed."""
    return {name: d for name, d in space.items() if isinstance(d, Range | Choice)}


def follows_best(space: Space) -> bool:
    """Whether what is proposed depends on results, whatever the sampler."""
    return any(isinstance(d, Range) and d.around_best is not None for d in space.values())


def around_best(space: Space, objectives: Sequence[float], trials: Sequence[Mapping[str, Any]]) -> Space:
    """The space as it is proposed from once there are results: what lies around the best objective is narrowed.

    Args:
        objectives: of trials that have ended; the higher the better.
        trials: their values.
    """
    best = max((value for value in objectives if value > 0), default=None)
    narrowed = {}
    for name, d in space.items():
        if best and isinstance(d, Range) and d.around_best:
            least, most, at_first = d.around_best
            beyond = any(values.get(name, 0) > best * most for values in trials)
            low = min(max(best * least, d.low), d.high / most)  # beyond an end of the range: what lies at that end
            high = min(max(best * (most if beyond else at_first), d.low * most), d.high)
            narrowed[name] = dataclasses.replace(d, low=low, high=high)
    return {**space, **narrowed}


def _middle(dimension: Dimension) -> Dimension:
    """Of a range, on its own scale; what is fixed is itself."""
    return units.from_unit(distribution(dimension), units.MIDDLE) if isinstance(dimension, Range) else dimension


EDGE = 0.02  # of a range: what is nearer to an end than this lies at it


def wider(space: Space, values: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Ranges at whose end a value lies, each made wider there by a half; what makes sense nowhere is left out."""
    found = {}
    for name, d in tuned(space).items():
        if not isinstance(d, Range) or d.whole or d.around_best or name not in values:
            continue
        least, most, closed = LIMITS.get(family_of(name) or name, UNLIMITED)
        scale, back = (math.log, math.exp) if d.log else (float, float)
        low, high, half = scale(d.low), scale(d.high), (scale(d.high) - scale(d.low)) / 2
        below, above = (float(f"{back(end):.3g}") for end in (low - half, high + half))
        below, above = max(below, least), min(above, most)
        u = units.to_unit(distribution(d), values[name])
        if u < EDGE and below < d.low and (below > least or (closed and not d.log)):
            found[name] = (below, d.high)
        elif u > 1 - EDGE and above > d.high:
            found[name] = (d.low, above)
    return found


def check_space(space: Any) -> Space:
    """A space that a caller gives, or an InputError that names what is no dimension."""
    if not isinstance(space, Mapping):
        raise InputError(f"space: {space!r} given; it must be a mapping from names to dimensions, or None")
    for name, dimension in space.items():
        if not isinstance(dimension, Range | Choice | int | float | str | np.number):
            raise InputError(
                f"space.{name}: {dimension!r} given; it must be a Range, a Choice, or a value that is fixed"
            )
    return space


def distribution(dimension: Range | Choice) -> Distribution:
    """A dimension in Optuna's terms."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.options)
    return FloatDistribution(dimension.low, dimension.high, dimension.log, 1.0 if dimension.whole else None)


def distributions(space: Space) -> dict[str, Distribution]:
    """What is tuned, in Optuna's terms, choices first; fixed dimensions are left out."""
    ordered = sorted(tuned(space).items(), key=lambda item: isinstance(item[1], Range))
    return {name: distribution(dimension) for name, dimension in ordered}


def dimensions(space: Space) -> Dimensions:
    """What is tuned, in the space's own order, and when."""
    found = {name: distribution(dimension) for name, dimension in tuned(space).items()}
    conditions = {}
    for name in found:
        if needed := condition(space, name):
            parent, names = needed
            kept = options(space[parent])
            if parent in found or not set(kept) <= set(names):  # or it always holds
                conditions[name] = parent, frozenset(kept.index(option) for option in names if option in kept)
    return Dimensions(found, conditions)


def from_unit(space: Space, point: Iterable[float]) -> dict[str, float | str]:
    """A point of the unit cube, a coordinate for each tuned dimension, in the space's own scales.

    Dimensions that have no effect there are left out.
    """
    values = {
        name: units.from_unit(distribution(d), u) for (name, d), u in zip(tuned(space).items(), point, strict=True)
    }
    held = holding(space, {**space, **values})
    return {name: value for name, value in values.items() if name in held}


def to_json(dimension: Dimension) -> Any:
    """A dimension as plain JSON: a number or a name that is fixed, a Range's fields, or a list of names."""
    if isinstance(dimension, Range):
        plain: dict[str, Any] = {"low": dimension.low, "high": dimension.high, "log": dimension.log}
        plain |= {"around_best": list(dimension.around_best)} if dimension.around_best else {}
        return plain | ({"whole": True} if dimension.whole else {})
    return list(dimension.options) if isinstance(dimension, Choice) else dimension


def from_json(value: Any) -> Dimension:
    """The inverse."""
    if isinstance(value, Mapping):
        around = value.get("around_best")
        return Range(**{**value, "around_best": around and tuple(around)})
    return Choice(tuple(value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def largest(dimension: Dimension) -> float:
    """The upper end of a numeric dimension."""
    assert not isinstance(dimension, Choice)
    return dimension.high if isinstance(dimension, Range) else float(dimension)


def branches(space: Space) -> dict[str, Any]:
    """The fields of a Spec that the space says: a name, or those that are searched."""
    found = {name: tuple(options(space[name])) for name in BRANCHES if name in space}
    return {name: names if len(names) > 1 else names[0] for name, names in found.items()}


def indices(values: Mapping[str, Any], spec: Spec) -> dict[str, float]:
    """A trial's values as its traced hparams: names turned into indices, without those that the spec says itself."""
    found = {}
    for name, value in values.items():
        if name in spec.chosen:
            found[name] = float(spec.branches(name).index(value))
        elif name not in BRANCHES:
            found[name] = float(INITS[name].index(value) if name in INITS else value)
    return found
