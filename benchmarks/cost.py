"""What a config would take: python benchmarks/cost.py --config=experiments/gru.py [--config.field=value ...].

Counts the operations of all training steps of a sweep, about 6 for each parameter, step in time and example, b in the
middle of its range, and divides by what a machine does. This machine's own rate is measured (its matrix product in
full float32). Of the others nothing was measured: what the maker says of float32 products, which on a TPU are six
passes in bfloat16, and of it the share that `--share` names. Asking, storing and compiling are left out
(`overhead.py`), and that steps of a trial, rounds of a study and points of a grid follow one another.
"""

import jax
from absl import app, flags
from contest import sgemm_rate
from machine import machine
from ml_collections import config_flags
from table import markdown

from rnn_capacity import sweep
from rnn_capacity.measure.questions import CAPACITY
from rnn_capacity.training import sharding

PEAKS = {"one H100": 67e12, "v5e-8": 8 * 197e12 / 6, "v5e-256": 256 * 197e12 / 6}  # operations a second
_CONFIG = config_flags.DEFINE_config_file("config", None, "as of launch/sweep.py")
MAPPINGS_PER_PARAM = 4.0  # of most trials: a little more than what is stored
_SHARE = flags.DEFINE_float("share", 0.25, "of the rate of a large matrix product that training comes to")
flags.mark_flag_as_required("config")


def operations(config):
    """Of a sweep of memorization, by budget of parameters."""
    found = {}
    for point in sweep.points(config):
        study, budget, _ = CAPACITY.asked(point)
        plan = study.plan()
        b = min(plan.mappings(MAPPINGS_PER_PARAM), plan.static["batch_size"])
        steps = plan.static["train_steps"] * (budget.num_trials + budget.num_repeats)
        found[plan.max_params] = found.get(plan.max_params, 0) + 6 * plan.num_params * plan.task.unroll * b * steps
    return found


def lasting(seconds):
    for unit, size in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def main(_):
    jax.config.update("jax_default_matmul_precision", "highest")  # else a Hopper's product is one of TF32
    sharding.use_all_cores()
    found = operations(_CONFIG.value.to_dict())
    found["all"] = sum(found.values())
    rates = {"this machine": sgemm_rate(), **PEAKS}
    used = {name: rate * _SHARE.value for name, rate in rates.items()}
    print(
        f"{machine()}\nOperations a second, {_SHARE.value:.0%} of the rate of a large matrix product in full float32:"
    )
    print(", ".join(f"{name} {used[name]:.3g} of {rate:.3g}" for name, rate in rates.items()), "\n")
    times = lambda count: {name: lasting(count / rate) for name, rate in used.items()}
    print(markdown([{"params": size, "operations": f"{n:.2g}", **times(n)} for size, n in found.items()]))


if __name__ == "__main__":
    app.run(main)
