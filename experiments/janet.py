"""Capacity of the JANET: `python launch/sweep.py --config=experiments/janet.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="janet", workdir="results/janet")
