"""The report's page: what it says of what was measured, as a file and in a real browser."""

import functools
import math
import time
from types import SimpleNamespace

import browser as browsers
import numpy as np
import pandas as pd
import pytest
from browser import browser  # noqa: F401
from matplotlib.figure import Figure as Drawing

from rnn_capacity.plan import plan_capacity, plan_trainability
from rnn_capacity.report import page
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, UNDECIDED, Chart, Claim, Figure
from rnn_capacity.search import space as spaces

OPTIONS = {
    "num_params": 500,
    "depth": 1,
    "train_steps": 2000,
    "batch_size": None,
    "space": "paper",
    "hparams": None,
    "sampler": "gp",
    "halving": None,
    "seed": 0,
    "precision": "highest",
}
COMMAND = "python launch/sweep.py --config=experiments/figures/fig1.py:quick"
WORKER = {
    "packages": {"jax": "0.10.2", "numpy": "2.1.0"},
    "code": "0123456789ab",
    "device": "4 x cpu",
    "command": f"{COMMAND} --workdir=results/fig1",
}


@functools.cache
def _plan(measure, cell, num_params):
    options = OPTIONS | {"num_params": num_params}
    if measure == "capacity":
        return plan_capacity(cell, unroll=5, num_inputs=20, **options)
    return plan_trainability(cell, "parentheses", task_fields={"num_types": 2}, unroll=None, **options)


def result(cell="gru", num_params=500, num_trials=24, wanted_trials=None, measure="capacity", finished=True, **more):
    """A result as a collection has it, of trials that nobody trained."""
    plan = _plan(measure, cell, num_params)
    rng = np.random.default_rng([num_params, num_trials, len(cell)])
    tuned = list(spaces.tuned(plan.space))
    rows = []
    for number in range(num_trials):
        hparams = spaces.from_unit(plan.space, rng.random(len(tuned)))
        good = math.exp(-abs(math.log10(hparams["learning_rate"]) + 2.5)) * rng.uniform(0.8, 1)
        feasible = bool(rng.random() > 0.1)
        score = {"bits_per_param": 4 * good, "bits": 4 * good * num_params, "valid_loss": 1 / good}
        score = {name: value if feasible else None for name, value in score.items()}
        rows.append({"number": number, **hparams, "feasible": feasible, "stopped_early": False, **score})
    trials = pd.DataFrame(rows, columns=None if rows else ["number", "feasible", "stopped_early"])
    scores = trials[trials["feasible"]].set_index("number")["bits_per_param"] if rows else pd.Series(dtype=float)
    best = scores.max() if len(scores) else float("nan")
    found = {
        "measure": measure,
        "study": plan.name,
        "source": "fig1",
        "cell": cell,
        "depth": 1,
        "max_params": num_params,
        "num_params": plan.num_params,
        "num_units": plan.num_units,
        "num_inputs": 20,
        "unroll": 5,
        "still_improving": False,
        "interval": [best - 0.3, best - 0.1],
        "repeats": [best - 0.3, best - 0.1],
        "best_hparams": {},
        "num_trials": num_trials,
        "num_infeasible": num_trials - len(scores),
        "num_stopped_early": 0,
        "num_infeasible_repeats": 0,
        "train_steps": 2000,
        "total_steps": 2000 * num_trials,
        "seconds": 1234.5,
        "bits": best * num_params,
        "bits_per_param": best,
        "chance_bits_per_param": 0.01,
        "accuracy": 0.95,
        "num_mappings": 900,
        "trials": trials,
        "hparam_names": tuned if rows else [],
        "plan": plan.describe(),
        "best_number": int(scores.idxmax()) if len(scores) else None,
        "finished": finished,
        "wanted_trials": wanted_trials or num_trials,
        "workers": [WORKER],
    }
    if measure == "trainability":
        found |= {"task": "parentheses", "loss": 1 / best, "score": 1.0, "score_name": "error", "chance": 2.0}
        found |= {"median_loss": 2 / best, "percent_infeasible": 10.0, "task_fields": {}, "sampler": "gp"}
    return found | more


def collection(*results, notes=(), sources=("fig1",)):
    return SimpleNamespace(results=list(results), notes=list(notes), sources=list(sources))


def _claims(results):
    if not results:
        return [Claim("Every cell stores about the same", "3 to 6", "–", MISSING)]
    best = ", ".join(f"{r['cell']} {r['bits_per_param']:.2f}" for r in results)
    return [
        Claim("Every cell stores about the same", "3 to 6", best, AGREES),
        Claim("What is stored does not depend on the size", "flat", "slope 0.1 (-0.2 to 0.4)", UNDECIDED),
        Claim("A ReLU is below tanh", "about 3.5", "4.1 (4.0 to 4.2)", DISAGREES),
    ]


def _charts(results):
    points = [{name: r[name] for name in ("source", "study", "cell", "num_params", "bits_per_param")} for r in results]
    points = [{**point, "number": r["best_number"]} for point, r in zip(points, results, strict=True)]
    trials = [
        {"source": r["source"], "study": r["study"], "number": t.number, "cell": r["cell"], "bits": t.bits_per_param}
        for r in results
        for t in r["trials"].itertuples()
    ]
    x = {"field": "num_params", "type": "quantitative", "scale": {"type": "log"}, "title": "parameters"}
    y = {"field": "bits_per_param", "type": "quantitative", "title": "bits per parameter", "scale": {"domain": [0, 6]}}
    cells = list(dict.fromkeys(r["cell"] for r in results))
    cell = {"field": "cell", "type": "nominal", "title": None, "scale": {"domain": cells}}
    band = {"data": {"values": [{"low": 3, "high": 6}]}, "mark": {"type": "rect", "opacity": 0.12}}
    band |= {"encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}}
    drawn = {"data": {"values": points}, "encoding": {"x": x, "y": y, "color": cell}}
    drawn |= {"layer": [{"mark": {"type": "line", "tooltip": None}}, {"mark": "point", "encoding": {"shape": cell}}]}
    every = {"data": {"values": trials}, "mark": "point"}
    every |= {"encoding": {"x": {"field": "number", "type": "quantitative"}, "color": cell, "shape": cell}}
    every["encoding"]["y"] = {"field": "bits", "type": "quantitative"}
    return [
        Chart("Bits per parameter, the best of the trials; the band is the paper's.", {"layer": [band, drawn]}),
        Chart("Every trial.", every),
    ]


def _table(results):
    rows = [(r["cell"], r["num_params"], r["bits_per_param"], "3 to 6") for r in results]
    return pd.DataFrame(rows, columns=["cell", "params", "bits/param", "paper"])


def _draw(results):
    drawing = Drawing()
    drawing.subplots().plot([r["num_params"] for r in results], [r["bits_per_param"] for r in results])
    return drawing


def figure(name="fig1", measure="capacity"):
    finding = "All cells store between 3 and 6 bits in a parameter, whatever their size and depth."
    select = lambda results: [r for r in results if r["measure"] == measure]
    return Figure(name, f"{name}: bits per parameter", finding, select, _claims, _table, _draw, _charts)


def shown(name="fig1", wanted=(), **more):
    return page.Shown(figure(name, **more), COMMAND.replace("fig1", name), list(wanted))
