"""Capacity of the LSTM: `python launch/sweep.py --config=experiments/lstm.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="lstm", workdir="results/lstm")
