"""Capacity of the peephole LSTM: `python launch/sweep.py --config=experiments/peephole_lstm.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="peephole lstm", workdir="results/peephole_lstm")
