"""Recall of the input against units, beside the line 1 - n_h / n_in.

python launch/sweep.py --config=experiments/recall.py[:quick|:evening]

Any cell: `--config.cell=lstm`, or several, `--config.cell=rnn,lstm`.
"""

from experiments import common

QUICK = {"num_units": (16, 32, 48, 64, 80), "num_trials": 6, "train_steps": 2_000}
EVENING = {"num_units": (16, 32, 48, 56, 64, 72, 80), "num_trials": 24, "num_repeats": 8, "train_steps": 8_000}
FULL = {
    "num_units": (8, 16, 24, 32, 40, 48, 56, 60, 64, 68, 72, 80, 96, 128),
    "depths": (1, 2, 4, 8),
    "space": "paper",
    "num_trials": 1024,
    "num_repeats": 16,
    "train_steps": 50_000,
}


def get_config(arg: str = ""):
    return common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, task="recall", cell="gru", workdir="results/recall"
    )
