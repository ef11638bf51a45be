"""What a batch of trials needs is known before it runs, and one that does not fit is not run."""

import dataclasses
import math
import os

import jax
import jax.numpy as jnp
import pytest
from helpers import SMALL_TASKS, begin, make_hparams, make_keys, make_spec

from rnn_capacity.cells import CELLS
from rnn_capacity.training import containers, memory, program, sharding, steps

MIB = 2**20


def compiled(size):
    """A program that makes an array of so many numbers, and gives back as many."""
    fill = lambda x: jnp.sort(x * jnp.ones(size)) + 1
    return jax.jit(fill).lower(jnp.float32(1)).compile()


@pytest.mark.parametrize("num_devices", [1, 4])
def test_a_program_needs_its_results_and_what_lies_between_on_every_core(num_devices):
    devices = jax.devices()[:num_devices]
    needed = memory.needed(compiled(MIB), devices)
    assert 4 * MIB * num_devices <= needed <= 4 * 4 * MIB * num_devices
    assert memory.needed(compiled(2 * MIB), devices) == pytest.approx(2 * needed, rel=0.01)


def test_what_is_left_of_this_machine_is_part_of_it():
    left = memory.available(jax.devices())
    assert left is not None
    assert 2**28 < left < 2**45


class Accelerator:
    """As much of a device as is asked for its memory."""

    platform = "gpu"

    def __init__(self, stats):
        self._stats = stats

    def memory_stats(self):
        return self._stats


def test_of_accelerators_the_one_with_least_room_counts():
    devices = [Accelerator({"bytes_limit": 100, "bytes_in_use": used}) for used in (10, 30, 20)]
    assert memory.available(devices) == 70
    assert memory.available([*devices, Accelerator(None)]) is None


@pytest.fixture
def container(monkeypatch, tmp_path):
    """Writes files of control groups, by path and text, and in `group` those that this process is in."""
    monkeypatch.setattr(containers, "CGROUP", tmp_path)
    monkeypatch.setattr(containers, "GROUP", tmp_path / "group")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")

    def write(folder="", **files):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / name.replace("__", ".")).write_text(text)

    return write


def test_the_limit_of_a_container_counts_where_it_is_less(container):
    assert memory.available(jax.devices()) is None
    container(meminfo="MemTotal: 9000 kB\nMemAvailable: 3000 kB\n")
    assert memory.available(jax.devices()) == 3000 * 1024
    container(memory__max="max\n", memory__current="500\n")
    assert memory.available(jax.devices()) == 3000 * 1024
    container(memory__max="1500\n", memory__stat="anon 7\ninactive_file 40\n")
    assert memory.available(jax.devices()) == 1500 - 500 + 40
    container(group="1:name=systemd:/\n0::/job/step\n")  # a group within a group: the narrowest limit holds
    container("job/step")
    container("job", memory__max="900\n", memory__current="500\n", memory__stat="anon 7\n")
    assert memory.available(jax.devices()) == 400


OF_VERSION_1 = {"memory__usage_in_bytes": "500\n", "memory__stat": "inactive_file 3\ntotal_inactive_file 40\n"}


def test_the_limit_of_a_container_of_version_1_counts_too(container):
    container(meminfo="MemTotal: 9000 kB\nMemAvailable: 3000 kB\n")
    container("memory", memory__limit_in_bytes="9223372036854771712\n", **OF_VERSION_1)
    assert memory.available(jax.devices()) == 3000 * 1024
    container("memory/job/step", memory__limit_in_bytes="1500\n", **OF_VERSION_1)
    assert memory.available(jax.devices()) == 3000 * 1024  # another process's
    container(group="5:cpu,cpuacct:/job\n4:hugetlb,memory:/job/step\n0::/\n")
    assert memory.available(jax.devices()) == 1500 - 500 + 40
    container("memory/job", memory__limit_in_bytes="900\n", **OF_VERSION_1)
    assert memory.available(jax.devices()) == 900 - 500 + 40


def test_a_container_may_see_its_own_group_as_the_root(container):
    """The path is the machine's, and not there; or leads out of what it may see."""
    container("memory", memory__limit_in_bytes="1500\n", **OF_VERSION_1)
    for path in ("/docker/8f3a", "/../../other"):
        container(group=f"4:memory:{path}\n")
        assert memory.available(jax.devices()) == 1500 - 500 + 40


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, None),
        ({"": {"cpu__max": "max 100000\n"}}, None),
        ({"": {"cpu__max": "250000 100000\n"}}, 2.5),
        ({"": {"cpu__max": "250000 100000\n"}, "job": {"cpu__max": "50000 100000\n"}}, 0.5),
        ({"cpu": {"cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "100000\n"}}, None),
        ({"cpu/job": {"cpu__cfs_quota_us": "400000\n", "cpu__cfs_period_us": "100000\n"}}, 4.0),
    ],
    ids=str,
)
def test_a_containers_share_of_the_cpus_is_known(container, monkeypatch, files, cpus):
    container(group="5:cpu,cpuacct:/job\n0::/job\n")
    for folder, texts in files.items():
        container(folder, **texts)
    assert containers.cpus() == cpus
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3))
    assert sharding.num_cores() == min(3, math.ceil(cpus or 3))


def test_a_batch_that_does_not_fit_is_refused_before_a_step_is_taken(monkeypatch):
    spec = make_spec(CELLS["rnn"], task=SMALL_TASKS["recall"], batch_size=4, train_steps=3)
    seen = []
    run = lambda: program.advance(
        spec,
        make_hparams(spec.cell, 2),
        make_keys(2),
        devices=jax.devices()[:1],
        on_chunk=lambda step, _: seen.append(step),
    )
    monkeypatch.setattr(memory, "available", lambda devices: 1)
    with pytest.raises(memory.NotEnoughMemoryError, match=r"GiB needed, 0\.00 GiB available") as refused:
        run()
    assert seen == []
    assert refused.value.available == 1
    monkeypatch.setattr(memory, "available", lambda devices: refused.value.needed)
    run()
    assert seen[-1] == 3
    monkeypatch.setattr(memory, "available", lambda devices: None)  # where it is not known, it is tried
    run()


def test_a_larger_batch_and_a_longer_unroll_need_more():
    def needed(batch_size, unroll):
        task = dataclasses.replace(SMALL_TASKS["parentheses"], unroll=unroll)
        spec = make_spec(CELLS["gru"], task=task, batch_size=batch_size, num_units=8)
        data, state = begin(spec, make_hparams(spec.cell), make_keys())
        chunk = jax.jit(lambda state: steps.train_chunk(spec, (), data, 0, 10, make_hparams(spec.cell), state))
        return memory.needed(chunk.lower(state).compile(), jax.devices()[:1])

    least = needed(64, 20)
    assert needed(256, 20) > 3 * least
    assert 1.5 * least < needed(64, 60) < 5 * least
