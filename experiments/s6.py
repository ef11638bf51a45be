"""Capacity of the S6, the recurrence of Mamba: `python launch/sweep.py --config=experiments/s6.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="s6", workdir="results/s6")
