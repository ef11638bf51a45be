"""Made-up results of capacity and recall, and what a figure says of such."""

import pandas as pd
from made import NAN, changed, make

from rnn_capacity.information import confidence_interval

RATE, MAPPINGS = {"low": 0.02, "high": 0.06, "log": True}, {"low": 2.0, "high": 5.0, "log": False}


def make_search(measure, cell, best, *, source=".", space=None, **fields):
    """A result with a table of three trials: the second diverged, the third is the best."""
    trials = {"number": [0, 1, 2], "learning_rate": 0.03, "feasible": [True, False, True], "stopped_early": False}
    own = {"nonlinearity": "relu" if cell == "irnn" else "tanh", "learning_rate": RATE}
    known = {"num_units": 10, "num_trials": 1000, "train_steps": 50_000, "total_steps": 300, "best_number": 2}
    known |= {"trials": pd.DataFrame(trials).assign(**best), "space": own if space is None else space}
    return make(measure, cell=cell, source=source, **known | fields)


def make_capacity(cell="rnn", bits=4.0, depth=1, max_params=500, unroll=5, b=None, repeats=(), held=None, **fields):
    """A budget of n has n - 100 parameters; b is per parameter."""
    size, b = max_params - 100, 1.1 * bits if b is None else b
    best = {"bits_per_param": [bits / 2, NAN, bits], "num_mappings": [2 * b * size, b * size, b * size]}
    own = {"nonlinearity": "relu" if cell == "irnn" else "tanh", "learning_rate": RATE, "mappings_per_param": MAPPINGS}
    known = {"space": own | ({"nonlinearity": held} if held else {}), "depth": depth, "unroll": unroll}
    known |= {"study": f"capacity {cell} depth={depth} params={max_params} T={unroll} {held}"}
    known |= {"max_params": max_params, "num_params": size, "chance_bits_per_param": 0.05, "accuracy": 0.98}
    known |= {"bits": bits * size, "bits_per_param": bits, "num_mappings": round(b * size)}
    known |= {"repeats": tuple(repeats), "interval": confidence_interval(repeats)}
    return make_search("capacity", cell, best, **known | fields)


def make_recall(cell="rnn", num_units=32, error=None, depth=1, **fields):
    on = max(0.0, 1 - num_units / 64)
    error = on + 0.01 if error is None else error
    known = {"study": f"recall {cell} depth={depth} units={num_units}", "num_inputs": 64, "error": error, "line": on}
    known |= {"depth": depth, "max_params": None, "num_params": 1000, "unroll": 12, "num_units": num_units}
    return make_search("recall", cell, {"eval_loss": [1.0, NAN, error]}, **known | {"chance_error": 1.05} | fields)


def diverged(result):
    """The same, had every trial diverged."""
    names = ("bits", "bits_per_param", "accuracy", "chance_bits_per_param", "error", "chance_error")
    scores = {"bits_per_param", "eval_loss"} & {*result.trials}
    nothing = {"interval": (NAN, NAN), "repeats": (), "num_mappings": 0, "best_number": None}
    trials = result.trials.assign(feasible=False, **dict.fromkeys(scores, NAN))
    return changed(result, **dict.fromkeys(names, NAN) | nothing, trials=trials)


BITS = {"rnn": 5.4, "ugrnn": 5.2, "gru": 5.0, "lstm": 4.8, "+rnn": 4.6, "irnn": 3.5}


def claimed(module, results):
    return module.FIGURE.claims(module.FIGURE.select(results))


def verdicts(module, results):
    return [claim.verdict for claim in claimed(module, results)]


def told(module, results):
    return pd.DataFrame(module.FIGURE.table(module.FIGURE.select(results)))
