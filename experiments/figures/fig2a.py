"""Figure 2a: what ReLUs alone cost the RNN and the UGRNN, beside tanh alone.

python launch/sweep.py --config=experiments/figures/fig2a.py[:quick]

Quick: about 3 minutes on 2 cores.
"""

from experiments import common

QUICK = {"num_params": (500,), "num_trials": 8, "num_repeats": 4}
FULL = common.FULL | {"depths": (1,)}
# What suits tanh in minutes is too fast for ReLUs: of the quick space's own ranges for the IRNN, which has no others.
SLOWER = {"learning_rate": (0.008, 0.025), "squared_gradient_decay": 0.9, "mappings_per_param": (2.2, 4.0)}


def get_config(arg: str = ""):
    relu = {"nonlinearity": "relu"} | (SLOWER if arg == "quick" else {})
    of = lambda hparams: common.get_config(arg, quick=QUICK, full=FULL, cell=("rnn", "ugrnn"), hparams=hparams)
    return common.several("results/figures", tanh=of({"nonlinearity": "tanh"}), relu=of(relu))
