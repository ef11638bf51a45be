"""Measurements of moments, and what must be said of bad arguments."""

import re

import pytest
from tiny import TINY, TINY_PARENTHESES

from rnn_capacity import measure_capacity, measure_trainability


def capacity(cell="rnn", **options):
    return measure_capacity(cell, **(TINY | {"progress": False} | options))


def trainability(cell="rnn", **options):
    return measure_trainability(cell, **(TINY_PARENTHESES | {"progress": False} | options))


def check_refused(call, field, value, options):
    """The call is refused in one line that begins with the field and has the value."""
    with pytest.raises(ValueError, match=rf"^{re.escape(field)}: ") as error:
        call(**options)
    message = str(error.value)
    assert value in message
    assert "\n" not in message
