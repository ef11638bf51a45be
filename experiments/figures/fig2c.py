"""Figure 2c: recall, the squared error against units, beside the line 1 - n_h / n_in.

python launch/sweep.py --config=experiments/figures/fig2c.py[:quick|:evening]

Quick: about 6 minutes on 2 cores, evening: about 3 hours.
"""

import math
from operator import attrgetter

import numpy as np

from experiments import common, recall
from rnn_capacity.display import charts
from rnn_capacity.measure.recall import RecallPoint
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import INTERVAL, UNDECIDED, Chart, Claim, Figure, once, readable, rows
from rnn_capacity.tasks.recall import line

QUICK = recall.QUICK | {"num_units": (16, 48, 64, 80), "num_trials": 4, "num_repeats": 3}
NEAR = 0.05  # our reading of "on the line", and of "reconstructs", in squared error
LINE = "1 - units / inputs"


def get_config(arg: str = ""):
    fields = common.at_scale(arg, QUICK, recall.EVENING, recall.FULL)
    fields = fields | {"per_cell": common.deeper((*fields.get("depths", (1,)), 2))}
    config = common.get_config(arg, quick=fields, evening=fields, full=fields, task="recall", cell=common.SIX_CELLS)
    return common.several(arg, recall=config)


def select(results):
    """Recall of the paper's 64 numbers after its 12 steps."""
    known = [r for r in claims.measured(results, RecallPoint) if r.unroll == published.RECALL_UNROLL]
    return once([r for r in known if r.num_inputs == published.RECALL_INPUTS], attrgetter("cell", "depth", "num_units"))


def points(results):
    found = rows(
        results,
        squared_error=lambda r: r.error,
        the_line=lambda r: r.line,
        off_the_line=off,
        **INTERVAL,
        chance=lambda r: r.chance_error,
    )
    return found.sort_values(["depth", "cell", "units"], kind="stable")


def off(result):
    """How far above the line, or below it where negative."""
    return result.error - result.line


def corners(found):
    """Of the line, over all that was measured."""
    ends = (0, published.RECALL_INPUTS, max([1.25 * published.RECALL_INPUTS, *found["units"]]))
    return [(float(units), float(line(units, published.RECALL_INPUTS))) for units in ends]


def drawn_charts(results):
    found = points(results)
    if found.empty:
        return []
    units, error, departure = map(charts.axis, ("units", "squared error", "off the line"))
    departure["title"] = "squared error above the line"
    behind = charts.reference(corners(found), units, error)
    within = charts.band(-NEAR, NEAR, f"within {NEAR:g}")
    of_error = charts.lines(found, units, error, interval=("low", "high"), behind=behind)
    return [
        Chart(f"The best of the trials; bars: its hparams again, 95 % of the mean; gray: the paper's {LINE}", of_error),
        Chart("How far it is above the line, or below it", charts.lines(found, units, departure, behind=within)),
    ]


def table(results):
    found = readable(points(results))
    return found.rename(columns={"the line": "paper: the line"})


def found_claims(results):
    known = [r for r in claims.of_its_cells(results) if np.isfinite(r.error)]
    measured = {r.cell for r in known}
    made = (on_the_line(known), only_with_enough_units(known))
    return [claims.of_all(claim, published.CAPACITY_ORDER, measured) for claim in made]


def on_the_line(known):
    """By the point of each cell that is farthest from it."""
    text, paper = "Every cell lies on the line", f"{LINE}, or 0; our reading: within {NEAR:g}"
    if not known:
        return claims.missing(text, paper)
    said, verdicts = [], []
    for cell in dict.fromkeys(r.cell for r in known):
        own = [r for r in known if r.cell == cell]
        farthest = max(own, key=lambda r: abs(off(r)))
        said.append(f"{cell} {off(farthest):+.3f} at {farthest.num_units}")
        verdicts.append(claims.of_best((off(farthest),) * 2, (-NEAR, NEAR), more_is_better=False))
    ours = f"farthest off it, at so many units: {'; '.join(said)}"
    return Claim(text, paper, ours, claims.worst(verdicts), claims.spent(known))


def only_with_enough_units(known):
    text = "A cell gives its input back if and only if it has as many units as the input has numbers"
    paper = f"an error of 0 from there on, not below; our reading: less than {NEAR:g}"
    enough = [r.error for r in known if r.num_units >= r.num_inputs]
    # Just below, where the line itself is that low, the error cannot tell.
    few = [r.error for r in known if r.line > NEAR]
    if not known:
        return claims.missing(text, paper)
    said, verdicts = [], [] if enough and few else [UNDECIDED]
    if enough:
        said.append(f"with enough {min(enough):.3f} to {max(enough):.3f} ({claims.counted(len(enough), 'points')})")
        verdicts.append(claims.of_best((max(enough),) * 2, (-math.inf, NEAR), more_is_better=False))
    if few:
        said.append(f"with fewer {min(few):.3f} to {max(few):.3f} ({claims.counted(len(few), 'points')})")
        verdicts.append(claims.verdict((min(few),) * 2, (NEAR, math.inf)))  # what passes the line refutes it
    return Claim(text, paper, "; ".join(said), claims.worst(verdicts), claims.spent(known))


FIGURE = Figure(
    name="fig2c",
    title="Figure 2c: recall, the squared error against units",
    finding="Every cell gives its input back if and only if it has at least as many units as the input has numbers; "
    "below that all lie on one line, 1 - n_h / n_in.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
