"""Accelerators that are not here: what is known of them, and devices that programs can be compiled for."""

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from rnn_capacity.checks import InputError, MissingPackageError

GPU_MEMORY = 0.75  # of a GPU's memory is what JAX takes
# Options of XLA where no GPU is here to try kernels on, beside the folder of its assembler.
GPU_OPTIONS = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}

# Of libtpu where no TPU is: it asks nobody what machine this is and names none, and several processes may load it.
TPU_VARIABLES = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class Machine(NamedTuple):
    """A device of an accelerator, by its vendor's data sheet."""

    memory: float  #: bytes that programs may take
    bandwidth: float  #: bytes a second, of the main memory
    rates: Mapping[str, float]  #: operations a second of matrix products, by precision


def _tpu(memory: float, bandwidth: float, rate: float) -> Machine:
    """A TPU multiplies bfloat16; float32 takes three or six passes."""
    rates = {"default": rate, "high": rate / 3, "highest": rate / 6, "bfloat16": rate}
    return Machine(memory * 2**30, bandwidth, rates)


def _gpu(memory: float, bandwidth: float, tf32: float, float32: float) -> Machine:
    rates = {"default": tf32, "high": tf32, "highest": float32, "bfloat16": 2 * tf32}
    return Machine(GPU_MEMORY * memory * 2**30, bandwidth, rates)


TPUS = {
    "v4": _tpu(31.7, 1.228e12, 275e12),
    "v5e": _tpu(15.7, 0.819e12, 197e12),
    "v5p": _tpu(95.0, 2.765e12, 459e12),
    "v6e": _tpu(31.2, 1.638e12, 918e12),
}
GPUS = {"a100": _gpu(80, 2.04e12, 156e12, 19.5e12), "h100": _gpu(80, 3.35e12, 495e12, 67e12)}  # both SXM, 80 GB
# What XLA's compiler asks of a GPU: multiprocessors, float32 units in each, GHz, shared memory of each and of a block
# in KiB, level 2 cache in MiB, compute capability.
_FACTS = {"a100": (108, 64, 1.41, 164, 163, 40, 8), "h100": (132, 128, 1.98, 228, 227, 50, 9)}
_TARGET = """gpu_device_info {{
  core_count: {cores} fpus_per_core: {units} clock_rate_ghz: {clock}
  shared_memory_per_core: {shared} shared_memory_per_block_optin: {of_block} shared_memory_per_block: 49152
  l2_cache_size: {cache} memory_bandwidth: {bandwidth:.0f} device_memory_size: 85899345920
  cuda_compute_capability {{ major: {major} minor: 0 }}
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  driver_version: "12.8.0" runtime_version: "12.8.0" compile_time_toolkit_version: "12.8.0"
}}
platform_name: "CUDA" device_description_str: "{name}" dnn_version_info {{ major: 9 minor: 8 patch: 0 }}
"""


class Topology(NamedTuple):
    name: str
    machine: Machine
    devices: Sequence[jax.Device]  #: which compile, and do not run
    options: Mapping[str, Any]  #: of the compiler


def find(name: str) -> Topology:
    """The devices of a topology: a TPU's with its shape as JAX has them, `v5e:2x4`; or GPUs, `h100` or `h100:8`.

    Nothing of JAX may have run in this process before, unless it was told to use the CPU alone.

    Raises:
        InputError: no such topology.
        MissingPackageError: its compiler is not installed; names the extra.
    """
    match = isinstance(name, str) and re.fullmatch(rf"({'|'.join(TPUS)}):(.+)|({'|'.join(GPUS)})(?::([1-9]\d*))?", name)
    if not match:
        raise InputError(
            f"topology: {name!r} given; it must be {' or '.join(GPUS)}, with a colon and their number where there are "
            f"several, or one of the TPUs {', '.join(TPUS)} with its shape, such as v5e:2x4"
        )
    jax.config.update("jax_platforms", "cpu")  # nothing is run elsewhere
    try:
        return _tpus(name, match[1]) if match[1] else _gpus(name, match[3], int(match[4] or 1))
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"topology: {name!r} given; its shape must be one that there is ({reason})") from error


def _tpus(name: str, kind: str) -> Topology:
    _need("libtpu", "tpu", name)
    for variable, value in TPU_VARIABLES.items():
        os.environ.setdefault(variable, value)
    return Topology(name, TPUS[kind], topologies.get_topology_desc(name, "tpu").devices, {})


def _gpus(name: str, kind: str, count: int) -> Topology:
    _need("jax_plugins.xla_cuda12", "compile-gpu", name)
    assembler = _need("nvidia.cuda_nvcc", "compile-gpu", name)[0]
    cores, units, clock, shared, of_block, cache, major = _FACTS[kind]
    target = _TARGET.format(
        name=kind.upper(), cores=cores, units=units, clock=clock, shared=shared * 2**10, of_block=of_block * 2**10,
        cache=cache * 2**20, bandwidth=GPUS[kind].bandwidth, major=major,
    )  # fmt: skip
    found = topologies.get_topology_desc("", "cuda", target_config=target, topology=f"1x1x{count}")
    options = GPU_OPTIONS | {"xla_gpu_cuda_data_dir": assembler}
    return Topology(name, GPUS[kind], found.devices, options)


def _need(package: str, extra: str, name: str) -> list[str]:
    """Where a package is."""
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # of the package that it is in
        found = None
    if found is None:
        raise MissingPackageError(f'topology: {name!r} given; its compiler is not here: pip install ".[{extra}]"')
    return list(found.submodule_search_locations or ())
