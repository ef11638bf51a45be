"""What of JAX's configuration decides numbers: fixed while we trace and run, whatever the environment has.

The same seed gives the same data, weights and outcomes everywhere, so a study may go on in another environment.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from rnn_capacity.checks import InputError

FIXED: dict[Any, Any] = {
    jax.enable_x64: False,
    jax.default_prng_impl: "threefry2x32",
    jax.threefry_partitionable: True,
    jax.numpy_dtype_promotion: "standard",
    jax.numpy_rank_promotion: "allow",
    jax.default_matmul_precision: None,  # a spec has its own
    jax.transfer_guard: "allow",
    jax.debug_key_reuse: False,
    jax.debug_nans: False,  # a trial that diverges is an outcome
    jax.debug_infs: False,
}


def key(seed: int) -> jax.Array:
    """The key of a seed of 32 bits: `jax.random.key` with JAX's default generator, and without an offset."""
    data = np.array([0, seed], np.uint32)
    return jax.random.wrap_key_data(data, impl=FIXED[jax.default_prng_impl])  # type: ignore[arg-type]  # NumPy too


@contextlib.contextmanager
def fixed() -> Iterator[None]:
    """Within it, and in this thread, JAX computes as it does with its defaults.

    Raises:
        InputError: JAX is not to compile.
    """
    if jax.config.values["jax_disable_jit"]:
        raise InputError(
            "JAX_DISABLE_JIT: True given; it must be unset, for what is measured is compiled: "
            "to look into a cell call its functions by themselves"
        )
    with contextlib.ExitStack() as stack:
        for setting, value in FIXED.items():
            stack.enter_context(setting(value))
        yield
