"""Made-up results of trainability: of tuned searches, of random draws, and of the best trained again."""

import math

import numpy as np
import pandas as pd
from made import NAN, make

from rnn_capacity.paper import published

FIELDS = {"parentheses": {"num_types": 2, "num_noise": 2}, "arithmetic": {"max_number": 9}}
FIELDS |= {
    "text8": {"text": "text8"},
    "text8:synthetic": {"text": "synthetic"},
    "random_functions": {"num_points": 2000},
}


def searched(cell="gru", depth=1, losses=(2.0, 0.5, None), *, task="parentheses", sampler="gp", repeats=(), **fields):
    """A result of a search; a loss is None where a trial diverged."""
    feasible = [loss is not None for loss in losses]
    trials = {"number": range(len(losses)), "learning_rate": 0.01, "feasible": feasible, "stopped_early": False}
    found = [NAN if loss is None else loss for loss in losses]
    trials = pd.DataFrame(trials | {"steps": 100, "valid_loss": found, "eval_loss": found})
    best = min((loss for loss in losses if loss is not None), default=NAN)
    unroll = fields.get("unroll", {"parentheses": 20, "arithmetic": 15}.get(task, 50))
    known = {
        "study": f"{task} {cell} {depth} {sampler} {fields}",
        "source": "here",
        "task_fields": FIELDS.get(task, {"size": 3}) | {"unroll": unroll, "num_held_out": 1024},
        "unroll": unroll,
        "num_params": 950,
        "num_units": 12,
        "num_inputs": 12,
        "loss": best,
        "score": best / math.log(2) if fields.get("score_name") == "bits_per_char" else best,
        "chance": 0.125,
        "interval": (NAN, NAN) if len(repeats) < 2 else (min(repeats), max(repeats)),
        "num_trials": len(losses),
        "train_steps": 50_000,
        "num_infeasible": feasible.count(False),
        "total_steps": 100 * len(losses),
        "best_number": losses.index(best) if best in losses else None,
        "trials": trials,
    }
    known |= {"cell": cell, "depth": depth, "task": task, "sampler": sampler, "repeats": tuple(repeats)}
    return make("trainability", **known | fields)


GATES = {"rnn": 1, "ugrnn": 2, "gru": 3, "lstm": 4}


def sized(law, task="random_functions", sizes=(500, 2000, 8000), **fields):
    """Results of cells whose units follow from their gates; law: (parameters, units, cell) -> loss."""
    made = []
    for cell, gates in GATES.items():
        for size in sizes:
            units = math.sqrt(size / gates)
            score = law(size, units, cell)
            more = {"num_params": size, "max_params": size, "num_units": units, "score": score}
            more |= {"num_trials": 1000} | fields
            made.append(searched(cell, 1, [score], task=task, **more))
    return made


def tuned(best, depths=(1, 4), tasks=("parentheses", "arithmetic"), **fields):
    """Searches of ten trials each; best: (cell, depth) -> the least loss."""
    cells = ("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn")
    return [
        searched(cell, depth, [99.0] * 4 + [best(cell, depth) * (1 + 0.01 * i)] + [99.0] * 5, task=task, **fields)
        for i, task in enumerate(tasks)
        for depth in depths
        for cell in cells
        if (cell, depth) != ("+rnn", 1)
    ]


def lossy(mean, depths=(1, 8), number=40):
    """Random draws whose losses lie around a mean; mean: (cell, depth) -> loss."""
    rng = np.random.default_rng(0)
    return [
        searched(cell, depth, [None, *rng.normal(mean(cell, depth), 0.5, number)], sampler="random")
        for depth in depths
        for cell in published.INFEASIBLE.get(depth, published.INFEASIBLE[8])
    ]


def repeated(diverged, number=20, factor=2.0, cells=tuple(published.AGAIN)):
    """The best trained again: diverged says of a cell how often; its mean is the original times the factor."""
    made = []
    for i, cell in enumerate(cells):
        spread = 1 + 0.01 * i * np.linspace(-1, 1, number - diverged(cell))
        fields = {"repeats": list(factor * 0.5 * spread), "num_infeasible_repeats": diverged(cell)}
        made.append(searched(cell, losses=[1.0, 0.5], **fields))
    return made
