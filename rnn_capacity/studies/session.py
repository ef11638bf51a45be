"""What every measurement runs within: what it needs of the process and of JAX, and gives back at its end."""

import contextlib
import threading
from collections.abc import Iterator

from rnn_capacity.studies.progress import printable
from rnn_capacity.training import numerics, sharding, stop


class _OfTheProcess(contextlib.AbstractContextManager):
    """What is set for all threads: by the first measurement that begins, and put back by the last that ends."""

    def __init__(self) -> None:
        self._lock, self._inside, self._set = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                with contextlib.ExitStack() as stack:
                    stack.enter_context(sharding.keep_compiled())
                    stack.enter_context(printable())
                    self._set = stack.pop_all()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set.close()


_of_the_process = _OfTheProcess()


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
    with numerics.fixed(), _of_the_process, stop.noticed(then):
        sharding.present_devices()
        yield
