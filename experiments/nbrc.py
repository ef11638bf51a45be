"""Capacity of the nBRC: `python launch/sweep.py --config=experiments/nbrc.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="nbrc", workdir="results/nbrc")
