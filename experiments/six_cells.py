"""All six cells at about 1000 parameters, 15 minutes a cell at most: a table of docs/measurements.md.

python launch/sweep.py --config=experiments/six_cells.py
"""

from experiments import common


def get_config(arg: str = ""):
    return common.six_cells(
        arg,
        num_params=(1000,),
        num_trials=12,
        num_repeats=3,
        train_steps=16_000,
        workdir="results/six_cells",
    )
