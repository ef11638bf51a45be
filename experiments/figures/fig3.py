"""Figure 3: the loss on text8 and on random continuous functions (RCF), against parameters and against units.

python launch/sweep.py --config=experiments/figures/fig3.py[:quick]

Quick: about 7 minutes on 2 cores; its text is synthetic and needs no file, its functions have 2,000 points.
"""

from experiments import common, random_functions, text8

CELLS = common.SIX_CELLS[:-1]
TEXT = {"space": "quick", "num_params": (500, 2_000, 8_000), "num_trials": 4, "train_steps": 600}
FUNCTIONS = random_functions.QUICK | {"num_params": (500, 1_000, 2_000), "num_trials": 4, "train_steps": 2_000}


def get_config(arg: str = ""):
    text = "text8:synthetic" if arg == "quick" else "text8"
    return common.several(
        "results/figures",
        text8=common.get_config(arg, quick=TEXT, full=text8.FULL, task=text, cell=CELLS),
        random_functions=common.get_config(
            arg, quick=FUNCTIONS, full=random_functions.FULL, task="random_functions", cell=CELLS
        ),
    )
