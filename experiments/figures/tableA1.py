"""Table App.1: the best hparams on parentheses trained again and again, at depth 1.

python launch/sweep.py --config=experiments/figures/tableA1.py[:quick|:evening]

Quick: about 3 minutes on 2 cores, evening: about 1 hour; 20 times again in place of 100.
"""

import math

import numpy as np
import pandas as pd

from experiments import common, parentheses
from experiments.figures import fig4
from experiments.figures.fig5 import spread
from rnn_capacity.display import charts
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import DISAGREES, UNDECIDED, Chart, Claim, Figure, once, readable, rows

QUICK = fig4.PARENTHESES | {"depths": (1,), "num_trials": 16, "num_repeats": 20}
EVENING = QUICK | {"num_trials": 32, "num_repeats": 60, "train_steps": 4_000}
FULL = parentheses.FULL | {"num_params": (100_000,), "depths": (1,)}


def get_config(arg: str = ""):
    cells = common.SIX_CELLS[:-1]
    config = common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, task="parentheses", cell=cells, space="paper"
    )
    return common.several(arg, again=config)


HARDLY = 0.05  # a share of the times again below it is hardly ever; the paper's are at most 1 of 100


def select(results):
    """Whatever was trained again on parentheses."""
    known = [r for r in claims.trained(results, "parentheses") if times(r)]
    return claims.in_order(once(known, lambda r: (claims.setting(r), r.cell, r.depth)))


def times(result):
    return len(result.repeats) + result.num_infeasible_repeats


def points(results):
    of = lambda statistic: lambda r: float(statistic(r.repeats)) if r.repeats else math.nan
    return rows(
        results,
        setting=claims.setting,
        times=times,
        original=lambda r: r.loss,
        percent_infeasible=lambda r: 100 * r.num_infeasible_repeats / times(r),
        min=of(np.min),
        mean=of(np.mean),
        max=of(np.max),
        SD=lambda r: float(np.std(r.repeats, ddof=1)) if len(r.repeats) > 1 else math.nan,
    ).sort_values(["setting", "depth"], ascending=[False, True], kind="stable")


def table(results):
    """The paper's task is the larger one, so its losses are beside ours for their ratios and not for their sizes."""
    found = readable(points(results))
    known = [
        published.AGAIN.get(cell) if depth == published.AGAIN_DEPTH else None
        for cell, depth in zip(found["cell"], found["depth"], strict=True)
    ]
    names = {"original": "original", "infeasible": "%", "least": "min", "mean": "mean", "most": "max", "sd": "SD"}
    theirs = {f"paper: {name}": [getattr(p, field) if p else math.nan for p in known] for field, name in names.items()}
    return found.assign(**theirs)


def drawn_charts(results):
    made = []
    x, y = charts.by_name(), charts.axis("loss", log=True, nice=False, padding=8)
    for setting, depth in dict.fromkeys((claims.setting(r), r.depth) for r in results):
        group = [r for r in results if (claims.setting(r), r.depth) == (setting, depth)]
        again = pd.DataFrame(
            [
                {"cell": r.cell, "depth": depth, "loss": loss, "time again": i + 1, "_spread": spread(i)}
                for r in group
                for i, loss in enumerate(r.repeats)
                if loss > 0
            ]
        )
        original = points(group)[["cell", "original", "source", "study", "number"]].rename(columns={"original": "loss"})
        if len(again):
            spec = charts.boxes(again, x, y)
            marks = charts.ticks(original[original["loss"] > 0], x, y, opacity=1)
            spec = {**spec, "layer": [*spec["layer"], marks]}
            made.append(Chart(f"{setting}, depth {depth}: the best hparams again; gray: the original", spec))
    return made


def found_claims(results):
    results = claims.largest([r for r in results if r.depth == published.AGAIN_DEPTH and r.cell in published.AGAIN])
    measured = {r.cell for r in results}
    others = [claims.of_all(claim(results), published.AGAIN, measured) for claim in (optimistic, as_in_the_paper)]
    but_the_irnn = [cell for cell in published.AGAIN if cell != "irnn"]
    return [often(results), claims.of_all(hardly_ever(results), but_the_irnn, measured), *others]


def again(results):
    """How many diverged of how many, said and as an exact interval."""
    diverged, number = sum(r.num_infeasible_repeats for r in results), sum(map(times, results))
    low, high = claims.proportion(diverged, number)
    return f"{diverged} of {number} diverged ({100 * low:.1f} to {100 * high:.1f} %)", (low, high)


def often(results):
    """Agrees where the interval leaves out hardly ever; disagrees where it is below the paper's."""
    theirs = published.AGAIN["irnn"].infeasible
    text, paper = "The IRNN's best hparams often diverge again", f"{theirs} of 100 ({shown_share(theirs)})"
    irnn = [r for r in results if r.cell == "irnn"]
    if not irnn:
        return claims.missing(text, paper)
    ours, interval = again(irnn)
    verdict = claims.verdict(interval, (HARDLY, 1.0))
    if verdict == UNDECIDED and interval[1] < claims.proportion(theirs, 100)[0]:
        verdict = DISAGREES
    return Claim(text, paper, f"{ours}; {claims.setting(irnn[0])}", verdict)


def hardly_ever(results):
    most = max(known.infeasible for cell, known in published.AGAIN.items() if cell != "irnn")
    text = f"The other cells' best hparams hardly ever diverge again: in under {100 * HARDLY:g} %"
    paper = f"at most {most} of 100 in each ({shown_share(most)})"
    others = [r for r in results if r.cell != "irnn"]
    if not others:
        return claims.missing(text, paper)
    ours, interval = again(others)
    each = ", ".join(f"{r.cell} {r.num_infeasible_repeats} of {times(r)}" for r in others)
    return Claim(text, paper, f"{ours}: {each}", claims.verdict(interval, (0.0, HARDLY)))


def shown_share(count):
    low, high = claims.proportion(count, 100)
    return f"exact 95 %: {100 * low:.1f} to {100 * high:.1f} %"


def optimistic(results):
    """By the geometric mean over cells of the mean again over the original, and its 95 % interval."""
    text = "The best of a search is optimistic: its mean again is a higher loss"
    theirs = [math.log(known.mean / known.original) for known in published.AGAIN.values()]
    known = {r.cell: np.mean(r.repeats) / r.loss for r in results if r.repeats and r.loss > 0}
    ours = [math.log(ratio) for ratio in known.values() if ratio > 0]
    if not ours:
        return claims.missing(text, told(theirs)[0])
    said, interval = told(ours)
    each = ", ".join(f"{cell} {ratio:.2f}" for cell, ratio in known.items())
    return Claim(text, told(theirs)[0], f"{said}: {each}", claims.verdict(interval, (1.0, math.inf)))


def told(log_ratios):
    mean, interval = claims.geometric(log_ratios)
    higher = sum(ratio > 0 for ratio in log_ratios)
    ratio = f"{mean:.2f} times the original ({claims.shown(interval, '.3g')})"
    return f"{ratio}, higher in {higher} of {len(log_ratios)}", interval


def as_in_the_paper(results):
    """Cell by cell, by the 95 % interval of the mean against the original."""
    higher = [cell for cell, known in published.AGAIN.items() if known.mean > known.original]
    text = "The mean again against the original, cell by cell"
    paper = f"higher in {', '.join(higher)}; lower in {', '.join(c for c in published.AGAIN if c not in higher)}"
    said, verdicts = [], []
    for result in results:
        _, (low, high) = claims.mean(result.repeats)
        allowed = (result.loss, math.inf) if result.cell in higher else (-math.inf, result.loss)
        if result.repeats and math.isfinite(result.loss):
            interval = claims.shown((low, high), ".3g")
            said.append(f"{result.cell} {np.mean(result.repeats):.3g} ({interval}) against {result.loss:.3g}")
            verdicts.append(claims.verdict((low, high), allowed))
    return Claim(text, paper, "; ".join(said), claims.worst(verdicts)) if said else claims.missing(text, paper)


FIGURE = Figure(
    name="tableA1",
    title="Table App.1: the best hparams on parentheses trained again and again",
    finding="Trained again 100 times, the IRNN's best hparams diverge 48 times, the other cells' at most once; the "
    "mean again is a higher loss than the best of the search, but for the GRU.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
