"""Checks of input: each returns the value, or raises an InputError that names the field, the value and the remedy."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any


class InputError(ValueError):
    """Input that cannot be used; the message names the field, the value and what would be right, in one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # the value given may show itself in several


class MissingPackageError(ImportError):
    """A package that an extra brings is not installed; the message names the extra."""


MOST = 2**31 - 1  # steps and sizes are int32 on the device


def check_int(field: str, value: Any, least: int, most: int = MOST) -> int:
    """The value as an int from `least` to `most`, or an InputError that names the field."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise InputError(f"{field}: {value!r} given; it must be a whole number of at least {least}")
    if int(value) > most:
        raise InputError(f"{field}: {value!r} given; it must be a whole number of at most {most}")
    return int(value)


def check_positive_int(field: str, value: Any) -> int:
    """The value as an int of at least 1, or an InputError that names the field."""
    return check_int(field, value, 1)


def check_bool(field: str, value: Any) -> bool:
    """The value if it is True or False, or an InputError that names the field."""
    if not isinstance(value, bool):
        raise InputError(f"{field}: {value!r} given; it must be True or False")
    return value


def check_seed(seed: Any) -> int:
    """The seed as an int of 32 bits: JAX would drop any others, and give the draws of another seed."""
    return check_int("seed", seed, 0, 2**32 - 1)


def check_mapping(field: str, value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping; empty where it is None."""
    if not isinstance(value, Mapping | None):
        raise InputError(f"{field}: {value!r} given; it must be a mapping from names to values")
    return value or {}


def check_choice(field: str, value: Any, choices: Sequence[str]) -> Any:
    """The value if it is one of the choices, or an InputError that names the field and lists them."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{field}: {value!r} given; it must be one of {', '.join(map(repr, choices))}")
    return value


def first_line(error: BaseException) -> str:
    """What an error says, in a line; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
