"""Four CPU devices for every test: trials are spread over devices, so this must be set before JAX starts.

One thread for BLAS, which must be set before NumPy starts: several wait for each other where the processors are taken,
and each of the many small factorisations of a Gaussian process's fit then takes many times as long.

XLA optimises little, in one thread and without MLIR, which is five times as fast: most programs of the tests run for
less time than it takes to compile them. Where optimisation is part of what is tested, the fixture `optimized` has it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")

import runpy
import signal
import sqlite3
import sys
import tempfile

import helpers
import jax
import pytest
import sqlalchemy
from absl import flags
from helpers import ROOT

jax.config.update("jax_num_cpu_devices", 4)
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share what is compiled, and who tests keeps none of it
    _cache = tempfile.TemporaryDirectory(prefix="rnn-capacity-")
    os.environ["XDG_CACHE_HOME"] = _cache.name

# What is quick to run and covers most of the package but the studies: `pytest -m fast`. Files, or folders of them.
FAST = ("cells", "contracts/test_contracts.py", "display", "model/test_types.py", "paper", "tasks/test_arithmetic.py")
FAST += ("tasks/test_memorization.py", "tasks/test_parentheses.py", "tasks/test_recall.py", "test_checks.py")
FAST += ("search/test_dimensions.py", "search/test_encoding.py", "search/test_gp.py", "search/test_recipe.py")
FAST += ("search/test_space.py", "search/test_space_changes.py", "search/test_space_points.py", "search/test_units.py")
FAST += ("test_information.py", "test_layers.py")


# What takes longest comes first, or one worker would still be at it when the others have ended. Two of these files
# start many processes of their own, and are kept apart.
LONG = ("end_to_end/test_job.py", "report/test_report_command.py", "end_to_end/test_sweep.py")
LONG += ("end_to_end/test_sweep_tasks.py", "contracts/test_contracts.py", "end_to_end/test_notebook.py")
LONG += ("studies/test_workers.py", "training/test_train.py", "training/test_program.py")


def pytest_collection_modifyitems(items):
    tests = ROOT / "tests"
    names = {item: item.path.relative_to(tests).as_posix() for item in items}
    for item, name in names.items():
        if name.startswith(FAST):
            item.add_marker(pytest.mark.fast)
    items.sort(key=lambda item: LONG.index(names[item]) if names[item] in LONG else len(LONG))


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _never_synced(connection, _):
    """No test pulls the plug, and to wait for the disk at each of the many small commits takes long."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def make_hparams():
    return helpers.make_hparams


@pytest.fixture
def optimized():
    """Programs are compiled as a user's are."""
    kept = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", kept)


@pytest.fixture(autouse=True)
def handlers():
    """Restores what is done on Ctrl-C: a script of launch/ that runs in this process changes it as it is imported."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def drop_flags():
    """Drops the flags that were defined in the test, so that a script of launch/ can be run again."""
    from rnn_capacity import command_line  # noqa: F401 its flag stays, as it is imported once

    before = set(flags.FLAGS)

    def drop():
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)

    yield drop
    drop()


@pytest.fixture
def launch(monkeypatch, capsys, tmp_path, drop_flags):
    """Runs a command of launch/ as a process does, but in this one: its exit code, and its output and errors."""

    from rnn_capacity import command_line

    def initialize(**_):
        raise ValueError("Number of processes must be defined.")  # there is no cluster

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(command_line.app, "run", lambda main, flags_parser: main(flags_parser(sys.argv)))
    monkeypatch.setattr(command_line.logging, "root", command_line.logging.Logger("root"))
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def run(script, *argv):
        monkeypatch.setattr(sys, "argv", [f"launch/{script}.py", *(arg.replace("TMP", str(tmp_path)) for arg in argv)])
        code = 0
        try:
            runpy.run_path(str(ROOT / sys.argv[0]), run_name="__main__")
        except SystemExit as ended:
            code = ended.code
            if isinstance(code, str):  # as Python ends with one
                print(code, file=sys.stderr)
                code = 1
        finally:
            drop_flags()
            flags.FLAGS.unparse_flags()
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def trainer(monkeypatch):
    """Nothing is trained: outcomes are made up, the same for the same trial."""
    from tiny import FakeTrainer

    return FakeTrainer().install(monkeypatch)


@pytest.fixture
def no_figures(monkeypatch):
    """A sweep draws none, which takes longer than all else of a small one."""
    from rnn_capacity.measure import overview

    monkeypatch.setattr(overview, "write_figures", lambda *_: [])


@pytest.fixture
def no_training(monkeypatch):
    """The test fails if anything is trained."""
    from rnn_capacity.training import program

    monkeypatch.setattr(program, "advance", lambda *_, **__: pytest.fail("a trial was trained"))
