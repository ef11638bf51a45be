"""The recurrent cells of today beside the GRU and the LSTM, a sweep for each question.

python launch/sweep.py --config=experiments/modern.py[:quick|:evening]

Quick: about 45 minutes on 2 cores. `experiments/figures/modern.py` says what is measured, and draws it.
"""

from experiments.figures.modern import get_config

__all__ = ["get_config"]
