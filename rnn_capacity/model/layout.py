"""The layout of a network: how many parameters a cell has at so many units, and how many units a budget buys."""

import functools
import itertools
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity.cells.base import Cell
from rnn_capacity.checks import InputError, check_positive_int, first_line
from rnn_capacity.model import network
from rnn_capacity.types import Array, Hparams, Params

MOST_SKIPPED = 256  # refused sizes in a row, in the search for a size that a cell takes

_logger = logging.getLogger(__name__)


class _Names(Mapping):
    """Hparams that answer any name with 1, and record which were read."""

    def __init__(self):
        self.read: dict[str, None] = {}

    def __getitem__(self, name):
        self.read[name] = None
        return 1.0

    def __iter__(self):
        raise TypeError("init goes over all hparams; it must read each by its name, or nobody knows what to tune")

    __len__ = __iter__


class _Layout(NamedTuple):
    """What the initialisation of a network, or of a part of it, makes and reads."""

    num_params: int
    hparam_names: tuple[str, ...]
    error: Exception | None = None  # why it cannot be made
    shapes: Any = None  # of a layer's weights


def _layout(cell: Cell, num_inputs: int, num_units: int, depth: int, num_outputs: int) -> _Layout:
    first, *above = (layer(cell, size, num_units) for size in input_sizes(num_inputs, num_units, depth))
    layers = [first, *(above or [first]) * (depth - 1)]  # those above the first are alike
    if (error := next((part.error for part in layers if part.error is not None), None)) is not None:
        return _Layout(0, (), error)
    parts = [*layers, _smallest_readout()._replace(num_params=(num_units + 1) * num_outputs)]
    names = dict.fromkeys(name for part in parts for name in part.hparam_names)
    return _Layout(sum(part.num_params for part in parts), tuple(names))


def input_sizes(num_inputs: int, num_units: int, depth: int) -> list[int]:
    """Of the layers, each once: the first sees the task's inputs, the others a layer's outputs."""
    return list(dict.fromkeys([num_inputs, *[num_units] * (depth > 1)]))


@functools.cache  # the networks of a sweep share layers, and to trace takes long
def layer(cell: Cell, num_inputs: int, num_units: int) -> _Layout:
    """The layout of one layer, or why there is none."""
    return _traced(lambda key, hparams: cell.init(key, num_inputs, num_units, hparams))


@functools.cache
def _smallest_readout() -> _Layout:
    return _traced(lambda key, hparams: network.init_readout(key, key, 1, 1, hparams))


def _traced(make: Callable[[Array, Hparams], Params]) -> _Layout:
    names = _Names()
    try:
        shapes = jax.eval_shape(lambda key: make(key, names), jax.eval_shape(jax.random.key, 0))
    except Exception as error:  # of a user's own code
        return _Layout(0, (), error)
    return _Layout(sum(math.prod(a.shape) for a in jax.tree.leaves(shapes)), tuple(names.read), shapes=shapes)


def accepted(cell: Cell, num_inputs: int, num_units: int, depth: int = 1, num_outputs: int = 1) -> _Layout:
    """The layout of a network of this size.

    Raises:
        InputError: the cell's `init` refuses the size; says why.
    """
    layout = _layout(cell, num_inputs, num_units, depth, num_outputs)
    if layout.error is not None:
        raise InputError(
            f"num_units: {num_units} given; it must be a number of units that the cell {cell.name!r} takes "
            f"({first_line(layout.error)})"
        ) from layout.error
    return layout


def hparam_names(
    cell: Cell, *, num_inputs: int = 1, num_units: int = 2, depth: int = 1, num_outputs: int = 1
) -> tuple[str, ...]:
    """The names of the hparams that the network's initialisation reads: what can be tuned in a cell of this size.

    Raises:
        InputError: the cell's `init` refuses the size.
    """
    return accepted(cell, num_inputs, num_units, depth, num_outputs).hparam_names


def num_params(cell: Cell, *, num_inputs: int, num_units: int, depth: int = 1, num_outputs: int = 1) -> int:
    """How many numbers are trained: all layers, the learned initial carry, the readout.

    Raises:
        InputError: the cell's `init` refuses the size.
    """
    return accepted(cell, num_inputs, num_units, depth, num_outputs).num_params


def units_for_budget(budget: int, cell: Cell, *, num_inputs: int, depth: int = 1, num_outputs: int = 1) -> int:
    """The largest number of units a layer for which the whole network has at most `budget` parameters.

    >>> from rnn_capacity.cells import CELLS
    >>> units_for_budget(1000, CELLS["gru"], num_inputs=20)
    10

    Sizes that the cell's `init` refuses, such as those that its heads do not divide, are skipped.

    Raises:
        InputError: the budget fits no size that the cell takes; says what the smallest network has.
    """
    check_positive_int("num_params", budget)
    check_positive_int("depth", depth)
    layout = lambda n: _layout(cell, num_inputs, n, depth, num_outputs)

    best = 0

    def fits(n: int) -> bool:
        """Whether the largest size up to n that the cell takes does; in a long row of refused sizes none is sought."""
        nonlocal best
        taken = next((m for m in range(n, max(n - MOST_SKIPPED, 0), -1) if layout(m).error is None), 0)
        if taken and layout(taken).num_params > budget:
            return False
        best = max(best, taken)
        return True

    low, high, step = 0, budget + 1, 1  # every unit has a weight in the readout
    probe = _about_right(budget, layout)
    while low < probe < high:  # away from there in growing steps, until the answer lies between
        low, high = (probe, high) if fits(probe) else (low, probe)
        probe, step = (low + step if low == probe else high - step), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    # A cell that projects only inputs of another size can have fewer parameters at as many units as inputs.
    if num_inputs > best and layout(num_inputs).error is None and layout(num_inputs).num_params <= budget:
        best = num_inputs
    if not best:
        raise InputError(_too_small(budget, cell, layout, num_inputs, depth))
    if (refused := layout(best + 1).error) is not None:
        _warn_once(f"the cell {cell.name!r} does not take {best + 1} units ({first_line(refused)}); it is given {best}")
    return best


def _about_right(budget: int, layout: Callable[[int], _Layout]) -> int:
    """The units at which a parabola through the parameters of the smallest networks meets the budget.

    Of most cells that is the answer: their parameters are such a polynomial, and to trace many sizes takes long.
    """
    taken = (n for n in range(1, min(budget, MOST_SKIPPED) + 1) if layout(n).error is None)
    known = [(n, layout(n).num_params) for n in itertools.islice(taken, 3)]
    if len(known) < 3:
        return 1
    square, linear, rest = np.polyfit([n for n, _ in known], [count for _, count in known], 2)
    rest -= budget
    if square < 1e-6:
        units = -rest / linear if linear > 0 else 1
    else:
        units = (-linear + math.sqrt(max(linear**2 - 4 * square * rest, 0))) / (2 * square)
    return min(max(math.floor(units + 1e-6), 1), budget)


def _too_small(budget, cell, layout, num_inputs, depth) -> str:
    smallest = next((n for n in range(1, min(budget, MOST_SKIPPED) + 1) if layout(n).error is None), None)
    if smallest is None:
        return f"cell: {cell.name!r} given; its init must take some number of units ({first_line(layout(1).error)})"
    least = layout(smallest).num_params
    return (
        f"num_params: {budget} given; a {cell.name} of depth {depth} with {num_inputs} inputs has at least "
        f"{least} ({smallest} {'unit' if smallest == 1 else 'units'} a layer), so give {least} or more"
    )


@functools.cache
def _warn_once(message: str) -> None:
    _logger.warning("%s", message)
