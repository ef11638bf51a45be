"""A digest of a program, which tells an edited cell or task from its former self."""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


def fingerprint(program: Callable, *args: Any) -> str:
    """A digest of the operations that `program(*args)` runs, and of the arrays that it captures.

    Args:
        args: arrays, or `jax.ShapeDtypeStruct`; their values do not count.
    """
    traced = jax.make_jaxpr(program)(*args)
    digest = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", str(traced)).encode())
    for array in _captured(traced):
        if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
            array = jax.random.key_data(array)
        array = np.asarray(array)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def _captured(program: Any) -> Iterator[Any]:
    """The arrays that a traced program holds, those of programs within it included."""
    if isinstance(program, ClosedJaxpr):
        yield from program.consts
        program = program.jaxpr
    for equation in program.eqns:
        yield from (atom.val for atom in equation.invars if isinstance(atom, Literal) and hasattr(atom.val, "dtype"))
        for value in jax.tree.leaves(equation.params):
            if isinstance(value, ClosedJaxpr | Jaxpr):
                yield from _captured(value)
            elif isinstance(value, np.ndarray | jax.Array):
                yield value
