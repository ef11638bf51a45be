"""Capacity of the Gated DeltaNet: `python launch/sweep.py --config=experiments/gated_deltanet.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="gated deltanet", workdir="results/gated_deltanet")
