"""Figure 2b: bits per parameter against T, the unrolled steps after which the label is read.

python launch/sweep.py --config=experiments/figures/fig2b.py[:quick]

Quick: about 5 minutes on 2 cores.
"""

from experiments import common

QUICK = {"num_params": (250,), "unroll": (1, 2, 3, 5, 8, 12), "num_trials": 8, "num_repeats": 4}
FULL = common.FULL | {"num_params": (1_000, 10_000), "depths": (1,), "unroll": (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)}


def get_config(arg: str = ""):
    unroll = common.get_config(arg, quick=QUICK, full=FULL, cell=common.SIX_CELLS[:-1])
    return common.several("results/figures", unroll=unroll)
