"""Capacity of the sLSTM: `python launch/sweep.py --config=experiments/slstm.py[:quick|:evening]`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(arg, cell="slstm", workdir="results/slstm")
