"""Every figure and table of the paper.

python launch/sweep.py --config=experiments/figures/all.py[:quick|:evening]

Quick: about 55 minutes on 2 cores, evening: about 22 hours.
"""

from experiments import common
from experiments.figures import OF_THE_PAPER


def get_config(arg: str = ""):
    return common.together(*(figure.get_config(arg) for figure in OF_THE_PAPER.values()))
