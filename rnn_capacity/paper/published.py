"""What Collins, Sohl-Dickstein and Sussillo (ICLR 2017) found, each number with its figure or table."""

from collections.abc import Mapping
from typing import NamedTuple


class Again(NamedTuple):
    """The best hparams of a study trained again and again: losses, and the percent that diverged."""

    original: float
    infeasible: float
    least: float
    mean: float
    most: float
    sd: float


# Figure 1: bits per parameter over all cells, depths and sizes; the best of tuned trials a point.
CAPACITY_RANGE = (3.0, 6.0)
CAPACITY_MEAN = 5.0  # "about"
CAPACITY_IRNN = 3.5  # "about"
CAPACITY_ORDER = ("rnn", "ugrnn", "gru", "lstm", "+rnn", "irnn")  # from the most to the least
CAPACITY_UNROLL = 5
CAPACITY_DEPTHS = (1, 2, 4)
CAPACITY_TRIALS = 1000  # "1000+" a point

# What its searches cost: "hundreds to thousands" of trials for each cell, task, depth and size.
SPENT = "1000 and more trials of 50,000 to 20 million steps"

# The same by cell, as it is shown beside ours: the IRNN is lowest, the others lie within the band.
CAPACITY = {
    "rnn": "3 to 6",
    "irnn": "about 3.5",
    "ugrnn": "3 to 6",
    "gru": "3 to 6",
    "lstm": "3 to 6",
    "+rnn": "3 to 6",
}

# Figure 2a: bits per parameter of these cells when they are restricted to ReLU, "about".
RELU_CAPACITY = {"rnn": 3.5, "ugrnn": 3.5}

# Figure 2c: the squared error is 1 - n_h / n_in below n_h = n_in, and 0 from there on (`tasks.recall.line`).
RECALL_INPUTS = 64
RECALL_UNROLL = 12

# Figure 3, by the authors' table: the best LSTM on text8; the loss in its own unit.
BEST_TEXT8 = {
    "cell": "lstm",
    "depth": 4,
    "num_params": 1_268_217,
    "loss": 1.549270,
    "hparams": {
        "input_scale": {"c": 0.209, "g": 0.222, "i": 1.203, "o": 0.407},
        "recurrent_matrix_scale": {"c": 0.619, "g": 0.036, "i": 0.520, "o": 0.071},
        "recurrent_matrix_init_type": "orthogonal",
        "recurrent_bias_scale": {"c": -1.62, "g": 0.63, "i": -0.25, "o": 1.30},
        "recurrent_bias_init_type": "delta",
        "forget_gate_bias_hack": 4.887,
        "optimizer": "RMSProp",
        "optimizer_logit_momentum": 5.897,
        "lr_init": 0.00398,
        "lr_decay_rate": 0.109,
        "gradient_clip_val": 27.7,
        "l2_decay": 1.79e-07,
        "train_steps": 1_176_212,
    },
}

# Figure 4: the cell of the least loss on parentheses and arithmetic, by depth; the tuner's iterations, at most.
EASIEST = {1: "gru", 8: "+rnn"}
GATED = ("ugrnn", "gru", "lstm", "+rnn")  # "far easier to train", and at depth 8 the only ones that learn
TUNER_ITERATIONS = 2500

# Table 1: percent of random draws of hparams that diverged, parallel parentheses, by depth.
INFEASIBLE: Mapping[int, Mapping[str, float]] = {
    1: {"gru": 15.5, "irnn": 56.7, "lstm": 12.0, "rnn": 21.5, "ugrnn": 20.2},
    8: {"gru": 3.2, "irnn": 44.6, "lstm": 4.0, "rnn": 18.7, "ugrnn": 11.5, "+rnn": 8.8},
}
RANDOM_DRAWS = 1000  # a cell and depth
RANDOM_PARAMS = 200_000


def cells_at(depth: int) -> tuple[str, ...]:
    """Those that it trained at a depth: the +RNN begins at 2."""
    return tuple(INFEASIBLE[1 if depth == 1 else 8])


# Table App.1: the best hparams run again, parallel parentheses.
AGAIN = {
    "rnn": Again(1.16e-2, 0, 1.41e-2, 8.21e-2, 0.294, 5.22e-2),
    "irnn": Again(4.20e-4, 48, 2.24e-4, 5.02e-4, 8.69e-4, 1.35e-4),
    "ugrnn": Again(1.02e-4, 0, 3.66e-5, 2.71e-4, 6.06e-3, 7.12e-4),
    "gru": Again(2.80e-4, 1, 7.66e-5, 1.89e-4, 5.48e-4, 9.08e-5),
    "lstm": Again(7.96e-4, 0, 8.10e-4, 2.02e-3, 1.45e-2, 2.31e-3),
}
AGAIN_REPEATS = 100
AGAIN_PARAMS = 100_000
AGAIN_DEPTH = 1

# Table App.2: Welch's t between the losses of Table 1's random draws, by depth: (a cell, against another), negative
# where the first one's are lower.
WELCH: Mapping[int, Mapping[tuple[str, str], float]] = {
    1: {("gru", "irnn"): -7.74, ("gru", "lstm"): -6.65, ("gru", "rnn"): -26.5, ("gru", "ugrnn"): -4.11},
    8: {
        ("+rnn", "gru"): -23.6,
        ("+rnn", "irnn"): -25.7,
        ("+rnn", "lstm"): -26.1,
        ("+rnn", "rnn"): -25.8,
        ("+rnn", "ugrnn"): -24.3,
    },
}

# The sizes of the tasks, by the names that our tasks have for them; a test holds the defaults
# of ours to them.
TASK_SIZES: Mapping[str, Mapping[str, float]] = {
    "memorization": {"unroll": CAPACITY_UNROLL},
    "recall": {"num_inputs": RECALL_INPUTS, "unroll": RECALL_UNROLL},
    "random_functions": {"num_points": 10**6, "num_inputs": 50, "tau": 5000, "unroll": 50},
    "text8": {"num_inputs": 27, "unroll": 50, "warm_up": 13},
    "parentheses": {
        "num_types": 10,
        "num_noise": 10,
        "noise_fraction": 0.5,
        "max_count": 9,
        "num_inputs": 300,
        "unroll": 175,
    },
    "arithmetic": {"max_number": 10**7, "unroll": 36},
}
TEXT8_CHARACTERS = 100_000_000  # "100 M"

DEPTHS = (1, 2, 4, 8)  # of all figures
TRIALS = 630_880  # in the authors' table, all figures together

# For scale, bits: not the paper's, each with its source.
ELSEWHERE = {
    "a perceptron, per weight (Cover 1965)": 2.0,
    "a hippocampal synapse (Bartol et al. 2016)": 4.7,
    "GPT-style transformers on random strings, per parameter (Morris et al. 2025)": 3.6,
    "knowledge in language models, per parameter (Allen-Zhu and Li 2024)": 2.0,
}
