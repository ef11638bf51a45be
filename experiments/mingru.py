"""Capacity of the minGRU: `python launch/sweep.py --config=experiments/mingru.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="mingru", workdir="results/mingru")
