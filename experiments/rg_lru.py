"""Capacity of the RG-LRU: `python launch/sweep.py --config=experiments/rg_lru.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="rg-lru", workdir="results/rg_lru")
