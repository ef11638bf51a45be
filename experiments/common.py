"""The defaults of every config, and the scales that stand behind a colon: `experiments/gru.py:quick`."""

import dataclasses

from ml_collections import ConfigDict, config_dict

from rnn_capacity.checks import InputError
from rnn_capacity.search.ranges import PAPER
from rnn_capacity.sweep import defaults
from rnn_capacity.tasks import TASKS

SIX_CELLS = ("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn")  # in the order of the tables

SCALES = ("quick", "evening", "")  # minutes on a laptop, a night on one, a cluster
WORKDIRS = {"quick": "results/figures", "evening": "results/evening", "": "results/paper"}

# Minutes on a laptop's CPU: the settings of `measure_capacity`.
QUICK = {}

# What two cores do in a night at most.
EVENING = {"num_params": (250, 1_000, 4_000), "num_trials": 24, "num_repeats": 8, "train_steps": 15_000}

# The paper's protocol: its search space, depths, and budget of trials. Far beyond a CPU at the larger sizes.
FULL = {
    "space": "paper",
    "num_params": (250, 1_000, 10_000, 100_000),
    "depths": (1, 2, 4),
    "num_trials": 1024,
    "num_repeats": 16,
    "train_steps": 50_000,
}


def get_config(
    arg: str = "", *, quick: dict = QUICK, evening: dict = EVENING, full: dict = FULL, **fields
) -> ConfigDict:
    """A config of all fields that the task has (documented in `studies/config.py`), at the scale that `arg` names.

    Args:
        quick, evening, full: fields at each scale; those of the paper's capacity where a config has no others.

    Raises:
        InputError: an argument that is none of SCALES.
    """
    task = fields.get("task", "memorization")
    values = defaults(task) | at_scale(arg, quick, evening, full) | fields
    values["hparams"] = dict.fromkeys(PAPER) | values["hparams"]  # all there, so that flags can set them
    if "task_fields" in values:
        known = dict.fromkeys(field.name for field in dataclasses.fields(TASKS[task.split(":")[0]]))
        del known["unroll"]  # a field of the config
        values["task_fields"] = known | (values["task_fields"] or {})
    return _with_placeholders(values).lock()


def at_scale(arg: str, quick: dict, evening: dict, full: dict) -> dict:
    """The fields of the scale that `arg` names.

    Raises:
        InputError: an argument that is none of SCALES.
    """
    if arg not in SCALES:
        raise InputError(f"config argument: {arg!r} given; it must be 'quick', 'evening' or nothing")
    return {"quick": quick, "evening": evening, "": full}[arg]


def deeper(depths: tuple[int, ...]) -> dict[str, dict]:
    """What differs for the +RNN, whose depth 1 the paper leaves out: there its output goes straight to the readout."""
    return {"+rnn": {"depths": tuple(sorted({depth for depth in depths if depth > 1}))}}


def six_cells(arg: str, **fields) -> ConfigDict:
    """The cells of the paper side by side, for laptops; the +RNN at depth 2, since the paper leaves out its depth 1."""
    return get_config(arg or "quick", cell=SIX_CELLS, per_cell=deeper((1, 2)), **fields)


def several(arg: str, **sweeps: ConfigDict) -> ConfigDict:
    """A config of several sweeps, each kept in the folder of its name in the workdir: another one at each scale."""
    for config in sweeps.values():
        with config.unlocked():
            config.workdir = None
    return ConfigDict({"workdir": WORKDIRS[arg], "sweeps": sweeps}).lock()


def together(*configs: ConfigDict) -> ConfigDict:
    """The sweeps of several such configs as one; those that configs share are there once."""
    sweeps = {name: sweep for config in configs for name, sweep in config.sweeps.items()}
    return ConfigDict({"workdir": configs[0].workdir, "sweeps": sweeps}).lock()


def _with_placeholders(value):
    """A config in which what is None takes a value of any type from the command line."""
    if isinstance(value, dict):
        return ConfigDict({k: _with_placeholders(v) for k, v in value.items()})
    return config_dict.placeholder(object) if value is None else value
