"""The weighted error of random continuous functions against parameters.

python launch/sweep.py --config=experiments/random_functions.py[:quick|:evening]

Any cell: `--config.cell=lstm`, or several, `--config.cell=rnn,lstm`.
"""

from experiments import common

QUICK = {
    "task_fields": {"num_points": 2_000, "tau": 10},  # a million points ask for more parameters and steps
    "unroll": (10,),
    "num_params": (1_000, 4_000),
    "space": "quick",
    "num_trials": 6,
    "train_steps": 3_000,
}
EVENING = QUICK | {"num_params": (500, 1_000, 2_000, 4_000), "num_trials": 24, "num_repeats": 8, "train_steps": 12_000}
FULL = {
    "num_params": (1_000, 10_000, 100_000, 1_000_000),
    "depths": (1, 2, 4, 8),
    "num_trials": 1024,
    "num_repeats": 16,
    "train_steps": 1_000_000,
}


def get_config(arg: str = ""):
    return common.get_config(
        arg,
        quick=QUICK,
        evening=EVENING,
        full=FULL,
        task="random_functions",
        cell="gru",
        workdir="results/random_functions",
    )
