"""Checkpoints: what comes back is what was kept, to the bit, whoever wrote it and whenever they were killed."""

import functools
import inspect
import os
import random
import signal
import subprocess
import sys
import threading
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import ROOT, make_hparams, make_keys, make_spec, trial

from rnn_capacity import files
from rnn_capacity.cells import CELLS
from rnn_capacity.training import checkpoint, program
from rnn_capacity.training.checkpoint import Batch, Checkpoints

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
WIDTH = 300


def state(step, num_trials):
    """A state that tells its step in every number."""
    return {"step": np.full(num_trials, step, np.int32), "w": np.full((num_trials, WIDTH), step, np.float32)}


def batch(numbers, step):
    return Batch(numbers, step, state(step, len(numbers)))


def like(tree):
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), tree)


LIKE = like(state(0, 1))


def step_of(found):
    """The step that all numbers of a state agree on; None where there is no state."""
    if found is None:
        return None
    (step,) = {*found["w"].tolist(), found["step"].item()}
    return step


def load(worker, number):
    """The step that a trial is kept at; None where it is not."""
    return step_of(worker.load([number], lambda _: LIKE).get(number))


# What other processes need of this file, which takes long to import.
SHARED = f"import jax, numpy as np\nfrom rnn_capacity.training.checkpoint import Batch, Checkpoints\nWIDTH = {WIDTH}\n"
SHARED += "".join(map(inspect.getsource, (state, batch)))


@pytest.fixture
def make(tmp_path):
    """One more worker of a study."""
    made = []

    def make(study="study", folder=tmp_path):
        made.append(Checkpoints(folder, study))
        return made[-1]

    yield make
    for checkpoints in made:
        checkpoints.close()


def paths(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


# --- What comes back --------------------------------------------------------------------------------------------------


@functools.cache
def trained(until):
    """Five trials on four devices, so with three rows of padding."""
    spec, keys = make_spec(CELLS["rnn"], optimizer="adam"), make_keys(5)
    hparams = make_hparams(spec.cell, 5, learning_rate=[0.01, 0.02, 0.03, 0.04, np.inf])  # the last diverges
    outcome, state = program.advance(spec, hparams, keys, until=until, devices=jax.devices())
    return spec, hparams, keys, outcome, state


def test_a_batch_on_several_devices_goes_on_bit_for_bit(make):
    spec, hparams, keys, _, half = trained(10)
    assert len(half.feasible) == 8
    assert len(half.feasible.sharding.device_set) == 4
    numbers = [7, 3, 11, 0, 2]
    make().save([Batch(numbers, 10, half)], wait=True)
    found = make().load(numbers, lambda _: like(half))
    found = [found[number] for number in numbers]
    for k, kept in enumerate(found):
        chex.assert_trees_all_equal(kept, trial(half, k))
        assert all(type(a) is np.ndarray for a in jax.tree.leaves(kept))
    assert [bool(kept.feasible) for kept in found] == [True] * 4 + [False]
    whole = trained(20)
    again = jax.tree.map(lambda *a: np.stack(a), *found)
    outcome, state = program.advance(spec, hparams, keys, again, 10, 20, devices=jax.devices())
    chex.assert_trees_all_equal((outcome, state), whole[3:])


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_all_kinds_of_leaves(make, array):
    rng = np.random.default_rng(0)
    params = {"odd / name": rng.normal(size=(3, 2, 5)).astype(np.float32), "none": np.zeros((3, 0, 4), np.float32)}
    params["odd / name"][:, 0, 0] = np.nan, np.inf, -np.inf
    params["odd / name"][0, 1, 0] = -0.0
    tree = (
        params,
        jax.vmap(optax.chain(optax.identity(), optax.scale_by_adam(), optax.trace(0.9)).init)(params),
        [array([True, False, True]), array(np.array([-1, 2, 2**31 - 1], np.int32)), None],
        jnp.asarray(rng.normal(size=(3, 4)), jnp.bfloat16),
    )
    tree = jax.tree.map(array, tree)
    worker = make()
    worker.save([Batch([0, 1, 2], 1, tree)], wait=True)
    for k, found in worker.load(range(3), lambda _, tree=tree: like(tree)).items():
        chex.assert_trees_all_equal(found, trial(tree, k))
        for kept, given in zip(jax.tree.leaves(found), jax.tree.leaves(tree), strict=True):
            assert (kept.dtype, kept.shape) == (given.dtype, given.shape[1:])
            assert kept.tobytes() == np.asarray(given[k]).tobytes()


def test_what_was_kept_does_not_change_with_what_the_caller_does_next(make):
    worker, given = make(), batch([0, 1], 1)
    worker.save([given])
    given.state["w"][:] = 9
    worker.close()
    found = worker.load([0], lambda _: LIKE)[0]
    assert step_of(found) == 1
    found["w"][:] = 9
    assert load(worker, 0) == 1


# --- Which of several -------------------------------------------------------------------------------------------------


def test_the_furthest_is_found_whoever_kept_it(make):
    for step, numbers in ((30, [1, 2]), (10, [0, 1]), (20, [2, 0])):
        make().save([batch(numbers, step)], wait=True)
    assert [load(make(), number) for number in range(4)] == [20, 30, 30, None]
    found = make().load(range(4), lambda _: LIKE)
    assert {number: step_of(one) for number, one in found.items()} == {0: 20, 1: 30, 2: 30}


def test_a_worker_keeps_in_one_file_where_all_its_trials_stand_and_nothing_else(make, tmp_path):
    worker = make()
    worker.save([batch([0, 1], 1), batch([2], 5)], wait=True)
    assert len(paths(tmp_path)) == 1
    worker.save([batch([0, 1], 2), batch([2], 5)], wait=True)
    assert len(paths(tmp_path)) == 1
    assert [load(make(), number) for number in range(4)] == [2, 2, 5, None]
    worker.save([batch([1], 3)], wait=True)
    assert [load(make(), number) for number in range(4)] == [None, 3, None, None]
    worker.save([], wait=True)
    assert paths(tmp_path) == []


def test_one_that_is_replaced_while_it_is_read_is_read_as_it_was(make):
    writer = make()
    writer.save([batch([0], 1)], wait=True)
    (path,) = make()._paths()
    with checkpoint._opened(path) as (about, archive):
        writer.save([batch([0], 2)], wait=True)
        assert about[0]["step"] == 1
        assert set(archive["1.0"].tolist()) == {1}
    assert load(make(), 0) == 2


def test_training_does_not_wait_for_a_slow_disk(make, monkeypatch):
    begun, go_on, real, written = threading.Event(), threading.Event(), np.savez, []

    def slow(*args, **kwargs):
        written.append(1)
        begun.set()
        assert go_on.wait(30)
        real(*args, **kwargs)

    monkeypatch.setattr(np, "savez", slow)
    worker = make()
    for step in range(1, 6):
        worker.save([batch([0], step)])
        assert begun.wait(30)  # the first is being written
    assert load(make(), 0) is None
    go_on.set()
    worker.save([batch([0], 6)], wait=True)
    assert load(make(), 0) == 6
    assert len(written) == 2  # those between were passed over


@pytest.mark.parametrize("name", ["a/b", "../up", "", "a b+c,d=1", "é\n\0", "long " * 200, "study.json", "\udc80"])
def test_studies_of_any_name_do_not_mix(make, tmp_path, name):
    folder = tmp_path / "in" / "side"
    make("study", folder).save([batch([0], 1)], wait=True)
    assert load(make(name, folder), 0) is None
    make(name, folder).save([batch([0], 2)], wait=True)
    assert load(make(name, folder), 0) == 2
    assert load(make("study", folder), 0) == 1
    make(name, folder).prune({0})
    assert load(make(name, folder), 0) is None
    assert load(make("study", folder), 0) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- What is left out -------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_left_out_and_an_older_that_does_is_found(make, caplog):
    make().save([batch([0], 1)], wait=True)
    for step, other in enumerate((
        {"w": state(9, 1)["w"]},
        state(9, 1) | {"more": np.zeros(1)},
        state(9, 1) | {"w": np.zeros((1, WIDTH + 1), np.float32)},
        state(9, 1) | {"w": np.zeros((1, WIDTH), np.float64)},
        {"step": state(9, 1)["step"], "v": state(9, 1)["w"]},
    )):  # fmt: skip
        make().save([Batch([0], 2 + step, other)], wait=True)
    worker = make()
    for _ in range(2):  # once alone it is logged
        assert load(worker, 0) == 1
    assert 1 <= len(caplog.records) <= 5
    assert all("it is of other networks" in record.message for record in caplog.records)


def damage(path, how):
    data = bytearray(path.read_bytes())
    data[WIDTH * 2] ^= 4
    path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "one bit": data}[how])


@pytest.mark.parametrize("how", ["cut", "empty", "one bit"])
def test_the_damaged_is_left_out(make, tmp_path, caplog, how):
    make().save([batch([0], 1)], wait=True)
    (old,) = paths(tmp_path)
    make().save([batch([0], 2)], wait=True)
    (new,) = set(paths(tmp_path)) - {old}
    damage(new, how)
    assert load(make(), 0) == 1
    assert ["a checkpoint is left out" in record.message for record in caplog.records] == [True]
    damage(old, how)
    assert load(make(), 0) is None
    make().prune({0})
    assert paths(tmp_path) == []


# --- Kills ------------------------------------------------------------------------------------------------------------

ENDLESS = f"""{SHARED}
import itertools, sys
folder, number = sys.argv[1], int(sys.argv[2])
checkpoints = Checkpoints(folder, "study")
for step in itertools.count(1):
    checkpoints.save([batch([number, 100 + number], step)], wait=True)
    print(step, flush=True)
"""


def test_workers_killed_at_any_moment_leave_what_is_whole(make, tmp_path, caplog, monkeypatch):
    rng, reader = random.Random(0), make()
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(tmp_path), str(number)],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )
        for number in range(3)
    ]  # fmt: skip
    try:
        for number, worker in enumerate(workers):
            assert worker.stdout.readline() == "1\n"
            time.sleep(rng.uniform(0, 0.1))
            worker.send_signal(signal.SIGKILL)
            steps = worker.stdout.read().split()
            last = int(steps[-1]) if steps else 1
            assert load(reader, number) in (last, last + 1)
            assert load(reader, 100 + number) in (last, last + 1)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert caplog.records == []  # what is not whole is not even seen
    monkeypatch.setattr(checkpoint, "SECONDS_TO_WRITE", -1)  # they are dead
    reader.prune({number + more for number in range(3) for more in (0, 100)})
    assert paths(tmp_path) == []


# --- Pruning ----------------------------------------------------------------------------------------------------------


def test_only_what_is_finished_is_pruned_whoever_kept_it(make, tmp_path):
    make().save([batch([0, 1], 1)], wait=True)
    make().save([batch([1, 2], 2)], wait=True)
    worker = make()
    worker.save([batch([3], 3)])
    worker.prune([0, 1])
    assert [load(make(), number) for number in range(4)] == [None, 2, 2, 3]
    worker.prune(frozenset({1, 2}))
    assert [load(worker, number) for number in range(4)] == [None, None, None, 3]
    worker.prune({3})
    assert paths(tmp_path) == []
    worker.prune({3})
    worker.save([batch([4], 4)], wait=True)
    assert load(worker, 4) == 4


# --- Where it cannot be written ---------------------------------------------------------------------------------------


def test_training_goes_on_where_nothing_can_be_written(make, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    worker = make(folder=tmp_path / "file" / "in")
    for step in (1, 2):
        worker.save([batch([0], step)], wait=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be written, training goes on" in caplog.text
    assert "Not a directory" in caplog.text
    assert load(worker, 0) is None
    worker.prune({0})


def test_a_full_disk_leaves_the_older(make, tmp_path, monkeypatch, caplog):
    worker = make()
    worker.save([batch([0], 1)], wait=True)
    kept = paths(tmp_path)

    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as while_full:
        while_full.setattr(np, "savez", full)
        for step in (2, 3):
            worker.save([batch([0], step)])
            worker.prune({1})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    assert paths(tmp_path) == kept
    assert load(worker, 0) == 1
    worker.save([batch([0], 4)], wait=True)
    assert load(worker, 0) == 4


def test_a_file_is_on_disk_before_it_takes_the_place_of_the_older(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda _: done.append("on disk"))
    monkeypatch.setattr(files.pathlib.Path, "replace", lambda *_: done.append("in its place"))
    files.write(tmp_path / "file", "text")
    assert done == ["on disk", "in its place"]
