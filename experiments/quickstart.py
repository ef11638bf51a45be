"""All six cells at about 500 parameters, in minutes: `python launch/sweep.py --config=experiments/quickstart.py`."""

from experiments import common


def get_config(arg: str = ""):
    return common.six_cells(arg, num_params=(500,), num_trials=12, workdir="results/quickstart")
