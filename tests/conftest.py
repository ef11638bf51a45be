"""Four CPU devices for every test: trials are spread over devices, so this must be set before JAX starts.

One thread for BLAS, which must be set before NumPy starts: several wait for each other where the processors are taken,
and each of the many small factorisations of a Gaussian process's fit then takes many times as long.

XLA optimises little: most programs of the tests run for less time than it takes to compile them. Where optimisation is
part of what is tested, the fixture `optimized` has it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import tempfile

import helpers
import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share what is compiled, and who tests keeps none of it
    _cache = tempfile.TemporaryDirectory(prefix="rnn-capacity-")
    os.environ["XDG_CACHE_HOME"] = _cache.name


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


@pytest.fixture
def trainer(monkeypatch):
    """Nothing is trained: outcomes are made up, the same for the same trial."""
    from tiny import FakeTrainer

    return FakeTrainer().install(monkeypatch)


@pytest.fixture
def no_training(monkeypatch):
    """The test fails if anything is trained."""
    from rnn_capacity.training import program

    monkeypatch.setattr(program, "advance", lambda *_, **__: pytest.fail("a trial was trained"))
