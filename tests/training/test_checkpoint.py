"""Checkpoints: what comes back is what was kept, to the bit, whoever wrote it and whenever they were killed."""

import functools
import inspect
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import absl.logging
import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import ROOT, make_hparams, make_keys, make_spec, trial

from rnn_capacity.cells import CELLS
from rnn_capacity.training import checkpoint, program
from rnn_capacity.training.checkpoint import Checkpoints

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
WIDTH = 300


def state(step, num_trials):
    """A state that tells its step in every number."""
    return {"step": np.full(num_trials, step, np.int32), "w": np.full((num_trials, WIDTH), step, np.float32)}


def like(tree):
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), tree)


LIKE = like(state(0, 1))


def step_of(found):
    """The step that all numbers of a state agree on; None where there is no state."""
    if found is None:
        return None
    (step,) = {*found["w"].tolist(), found["step"].item()}
    return step


# What other processes need of this file, which takes long to import.
SHARED = f"import jax, numpy as np\nWIDTH = {WIDTH}\n" + "".join(map(inspect.getsource, (state, like, step_of)))


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


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


# --- What comes back --------------------------------------------------------------------------------------------------


@functools.cache
def trained(until):
    """Five trials on four devices, so with three rows of padding."""
    spec, keys = make_spec(CELLS["rnn"], optimizer="adam"), make_keys(5)
    hparams = make_hparams(spec.cell, 5, learning_rate=[0.01, 0.02, 0.03, 0.04, np.inf])  # the last diverges
    outcome, state = program.advance(spec, hparams, keys, None, until, devices=jax.devices())
    return spec, hparams, keys, outcome, state


def test_a_batch_on_several_devices_goes_on_bit_for_bit(make):
    spec, hparams, keys, _, half = trained(10)
    assert len(half.step) == 8
    assert len(half.step.sharding.device_set) == 4
    make().save([7, 3, 11, 0, 2], 10, half, wait=True)
    worker, one = make(), like(half)
    found = [worker.load(number, one) for number in (7, 3, 11, 0, 2)]
    for k, kept in enumerate(found):
        chex.assert_trees_all_equal(kept, trial(half, k))
        assert all(type(a) is np.ndarray for a in jax.tree.leaves(kept))
    assert [bool(kept.feasible) for kept in found] == [True] * 4 + [False]
    whole = trained(20)
    again = jax.tree.map(lambda *a: np.stack(a), *found)
    outcome, state = program.advance(spec, hparams, keys, again, 20, devices=jax.devices())
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
    worker.save([0, 1, 2], 1, tree, wait=True)
    for k in range(3):
        found = worker.load(k, like(tree))
        chex.assert_trees_all_equal(found, trial(tree, k))
        for kept, given in zip(jax.tree.leaves(found), jax.tree.leaves(tree), strict=True):
            assert (kept.dtype, kept.shape) == (given.dtype, given.shape[1:])
            assert kept.tobytes() == np.asarray(given[k]).tobytes()


def test_what_was_kept_does_not_change_with_what_the_caller_does_next(make):
    worker, given = make(), state(1, 2)
    worker.save([0, 1], 1, given)
    given["w"][:] = 9
    worker.close()
    found = worker.load(0, LIKE)
    assert step_of(found) == 1
    found["w"][:] = 9
    assert step_of(worker.load(0, LIKE)) == 1


def test_rows_too_few_are_told(make):
    with pytest.raises(ValueError, match=r"state: .*'step'.* must have 3"):
        make().save([0, 1, 2], 1, state(1, 2))


# --- Which of several -------------------------------------------------------------------------------------------------


def test_the_furthest_is_found_whoever_kept_it(make):
    for step, numbers in ((30, [1, 2]), (10, [0, 1]), (20, [2, 0])):
        make().save(numbers, step, state(step, 2), wait=True)
    assert [step_of(make().load(number, LIKE)) for number in range(4)] == [20, 30, 30, None]


@pytest.mark.parametrize("method", ["_about", "_rows"])
def test_one_that_is_replaced_while_it_is_read_is_found_in_its_place(make, monkeypatch, caplog, method):
    writer, reader = make(), make()
    writer.save([0], 1, state(1, 1), wait=True)
    real = getattr(reader, method)

    def replaced(*args):
        monkeypatch.undo()
        writer.save([0], 2, state(2, 1), wait=True)
        return real(*args)

    monkeypatch.setattr(reader, method, replaced)
    assert step_of(reader.load(0, LIKE)) == 2
    assert caplog.records == []


def test_of_each_batch_a_worker_keeps_the_newest_until_its_trials_are_told(make, tmp_path):
    worker = make()
    worker.save([0, 1], 1, state(1, 2), wait=True)
    of_a_batch = len(files(tmp_path))
    worker.save([2], 1, state(1, 1), wait=True)
    worker.save([0, 1], 2, state(2, 2), wait=True)
    assert len(files(tmp_path)) == 2 * of_a_batch
    assert [step_of(make().load(number, LIKE)) for number in range(4)] == [2, 2, 1, None]
    assert make().numbers() == {0, 1, 2}
    worker.save([1], 3, state(3, 1), wait=True)  # the other has been stopped early, and is not told yet
    worker.drop([2, 7])
    worker.save([5], 1, state(1, 1), wait=True)
    assert make().numbers() == {0, 1, 5}
    assert [step_of(make().load(number, LIKE)) for number in (0, 1)] == [2, 3]
    worker.drop([0])
    worker.drop([1, 5])
    worker.close()
    assert files(tmp_path) == []


def test_training_does_not_wait_for_a_slow_disk(make, monkeypatch):
    begun, go_on, real, written = threading.Event(), threading.Event(), checkpoint._write_file, []

    def slow(path, parts):
        if path.name == "leaves":
            written.append(path)
            begun.set()
            assert go_on.wait(30)
        real(path, parts)

    monkeypatch.setattr(checkpoint, "_write_file", slow)
    worker = make()
    for step in range(1, 6):
        worker.save([0], step, state(step, 1))
        assert begun.wait(30)  # the first is being written
    assert make().load(0, LIKE) is None
    go_on.set()
    worker.close()
    assert step_of(make().load(0, LIKE)) == 5
    assert len(written) == 2  # those between were passed over


@pytest.mark.parametrize("name", ["a/b", "../up", "", "a b+c,d=1", "é\n\0", "long " * 200, "study.json", "\udc80"])
def test_studies_of_any_name_do_not_mix(make, tmp_path, name):
    folder = tmp_path / "in" / "side"
    make("study", folder).save([0], 1, state(1, 1), wait=True)
    assert make(name, folder).load(0, LIKE) is None
    make(name, folder).save([0], 2, state(2, 1), wait=True)
    assert step_of(make(name, folder).load(0, LIKE)) == 2
    assert step_of(make("study", folder).load(0, LIKE)) == 1
    make(name, folder).prune({0})
    assert make(name, folder).load(0, LIKE) is None
    assert step_of(make("study", folder).load(0, LIKE)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- What is left out -------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_left_out_and_an_older_that_does_is_found(make, caplog):
    make().save([0], 1, state(1, 1), wait=True)
    for step, other in enumerate((
        {"w": state(9, 1)["w"]},
        state(9, 1) | {"more": np.zeros(1)},
        state(9, 1) | {"w": np.zeros((1, WIDTH + 1), np.float32)},
        state(9, 1) | {"w": np.zeros((1, WIDTH), np.float64)},
        {"step": state(9, 1)["step"], "v": state(9, 1)["w"]},
    )):  # fmt: skip
        make().save([0], 2 + step, other, wait=True)
    worker = make()
    assert step_of(worker.load(0, LIKE)) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 5
    worker.load(0, LIKE)
    assert len(caplog.records) == 5  # told once


def damage(path, how):
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        data = bytearray(path.read_bytes())
        data[len(data) * 2 // 3] ^= 4
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["gone", "cut", "empty", "one bit"])
@pytest.mark.parametrize("pattern", ["*/leaves", "*.json"])
def test_the_damaged_is_left_out(make, tmp_path, caplog, how, pattern):
    make().save([0], 1, state(1, 1), wait=True)
    (old,) = tmp_path.glob(f"*/{pattern}")
    make().save([0], 2, state(2, 1), wait=True)
    (new,) = set(tmp_path.glob(f"*/{pattern}")) - {old}
    damage(new, how)
    assert step_of(make().load(0, LIKE)) == 1
    damage(old, how)
    assert make().load(0, LIKE) is None
    if (how, pattern) != ("gone", "*.json"):  # as when it is being deleted
        assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
        told = "No such file" if how == "gone" else "damaged"
        assert all(told in record.message.partition("left out: ")[2] for record in caplog.records)
    make().prune({0})
    assert files(tmp_path) == []


# --- Kills ------------------------------------------------------------------------------------------------------------

ENDLESS = f"""{SHARED}
import itertools, sys
from rnn_capacity.training.checkpoint import Checkpoints
folder, number = sys.argv[1], int(sys.argv[2])
checkpoints = Checkpoints(folder, "study")
for step in itertools.count(1):
    checkpoints.save([number, 100 + number], step, state(step, 2), wait=True)
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
            assert step_of(reader.load(number, LIKE)) in (last, last + 1)
            assert step_of(reader.load(100 + number, LIKE)) in (last, last + 1)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert caplog.records == []  # what is not whole is not even seen
    monkeypatch.setattr(checkpoint, "SECONDS_TO_DESCRIBE", 0)  # they are dead
    reader.prune({number + more for number in range(3) for more in (0, 100)})
    assert files(tmp_path) == []


@pytest.mark.parametrize("stop", ["described", "unnamed", "writing", "renamed", "old one half gone"])
def test_each_step_of_a_save_may_be_the_last(make, tmp_path, monkeypatch, caplog, stop):
    worker = make()
    worker.save([0], 1, state(1, 1), wait=True)

    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    real = checkpoint._write_file

    def write_file(path, parts):
        if path.name == "leaves" and stop == "writing":
            real(path, [bytes(parts[0])[:10]])
            die()
        real(path, parts)
        if path.name.endswith(".json.tmp") and stop == "unnamed":
            die()

    monkeypatch.setattr(checkpoint, "_write_file", write_file)
    if stop == "described":
        monkeypatch.setattr(checkpoint, "_orbax", die)
    if stop == "renamed":
        monkeypatch.setattr(worker, "_remove", die)
    if stop == "old one half gone":
        monkeypatch.setattr(checkpoint.shutil, "rmtree", die)
    with pytest.raises(Killed):
        worker.save([0], 2, state(2, 1), wait=True)
    monkeypatch.undo()
    assert step_of(make().load(0, LIKE)) == (2 if stop in ("renamed", "old one half gone") else 1)
    assert caplog.records == []
    make().prune({0})
    if stop == "unnamed":  # for all that others know it may be going on
        assert len(files(tmp_path)) == 1
        monkeypatch.setattr(checkpoint, "SECONDS_TO_DESCRIBE", 0)
        make().prune({0})
    assert files(tmp_path) == []


# --- Pruning ----------------------------------------------------------------------------------------------------------


def test_only_what_is_finished_is_pruned_whoever_kept_it(make, tmp_path):
    dead = make()
    dead.save([0, 1], 1, state(1, 2), wait=True)
    make().save([1, 2], 2, state(2, 2), wait=True)
    worker = make()
    worker.save([3], 3, state(3, 1))
    worker.prune([0, 1])
    assert [step_of(make().load(number, LIKE)) for number in range(4)] == [None, 2, 2, 3]
    worker.prune(frozenset({1, 2}))
    assert [step_of(worker.load(number, LIKE)) for number in range(4)] == [None, None, None, 3]
    worker.prune({3})
    assert files(tmp_path) == []
    worker.prune({3})
    worker.save([4], 4, state(4, 1), wait=True)
    assert step_of(worker.load(4, LIKE)) == 4


# --- Where it cannot be written ---------------------------------------------------------------------------------------


def test_training_goes_on_where_nothing_can_be_written(make, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    worker = make(folder=tmp_path / "file" / "in")
    for step in (1, 2):
        worker.save([0], step, state(step, 1), wait=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be written, training goes on" in caplog.text
    assert "Not a directory" in caplog.text
    caplog.clear()
    for _ in range(2):
        assert worker.load(0, LIKE) is None
    worker.prune({0})
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_full_disk_leaves_the_older(make, tmp_path, monkeypatch, caplog):
    worker, real = make(), checkpoint._write_file
    worker.save([0], 1, state(1, 1), wait=True)
    kept = set(files(tmp_path))

    def full(path, parts):
        real(path, [bytes(parts[0])[:10]])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_file", full)
    for step in (2, 3):
        worker.save([0], step, state(step, 1))
        worker.prune({1})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    assert set(files(tmp_path)) == kept
    assert step_of(worker.load(0, LIKE)) == 1
    monkeypatch.undo()
    worker.save([0], 4, state(4, 1), wait=True)
    assert step_of(worker.load(0, LIKE)) == 4
    assert len(files(tmp_path)) == len(kept)


# --- Orbax ------------------------------------------------------------------------------------------------------------


def test_orbax_is_not_imported_by_who_keeps_nothing_and_finds_nothing(tmp_path):
    program = (
        "import sys; from rnn_capacity.training.checkpoint import Checkpoints; c = Checkpoints(sys.argv[1], 'study');"
        "assert c.load(0, {}) is None; c.prune({0}); c.close(); sys.exit('orbax.checkpoint' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=ENVIRONMENT, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_orbax_does_not_tell_of_each_step(make, caplog):
    level = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.INFO)
    try:
        with caplog.at_level(logging.INFO):
            absl.logging.info("others do")
            make().save([0], 1, state(1, 1), wait=True)
            make().load(0, LIKE)
    finally:
        absl.logging.set_verbosity(level)
    assert [record.message for record in caplog.records] == ["others do"]


TOGETHER = f"""{SHARED}
import sys, time
from jax.sharding import Mesh, NamedSharding, PartitionSpec
jax.config.update("jax_num_cpu_devices", 2)
address, process, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(address, 2, process)
assert jax.process_count() == 2 and jax.device_count() == 4
from rnn_capacity.training.checkpoint import Checkpoints

def save(numbers, step):
    sharding = NamedSharding(Mesh(np.array(jax.local_devices()), ("trial",)), PartitionSpec("trial"))
    checkpoints.save(numbers, step, jax.device_put(state(step, 2 * len(numbers)), sharding), wait=True)

def wait_for(number, step):
    until = time.monotonic() + 60
    while step_of(checkpoints.load(number, like(state(0, 1)))) != step:
        assert time.monotonic() < until
        time.sleep(0.02)

checkpoints = Checkpoints(folder, "study")
if process == 1:
    save([5, 6, 7], 10)  # while the other saves nothing
    save([5, 6, 7], 20)
    wait_for(0, 3)
else:
    wait_for(6, 20)
    save([0], 3)
checkpoints.close()
print("done")
"""


def test_processes_that_know_of_each_other_save_alone(make, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, address, str(process), str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )
        for process in range(2)
    ]  # fmt: skip
    try:
        for process in processes:
            out, err = process.communicate(timeout=100)
            assert (process.returncode, out) == (0, "done\n"), err
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [step_of(make().load(number, LIKE)) for number in (0, 4, 5, 6, 7)] == [3, None, 20, 20, 20]
