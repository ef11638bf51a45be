"""Capacity of the RetNet: `python launch/sweep.py --config=experiments/retnet.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="retnet", workdir="results/retnet")
