"""Figures 3 to 5 and the tables of trainability: from results of known answers to numbers, verdicts and drawings."""

import math

import numpy as np
import pandas as pd
import pytest

NAN = math.nan
FIELDS = {"parentheses": {"num_types": 2, "num_noise": 2}, "arithmetic": {"max_number": 9}}
FIELDS |= {"text8": {"text": "text8"}, "text8:synthetic": {"text": "synthetic"}, "random_functions": {"num_points": 2000}}


def searched(cell="gru", depth=1, losses=(2.0, 0.5, None), *, task="parentheses", sampler="gp", repeats=(), **fields):
    """A result of a search as a collection has it; a loss is None where a trial diverged."""
    number = range(len(losses))
    feasible = [loss is not None for loss in losses]
    trials = {"number": number, "learning_rate": 0.01, "feasible": feasible, "stopped_early": False, "steps": 100}
    found = [NAN if loss is None else loss for loss in losses]
    trials = pd.DataFrame(trials | {"valid_loss": found, "eval_loss": found})
    best = min((loss for loss in losses if loss is not None), default=NAN)
    unroll = fields.get("unroll", {"parentheses": 20, "arithmetic": 15}.get(task, 50))
    known = {
        "study": f"{task} {cell} {depth} {sampler} {fields}",
        "source": "here",
        "measure": "trainability",
        "task": task,
        "task_fields": FIELDS.get(task, {"size": 3}) | {"unroll": unroll, "num_held_out": 1024},
        "sampler": sampler,
        "cell": cell,
        "depth": depth,
        "unroll": unroll,
        "max_params": 1000,
        "num_params": 950,
        "num_units": 12,
        "num_inputs": 12,
        "loss": best,
        "score": best / math.log(2) if fields.get("score_name") == "bits_per_char" else best,
        "score_name": "accuracy",
        "chance": 0.125,
        "still_improving": False,
        "interval": [NAN, NAN] if len(repeats) < 2 else [min(repeats), max(repeats)],
        "repeats": list(repeats),
        "num_trials": len(losses),
        "num_infeasible": feasible.count(False),
        "num_infeasible_repeats": 0,
        "total_steps": 100 * len(losses),
        "best_number": losses.index(best) if best in losses else None,
        "trials": trials,
    }
    return known | fields
