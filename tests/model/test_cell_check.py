"""Cells that break their contract are refused by name, and those of the paper are not."""

import jax.numpy as jnp
import pytest
from helpers import check_cell, make_spec

from rnn_capacity.cells import CELLS, Cell

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


def _cell(apply, initial_carry=lambda params: params["h_0"]):
    init = lambda key, num_inputs, num_units, hparams: {"h_0": jnp.zeros(num_units)}
    return Cell("mine", init, initial_carry, apply)


BROKEN_CARRIES = {
    "grows": lambda params, h, x, s: (jnp.concatenate([h, h]), h),
    "of another structure": lambda params, h, x, s: ((h, h), h),
    "of another type": lambda params, h, x, s: (h > 0, h),
}


@pytest.mark.parametrize("apply", BROKEN_CARRIES.values(), ids=BROKEN_CARRIES.keys())
def test_a_carry_that_changes_is_told_with_what_it_was_and_what_it_became(apply):
    with pytest.raises(ValueError, match=r"^cell: 'mine' changes its carry from float32\[4\] to ") as error:
        check_cell(make_spec(_cell(apply), num_units=4))
    became = {"grows": "float32[8]", "of another structure": "'float32[4]', 'float32[4]'", "of another type": "bool[4]"}
    assert any(apply is BROKEN_CARRIES[kind] and became[kind] in str(error.value) for kind in became)


@pytest.mark.parametrize("width", [3, 5])
def test_an_output_of_the_wrong_size_is_told_with_its_shape_and_the_right_one(width):
    cell = _cell(lambda params, h, x, s: (h, jnp.zeros(width)))
    with pytest.raises(
        ValueError, match=rf"^cell: 'mine' gives an output float32\[{width}\]; it must be of shape \(4,\)"
    ):
        check_cell(make_spec(cell, num_units=4))


def test_a_cell_that_breaks_in_the_second_layer_only_is_told():
    def apply(params, h, x, s):
        return h, jnp.zeros(5) if x.shape == (4,) else h

    cell = _cell(apply)
    check_cell(make_spec(cell, num_units=4, num_inputs=6, depth=1))
    with pytest.raises(ValueError, match=r"^cell: 'mine' gives an output"):
        check_cell(make_spec(cell, num_units=4, num_inputs=6, depth=2))


@every_cell
def test_the_papers_cells_pass_the_check(cell):
    check_cell(make_spec(cell, depth=2))
