"""Made-up results of capacity, recall and trainability, with numbers and without."""

import math

import numpy as np
import pandas as pd
from made import NAN, make


def make_result(cell="rnn", depth=1, num_params=981, bits_per_param=3.25, **fields):
    """A result of capacity."""
    feasible = not math.isnan(bits_per_param)
    trials = pd.DataFrame(
        {
            "number": [0, 1],
            "learning_rate": [0.03, 1.23456789e-8],
            "feasible": [feasible, False],
            "bits_per_param": [bits_per_param if feasible else None, None],
            "num_mappings": [4000, 3000],
        }
    )
    known = {
        "study": f"capacity {cell} depth={depth} params={num_params}",
        "bits": bits_per_param * num_params,
        "bits_per_param": bits_per_param,
        "still_improving": feasible,
        "interval": (bits_per_param - 0.25, bits_per_param + 0.125),
        "repeats": (3.125, 3.25) if feasible else (),
        "chance_bits_per_param": 0.0625,
        "accuracy": 0.96875 if feasible else NAN,
        "num_mappings": 4000 if feasible else 0,
        "best_hparams": {"learning_rate": 0.03, "optimizer": "adam"} if feasible else {},
        "num_infeasible": 1,
        "trials": trials,
    }
    return make("capacity", cell=cell, depth=depth, num_params=num_params, **known | fields)


def of_a_search(losses):
    """What results of recall and trainability have alike; a loss is None where a trial diverged."""
    feasible = [loss is not None for loss in losses]
    trials = {"number": range(len(losses)), "feasible": feasible, "stopped_early": False}
    trials |= {"valid_loss": losses, "eval_loss": losses, "learning_rate": 0.01}
    best = {"learning_rate": 0.03, "optimizer": "adam"}
    known = {"num_trials": len(losses), "num_infeasible": feasible.count(False), "trials": pd.DataFrame(trials)}
    return known | {"best_hparams": best}


def make_recall(cell="rnn", num_units=16, error=0.75, **fields):
    known = {"study": f"recall {cell} units={num_units}", "num_inputs": 64, "unroll": 12, "error": error}
    known |= {"line": max(0.0, 1 - num_units / 64), "chance_error": 1.0625}
    return make("recall", cell=cell, num_units=num_units, **of_a_search([error, 1.0]) | known | fields)


def make_trained(cell="gru", task="parentheses", losses=(2.0, 0.5, None), **fields):
    losses = list(losses)
    found = [loss for loss in losses if loss is not None]
    known = {"study": f"{task} {cell}", "score": 0.875, "chance": 0.125, "task_fields": {"max_count": 9}}
    known |= {"loss": min(found, default=NAN), "median_loss": float(np.median(found)) if found else NAN}
    known |= {"sampler": "random"}
    return make("trainability", cell=cell, task=task, **of_a_search(losses) | known | fields)


NOTHING = make_result(cell="gru", bits_per_param=NAN)
NO_RECALL = make_recall(error=NAN, chance_error=NAN)
UNTRAINED = make_trained(losses=(None, None), score=NAN, chance=NAN)
MIXED = [make_trained(), make_recall(), make_result(), make_recall(num_units=64), make_trained("rnn", "text8")]
OWN = make_result(cell="a_cell_of_ones_own", depth=12, num_params=1_234_567)
