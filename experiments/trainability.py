"""What random hyperparameters give: all six cells at depths 1 and 4 on short parentheses (the paper's Table 1).

python launch/sweep.py --config=experiments/trainability.py[:quick|:evening]
"""

from experiments import common

QUICK = {
    "task_fields": {"num_types": 2, "num_noise": 2},
    "unroll": (20,),
    "num_params": (1_000,),
    "depths": (1, 4),
    "num_trials": 200,
    "train_steps": 300,
}
EVENING = QUICK | {"num_trials": 1000}
FULL = {"num_params": (200_000,), "depths": (1, 8), "num_trials": 1000, "train_steps": 50_000}


def get_config(arg: str = ""):
    return common.get_config(
        arg,
        quick=QUICK,
        evening=EVENING,
        full=FULL,
        task="parentheses",
        cell=common.SIX_CELLS,
        space="paper",
        sampler="random",
        workdir="results/trainability",
    )
