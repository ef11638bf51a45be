"""Checks of input: what is right comes back, what is wrong is named in one line."""

import numpy as np
import pytest

from rnn_capacity.checks import InputError, check_choice, check_int, check_positive_int, check_seed


def test_bad_input_is_a_value_error_so_that_users_may_catch_either():
    assert issubclass(InputError, ValueError)


def test_whole_numbers_of_any_kind_become_plain_ints():
    assert check_int("seed", np.int64(3), 0) == 3
    assert type(check_int("seed", np.int64(3), 0)) is int


@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, "3", None, True])
def test_the_field_the_value_and_the_remedy_are_named(value):
    with pytest.raises(InputError, match=r"^depth: .* given; it must be a whole number of at least 1$") as raised:
        check_positive_int("depth", value)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize("value", [2**31, 2**63, 10**30])
def test_what_a_device_cannot_count_is_refused(value):
    assert check_positive_int("depth", 2**31 - 1) == 2**31 - 1
    with pytest.raises(InputError, match=rf"^depth: {value} given; it must be a whole number of at most 2147483647$"):
        check_positive_int("depth", value)


@pytest.mark.parametrize("value", [2**32, 2**40, 2**62, 2**63, 2**64])
def test_a_seed_whose_upper_bits_would_be_dropped_is_refused(value):
    assert check_seed(2**32 - 1) == 2**32 - 1
    with pytest.raises(InputError, match=rf"^seed: {value} given; it must be a whole number of at most 4294967295$"):
        check_seed(value)


def test_a_choice_lists_the_choices():
    assert check_choice("space", "quick", ("quick", "paper")) == "quick"
    with pytest.raises(InputError, match=r"^space: 'fast' given; it must be one of 'quick', 'paper'$"):
        check_choice("space", "fast", ("quick", "paper"))
