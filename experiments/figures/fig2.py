"""Figure 2, all three panels: the studies of fig2a, fig2b and fig2c.

python launch/sweep.py --config=experiments/figures/fig2.py[:quick|:evening]

Quick: about 12 minutes on 2 cores, evening: about 7 hours.
"""

from experiments import common
from experiments.figures import fig2a, fig2b, fig2c


def get_config(arg: str = ""):
    return common.together(*(figure.get_config(arg) for figure in (fig2a, fig2b, fig2c)))
