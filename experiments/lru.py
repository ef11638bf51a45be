"""Capacity of the LRU: `python launch/sweep.py --config=experiments/lru.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="lru", workdir="results/lru")
