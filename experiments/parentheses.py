"""Trainability on parallel parentheses.

python launch/sweep.py --config=experiments/parentheses.py[:quick|:evening]

Any cell: `--config.cell=lstm`, or several, `--config.cell=rnn,lstm`.
"""

from experiments import common

QUICK = {
    "task_fields": {"num_types": 2, "num_noise": 2},
    "unroll": (20,),
    "num_params": (1_000,),
    "space": "quick",
    "num_trials": 8,
    "train_steps": 2_000,
}
EVENING = QUICK | {"depths": (1, 4), "num_trials": 48, "num_repeats": 20, "train_steps": 6_000}
FULL = {
    "num_params": (10_000, 100_000, 200_000),
    "depths": (1, 2, 4, 8),
    "num_trials": 2500,
    "num_repeats": 100,
    "train_steps": 50_000,
}


def get_config(arg: str = ""):
    return common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, task="parentheses", cell="gru", workdir="results/parentheses"
    )
