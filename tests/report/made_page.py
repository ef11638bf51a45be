"""Pages of reports on made-up results."""

import functools
import json
import math

import numpy as np
import pandas as pd
from made import changed, make

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.measure.trainability import TrainabilityConfig
from rnn_capacity.report import page
from rnn_capacity.report.collection import Collection
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, UNDECIDED, Chart, Claim, Figure
from rnn_capacity.report.section import Shown, Wanted
from rnn_capacity.search import space as spaces

OPTIONS = {"train_steps": 2000, "space": "paper"}
COMMAND = "python launch/sweep.py --config=experiments/figures/fig1.py:quick"
BEYOND = "python launch/sweep.py --config=experiments/figures/fig1.py:evening"
WORKER = {
    "packages": {"jax": "0.10.2", "numpy": "2.1.0"},
    "code": "0123456789ab",
    "device": "4 x cpu",
    "command": f"{COMMAND} --workdir=results/fig1",
}


@functools.cache
def _plan(measure, cell, num_params):
    options = OPTIONS | {"cell": cell, "num_params": num_params}
    if measure == "capacity":
        return CapacityConfig(num_inputs=20, **options).plan()
    return TrainabilityConfig(task="parentheses", task_fields={"num_types": 2}, **options).plan()


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
    best = scores.max() if len(scores) else math.nan
    known = {
        "study": plan.name,
        "source": "fig1",
        "cell": cell,
        "max_params": num_params,
        "num_params": plan.num_params,
        "num_units": plan.num_units,
        "interval": (best - 0.3, best - 0.1),
        "repeats": (best - 0.3, best - 0.1),
        "num_trials": num_trials,
        "num_infeasible": num_trials - len(scores),
        "train_steps": 2000,
        "total_steps": 2000 * num_trials,
        "seconds": 1234.5,
        "trials": trials,
        "plan": json.loads(json.dumps(plan.describe())),
        "best_number": int(scores.idxmax()) if len(scores) else None,
        "finished": finished,
        "wanted_trials": wanted_trials or num_trials,
        "workers": [WORKER],
    }
    if measure == "trainability":
        known |= {"loss": 1 / best, "score": 1.0, "score_name": "error", "chance": 2.0, "median_loss": 2 / best}
    else:
        known |= {"bits": best * num_params, "bits_per_param": best, "chance_bits_per_param": 0.01}
        known |= {"accuracy": 0.95, "num_mappings": 900}
    return make(measure, **known | more)


def collection(*results, notes=(), sources=("fig1",)):
    return Collection(list(results), list(notes), list(sources), "results")


COLUMN = {"capacity": "bits_per_param", "trainability": "valid_loss"}  # of a trial


def _value(result):
    return result.bits_per_param if result.measure == "capacity" else result.loss


def _claims(results):
    if not results:
        return [Claim("Every cell stores about the same", "3 to 6", "–", MISSING)]
    best = ", ".join(f"{r.cell} {_value(r):.2f}" for r in results)
    return [
        Claim("Every cell stores about the same", "3 to 6", best, AGREES),
        Claim("What is stored does not depend on the size", "flat", "slope 0.1 (-0.2 to 0.4)", UNDECIDED),
        Claim("A ReLU is below tanh", "about 3.5", "4.1 (4.0 to 4.2)", DISAGREES),
    ]


def charts(results):
    names = ("study", "cell", "num_params")
    points = [{"source": r.record.source} | {name: getattr(r, name) for name in names} for r in results]
    own = [{"number": r.record.best_number, "bits_per_param": _value(r)} for r in results]
    points = [point | more for point, more in zip(points, own, strict=True)]
    trials = [
        {"source": r.record.source, "study": r.study, "number": t.number, "cell": r.cell, "bits": value}
        for r in results
        for t, value in zip(r.trials.itertuples(), r.trials[COLUMN[r.measure]], strict=True)
    ]
    x = {"field": "num_params", "type": "quantitative", "scale": {"type": "log"}, "title": "parameters"}
    y = {"field": "bits_per_param", "type": "quantitative", "title": "bits per parameter", "scale": {"domain": [0, 6]}}
    cells = list(dict.fromkeys(r.cell for r in results))
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
    rows = [(r.cell, r.num_params, _value(r), "3 to 6") for r in results]
    return pd.DataFrame(rows, columns=["cell", "params", "bits/param", "paper"])


def figure(name="fig1", measure="capacity"):
    finding = "All cells store between 3 and 6 bits in a parameter, whatever their size and depth."
    select = lambda results: [r for r in results if r.measure == measure]
    return Figure(name, f"{name}: bits per parameter", finding, select, _claims, _table, charts)


def wanted_of(result):
    """A study as a figure wants it: by a title, and by its plan. A name alone is of one that is nowhere."""
    if isinstance(result, str):
        return Wanted(result, {"cell": "of no result"})
    return Wanted(result.study, result.record.plan)


def shown(name="fig1", wanted=(), **more):
    return Shown(figure(name, **more), COMMAND.replace("fig1", name), BEYOND, [wanted_of(one) for one in wanted])


def written(folder, collected, figures):
    paths = page.write(collected, figures, folder).paths
    assert paths[0] == folder / "report.html"
    return paths[0].read_text(encoding="utf-8")


EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>&\"'{{ 7 * 7 }}"


def evil():
    """A result whose every name would run, if it could."""
    made = result("gru", 500)
    trials = made.trials.rename(columns={"learning_rate": EVIL}).assign(optimizer=EVIL)
    worker = dict(WORKER, device=EVIL, command=EVIL, code=EVIL, packages={EVIL: EVIL})
    plan = made.record.plan | {EVIL: EVIL, f"hparams.{EVIL}": made.record.space["learning_rate"]}
    return changed(made, cell=EVIL, study=EVIL, source=EVIL, trials=trials, workers=[worker], plan=plan)


def evil_page(folder):
    made = evil()
    wrong = figure()._replace(title=EVIL, finding=EVIL, claims=lambda results: [Claim(EVIL, EVIL, EVIL, AGREES)])
    figures = [Shown(wrong, EVIL, EVIL, [wanted_of(EVIL), wanted_of(EVIL + "!")]), shown()]
    return written(folder, collection(made, notes=[EVIL], sources=[EVIL]), figures)


@functools.cache
def ten_thousand_trials():
    return collection(*(result(cell, num_trials=5000) for cell in ("gru", "rnn")))
