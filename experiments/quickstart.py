"""All six cells at about 500 parameters, in a quarter of an hour.

python launch/sweep.py --config=experiments/quickstart.py
"""

from experiments import common


def get_config(arg: str = ""):
    return common.six_cells(arg, num_params=(500,), workdir="results/quickstart")
