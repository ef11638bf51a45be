"""What every measurement runs within: what it needs of the process and of JAX, and gives back at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rnn_capacity.studies.progress import printable
from rnn_capacity.training import numerics, sharding, stop


@contextlib.contextmanager
def measuring(then: str = "with a storage the same call goes on where it was") -> Iterator[None]:
    """CPU cores are devices, which alone stays so; numbers are as at JAX's defaults, programs kept, signals noticed.

    Args:
        then: what can be done next, for the message of a stopped run.

    Raises:
        InputError: JAX was asked for what is not here, or not to compile.
        Terminated, KeyboardInterrupt: the process was asked to stop.
    """
    sharding.use_all_cores()  # before JAX starts
    with numerics.fixed(), sharding.keep_compiled(), printable(), stop.noticed(then):
        sharding.present_devices()
        yield
