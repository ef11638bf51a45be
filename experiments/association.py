"""Pairs of a key and a value that a cell's state holds, against how many are shown.

python launch/sweep.py --config=experiments/association.py[:quick|:evening]

Any cell: `--config.cell=lstm`, or several, `--config.cell=rnn,lstm`.
"""

from experiments import common

QUICK = {"num_trials": 6, "train_steps": 2_000}
EVENING = {"num_units": (16, 32, 64), "num_trials": 24, "num_repeats": 8, "train_steps": 10_000}
FULL = {
    "num_units": (16, 32, 64, 128),
    "num_pairs": (2, 4, 8, 16, 32, 64),
    "num_keys": 128,
    "depths": (1, 2),
    "space": "paper",
    "num_trials": 1024,
    "num_repeats": 16,
    "train_steps": 50_000,
}


def get_config(arg: str = ""):
    return common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, task="association", cell="gru", workdir="results/association"
    )
