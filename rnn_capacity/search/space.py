"""Search spaces as plain data: what is tuned, in what range, and what holds only for which cell.

A dimension is named by its family, with a gate behind it where a cell has several (`recurrent_scale_f` is of the family
`recurrent_scale`). Which scales and biases a cell has is what its `init` reads, so a user's cell needs no entry here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from rnn_capacity import network
from rnn_capacity.cells.base import Cell
from rnn_capacity.cells.initializers import BIAS_INITS, RECURRENT_INITS
from rnn_capacity.types import INPUT_STEPS, NONLINEARITY_NAMES, OPTIMIZERS, SCHEDULES, check_choice


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from low to high, uniform on a linear or a logarithmic scale."""

    low: float
    high: float
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some names."""

    options: tuple[str, ...]


Dimension = Range | Choice | float | str  # a plain value is fixed
Space = Mapping[str, Dimension]

# What a trial's Spec takes from the search; trials are grouped by it. The rest are traced hparams.
SPEC_DIMENSIONS = {
    "nonlinearity": NONLINEARITY_NAMES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "input_steps": INPUT_STEPS,
}
# Traced too, as the index of the name.
INDEXED = {"recurrent_init": RECURRENT_INITS, "bias_init": BIAS_INITS}
CHOICES = SPEC_DIMENSIONS | INDEXED

# Where a family makes sense at all: (lowest, highest, whether the lowest itself is allowed).
LIMITS = {
    "learning_rate": (0, math.inf, False),
    "learning_rate_decay": (0, 1, False),
    "gradient_clip": (0, math.inf, False),
    "l2": (0, math.inf, True),
    "squared_gradient_decay": (0, 0.9999, True),
    "mappings_per_param": (0, math.inf, False),
    "momentum_logit": (-math.inf, math.inf, False),
}
UNLIMITED = (-math.inf, math.inf, False)

# Collins et al. 2017, appendix A. b is searched as mappings per parameter; the readout's scale is a rectangular
# matrix's. RMSProp's average is the TensorFlow default of the time.
PAPER: Space = {
    "nonlinearity": Choice(("tanh", "relu")),
    "optimizer": Choice(OPTIMIZERS),
    "schedule": "exponential",
    "input_steps": Choice(INPUT_STEPS),
    "recurrent_init": Choice(RECURRENT_INITS),
    "bias_init": Choice(BIAS_INITS),
    "recurrent_scale": Range(0.01, 2.0, log=True),
    "input_scale": Range(0.001, 2.0, log=True),
    "readout_scale": Range(0.001, 2.0, log=True),
    "bias_scale": Range(-2.0, 2.0),
    "forget_bias": Range(0.0, 6.0),
    "learning_rate": Range(1e-4, 1e-1, log=True),
    "learning_rate_decay": Range(1e-3, 1.0, log=True),
    "momentum_logit": Range(1.0, 7.0),
    "squared_gradient_decay": 0.9,
    "gradient_clip": Range(1.0, 100.0, log=True),
    "l2": Range(1e-8, 1e-3, log=True),
    "mappings_per_param": Range(0.1, 10.0, log=True),
}

# The part of it where minutes on a laptop find good networks, with a cosine in place of the exponential decay
# (BUILD.md, "Training", says what was measured).
QUICK: Space = {
    "nonlinearity": "tanh",
    "optimizer": "rmsprop",
    "schedule": "cosine",
    "input_steps": "first",
    "recurrent_init": "normal",
    "bias_init": "normal",
    "recurrent_scale": Range(0.4, 0.9),
    "input_scale": Range(0.15, 0.8, log=True),
    "readout_scale": Range(1.0, 2.5),
    "bias_scale": 0.15,
    "forget_bias": Range(0.0, 1.0),
    "learning_rate": Range(0.025, 0.06, log=True),
    "learning_rate_decay": 1.0,
    "momentum_logit": 2.2,
    "squared_gradient_decay": 0.97,
    "gradient_clip": 1.0,
    "l2": 0.0,
    "mappings_per_param": Range(2.0, 4.5),
}

# Where it differs by cell. The bits peak where b is a little above what is stored, and ReLUs want smaller steps.
QUICK_CELLS: Mapping[str, Space] = {
    "rnn": {"mappings_per_param": Range(3.5, 5.2)},
    "irnn": {
        "learning_rate": Range(0.008, 0.025, log=True),
        "squared_gradient_decay": 0.9,
        "mappings_per_param": Range(2.2, 3.6),
    },
    "ugrnn": {"mappings_per_param": Range(3.0, 5.0)},
    "gru": {"forget_bias": Range(0.0, 0.5), "mappings_per_param": Range(2.5, 4.2)},
    "lstm": {"mappings_per_param": Range(2.7, 4.4)},
    "+rnn": {
        "recurrent_init": "orthogonal",
        "recurrent_scale": Range(0.9, 1.4),
        "input_scale": Range(0.5, 1.8, log=True),
        "readout_scale": Range(1.5, 3.0),
        "learning_rate": Range(0.01, 0.03, log=True),
        "squared_gradient_decay": 0.9,
        "mappings_per_param": Range(2.3, 3.8),
    },
}

SPACES: Mapping[str, Space] = {"quick": QUICK, "paper": PAPER}

# What has an effect only under some names of a choice: it is not tuned where it has none.
CONDITIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "momentum_logit": ("optimizer", ("momentum",)),
    "squared_gradient_decay": ("optimizer", ("rmsprop",)),
    "learning_rate_decay": ("schedule", ("exponential",)),
    "recurrent_scale": ("recurrent_init", ("orthogonal", "normal")),
}

# What a cell's init reads, alone or with a gate behind it; the rest of a table is of training.
INIT_FAMILIES = (
    "recurrent_init",
    "recurrent_scale",
    "input_scale",
    "readout_scale",
    "bias_init",
    "bias_scale",
    "forget_bias",
)

# What holds only for one cell, in every space.
CELL_LIMITS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rnn": {"recurrent_init": ("orthogonal", "normal")},
    "irnn": {"nonlinearity": ("relu",)},
    "+rnn": {"nonlinearity": ("tanh",)},
}


def space_for(cell: Cell, space: str = "quick", overrides: Mapping[str, Any] | None = None) -> dict[str, Dimension]:
    """All dimensions of a cell's search: those of training, and those that its `init` reads.

    Args:
        space: "quick" or "paper".
        overrides: a dimension or a family -> a value that fixes it, (low, high) that narrows it, or a list of names.

    Raises:
        ValueError: an unknown space; an override that names nothing, is out of range or upside down; an hparam of the
            cell whose family is not known.
    """
    table = SPACES[check_choice("space", space, tuple(SPACES))]
    table = {**table, **(QUICK_CELLS.get(cell.name, {}) if space == "quick" else {})}
    limits = CELL_LIMITS.get(cell.name, {})
    if not isinstance(overrides, Mapping | None):
        raise ValueError(f"hparams: {overrides!r} given; it must be a mapping from names to values or ranges")
    overrides = {name: value for name, value in (overrides or {}).items() if value is not None}

    names = [name for name in table if name not in INIT_FAMILIES]
    names += [name for name in network.hparam_names(cell) if name not in names]
    families = {name: _family(name) for name in names}
    for name, family in families.items():
        if family is None:
            raise ValueError(
                f"cell: {cell.name!r} reads hparams[{name!r}], which is of no known family; name it after one of "
                f"{', '.join(INIT_FAMILIES)}, with an underscore and a gate behind it if there are several"
            )
    known = sorted({*names, *families.values()})
    for name in overrides:
        if name not in known:
            raise ValueError(f"hparams: {name!r} is no hparam of {cell.name!r}; there are {', '.join(known)}")

    chosen = {}
    for name, family in families.items():
        given = name if name in overrides else family
        if given in overrides:
            chosen[name] = _parse(given, overrides[given], table[family], limits.get(family))
        elif family in limits:
            kept = tuple(o for o in _options(table[family]) if o in limits[family])
            chosen[name] = _choice(kept or limits[family])
        else:
            chosen[name] = table[family]
    for name, dimension in chosen.items():
        if isinstance(dimension, Range) and not _may_hold(chosen, name):
            if name in overrides or families[name] in overrides:
                parent, options = condition(chosen, name)
                raise ValueError(
                    f"hparams.{name}: ({dimension.low}, {dimension.high}) given; it matters only where {parent} is "
                    f"{' or '.join(options)}, and that is {chosen[parent]!r}"
                )
            chosen[name] = _middle(dimension)
    return chosen


def _family(name: str) -> str | None:
    """The name without its gate, if it has one; None where that is no family."""
    if name in PAPER:
        return name
    return next((family for family in INIT_FAMILIES if name.startswith(family + "_")), None)


def _parse(name: str, value: Any, dimension: Dimension, limit: tuple[str, ...] | None) -> Dimension:
    """An override from a config or a call, checked."""
    if name in CHOICES:
        options = _options(value)
        if not isinstance(options, tuple | list) or not options:
            raise ValueError(
                f"hparams.{name}: {value!r} given; it must be one or several of {', '.join(CHOICES[name])}"
            )
        for option in options:
            check_choice(f"hparams.{name}", option, limit or CHOICES[name])
        return _choice(options)
    if isinstance(value, Range):
        value = (value.low, value.high)
    low, high = value if isinstance(value, tuple | list) and len(value) == 2 else (value, value)
    for bound in (low, high):
        _check_number(name, bound)
    if low > high:
        raise ValueError(f"hparams.{name}: ({low}, {high}) given; the lower end must not be above the upper")
    if low == high:
        return float(low)
    scale = dimension if isinstance(dimension, Range) else PAPER[_family(name)]  # one that is fixed has none of its own
    log = isinstance(scale, Range) and scale.log
    if log and low <= 0:
        raise ValueError(f"hparams.{name}: ({low}, {high}) given; its scale is logarithmic, so both must be above 0")
    return Range(float(low), float(high), log)


def _options(dimension: Dimension | Sequence[str]) -> Sequence[str]:
    """The names that a Choice, a name that is fixed, or an override holds."""
    if isinstance(dimension, Choice):
        return dimension.options
    return (dimension,) if isinstance(dimension, str) else dimension


def _choice(options: Sequence[str]) -> Dimension:
    return options[0] if len(options) == 1 else Choice(tuple(options))


def _check_number(key: str, value: Any) -> None:
    low, high, closed = LIMITS.get(key, UNLIMITED)
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (low <= value <= high) or (value == low and not closed):
        bounds = "a finite number"
        if low > -math.inf:
            bounds = f"a number {'of at least' if closed else 'above'} {low}"
        bounds += f" and at most {high}" if high < math.inf else ""
        raise ValueError(f"hparams.{key}: {value!r} given; it must be {bounds}")


def condition(space: Space, name: str) -> tuple[str, tuple[str, ...]] | None:
    """What must be chosen for a dimension to have an effect: (a dimension of the space, its names), or None."""
    family = _family(name)
    if family not in CONDITIONS:
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


def _may_hold(space: Space, name: str) -> bool:
    needed = condition(space, name)
    return needed is None or any(option in needed[1] for option in _options(space[needed[0]]))


def _middle(dimension: Dimension) -> float | str:
    """Of a range, on its own scale; what is fixed is itself."""
    return from_unit({"": dimension}, np.array([0.5]))[""] if isinstance(dimension, Range) else dimension


def distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """What is tuned, in Optuna's terms, choices first; fixed dimensions are left out."""
    found = {}
    for name, d in sorted(tuned(space).items(), key=lambda item: isinstance(item[1], Range)):
        if isinstance(d, Range):
            found[name] = optuna.distributions.FloatDistribution(d.low, d.high, log=d.log)
        else:
            found[name] = optuna.distributions.CategoricalDistribution(d.options)
    return found


def from_unit(space: Space, point: np.ndarray) -> dict[str, float | str]:
    """A point of the unit cube, a coordinate for each tuned dimension, in the space's own scales.

    Dimensions that have no effect there are left out.
    """
    values = {}
    for (name, d), u in zip(tuned(space).items(), point, strict=True):
        if isinstance(d, Choice):
            values[name] = d.options[min(int(u * len(d.options)), len(d.options) - 1)]
        elif d.log:
            values[name] = float(np.clip(math.exp(math.log(d.low) + u * math.log(d.high / d.low)), d.low, d.high))
        else:
            values[name] = float(np.clip(d.low + u * (d.high - d.low), d.low, d.high))  # rounding may take it above
    held = holding(space, {**space, **values})
    return {name: value for name, value in values.items() if name in held}


def to_unit(space: Space, values: Mapping[str, Any]) -> list[float]:
    """The inverse: values, without those that have no effect, as a point of the unit cube."""
    point = []
    for name, d in tuned(space).items():
        if name not in values:
            point.append(0.5)
        elif isinstance(d, Choice):
            point.append((d.options.index(values[name]) + 0.5) / len(d.options))
        elif d.log:
            point.append(math.log(values[name] / d.low) / math.log(d.high / d.low))
        else:
            point.append((values[name] - d.low) / (d.high - d.low))
    return point


def to_json(dimension: Dimension) -> Any:
    """A dimension as plain JSON: a number or a name that is fixed, {low, high, log}, or a list of names."""
    if isinstance(dimension, Range):
        return dataclasses.asdict(dimension)
    return list(dimension.options) if isinstance(dimension, Choice) else dimension


def from_json(value: Any) -> Dimension:
    """The inverse."""
    if isinstance(value, Mapping):
        return Range(**value)
    return Choice(tuple(value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def largest(dimension: Dimension) -> float:
    """The upper end of a numeric dimension."""
    return dimension.high if isinstance(dimension, Range) else float(dimension)


def split(values: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """A trial's values apart: the fields of its Spec, and its traced hparams with names turned into indices."""
    fields = {name: value for name, value in values.items() if name in SPEC_DIMENSIONS}
    hparams = {
        name: float(INDEXED[name].index(value)) if name in INDEXED else float(value)
        for name, value in values.items()
        if name not in SPEC_DIMENSIONS
    }
    return fields, hparams
