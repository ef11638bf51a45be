"""The dimensions of a cell on a task, by family: the tables of `ranges.py`, with what the cell and the task have of
their own (`Cell.ranges`, `Cell.nonlinearities`; `Task.dimensions`, `quick`, `tunes`)."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnn_capacity.cells.base import Cell
from rnn_capacity.checks import InputError
from rnn_capacity.dimension import Choice, Dimension, Range, Space, check_range, options
from rnn_capacity.search import recipe
from rnn_capacity.search.ranges import CHOICES, INIT_FAMILIES, LIMITS, OF_SOME_TASKS, PAPER, QUICK, UNLIMITED
from rnn_capacity.tasks import Task

SPACES = {"quick": QUICK, "paper": PAPER}


def table_for(
    cell: Cell, space: str, task: type[Task] | Task, read: Sequence[str], *, num_params: int, train_steps: int
) -> dict[str, Dimension]:
    """A dimension for each family that training, the task or some cell has, and for names that the cell says.

    Args:
        read: the names that the cell's `init` reads.

    Raises:
        InputError: ranges or nonlinearities of the cell that cannot be.
    """
    own = _checked_ranges(cell, read)
    _check_task(task)
    here = lambda name: name not in OF_SOME_TASKS or name in task.tunes or name in task.dimensions
    table = {name: d for name, d in SPACES[space].items() if here(name)}
    table |= {name: d for name, d in task.dimensions.items() if name not in table}
    capacity = space == "quick" and "mappings_per_param" in table
    if capacity:
        table |= recipe.memorization(train_steps)
    for ranges in own.values():  # an hparam that only this cell has needs a range once
        table |= {name: d for name, d in ranges.items() if family_of(name) is None}
    table |= {name: d for name, d in own.get(space, {}).items() if name in table or name in read}
    if capacity:
        table["learning_rate"] = recipe.learning_rate(table["learning_rate"], num_params)
    elif space == "quick":
        table |= {name: d for name, d in task.quick.items() if name in table}
    return table


def names_of(cell: Cell) -> dict[str, tuple[str, ...]]:
    """The names that a choice may have with this cell, in any space, where that is not all of them."""
    paper = cell.ranges.get("paper", {})
    return {"nonlinearity": cell.nonlinearities} | {n: d.options for n, d in paper.items() if isinstance(d, Choice)}


def family_of(name: str) -> str | None:
    """The name of an hparam without its gate, if it has one; None where that is no family."""
    if name in PAPER:
        return name
    return next((family for family in INIT_FAMILIES if name.startswith(family + "_")), None)


def check_number(field: str, name: str, value: Any, whole: bool) -> None:
    """Refuses a value that makes no sense for a dimension.

    Args:
        field: begins the line.
        name: of the dimension.
        whole: only whole numbers make sense.

    Raises:
        InputError: such a value.
    """
    low, high, closed = LIMITS.get(name, UNLIMITED)
    known = isinstance(value, float | np.number) or (isinstance(value, int) and abs(value) <= sys.float_info.max)
    number = known and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (low <= value <= high) or (value == low and not closed) or (whole and value % 1):
        bounds = f"a {'whole' if whole else 'finite'} number"
        if low > -math.inf:
            bounds = f"a {'whole ' if whole else ''}number {'of at least' if closed else 'above'} {low}"
        bounds += f" and at most {high}" if high < math.inf else ""
        raise InputError(f"{field} {value!r} given; it must be {bounds}")


def _checked_ranges(cell: Cell, read: Sequence[str]) -> Mapping[str, Space]:
    given = f"cell: {cell.name!r} has"
    named, spaces = cell.nonlinearities, cell.ranges
    if not isinstance(named, tuple) or not named or not all(name in CHOICES["nonlinearity"] for name in named):
        must = f"a tuple of some of {', '.join(CHOICES['nonlinearity'])}"
        raise InputError(f"{given} the nonlinearities {named!r}; it must be {must}")
    if not isinstance(spaces, Mapping) or not all(s in SPACES and isinstance(d, Mapping) for s, d in spaces.items()):
        must = "a mapping from 'quick' and 'paper' to mappings from names to Ranges"
        raise InputError(f"{given} the ranges {spaces!r}; it must be {must}")
    for space, own in spaces.items():
        for name, dimension in own.items():
            if name not in (*PAPER, *read):
                must = f"of an hparam that it reads ({', '.join(read)}), or of training"
                raise InputError(f"{given} a {space} range of {name!r}; it must be {must}")
            _check_dimension(f"{given} the {space} range {name}", family_of(name) or name, dimension)
    return spaces


def _check_task(task: type[Task] | Task) -> None:
    given = f"task: {getattr(task, 'name', task)!r} has"
    if not isinstance(task.quick, Mapping):
        raise InputError(f"{given} the quick ranges {task.quick!r}; it must be a mapping from names to Ranges")
    if not isinstance(task.tunes, tuple) or not all(name in OF_SOME_TASKS for name in task.tunes):
        raise InputError(f"{given} tunes {task.tunes!r}; it must be a tuple of some of {', '.join(OF_SOME_TASKS)}")
    for name, dimension in task.quick.items():
        if family_of(name) is None and name not in task.dimensions:
            raise InputError(f"{given} a quick range of {name!r}; it must be of an hparam of training or a cell")
        _check_dimension(f"{given} the quick range {name}", family_of(name) or name, dimension)


def _check_dimension(field: str, family: str, dimension: Any) -> None:
    if family not in CHOICES:
        check_range(field, dimension)
        for end in (dimension.low, dimension.high) if isinstance(dimension, Range) else (dimension,):
            check_number(f"{field}:", family, end, whole=False)
    elif (
        not isinstance(dimension, str | Choice)
        or not options(dimension)
        or not set(options(dimension)) <= set(CHOICES[family])
    ):
        must = f"one of {', '.join(CHOICES[family])}, or a Choice of some"
        raise InputError(f"{field} = {dimension!r}; it must be {must}")
