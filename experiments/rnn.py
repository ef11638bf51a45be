"""Capacity of the RNN: `python launch/sweep.py --config=experiments/rnn.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="rnn", workdir="results/rnn")
