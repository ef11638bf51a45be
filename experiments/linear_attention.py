"""Capacity of linear attention: `python launch/sweep.py --config=experiments/linear_attention.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="linear attention", workdir="results/linear_attention")
