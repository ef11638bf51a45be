"""Figure 4: the best and the median loss against the tuner's iterations, on parentheses and arithmetic, by depth.

python launch/sweep.py --config=experiments/figures/fig4.py[:quick|:evening]

Quick: about 8 minutes on 2 cores, evening: about 4 hours; parentheses of two types over 20 steps, sums of one-digit
numbers.
"""

import functools
import json
import math

import jax
import numpy as np
import pandas as pd

from experiments import arithmetic, common, parentheses
from rnn_capacity.display import charts
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import (
    AGREES,
    DISAGREES,
    NOT_REACHED,
    UNDECIDED,
    Chart,
    Claim,
    Figure,
    once,
    readable,
    rows,
)
from rnn_capacity.tasks import TASKS
from rnn_capacity.tasks.base import SPLITS, Source

PARENTHESES = {
    "task_fields": {"num_types": 2, "num_noise": 2},
    "unroll": (20,),
    "num_params": (1_000,),
    "depths": (1, 4),
    "num_trials": 24,
    "train_steps": 600,
}
ARITHMETIC = {
    "task_fields": {"max_number": 9},
    "unroll": (15,),
    "num_params": (2_000,),
    "depths": (1,),
    "num_trials": 12,
    "train_steps": 500,
    "batch_size": 64,
}


def get_config(arg: str = ""):
    def tuned(task, scale):
        fields = scale | {"num_repeats": 0, "space": "paper", "per_cell": common.deeper(scale["depths"])}
        return common.get_config(arg, quick=fields, evening=fields, full=fields, task=task, cell=common.SIX_CELLS)

    longer = {"num_trials": 48, "train_steps": 4_000}
    return common.several(
        arg,
        parentheses=tuned("parentheses", common.at_scale(arg, PARENTHESES, PARENTHESES | longer, parentheses.FULL)),
        arithmetic=tuned("arithmetic", common.at_scale(arg, ARITHMETIC, ARITHMETIC | longer, arithmetic.FULL)),
    )


UNGATED = ("rnn", "irnn")
SPENT = f"up to {published.TUNER_ITERATIONS} trials of 50,000 to 20 million steps"
LEARNED = 0.9  # of the loss of who never reads the input: a network below it has learned
LEAST = float(np.finfo(np.float32).eps)  # losses below it are rounding
WHOLE = {"parentheses": np.sum, "arithmetic": np.mean}  # the loss of an example from those of its outputs


def select(results):
    """Tuned searches, one a task, cell and depth."""
    tuned = [r for r in claims.trained(results, *WHOLE) if r.sampler == "gp"]
    return claims.in_order(once(tuned, lambda r: (claims.setting(r), r.cell, r.depth)))


def without_input(result):
    """The loss of who knows how often each answer comes and never reads the input, nats; NaN of an unknown task."""
    return _without_input(result.task, json.dumps(dict(result.task_fields)))


@functools.cache
def _without_input(name, fields):
    try:
        task = TASKS[name](**json.loads(fields))
    except (KeyError, TypeError, ValueError):  # of another version
        return math.nan
    source = Source(SPLITS.index("eval"), task.shared(), {"compute_steps": 1.0})
    targets_ob = np.asarray(jax.jit(lambda key: task.draw(key, 8192, source).targets)(jax.random.key(0)))
    shares = [np.unique(target_b, return_counts=True)[1] / target_b.size for target_b in targets_ob]
    return float(WHOLE[name]([-np.sum(share * np.log(share)) for share in shares]))


def points(results):
    return rows(
        results,
        setting=claims.setting,
        best=lambda r: r.curve["best"].iloc[-1],
        median=lambda r: r.curve["median"].iloc[-1],
        without_input=without_input,
        accuracy=lambda r: r.score,
        diverged=lambda r: r.num_infeasible,
        still_improving=lambda r: "yes" if r.still_improving else "no",
    ).sort_values(["setting", "depth"], ascending=[False, True], kind="stable")


def table(results):
    easiest = [published.EASIEST.get(depth) for depth in points(results)["depth"]]
    cells = points(results)["cell"]
    theirs = ["the best" if cell == best else "-" for cell, best in zip(cells, easiest, strict=True)]
    return readable(points(results)).assign(paper=theirs)


def drawn_charts(results):
    made = []
    for setting, depth in sorted({(claims.setting(r), r.depth) for r in results}, key=lambda point: point[::-1]):
        group = [r for r in results if (claims.setting(r), r.depth) == (setting, depth)]
        found = steps(group)
        if (found["best"] > 0).any():
            x, best, median = charts.axis("trials", "tuner's iterations"), *map(loss, ("best", "median"))
            spec = charts.steps(found[found["best"] > 0], x, best, median)
            known = without_input(group[0])
            ends = [(end, known) for end in (1, int(found["trials"].max()))]
            behind = charts.reference(ends, x, best) if math.isfinite(known) else []
            spec = {**spec, "layer": [*behind, *spec["layer"]]}
            about = "; gray: who never reads the input" if behind else ""
            made.append(Chart(f"{setting}, depth {depth}: best loss so far, and pale the median{about}", spec))
    return made


def loss(field):
    return charts.axis(field, "loss", log=True, nice=False, padding=8)


def steps(results):
    """A row an iteration with its best trial so far; of long searches those at which something is seen to change."""
    made = []
    for result in results:
        found = result.curve
        best = found["best"]
        leads = best.notna() & (best != best.shift())
        keep = leads | found["trials"].isin(np.unique(np.geomspace(1, len(found), 150).round()))
        number = result.trials["number"].where(leads.to_numpy()).ffill()
        known = {"cell": result.cell, "depth": result.depth, "source": result.record.source, "study": result.study}
        made.append(found.assign(number=number.to_numpy(), _leads=leads, **known)[keep])
    return pd.concat(made) if made else pd.DataFrame(columns=["cell", "depth", "trials", "best", "median", "_leads"])


def found_claims(results):
    return [
        easier(results, "best"),
        easier(results, "median"),
        only_gated_learn(results),
        *(easiest(results, depth, cell) for depth, cell in published.EASIEST.items()),
    ]


def complete(results):
    """By task and depth the results of the paper's cells, where all of them were measured."""
    groups = {}
    for result in claims.of_its_cells(results):
        groups.setdefault((claims.setting(result), result.depth), []).append(result)
    whole = lambda depth, group: {*published.cells_at(depth)} <= {r.cell for r in group}
    return {(setting, depth): group for (setting, depth), group in groups.items() if whole(depth, group)}


def iterations(group):
    """As many as all of the group have had: a cell is no better for a longer search."""
    return min(len(r.trials) for r in group)


def fairly(results, column):
    """Log losses by task and depth, then cell, after as many iterations."""
    found = {}
    for point, group in complete(results).items():
        at = {r.cell: r.curve[column].iloc[iterations(group) - 1] for r in group}
        found[point] = {cell: math.log(max(loss, LEAST)) for cell, loss in at.items() if math.isfinite(loss)}
    return found


def easier(results, column):
    """By the gated cells' mean log loss less the others', and the 95 % interval of its mean over tasks and depths."""
    text = f"Gated cells are easier to train: their {column} loss is lower than the RNN's and the IRNN's"
    paper = f"far easier, at up to {published.TUNER_ITERATIONS} iterations"
    mean_of = lambda at, cells: np.mean([at[cell] for cell in cells if cell in at])
    found = [
        float(mean_of(at, published.GATED) - mean_of(at, UNGATED))
        for at in fairly(results, column).values()
        if at.keys() & {*published.GATED} and at.keys() & {*UNGATED}
    ]
    if not found:
        return claims.missing(text, paper)
    mean, interval = claims.geometric(found)
    most = max(map(iterations, complete(results).values()))
    ours = (
        f"{mean:.2f} times theirs ({claims.shown(interval, '.3g')}), {sum(x < 0 for x in found)} of "
        f"{len(found)} tasks and depths lower, after at most {most} iterations"
    )
    sides = [result for group in complete(results).values() for result in group]
    judged, why = claims.of_difference(interval, (-math.inf, 1.0), sides)
    return Claim(text, paper, "; ".join(filter(None, [ours, why])), judged, claims.spent(sides, SPENT))


def only_gated_learn(results):
    """Agrees where all gated cells learned and no other did; disagrees where another did.

    A gated cell that has not learned may still do so in a larger search.

    What has learned has a best loss below 0.9 of the loss of who never reads the input.
    """
    text, paper = "At depth 8 only gated cells learn", f"{', '.join(published.GATED)}"
    deepest = max((r.depth for r in results), default=0)
    deep = [r for r in results if r.depth == (8 if deepest >= 8 else deepest)]
    gated, others = (sorting(deep, cells) for cells in (published.GATED, UNGATED))
    if deepest < 2 or not (*gated, *others):
        return claims.missing(text, paper)
    told = (
        f"gated {shares(gated)}, rnn and irnn {shares(others)} learned, by a loss below {LEARNED:g} of input never read"
    )
    if deepest < 8:
        depths = ", ".join(f"{depth}" for depth in sorted({r.depth for r in results}))
        return claims.missing(text, paper)._replace(ours=f"depth 8 was not run, only {depths}; at {deepest}: {told}")
    if any(others):
        return Claim(text, paper, told, DISAGREES)
    found = AGREES if others and gated and all(gated) else UNDECIDED if all(gated) else NOT_REACHED
    claim = Claim(text, paper, told, found, claims.spent(deep, SPENT))
    return claims.of_all(claim, published.cells_at(deepest), {r.cell for r in deep})


def sorting(results, cells):
    """Whether each network of these cells learned."""
    of_cells = [r for r in results if r.cell in cells and math.isfinite(without_input(r))]
    return [bool(r.curve["best"].iloc[-1] < LEARNED * without_input(r)) for r in of_cells]


def shares(learned):
    return f"{sum(learned)} of {len(learned)}"


def easiest(results, depth, cell):
    text, paper = f"At depth {depth} the {cell.upper()} has the least loss", f"{cell}, on both tasks"
    theirs = [r for r in results if r.depth == depth and r.cell in published.INFEASIBLE[depth]]
    at_depth = {setting: at for (setting, _), at in fairly(theirs, "best").items() if cell in at}
    rivals = {setting: min((at[c], c) for c in at if c != cell) for setting, at in at_depth.items() if len(at) > 1}
    if not rivals:
        return claims.missing(text, paper)
    mean, interval = claims.geometric([at_depth[setting][cell] - rival[0] for setting, rival in rivals.items()])
    said = ", ".join(
        f"{math.exp(at_depth[setting][cell]):.3g} on {setting} ({name}: {math.exp(rival):.3g})"
        for setting, (rival, name) in rivals.items()
    )
    ours = f"{said}; {mean:.2f} times the best other cell's ({claims.shown(interval, '.3g')})"
    sides = [r for r in theirs if claims.setting(r) in rivals]
    judged, why = claims.of_difference(interval, (-math.inf, 1.0), sides)
    return Claim(text, paper, "; ".join(filter(None, [ours, why])), judged, claims.spent(sides, SPENT))


FIGURE = Figure(
    name="fig4",
    title="Figure 4: best and median loss against the tuner's iterations, on parentheses and arithmetic, by depth",
    finding="Gated cells are far easier to train. At depth 8 only gated cells learn; the GRU is best at depth 1, the "
    "+RNN at depth 8.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
