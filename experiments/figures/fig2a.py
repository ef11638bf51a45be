"""Figure 2a: what ReLUs alone cost the RNN and the UGRNN, beside tanh alone.

python launch/sweep.py --config=experiments/figures/fig2a.py[:quick|:evening]

Quick: about 2 minutes on 2 cores, evening: about 1 hour.
"""

import math
from operator import attrgetter

import numpy as np

from experiments import common
from rnn_capacity.cells.base import RELU_RATE
from rnn_capacity.display import charts
from rnn_capacity.measure.capacity import CapacityResult
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import INTERVAL, Chart, Claim, Figure, once, readable, rows
from rnn_capacity.search import recipe

QUICK = {"num_params": (500,), "num_trials": 8, "num_repeats": 4}
EVENING = common.EVENING | {"num_params": (1_000,)}
FULL = common.FULL | {"depths": (1,)}

KINDS = RELU, OTHER = "ReLU alone", "tanh"  # or the choice of both, where tanh alone was not measured
ABOUT = 0.5  # bits per parameter: our reading of "about"
point = attrgetter("cell", "depth", "num_params")


def get_config(arg: str = ""):
    of = lambda hparams: common.get_config(
        arg, quick=QUICK, evening=EVENING, full=FULL, cell=("rnn", "ugrnn"), hparams=hparams
    )
    relu = {"nonlinearity": "relu"} | common.at_scale(arg, slower(QUICK), slower(EVENING), {})
    return common.several(arg, tanh=of({"nonlinearity": "tanh"}), relu=of(relu))


def slower(scale):
    """What suits tanh in minutes is too fast for ReLUs: the range of the IRNN, which has no others."""
    rate = recipe.learning_rate(RELU_RATE, *scale["num_params"])
    return {"learning_rate": (rate.low, rate.high)}


def select(results):
    """Capacity with ReLU alone, and of the same cells, depths and sizes with tanh, or with the choice of both."""
    of_capacity = [r for r in claims.measured(results, CapacityResult) if r.unroll == published.CAPACITY_UNROLL]
    relu = once([r for r in of_capacity if claims.held_to_relu(r)], point)
    points = {point(r) for r in relu}
    beside = [r for r in of_capacity if point(r) in points and not claims.held_to_relu(r)]
    tanh = {point(r) for r in beside if nonlinearity(r) == "tanh"}
    return relu + once([r for r in beside if nonlinearity(r) == "tanh" or point(r) not in tanh], point)


def nonlinearity(result):
    known = result.record.space.get("nonlinearity")
    return known if isinstance(known, str) else "tanh or relu"


def points(results):
    found = rows(
        results,
        kind=lambda r: RELU if claims.held_to_relu(r) else OTHER,
        nonlinearity=nonlinearity,
        learning_rates=lambda r: claims.shown(claims.searched(r, "learning_rate"), ".3g"),
        bits_per_parameter=lambda r: r.bits_per_param,
        **INTERVAL,
    )
    what = [
        f"{cell}, {'' if depth == 1 else f'depth {depth}, '}{size:,} parameters"
        for cell, depth, size in zip(found["cell"], found["depth"], found["parameters"], strict=True)
    ]
    return found.assign(_what=what).sort_values(["cell", "depth", "parameters"], kind="stable")


def drawn_charts(results):
    found = points(results)
    if found.empty:
        return []
    x = charts.axis("bits per parameter")
    values = sorted(set(published.RELU_CAPACITY.values()))
    paper = [layer for value in values for layer in charts.across(x, value)]
    spec = charts.listed(found, x, "_what", "kind", KINDS, interval=("low", "high"), behind=paper)
    caption = "The best of the trials; bars: its hparams again, 95 % of the mean; dashed: the paper's with ReLU alone"
    about = f", about {' and '.join(f'{value:g}' for value in values)}"
    return [Chart(f"{caption}{about}{unlike(found)}", spec)]


def unlike(found):
    """What else than the nonlinearity differs, in the searches of the quick scale."""
    rates = {kind: ", ".join(dict.fromkeys(group)) for kind, group in found.groupby("kind")["learning rates"]}
    said = [f"{rates[kind]} for {kind}" for kind in KINDS if kind in rates]
    return f". Learning rates searched: {', '.join(said)}" if len(set(rates.values())) > 1 else ""


def table(results):
    found = points(results)
    paper = [
        f"about {published.RELU_CAPACITY[cell]:g}" if kind == RELU and cell in published.RELU_CAPACITY else "-"
        for cell, kind in zip(found["cell"], found["kind"], strict=True)
    ]
    return readable(found).drop(columns=["kind", "_what"]).assign(paper=paper)


def found_claims(results):
    known = claims.of_its_cells(results)
    relu = {r.cell for r in known if claims.held_to_relu(r)}
    return [claims.of_all(claim(known), published.RELU_CAPACITY, relu) for claim in (below, about)]


def both(results):
    """For each cell the pairs of results (ReLU alone, beside it) at each depth and size at which both have a number."""
    known = [r for r in results if np.isfinite(r.bits_per_param)]
    beside = {point(r): r for r in known if not claims.held_to_relu(r)}
    found = {}
    for result in known:
        if claims.held_to_relu(result) and point(result) in beside:
            found.setdefault(result.cell, []).append((result, beside[point(result)]))
    return found


def below(results):
    """By the paired points of a cell; where there is but one, by Welch's interval of the repeats of both."""
    text, paper = "ReLU alone stores less than tanh, in each cell", "less"
    said, verdicts, compared = [], [], []
    for cell, found in both(results).items():
        if len(found) > 1:
            difference, interval = claims.mean([relu.bits_per_param - tanh.bits_per_param for relu, tanh in found])
            said.append(
                f"{cell} {difference:+.2f} ({claims.shown(interval, '+.2f')}), {claims.counted(len(found), 'points')}"
            )
        else:
            ((relu, tanh),) = found
            difference, interval = claims.welch(relu.repeats, tanh.repeats)
            said.append(f"{cell} {relu.bits_per_param:.2f} against {tanh.bits_per_param:.2f}")
            if not math.isnan(difference):
                said[-1] += f", both again {difference:+.2f} ({claims.shown(interval, '+.2f')})"
        sides = [result for pair in found for result in pair]
        judged, why = claims.of_difference(interval, (-math.inf, 0.0), sides)
        said[-1] += f", {why}" if why else ""
        verdicts.append(judged)
        compared += sides
    if not said:
        return claims.missing(text, paper)
    return Claim(text, paper, "; ".join(said), claims.worst(verdicts), claims.spent(compared))


def about(results):
    """By the points of a cell; where there is but one, by its hparams again."""
    text = "With ReLU alone they store about as much as the IRNN"
    paper = f"{', '.join(f'{cell} about {bits:g}' for cell, bits in published.RELU_CAPACITY.items())}; "
    paper += f"our reading: within {ABOUT:g}"
    said, verdicts, trained = [], [], []
    for cell, bits in published.RELU_CAPACITY.items():
        found = [r for r in results if r.cell == cell and claims.held_to_relu(r)]
        found = [r for r in found if np.isfinite(r.bits_per_param)]
        if not found:
            continue
        mean, interval = claims.mean([r.bits_per_param for r in found])
        again = "again " if len(found) == 1 else ""
        interval = tuple(found[0].interval) if again else interval
        said.append(f"{cell} {mean:.2f} ({again}{claims.shown(interval)})")
        verdicts.append(claims.of_best(interval, (bits - ABOUT, bits + ABOUT)))
        trained += found
    if not said:
        return claims.missing(text, paper)
    return Claim(text, paper, "; ".join(said), claims.worst(verdicts), claims.spent(trained))


FIGURE = Figure(
    name="fig2a",
    title="Figure 2a: bits per parameter with ReLU alone, beside tanh",
    finding="Part of what the IRNN lacks is due to its ReLU: held to ReLU, the RNN and the UGRNN come down to about "
    "3.5 bits per parameter too.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
