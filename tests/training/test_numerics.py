"""A measurement gives the same bits whatever the environment has set in JAX, and leaves that as it was."""

import json
import logging
import os
import signal
import subprocess
import sys

import jax
import optuna
import pytest
from absl import logging as absl_logging
from helpers import PATHS
from tiny import FRAGILE, TINY, TINY_RECALL, numbers, without_seconds

from rnn_capacity import measure_capacity, measure_recall, sweep, train_again
from rnn_capacity.studies import store
from rnn_capacity.training import numerics, program

SETTINGS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 3,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_default_matmul_precision": "bfloat16",
    "jax_transfer_guard": "disallow",
    "jax_debug_key_reuse": True,
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_check_tracer_leaks": True,  # not fixed, and slow
}
SMALL = TINY_RECALL | {"num_units": 2, "num_trials": 2, "num_repeats": 0, "devices": 1, "progress": False}


def measure():
    """Traced anew: what was compiled before would hide what the environment has set since."""
    program.trial_program.cache_clear()
    jax.clear_caches()
    return numbers(measure_recall("gru", **SMALL))


@pytest.fixture(scope="module")
def expected():
    return measure()


@pytest.fixture
def configure():
    before = {}

    def update(**settings):
        for name, value in settings.items():
            before.setdefault(name, getattr(jax.config, name))
            jax.config.update(name, value)

    yield update
    update(**before)


CHANGING = ("enable_x64", "default_prng_impl", "threefry_partitionable", "random_seed_offset", "matmul_precision")
GROUPS = [[name] for name in SETTINGS if name.endswith(CHANGING)]
GROUPS.append([name for name in SETTINGS if not name.endswith(CHANGING)])  # these change nothing, but may raise


@pytest.mark.parametrize("names", GROUPS, ids=" ".join)
def test_a_setting_of_jax_changes_no_number(expected, configure, names):
    settings = {name: SETTINGS[name] for name in names}
    configure(**settings)
    assert measure() == expected
    assert {name: getattr(jax.config, name) for name in names} == settings


def test_the_environment_changes_no_number_either(expected):
    """What is set before anything is imported, all at once."""
    script = "from test_numerics import measure; import json; print(json.dumps(measure()))"
    environment = os.environ | {name.upper(): str(value) for name, value in SETTINGS.items() if "leaks" not in name}
    environment["JAX_PLATFORMS"] = "cpu"
    environment["PYTHONPATH"] = PATHS
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(expected)


def test_a_trial_that_diverges_ends_no_run_that_looks_for_nans(configure):
    fields = TINY | {"hparams": TINY["hparams"] | {"input_scale": 0.9}, "num_trials": 2, "num_repeats": 0}
    configure(jax_debug_nans=True, jax_debug_infs=True)
    assert measure_capacity(FRAGILE, progress=False, devices=1, **fields).num_infeasible == 2


def test_a_study_begun_without_a_setting_goes_on_with_it(tmp_path, configure):
    fields = TINY | {"num_repeats": 0, "devices": 1, "progress": False}
    alone = measure_capacity("rnn", **fields)
    measure_capacity("rnn", storage=tmp_path, **fields | {"num_trials": 2})
    configure(jax_enable_x64=True, jax_default_prng_impl="rbg")
    program.trial_program.cache_clear()
    found = measure_capacity("rnn", storage=tmp_path, **fields)
    assert without_seconds(found.trials).to_csv() == without_seconds(alone.trials).to_csv()
    (name,) = optuna.get_all_study_names(store.open_storage(tmp_path))
    then, again = train_again(tmp_path, name, 0)
    assert again | {"seconds": 0} == then | {"seconds": 0}


def test_plans_are_made_under_any_setting(configure):
    config = TINY | {"cell": "lstm,+rnn", "depths": 2, "num_params": 200}
    names = [plan.describe() for plan, _ in sweep.studies(config)]
    configure(**SETTINGS)
    assert [plan.describe() for plan, _ in sweep.studies(config)] == names


@pytest.mark.usefixtures("no_training")
def test_not_to_compile_is_refused_in_a_line(configure):
    configure(jax_disable_jit=True)
    with pytest.raises(ValueError, match=r"^JAX_DISABLE_JIT: True given; it must be unset"):
        measure_recall("gru", **SMALL)


def test_the_key_of_a_seed_is_jaxs_own():
    for seed in (0, 1, 2**31, 2**32 - 1):
        assert (jax.random.key_data(numerics.key(seed)) == jax.random.key_data(jax.random.key(seed))).all()


# --- What a measurement leaves ----------------------------------------------------------------------------------------

LEAVES = """
import json, sys
import jax
import rnn_capacity
from rnn_capacity.training import trainer
from test_numerics import TINY, state
trainer.SECONDS_BETWEEN_CHECKPOINTS = 0
jax.jit(lambda x: x + 1)(1)  # JAX has begun, and has looked for a cache
before = state()
rnn_capacity.measure_capacity("rnn", storage=sys.argv[1], progress=False, **TINY)
after = state()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x + 2, inline=True)(jax.numpy.ones(3))
print(json.dumps([before, after]))
"""


def state():
    """What a process has set: JAX's configuration, absl's log, signals."""
    config = {name: str(value) for name, value in jax.config.values.items()}
    loggers = [absl_logging.get_absl_logger(), logging.getLogger()]
    return [config, [str(logger.filters) for logger in loggers], [str(signal.getsignal(n)) for n in signal.Signals]]


def test_a_measurement_leaves_everything_set_as_it_was(tmp_path):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = PATHS
    # Compiled as users have it, which takes long enough to be kept.
    asked = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE", "JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
    for name in asked:
        environment.pop(name, None)
    command = [sys.executable, "-c", LEAVES, str(tmp_path / "study")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert after == before
    kept = [path.name for path in (tmp_path / "cache" / "rnn_capacity").rglob("*")]
    assert any("mapped" in name for name in kept)  # ours, though JAX had looked before
    assert not any("lambda" in name for name in kept)  # and not what was compiled after
