"""All six cells at about 500 parameters, in minutes: `python launch/sweep.py --config=experiments/quickstart.py`."""

from experiments import common


def get_config(arg: str = ""):
    return common.get_config(
        arg or "quick",
        cell=("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn"),
        num_params=(500,),
        num_trials=12,
        per_cell={"+rnn": {"depths": (2,)}},
        workdir="results/quickstart",
    )
