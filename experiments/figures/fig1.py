"""Figure 1a-h: bits and bits per parameter against size, a panel a depth.

python launch/sweep.py --config=experiments/figures/fig1.py[:quick]

Quick: about 17 minutes on 2 cores. The +RNN begins at depth 2: the paper leaves out its depth 1.
"""

from experiments import common

QUICK = {"num_trials": 8, "num_repeats": 4}


def get_config(arg: str = ""):
    shallow = common.get_config(
        arg,
        quick=QUICK | {"num_params": (125, 250, 500, 1000)},
        full=common.FULL | {"depths": (1,)},
        cell=common.SIX_CELLS[:-1],
    )
    deep = common.get_config(
        arg,
        quick=QUICK | {"num_params": (125, 250, 500), "depths": (2,)},
        full=common.FULL | {"depths": (2, 4)},
        cell=common.SIX_CELLS,
    )
    return common.several("results/figures", capacity=shallow, capacity_deep=deep)
