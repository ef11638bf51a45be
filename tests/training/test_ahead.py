"""Programs for accelerators that are not here: that every cell and task becomes one, and what is said of them."""

import importlib.util
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from helpers import ROOT, SMALL_TASKS, make_hparams, make_keys, make_spec, train_trial

from rnn_capacity.cells import CELLS, PAPER_CELLS
from rnn_capacity.checks import InputError, MissingPackageError
from rnn_capacity.training import ahead, hlo, machines

GIB = 2**30


# Those of the other cells have no operation that these have not; lowering takes a second each.
LOWERED = [
    *(name for name in PAPER_CELLS if name != "gru"),
    "mingru",
    "rg-lru",
    "lru",
    "s6",
    "slstm",
    "mlstm",
    "gated deltanet",
    "retnet",
]


@pytest.mark.parametrize(
    ("cell", "task"), [*((c, "memorization") for c in LOWERED), *(("gru", t) for t in SMALL_TASKS)]
)
def test_every_cell_and_task_lowers_for_gpus_and_tpus(cell, task):
    batch_size = None if SMALL_TASKS[task].one_set else 4
    spec = make_spec(CELLS[cell], task=SMALL_TASKS[task], train_steps=2, num_units=3, batch_size=batch_size)
    trials = jax.jit(jax.vmap(lambda hparams, key: train_trial(spec, hparams, key)))
    exported = jax.export.export(trials, platforms=("cuda", "tpu"))(make_hparams(CELLS[cell], 2), make_keys(2))
    assert exported.platforms == ("cuda", "tpu")


# --- What a program does in a step ------------------------------------------------------------------------------------


def counted(step, *arrays, around=lambda loop: loop):
    """The work of a step of a loop over arrays, as it is compiled here."""
    loop = lambda until, arrays: jax.lax.fori_loop(0, until, lambda _, arrays: step(arrays), arrays)
    return hlo.of_step(jax.jit(around(loop)).lower(7, arrays).compile().as_text())


def test_products_within_loops_count_as_often_as_these_run():
    w, x = jnp.zeros((6, 6)), jnp.zeros((6, 50))
    thrice = lambda arrays: (arrays[0], jax.lax.fori_loop(0, 3, lambda _, x: arrays[0] @ x, arrays[1]))
    assert counted(thrice, w, x).operations == 3 * 2 * 6 * 6 * 50


def test_a_loop_around_the_training_loop_counts_as_often_too():
    """As where trials run one after the other."""
    once = lambda arrays: (arrays[0], arrays[0] @ arrays[1])
    several = lambda loop: lambda until, arrays: jax.lax.map(lambda trial: loop(until, trial), arrays)
    w, x = jnp.zeros((4, 6, 6)), jnp.zeros((4, 6, 50))
    assert counted(once, w, x, around=several).operations == 4 * 2 * 6 * 6 * 50


def test_products_of_many_matrices_at_once_are_each_counted():
    batched = lambda arrays: (arrays[0], jnp.einsum("kij,kjb->kib", *arrays))
    assert counted(batched, jnp.zeros((4, 6, 6)), jnp.zeros((4, 6, 50))).operations == 4 * 2 * 6 * 6 * 50


def test_bytes_are_what_a_kernel_reads_and_writes(optimized):
    work = counted(lambda arrays: (arrays[0] * 2 + 1,), jnp.zeros(1000))
    assert 2 * 4000 <= work.num_bytes < 2 * 4000 + 100  # and the counter
    assert 1 <= work.kernels <= 3


def test_of_an_array_that_is_sliced_the_part_is_read(optimized):
    add = lambda arrays: (arrays[0], arrays[1] + jax.lax.dynamic_slice(arrays[0], (arrays[2],), (10,)), arrays[2] + 1)
    assert counted(add, jnp.zeros(10**6), jnp.zeros(10), 0).num_bytes < 1000


def test_a_program_without_a_training_loop_is_no_program_of_ours():
    with pytest.raises(ValueError, match="no loop"):
        hlo.of_step(jax.jit(jnp.sin).lower(jnp.zeros(3)).compile().as_text())


# --- What that means on a machine -------------------------------------------------------------------------------------

MACHINE = machines.Machine(memory=10 * GIB, bandwidth=1e12, rates={"default": 60e12, "highest": 10e12})


def test_a_step_takes_at_least_its_products_or_its_bytes():
    """By hand: 2e9 operations at 10e12 a second are 200 us, 5e7 bytes at 1e12 are 50 us."""
    work = hlo.Work(kernels=9, copies=1, operations=2e9, num_bytes=5e7)
    assert ahead.seconds_at_least(MACHINE, work, "highest") == pytest.approx(200e-6)
    assert ahead.seconds_at_least(MACHINE, work, "default") == pytest.approx(50e-6)


def figures(trials, gib):
    return ahead.Figures(trials, gib * GIB, 0, 1.0, hlo.Work())


def test_how_many_trials_fit_follows_from_two_widths():
    assert ahead.that_fit(MACHINE, figures(4, 3.0), figures(8, 5.0)) == 18  # 1 GiB, and half a GiB a trial
    assert ahead.that_fit(MACHINE, figures(16, 9.0), figures(32, 17.0)) == 18
    assert ahead.that_fit(MACHINE, figures(1, 11.0), figures(2, 21.0)) == 0
    assert ahead.that_fit(MACHINE, figures(1, 2.0), figures(2, 2.0)) == 2  # no more is known


def test_what_does_not_fit_is_refused_in_a_line_that_says_what_would():
    topology = SimpleNamespace(name="h100", machine=MACHINE)
    ahead.check_fits(topology, "capacity gru", figures(18, 10.0), 18)
    with pytest.raises(InputError) as refused:
        ahead.check_fits(topology, "capacity gru", figures(32, 17.0), 18)
    assert str(refused.value) == (
        "trials_per_device: 32 given; capacity gru needs 17.0 GiB of the 10.0 that programs have on each device of "
        "h100: give 18 or fewer"
    )
    with pytest.raises(InputError, match="give a smaller network or batch_size"):
        ahead.check_fits(topology, "capacity gru", figures(1, 11.0), 0)


# --- Which machines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "h200", "v5e", "v5e:", "v9:2x2", "h100:two", "a100:", "h100:0", 3, None])
def test_what_is_no_topology_is_refused(name):
    with pytest.raises(InputError, match=r"^topology: .* given; it must be a100 or h100, with a colon and .* v5e:2x4$"):
        machines.find(name)


@pytest.mark.parametrize(("name", "extra"), [("v5e:2x4", "tpu"), ("h100", "compile-gpu"), ("a100:8", "compile-gpu")])
def test_a_compiler_that_is_not_installed_is_named_by_its_extra(monkeypatch, name, extra):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MissingPackageError, match=rf'^topology: .{name}. given; .* pip install "\.\[{extra}\]"$'):
        machines.find(name)


def needs(package):
    try:
        there = importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        there = False
    return pytest.mark.skipif(not there, reason=f"its compiler, {package}, is not installed")


tpu, gpu = needs("libtpu"), needs("nvidia.cuda_nvcc")


@pytest.mark.parametrize("name", [pytest.param("v5e:2x4", marks=tpu), pytest.param("a100:8", marks=gpu)])
def test_a_config_is_compiled_by_the_vendors_compiler(name):
    """In a process of its own: in one where JAX runs already it has looked for GPUs, and found none."""
    tiny = ("num_params=60", "num_inputs=8", "unroll=1", "num_trials=5", "num_repeats=3", "trials_per_device=2")
    command = [
        sys.executable,
        ROOT / "launch" / "compile.py",
        "--config=experiments/rnn.py:quick",
        f"--topology={name}",
    ]
    command += [f"--config.{field}" for field in tiny]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    first, header, row, *_, last = done.stdout.splitlines()
    assert first.startswith(f"Compiled for {name}, 8 x ")
    values = dict(zip(header.split(), row.replace(" (", "(").split(), strict=False))
    assert values["trials"] == "2"
    assert int(values["fit"]) > 1000
    assert int(values["kernels"].partition("(")[0]) > 10
    assert "capacity rnn depth=1 params=60 T=1" in row
    assert re.fullmatch(r"All trials of the config take at least \S+ minutes there \(a bound, no time\)\.", last)


@pytest.mark.parametrize("name", [pytest.param("v5e:3x3", marks=tpu), pytest.param("v5e:x", marks=tpu)])
def test_a_shape_that_a_tpu_has_not_is_refused_with_the_compilers_reason(name):
    with pytest.raises(InputError, match=rf"^topology: .{name}. given; its shape must be one that there is \("):
        machines.find(name)
