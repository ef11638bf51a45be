"""Four CPU devices for every test: trials are spread over devices, so this must be set before JAX starts."""

import helpers
import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture
def make_hparams():
    return helpers.make_hparams


@pytest.fixture
def quick_compile():
    with helpers.quick_compile():
        yield
