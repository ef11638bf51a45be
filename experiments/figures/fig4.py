"""Figure 4: the best and the median loss against the tuner's iterations, on parentheses and arithmetic, by depth.

python launch/sweep.py --config=experiments/figures/fig4.py[:quick]

Quick: about 8 minutes on 2 cores; parentheses of two types over 20 steps, sums of one-digit numbers.
"""

from experiments import arithmetic, common, parentheses

PARENTHESES = {
    "task_fields": {"num_types": 2, "num_noise": 2},
    "unroll": (20,),
    "num_params": (1_000,),
    "depths": (1, 4),
    "num_trials": 32,
    "train_steps": 600,
}
ARITHMETIC = {
    "task_fields": {"max_number": 9},
    "unroll": (15,),
    "num_params": (2_000,),
    "depths": (1, 2),
    "num_trials": 16,
    "train_steps": 500,
    "batch_size": 64,
}


def get_config(arg: str = ""):
    def tuned(task, scale):
        fields = scale | {"num_repeats": 0, "space": "paper", "per_cell": common.deeper(scale["depths"])}
        return common.get_config(arg, quick=fields, full=fields, task=task, cell=common.SIX_CELLS)

    return common.several(
        "results/figures",
        parentheses=tuned("parentheses", PARENTHESES if arg == "quick" else parentheses.FULL),
        arithmetic=tuned("arithmetic", ARITHMETIC if arg == "quick" else arithmetic.FULL),
    )
