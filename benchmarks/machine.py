"""What the benchmarks of whole runs share: the machine's name, trials to be trained."""

import datetime
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from rnn_capacity.search import space as spaces
from rnn_capacity.training import sharding


def machine():
    """Processor, devices, versions and date, in a line."""
    devices = jax.local_devices()
    name = devices[0].device_kind
    if devices[0].platform == "cpu" and pathlib.Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        name = found.group(1) if found else name
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{name}, {sharding.describe(devices)}, Python {version}, {datetime.date.today()}"


def middle_trials(plan, num_trials):
    """What `program.advance` makes of trials in the middle of a plan's space: spec, hparams [K], keys [K]."""
    middle = spaces.from_unit(plan.space, np.full(len(spaces.distributions(plan.space)), 0.5))
    trials = [plan.trial(number, spaces.complete(plan.space, middle)) for number in range(num_trials)]
    hparams = {name: np.array([t.hparams[name] for t in trials], np.float32) for name in trials[0].hparams}
    return trials[0].spec, hparams, jax.tree.map(lambda *k: jnp.stack(k), *(t.keys for t in trials))
