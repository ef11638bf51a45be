"""Sizes: units for a budget, and the hparams that a cell reads."""

import functools
import re

import pytest
from helpers import make_spec

from rnn_capacity.cells import CELLS
from rnn_capacity.model import layout

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


@every_cell
@pytest.mark.parametrize(("budget", "depth"), [(400, 1), (1000, 2), (5000, 4)])
def test_the_units_for_a_budget_fit_and_one_more_does_not(cell, budget, depth):
    count = functools.partial(layout.num_params, cell, num_inputs=20, depth=depth)
    units = layout.units_for_budget(budget, cell, num_inputs=20, depth=depth)
    assert count(num_units=units) <= budget < count(num_units=units + 1)


@pytest.mark.parametrize("num_inputs", [7, 17])
@pytest.mark.parametrize("extra", [-1, 0, 1, 5])
def test_the_units_for_a_budget_are_the_largest_where_the_plus_rnns_projection_disappears(num_inputs, extra):
    """A +RNN of as many units as inputs needs no projection, and can have fewer parameters than one of a unit less."""
    cell = CELLS["+rnn"]
    counts = {n: layout.num_params(cell, num_inputs=num_inputs, num_units=n) for n in range(1, 2 * num_inputs + 2)}
    budget = counts[num_inputs] + extra
    largest = max(n for n, count in counts.items() if count <= budget)
    assert layout.units_for_budget(budget, cell, num_inputs=num_inputs) == largest


@every_cell
def test_a_budget_that_fits_one_unit_exactly_gives_one_unit(cell):
    smallest = layout.num_params(cell, num_inputs=20, num_units=1, depth=2)
    assert layout.units_for_budget(smallest, cell, num_inputs=20, depth=2) == 1


@every_cell
def test_a_budget_too_small_for_one_unit_is_refused_by_name_with_the_smallest_that_fits(cell):
    smallest = layout.num_params(cell, num_inputs=20, num_units=1, depth=2)
    with pytest.raises(ValueError, match=rf"^num_params: {smallest - 1} given.*\b{smallest} or more") as error:
        layout.units_for_budget(smallest - 1, cell, num_inputs=20, depth=2)
    assert re.search(rf"{re.escape(cell.name)} of depth 2 with 20 inputs", str(error.value))


def taking(allowed):
    """An RNN that takes some numbers of units only."""

    def init(key, num_inputs, num_units, hparams):
        if not allowed(num_units):
            raise ValueError(f"{num_units} units are not to my taste")
        return CELLS["rnn"].init(key, num_inputs, num_units, hparams)

    return CELLS["rnn"]._replace(name="choosy", init=init)


ALLOWED = {
    "a multiple of 3": lambda n: n % 3 == 0,
    "a multiple of 8": lambda n: n % 8 == 0,
    "a power of 2": lambda n: n & (n - 1) == 0,
    "16 and more": lambda n: n >= 16,
    "at most 5": lambda n: n <= 5,
    "19 only": lambda n: n == 19,
}


@pytest.mark.parametrize("allowed", ALLOWED.values(), ids=ALLOWED.keys())
def test_sizes_that_a_cell_refuses_are_skipped_and_the_largest_other_is_found(allowed, caplog):
    budget = 900
    count = functools.partial(layout.num_params, CELLS["rnn"], num_inputs=20)
    layout._warn_once.cache_clear()
    best = max(n for n in range(1, 24) if allowed(n) and count(num_units=n) <= budget)
    assert layout.units_for_budget(budget, taking(allowed), num_inputs=20) == best
    if not allowed(best + 1):
        assert f"does not take {best + 1} units ({best + 1} units are not to my taste)" in caplog.text


def test_a_budget_below_the_smallest_size_that_a_cell_takes_says_what_that_is():
    smallest = layout.num_params(CELLS["rnn"], num_inputs=20, num_units=16)
    with pytest.raises(ValueError, match=rf"^num_params: 500 given.*at least {smallest} \(16 units a layer\)"):
        layout.units_for_budget(500, taking(lambda n: n % 16 == 0), num_inputs=20)


def test_a_cell_that_takes_no_size_is_refused_with_its_own_reason():
    with pytest.raises(ValueError, match=r"^cell: 'choosy' given; .*\(1 units are not to my taste\)$"):
        layout.units_for_budget(500, taking(lambda n: False), num_inputs=20)


@pytest.mark.parametrize("depth", [0, -1, 1.5, True])
def test_a_depth_that_is_no_positive_integer_is_refused_by_name(depth):
    with pytest.raises(ValueError, match=f"^depth: {depth} given"):
        layout.units_for_budget(1000, CELLS["rnn"], num_inputs=20, depth=depth)
    with pytest.raises(ValueError, match=f"^depth: {depth} given"):
        make_spec(CELLS["rnn"], depth=depth)


def test_the_hparams_of_a_cell_are_the_names_that_its_network_reads():
    readout = {"readout_scale", "bias_init", "bias_scale_readout"}
    gates = lambda *letters: {
        f"{family}_{g}" for family in ("recurrent_scale", "input_scale", "bias_scale") for g in letters
    }
    assert set(layout.hparam_names(CELLS["irnn"])) == readout | {"input_scale"}
    assert set(layout.hparam_names(CELLS["rnn"])) == readout | {
        "recurrent_init",
        "recurrent_scale",
        "input_scale",
        "bias_scale",
    }
    assert set(layout.hparam_names(CELLS["gru"])) == readout | gates("r", "u", "c") | {"recurrent_init", "forget_bias"}
    plus = gates("y", "h", "gy", "gh") | {"input_scale_in", "bias_scale_in", "forget_bias"}
    assert set(layout.hparam_names(CELLS["+rnn"])) == readout | plus | {"recurrent_init"}
