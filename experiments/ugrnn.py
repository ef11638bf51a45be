"""Capacity of the UGRNN: `python launch/sweep.py --config=experiments/ugrnn.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="ugrnn", workdir="results/ugrnn")
