"""Capacity of the minimal gated unit: `python launch/sweep.py --config=experiments/mgu.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="mgu", workdir="results/mgu")
