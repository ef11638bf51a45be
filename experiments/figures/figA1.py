"""Figure App.1: the best b is just above the bits stored, a point a trial; of the studies of fig1.

python launch/sweep.py --config=experiments/figures/figA1.py[:quick]
"""

from experiments.figures.fig1 import get_config

__all__ = ["get_config"]
