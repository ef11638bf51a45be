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

# What its searches cost: "hundreds to thousands" of trials for each cell, task, depth and size.
SPENT = "1000 and more trials of 50,000 to 20 million steps"

# The same by cell, as it is shown beside ours: the IRNN is lowest, the others lie within the band.
CAPACITY = dict.fromkeys(("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn"), "3 to 6") | {"irnn": "about 3.5"}

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

# For scale, bits: not the paper's, each with its source.
ELSEWHERE = {
    "a perceptron, per weight (Cover 1965)": 2.0,
    "a hippocampal synapse (Bartol et al. 2016)": 4.7,
    "GPT-style transformers on random strings, per parameter (Morris et al. 2025)": 3.6,
    "knowledge in language models, per parameter (Allen-Zhu and Li 2024)": 2.0,
}
