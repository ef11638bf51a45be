"""Capacity of the IRNN: `python launch/sweep.py --config=experiments/irnn.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="irnn", workdir="results/irnn")
