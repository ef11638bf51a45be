"""The trial axis over devices."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from helpers import PATHS, ROOT, make_keys

from rnn_capacity.training import sharding


def test_devices_are_chosen_by_number_by_name_or_all():
    present = jax.local_devices()
    assert len(present) == 4
    assert sharding.choose_devices(None) == present
    assert sharding.choose_devices(2) == present[:2]
    assert sharding.choose_devices(present[2:]) == present[2:]


@pytest.mark.parametrize("devices", [0, -1, 5, True, []])
def test_devices_that_there_are_not_are_refused_by_name(devices):
    with pytest.raises(ValueError, match=r"^devices: "):
        sharding.choose_devices(devices)


def test_devices_of_another_process_are_refused_by_name(monkeypatch):
    """A job of two processes is in `test_job.py`."""
    here, there = jax.devices()[:2]
    monkeypatch.setattr(jax, "process_index", lambda: here.process_index)
    assert sharding.choose_devices([here]) == [here]
    monkeypatch.setattr(jax, "process_index", lambda: there.process_index + 1)
    with pytest.raises(ValueError, match=r"^devices: \[CpuDevice\(id=1\)\] given; .* of jax.local_devices\(\)"):
        sharding.choose_devices([there])


@pytest.mark.parametrize(("num_trials", "multiple", "padded"), [(3, 2, 4), (4, 2, 4), (1, 4, 4), (5, 4, 8), (3, 1, 3)])
def test_padding_repeats_the_last_trial_up_to_a_multiple(num_trials, multiple, padded):
    values, keys = sharding.pad_trials((np.arange(num_trials), make_keys(num_trials).task), multiple)
    np.testing.assert_array_equal(values, np.minimum(np.arange(padded), num_trials - 1))
    assert keys.shape == (padded,)
    bits = jax.random.key_data(keys)
    np.testing.assert_array_equal(bits[num_trials:], np.broadcast_to(bits[num_trials - 1], bits[num_trials:].shape))


@pytest.mark.parametrize(
    ("platform", "num_trials", "num_devices", "padded"),
    [
        *(("cpu", 5, 4, 8), ("cpu", 3, 1, 3), ("cpu", 4, 2, 4), ("gpu", 5, 1, 8), ("gpu", 64, 1, 64)),
        *(("tpu", 1, 1, 1), ("tpu", 3, 1, 4), ("tpu", 9, 1, 12), ("tpu", 9, 4, 16)),  # in groups of four
    ],
)
def test_trials_are_padded_to_fill_all_devices_and_where_they_run_side_by_side_to_few_sizes(
    platform, num_trials, num_devices, padded
):
    devices = [types.SimpleNamespace(platform=platform)] * num_devices
    assert sharding.padded_count(num_trials, devices) == padded


@pytest.mark.parametrize(
    ("platform", "num_trials", "width", "padded"),
    [("gpu", 100, 100, 100), ("gpu", 65, 100, 100), ("gpu", 64, 100, 64), ("gpu", 5, 100, 8), ("cpu", 5, 100, 5)],
)
@pytest.mark.parametrize("num_devices", [1, 4])
def test_padding_gives_no_device_more_trials_than_were_asked_for(platform, num_devices, num_trials, width, padded):
    devices = [types.SimpleNamespace(platform=platform)] * num_devices
    assert sharding.padded_count(num_trials * num_devices, devices, width) == padded * num_devices


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_mapped_trials_share_what_is_shared_and_keep_their_order(num_devices):
    mapped = sharding.map_trials(lambda shared, _, a, b: {"out": shared * a + b}, jax.devices()[:num_devices])
    out = mapped(10, (), np.arange(8), np.arange(8) / 2)["out"]
    np.testing.assert_array_equal(out, 10 * np.arange(8) + np.arange(8) / 2)
    assert len(out.sharding.device_set) == num_devices


@pytest.mark.parametrize("together", [None, 1, 4, 3, 16])
def test_trials_side_by_side_or_in_turn_or_both_come_out_in_order(monkeypatch, together):
    monkeypatch.setattr(sharding, "SIDE_BY_SIDE", {} if together is None else {"cpu": together})
    mapped = sharding.map_trials(lambda shared, data, a: shared * a + data, jax.devices()[:2])
    found = mapped(10, np.array([1, 2]), np.arange(16))  # an entry of the data for each device
    np.testing.assert_array_equal(found, 10 * np.arange(16) + np.repeat([1, 2], 8))


@pytest.mark.parametrize("num_devices", [1, 3])
def test_what_all_trials_read_is_put_on_each_device_whole(num_devices):
    devices = jax.devices()[:num_devices]
    tree = {"codes": np.arange(7, dtype=np.uint8), "pair": (np.ones((2, 3), np.float32), np.int32(4))}
    placed = sharding.replicate(tree, devices)
    assert jax.tree.structure(placed) == jax.tree.structure(tree)
    for original, array in zip(jax.tree.leaves(tree), jax.tree.leaves(placed), strict=True):
        assert [shard.device for shard in array.addressable_shards] == devices
        for shard in array.addressable_shards:
            assert shard.data.dtype == original.dtype
            np.testing.assert_array_equal(shard.data, original)
    assert sharding.replicate((), devices) == ()


def test_trials_on_every_device_read_what_is_replicated():
    devices = jax.devices()[:4]
    table = sharding.replicate(np.arange(10, dtype=np.float32) ** 2, devices)
    index = np.array([9, 0, 3, 3, 1, 2, 8, 7])  # two a device, from either end of the table
    found = sharding.map_trials(lambda shared, _, i: shared[i], devices)(table, (), index)
    np.testing.assert_array_equal(found, index**2)
    assert len(found.sharding.device_set) == 4


KEEPS = """
import jax
from rnn_capacity.training import sharding
with sharding.keep_compiled():
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    sharding.map_trials(lambda shared, _, a: shared * jax.numpy.sin(a), jax.devices())(2.0, (), jax.numpy.ones(1))
    print(jax.config.jax_compilation_cache_dir)
"""


def test_compiled_programs_are_kept_on_disk_in_the_users_cache_or_where_jax_was_told(tmp_path):
    run = lambda **variables: subprocess.run(
        [sys.executable, "-c", KEEPS],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)} | variables,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    kept = pathlib.Path(run())
    assert kept.parent == tmp_path / "rnn_capacity"
    files = {file.name for file in kept.iterdir()}
    assert any("mapped" in name for name in files)
    assert pathlib.Path(run()) == kept
    assert {file.name for file in kept.iterdir() if "mapped" in file.name and file.name.endswith("cache")} <= files
    assert run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "told")) == str(tmp_path / "told")
    assert run(JAX_ENABLE_COMPILATION_CACHE="false") == "None"


ELSEWHERE = """
import sys
import jax
from rnn_capacity import measure_capacity; from rnn_capacity.training import sharding
import tiny
for platform in sys.argv[1:]:
    jax.config.update("jax_platforms", platform)
    for ask in (lambda: sharding.choose_devices(1), lambda: measure_capacity("rnn", progress=False, **tiny.TINY)):
        try:
            ask()
        except ValueError as error:
            print(error)
jax.config.update("jax_platforms", "cpu")
print(len(sharding.choose_devices(None)))
"""


def test_a_platform_that_is_not_here_is_refused_by_name_with_those_that_are():
    environment = os.environ | {"PYTHONPATH": PATHS}
    needs = {"cuda": "jax_plugins", "tpu": "libtpu", "cpuu": "no_such"}
    missing = [platform for platform, package in needs.items() if importlib.util.find_spec(package) is None]
    command = [sys.executable, "-c", ELSEWHERE, *missing]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    *refused, num_devices = done.stdout.splitlines()
    assert len(refused) == 2 * len(missing), done.stderr
    for line, platform in zip(refused, [p for p in missing for _ in range(2)], strict=True):
        assert line.startswith(f"JAX_PLATFORMS: '{platform}' given; JAX finds no such device here, but cpu")
    assert int(num_devices) == sharding.num_cores()  # nothing is left of the tries
