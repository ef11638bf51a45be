"""Figure 1i: how many times the parameters of one cell another needs to store as many bits; of the studies of fig1.

python launch/sweep.py --config=experiments/figures/fig1i.py[:quick]
"""

from experiments.figures.fig1 import get_config

__all__ = ["get_config"]
