"""Capacity of the FastGRNN: `python launch/sweep.py --config=experiments/fastgrnn.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="fastgrnn", workdir="results/fastgrnn")
