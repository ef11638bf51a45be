"""Weights in fewer bits, beside NumPy's own rounding."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from rnn_capacity.model import formats

RNG = np.random.default_rng(0)
PARAMS = {"W": RNG.normal(size=(7, 5)).astype(np.float32), "b": RNG.normal(size=3).astype(np.float32) * 100}


@pytest.mark.parametrize("name", formats.ROUNDED)
def test_a_weight_is_the_nearest_that_its_format_has(name):
    found = formats.stored(PARAMS, name)
    for key, a in PARAMS.items():
        if name.startswith("int"):
            most = 2 ** (formats.BITS[name] - 1) - 1
            scale = np.abs(a.astype(np.float64)).max() / most
            expected = np.clip(np.rint(a / scale), -most, most) * scale
            assert len(np.unique(np.asarray(found[key]))) <= 2 * most + 1
            assert np.abs(found[key] - a).max() <= scale / 2 * (1 + 1e-4)
        else:
            expected = a.astype(np.float16 if name == "float16" else ml_dtypes.bfloat16).astype(np.float64)
        np.testing.assert_allclose(found[key], expected, rtol=1e-5, atol=1e-6)
        assert found[key].dtype == jnp.float32


def test_fewer_bits_are_never_nearer():
    far = [np.abs(formats.stored(PARAMS, name)["W"] - PARAMS["W"]).sum() for name in ("int8", "int6", "int4")]
    assert far == sorted(far)
    assert far[0] > 0


@pytest.mark.parametrize("name", formats.ROUNDED)
def test_zeros_stay_zeros_and_each_trial_has_scales_of_its_own(name):
    assert not np.asarray(formats.stored({"b": np.zeros(4, np.float32)}, name)["b"]).any()
    several = {"b": np.stack([PARAMS["b"], 1e-3 * PARAMS["b"]])}
    together = jax.vmap(lambda params: formats.stored(params, name))(several)["b"]
    for k in range(2):
        alone = formats.stored({"b": several["b"][k]}, name)["b"]
        np.testing.assert_allclose(together[k], alone, rtol=1e-6)
