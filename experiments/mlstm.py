"""Capacity of the mLSTM: `python launch/sweep.py --config=experiments/mlstm.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="mlstm", workdir="results/mlstm")
