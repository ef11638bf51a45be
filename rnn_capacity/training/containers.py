"""The limits of the container that this process is in: its control groups, of version 1 or 2."""

import contextlib
import pathlib
from collections.abc import Iterator

CGROUP = pathlib.Path("/sys/fs/cgroup")
GROUP = pathlib.Path("/proc/self/cgroup")
# Limit, use, and what of the use are files in the cache, which give way.
MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_left() -> int | None:
    """Bytes that this process may still take; None: there is no limit."""
    left = []
    for folder in _folders("memory"):
        for limit, used, files in MEMORY:
            with contextlib.suppress(OSError, ValueError):  # another version's, or "max"
                most, taken = (int((folder / name).read_text()) for name in (limit, used))
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                left.append(most - taken + int(stat.get(files, 0)))
    return min(left, default=None)


def cpus() -> float | None:
    """How many CPUs' time this process may take; None: there is no limit."""
    quotas = []
    for folder in _folders("cpu"):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with contextlib.suppress(OSError, ValueError):
                quota, period = (int(part) for name in names for part in (folder / name).read_text().split())
                if quota > 0:  # -1: no limit
                    quotas.append(quota / period)
    return min(quotas, default=None)


def _folders(controller: str) -> Iterator[pathlib.Path]:
    """Those of the group that this process is in, and of the groups around it: each may have a limit.

    A container may see its own group as the root, under whatever path the machine has for it.
    """
    paths = {CGROUP: "", CGROUP / controller: ""}
    with contextlib.suppress(OSError):
        for line in GROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                paths[CGROUP] = path
            elif controller in controllers.split(","):
                paths[CGROUP / controller] = path
    for root, path in paths.items():
        within = pathlib.PurePosixPath(path.strip("/"))
        yield from (root / part for part in (within, *within.parents) if ".." not in part.parts)
