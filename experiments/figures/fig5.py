"""Figure 5: the losses that random hparams give, a box a cell and depth; of the studies of table1.

python launch/sweep.py --config=experiments/figures/fig5.py[:quick]
"""

from experiments.figures.table1 import get_config

__all__ = ["get_config"]
