"""Capacity of Mamba-2: `python launch/sweep.py --config=experiments/mamba_2.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="mamba-2", workdir="results/mamba_2")
