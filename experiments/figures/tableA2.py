"""Table App.2: Welch's t between the losses that random hparams give two cells; of the studies of table1.

python launch/sweep.py --config=experiments/figures/tableA2.py[:quick]
"""

from experiments.figures.table1 import get_config

__all__ = ["get_config"]
