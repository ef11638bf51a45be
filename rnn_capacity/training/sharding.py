"""The trial axis over devices: no trial needs another, so this is the axis that scales."""

import contextlib
import functools
import hashlib
import math
import os
import pathlib
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend.backend
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rnn_capacity.checks import InputError, check_positive_int
from rnn_capacity.training import containers
from rnn_capacity.training.share import Share

AXIS = "trial"
# How many trials a device is given at a time, and how many of them run side by side, where the others take turns. On a
# CPU it is one, which then stays in the cache. More fill a GPU. For a TPU the products of each trial are written out by
# themselves: the more there are the longer compiling takes, and beyond a few little is gained (docs/accelerators.md).
TRIALS_PER_DEVICE = {"cpu": 1, "gpu": 256, "tpu": 4}
SIDE_BY_SIDE = {"cpu": 1, "tpu": 4}
KEEPS_STEPS = {"cpu"}  # where the inside of each step of a long unroll is kept for its gradient; elsewhere made again
KEPT_SECONDS = 0.3  # programs that took longer to compile are kept
# Examples worked on at a time, elsewhere all at once: those whose activations stay in a CPU's cache. Where 512 leave
# more than this many bytes for the gradient, 128 are up to 1.7 times faster.
BLOCK_SIZES, LARGE_BLOCK = {"cpu": (512, 128)}, 18e6


def use_all_cores() -> None:
    """Makes a device of every CPU core, since XLA runs a small program on one core only.

    This cannot be undone, and does nothing where JAX has started already (its devices are then what they are) or was
    given their number: `jax.config.update("jax_num_cpu_devices", n)`, or XLA_FLAGS.
    """
    if (
        "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
        or jax.config.values["jax_num_cpu_devices"] > 0
    ):
        return
    with contextlib.suppress(RuntimeError):  # JAX is up
        jax.config.update("jax_num_cpu_devices", num_cores())


def num_cores() -> int:
    """How many CPU cores this process may use: those it may run on, or as many as its container is given time of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, math.ceil(containers.cpus() or cores))


@contextlib.contextmanager
def keep_compiled() -> Iterator[None]:
    """Within it compiled programs are kept on disk, in the user's cache, for later runs.

    Where JAX was given a folder for them, or is to keep none, that holds. A CPU's programs are for the instructions
    that it has, so each kind of CPU has its own folder.
    """
    configured = jax.config.values
    if configured["jax_compilation_cache_dir"] is not None or not configured["jax_enable_compilation_cache"]:
        yield
        return
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rnn_capacity" / cpu_kind()
    ours = {"jax_compilation_cache_dir": str(cache), "jax_persistent_cache_min_compile_time_secs": KEPT_SECONDS}
    before = {name: configured[name] for name in ours}
    _configure_cache(ours)
    try:
        yield
    finally:
        _configure_cache(before)


def cpu_kind() -> str:
    """A digest of the instructions that this machine's CPU has, by which XLA chooses how it computes."""
    cpu = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu += next(line for line in lines if line.startswith(("flags", "Features")))
    return hashlib.sha256(cpu.encode()).hexdigest()[:12]


def _configure_cache(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # it goes by what was set when JAX first compiled


def present_devices() -> list[jax.Device]:
    """This process's devices.

    Raises:
        InputError: JAX was asked for a platform that is not here.
    """
    try:
        return jax.local_devices()
    except (AssertionError, RuntimeError) as error:  # JAX's own words for it, if any
        asked, reason = jax.config.values["jax_platforms"], str(error).partition("\n")[0]
        if not asked:
            raise
        jax.config.update("jax_platforms", None)
        try:
            there = ", ".join(jax.extend.backend.backends())
        finally:
            jax.config.update("jax_platforms", asked)
            jax.extend.backend.clear_backends()  # or these would be used from now on
        must = f"JAX finds no such device here, but {there}"
        raise InputError(f"JAX_PLATFORMS: {asked!r} given; {must}" + (f" ({reason})" if reason else "")) from error


def choose_devices(devices: int | Sequence[jax.Device] | None) -> Sequence[jax.Device]:
    """Resolves an argument: None for all devices of this process, a number for the first ones, the devices, or a share.

    Raises:
        InputError: more devices than there are, or none, or some that are another process's.
    """
    present = present_devices()
    if devices is None:
        return present
    if isinstance(devices, Share):
        return devices
    if isinstance(devices, Sequence):
        if not devices or not all(isinstance(device, jax.Device) for device in devices):
            raise InputError(f"devices: {devices!r} given; it must be a number, or devices of jax.local_devices()")
        if others := [device for device in devices if device.process_index != jax.process_index()]:
            raise InputError(
                f"devices: {others!r} given; these are another process's, it must be devices of jax.local_devices()"
            )
        return list(devices)
    devices = check_positive_int("devices", devices)
    if devices > len(present):
        raise InputError(f"devices: {devices} given; there are {len(present)} ({present[0].platform})")
    return present[:devices]


def describe(devices: Sequence[jax.Device]) -> str:
    """One-line description of the devices for logs and tables."""
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform}), JAX {jax.__version__}"


def trials_per_device(asked: int | None, devices: Sequence[jax.Device]) -> int:
    """How many trials a device is given at a time: as many as were asked for, else what suits it."""
    return int(asked or TRIALS_PER_DEVICE.get(devices[0].platform, 256))


def default_block_size(devices: Sequence[jax.Device], bytes_per_example: float) -> int | None:
    """How many examples are worked on at a time, by what each leaves for the gradient; None: all of them."""
    if devices[0].platform not in BLOCK_SIZES:
        return None
    large, small = BLOCK_SIZES[devices[0].platform]
    return large if large * bytes_per_example <= LARGE_BLOCK else small


def map_trials(
    fn: Callable[..., Any],
    devices: Sequence[jax.Device],
    *,
    runs_once: bool = False,
) -> Callable[..., Any]:
    """`fn(shared, data, *trial)` for K trials at once, jitted: `mapped(shared, data, *trials)`.

    `shared` goes to every trial as it is. `data` has a leading axis: of as many entries as there are devices each is of
    all trials of a device, where it lies once; else there are K, and each trial has its own.

    Args:
        fn: of one trial; a leaf of trials is [K, ...], K a multiple of the number of devices.
        runs_once: compiled in half the time, unoptimised, for what runs once a trial (on a CPU).
    """
    platform = devices[0].platform
    mesh = Mesh(np.array(devices), (AXIS,))

    def on_device(shared, data, *trials):
        if all(len(a) == 1 for a in jax.tree.leaves(data)):
            one = jax.tree.map(lambda a: a[0], data)
            run = functools.partial(fn, shared, one)
        else:
            run, trials = functools.partial(fn, shared), (data, *trials)
        count, together = len(jax.tree.leaves(trials)[0]), SIDE_BY_SIDE.get(platform)
        if together is None or 1 < count <= together:
            return jax.vmap(run)(*trials)
        return jax.lax.map(lambda trial: run(*trial), trials, batch_size=together if count > together > 1 else None)

    def mapped(shared, *trials):
        split = PartitionSpec(AXIS)
        in_specs = (PartitionSpec(), *(split for _ in trials))
        return jax.shard_map(on_device, mesh=mesh, in_specs=in_specs, out_specs=split, check_vma=False)(shared, *trials)

    options = {"xla_backend_optimization_level": 0} if runs_once and platform == "cpu" else None
    return jax.jit(mapped, compiler_options=options)


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Arrays put on each device whole."""
    return jax.device_put(tree, NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec()))


def shapes(tree: Any, devices: Sequence[jax.Device], *, over_trials: bool = False) -> Any:
    """Shapes and dtypes as they lie on the devices: whole on each, or [K, ...] with the trials spread over them."""
    placed = NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS) if over_trials else PartitionSpec())
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=placed), tree)


def padded_count(num_trials: int, devices: Sequence[jax.Device], trials_per_device: int | None = None) -> int:
    """What K trials are padded to: all devices get as many, and where dummies cost no time the sizes are few.

    Args:
        trials_per_device: the width that dummies must not exceed; None: any.
    """
    each = -(-num_trials // len(devices))
    together = SIDE_BY_SIDE.get(devices[0].platform, each)
    full = -(-each // together) * together if each > together else 1 << (each - 1).bit_length()
    return len(devices) * (full if trials_per_device is None else max(each, min(full, trials_per_device)))


def pad_trials(tree: Any, multiple: int) -> Any:
    """Repeats the last trial until the trial axis is a multiple; callers drop what comes out beyond their own."""

    def pad(a):
        a = np.asarray(a) if not isinstance(a, jax.Array) else a
        missing = -len(a) % multiple
        return jax.numpy.concatenate([a, jax.numpy.repeat(a[-1:], missing, axis=0)]) if missing else a

    return jax.tree.map(pad, tree)
