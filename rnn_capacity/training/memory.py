"""Memory that a program will take on its devices, known before it runs."""

import contextlib
import pathlib
from collections.abc import Sequence

import jax

from rnn_capacity.training import containers

MEMINFO = pathlib.Path("/proc/meminfo")


class NotEnoughMemoryError(MemoryError):
    """A program needs more memory than its devices have left.

    Attributes:
        needed, available: bytes of a device; of all of them together where they share one memory, as a CPU's do.
    """

    def __init__(self, needed: int, available: int):
        super().__init__(f"{needed / 2**30:.2f} GiB needed, {available / 2**30:.2f} GiB available")
        self.needed, self.available = needed, available


def needed(program: jax.stages.Compiled, devices: Sequence[jax.Device]) -> int:
    """Bytes that a compiled program allocates when it runs, without its arguments, by the compiler's own plan.

    Of a device, or of all of them where they share one memory; 0 where the compiler does not say.
    """
    plan = program.memory_analysis()
    if plan is None:
        return 0
    size = plan.temp_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return size * (len(devices) if devices[0].platform == "cpu" else 1)


def available(devices: Sequence[jax.Device]) -> int | None:
    """Bytes that are left of the device that has least, or of the machine where they are its cores; None: unknown."""
    if devices[0].platform == "cpu":
        return _left_on_host()
    left = []
    for device in devices:
        known = device.memory_stats() or {}
        if "bytes_limit" not in known:
            return None
        left.append(known["bytes_limit"] - known.get("bytes_in_use", 0))
    return min(left)


def check(programs: Sequence[jax.stages.Compiled], devices: Sequence[jax.Device]) -> None:
    """Raises if one of the programs would not fit, before it runs.

    Raises:
        NotEnoughMemoryError: with what is needed and what there is.
    """
    most, left = max(needed(program, devices) for program in programs), available(devices)
    if left is not None and most > left:
        raise NotEnoughMemoryError(most, left)


def _left_on_host() -> int | None:
    """What this process may still take: of the machine, and of the container that it is in."""
    left = [containers.memory_left()]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(line for line in MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:"))
        left.append(int(line.split()[1]) * 1024)
    return min((size for size in left if size is not None), default=None)
