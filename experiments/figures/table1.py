"""Table 1: how many random draws of hparams diverge, by cell and depth, on parentheses.

python launch/sweep.py --config=experiments/figures/table1.py[:quick]

Quick: about 8 minutes on 2 cores.
"""

from experiments import common, trainability

QUICK = trainability.QUICK | {"unroll": (60,), "num_trials": 100, "train_steps": 100}


def get_config(arg: str = ""):
    fields = QUICK if arg == "quick" else trainability.FULL
    fields = fields | {"space": "paper", "sampler": "random", "num_repeats": 0}
    fields |= {"per_cell": common.deeper(fields["depths"])}
    config = common.get_config(arg, quick=fields, full=fields, task="parentheses", cell=common.SIX_CELLS)
    return common.several("results/figures", random=config)
