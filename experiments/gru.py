"""Capacity of the GRU: `python launch/sweep.py --config=experiments/gru.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="gru", workdir="results/gru")
