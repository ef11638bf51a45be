"""Figure 2c: recall, the squared error against units, beside the line 1 - n_h / n_in.

python launch/sweep.py --config=experiments/figures/fig2c.py[:quick]

Quick: about 5 minutes on 2 cores.
"""

from experiments import common, recall


def get_config(arg: str = ""):
    fields = recall.QUICK if arg == "quick" else recall.FULL
    fields = fields | {"per_cell": common.deeper((*fields.get("depths", (1,)), 2))}
    config = common.get_config(arg, quick=fields, full=fields, task="recall", cell=common.SIX_CELLS)
    return common.several("results/figures", recall=config)
