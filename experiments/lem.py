"""Capacity of the LEM: `python launch/sweep.py --config=experiments/lem.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="lem", workdir="results/lem")
