"""Capacity of the GLA: `python launch/sweep.py --config=experiments/gla.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="gla", workdir="results/gla")
