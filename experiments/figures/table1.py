"""Table 1: how many random draws of hparams diverge, by cell and depth, on parentheses.

python launch/sweep.py --config=experiments/figures/table1.py[:quick]

Quick: about 8 minutes on 2 cores.
"""

from experiments import common, trainability

# Few steps, but the paper's T: what diverges does so early, and by the products of many steps in time.
QUICK = trainability.QUICK | {"unroll": (175,), "num_trials": 100, "train_steps": 150}


def get_config(arg: str = ""):
    fields = QUICK if arg == "quick" else trainability.FULL
    fields = fields | {"space": "paper", "sampler": "random", "num_repeats": 0}
    fields |= {"per_cell": common.deeper(fields["depths"])}
    config = common.get_config(arg, quick=fields, full=fields, task="parentheses", cell=common.SIX_CELLS)
    return common.several("results/figures", random=config)
