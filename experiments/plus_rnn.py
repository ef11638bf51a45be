"""Capacity of the +RNN: `python launch/sweep.py --config=experiments/plus_rnn.py[:quick|:evening]`.

Depth 2 and more: the paper leaves depth 1 out, where the cell's output in depth goes straight to the readout.
"""

from experiments import common


def get_config(arg: str = ""):
    depths = (2,) if arg == "quick" else (2, 4)
    return common.get_config(arg, cell="+rnn", depths=depths, workdir="results/plus_rnn")
