"""Trainability on the arithmetic of characters.

python launch/sweep.py --config=experiments/arithmetic.py[:quick|:evening]

Any cell: `--config.cell=lstm`, or several, `--config.cell=rnn,lstm`.
"""

from experiments import common

QUICK = {
    "task_fields": {"max_number": 99},
    "unroll": (18,),
    "num_params": (60_000,),
    "space": "quick",
    "num_trials": 4,
    "train_steps": 6_000,
    "batch_size": 128,
}
EVENING = QUICK | {"num_trials": 16, "num_repeats": 4, "train_steps": 12_000}
FULL = {
    "num_params": (10_000, 100_000, 1_000_000),
    "depths": (1, 2, 4, 8),
    "num_trials": 2500,
    "num_repeats": 16,
    "train_steps": 1_000_000,
}


def get_config(arg: str = ""):
    return common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, task="arithmetic", cell="gru", workdir="results/arithmetic"
    )
