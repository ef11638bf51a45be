"""A spec refuses what is out of range, by name and before anything compiles."""

import pytest
from helpers import make_spec

from rnn_capacity.cells import CELLS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unroll", 0),
        ("train_steps", -5),
        ("train_steps", 10.5),
        ("train_steps", "10"),
        ("train_steps", None),
        ("num_units", 0),
        ("num_inputs", True),
        ("max_mappings", 0),
        ("batch_size", 0),
        ("nonlinearity", "gelu"),
        ("input_steps", "last"),
        ("optimizer", "lbfgs"),
        ("schedule", "linear"),
        ("precision", "low"),
    ],
)
def test_a_field_out_of_range_is_refused_by_its_name_and_value(field, value):
    with pytest.raises(ValueError, match=f"^{field}: {value!r} given; it must be "):
        make_spec(CELLS["rnn"], **{field: value})


def test_a_spec_is_equal_to_its_twin_and_hashes_alike():
    a, b, other = (make_spec(CELLS["rnn"], unroll=unroll) for unroll in (5, 5, 6))
    assert a == b
    assert hash(a) == hash(b)
    assert a != other
