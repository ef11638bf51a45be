"""Table App.1: the best hparams on parentheses trained again and again, at depth 1.

python launch/sweep.py --config=experiments/figures/tableA1.py[:quick]

Quick: about 4 minutes on 2 cores; 20 times again in place of 100.
"""

from experiments import common, parentheses
from experiments.figures import fig4

QUICK = fig4.PARENTHESES | {"depths": (1,), "num_trials": 16, "num_repeats": 20}
FULL = parentheses.FULL | {"num_params": (100_000,), "depths": (1,)}


def get_config(arg: str = ""):
    cells = common.SIX_CELLS[:-1]
    config = common.get_config(arg, quick=QUICK, full=FULL, task="parentheses", cell=cells, space="paper")
    return common.several("results/figures", again=config)
