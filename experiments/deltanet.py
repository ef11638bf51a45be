"""Capacity of the DeltaNet: `python launch/sweep.py --config=experiments/deltanet.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="deltanet", workdir="results/deltanet")
