"""The loss on text8 against parameters.

python launch/sweep.py --config=experiments/text8.py[:quick|:evening]

Any cell: `--config.cell=lstm`, or several, `--config.cell=rnn,lstm`.
"""

from experiments import common

QUICK = {"space": "quick", "num_params": (10_000,), "num_trials": 6, "train_steps": 1_000}
EVENING = QUICK | {"num_params": (2_000, 10_000, 40_000), "num_trials": 16, "num_repeats": 4, "train_steps": 4_000}
FULL = {
    "num_params": (10_000, 100_000, 1_000_000, 10_000_000),
    "depths": (1, 2, 4, 8),
    "num_trials": 1024,
    "num_repeats": 16,
    "train_steps": 1_000_000,
}


def get_config(arg: str = ""):
    return common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, task="text8", cell="gru", workdir="results/text8"
    )
