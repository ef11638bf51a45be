"""The environment of a job's processes."""

import os

import pytest
from helpers import ROOT


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """It lets them share what they compile."""
    cache = tmp_path_factory.mktemp("compiled")
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
    }
