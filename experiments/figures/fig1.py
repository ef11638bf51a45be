"""Figure 1a-h: bits and bits per parameter against size, a panel a depth.

python launch/sweep.py --config=experiments/figures/fig1.py[:quick|:evening]

Quick: about 15 minutes on 2 cores, evening: about 9 hours. The +RNN begins at depth 2, as in the paper.
"""

import itertools
from operator import attrgetter

import numpy as np

from experiments import common
from rnn_capacity.display import charts, plots
from rnn_capacity.measure.capacity import CapacityResult
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import INTERVAL, Chart, Claim, Figure, once, readable, rows

QUICK = {"num_trials": 8, "num_repeats": 4}
DEEP = {"depths": (2,)}


def get_config(arg: str = ""):
    shallow = common.get_config(
        arg,
        quick=QUICK | {"num_params": (250, 500, 1000)},
        full=common.FULL | {"depths": (1,)},
        cell=common.SIX_CELLS[:-1],
    )
    deep = common.get_config(
        arg,
        quick=QUICK | DEEP | {"num_params": (500,)},
        evening=common.EVENING | DEEP | {"num_params": (1_000,)},
        full=common.FULL | {"depths": (2, 4)},
        cell=common.SIX_CELLS,
    )
    return common.several(arg, capacity=shallow, capacity_deep=deep)


def select(results):
    """Capacity at the paper's T, by a search in which no cell is held to a nonlinearity that is not its own."""
    of_capacity = [r for r in claims.measured(results, CapacityResult) if r.unroll == published.CAPACITY_UNROLL]
    free = [r for r in of_capacity if not claims.held_to_relu(r)]
    # Of two equal budgets the last is taken: one that had the choice goes before one that was held to tanh.
    free.sort(key=lambda r: not isinstance(r.record.space.get("nonlinearity"), str))
    return once(free, attrgetter("cell", "depth", "num_params"))


def points(results):
    return rows(
        results,
        bits=lambda r: r.bits,
        bits_per_parameter=lambda r: r.bits_per_param,
        **INTERVAL,
        chance=lambda r: r.chance_bits_per_param,
        accuracy=lambda r: r.accuracy,
    ).sort_values(["depth", "parameters"])


def drawn_charts(results):
    found = points(results)
    ends = [float(found["parameters"].min()), float(found["parameters"].max())]  # alike at every depth
    size = charts.axis("parameters", log=True, nice=False, padding=8, domain=ends)
    per_param = charts.axis("bits per parameter", domainMin=0)
    bits = charts.axis("bits", log=True, nice=False, padding=8)
    behind = charts.band(*published.CAPACITY_RANGE, "the paper: 3 to 6")
    behind.append(charts.dotted(size, per_param | {"field": "chance"}))
    said = "bits per parameter, the best of the trials; bars: its hparams again, 95 % of the mean; dotted: chance"
    return [
        chart
        for depth, group in found.groupby("depth")
        for chart in (
            Chart(
                f"Depth {depth}: {said}",
                charts.lines(group, size, per_param, interval=("low", "high"), behind=behind),
            ),
            Chart(f"Depth {depth}: bits", charts.lines(group, size, bits)),
        )
    ]


def table(results):
    found = points(results)
    return readable(found).assign(paper=[published.CAPACITY.get(cell, "-") for cell in found["cell"]])


def found_claims(results):
    known = claims.of_its_cells(results)
    measured = {r.cell for r in known}
    made = [claim(known) for claim in (within_the_band, on_average, linear, irnn_lowest, in_order)]
    return [claims.of_all(claim, published.CAPACITY_ORDER, measured) for claim in made[:3]] + made[3:]


def within_the_band(results):
    """By the mean of each cell over depths and sizes."""
    low, high = published.CAPACITY_RANGE
    text, paper = "A parameter stores 3 to 6 bits, in every cell", f"{low:g} to {high:g}, of 1000 and more trials each"
    best = [r for r in results if np.isfinite(r.bits_per_param)]
    if not best:
        return claims.missing(text, paper)
    said, verdicts = [], []
    for cell in plots.in_order(r.cell for r in best):
        mean, interval = claims.mean([per_param(r) for r in best if r.cell == cell])
        said.append(f"{cell} {mean:.2f} ({claims.shown(interval)})")
        verdicts.append(claims.of_best(interval, (low, high)))
    inside = sum(low <= per_param(r) <= high for r in best)
    ours = f"{'; '.join(said)}; {inside} of {len(best)} points inside"
    return Claim(text, paper, ours, claims.worst(verdicts), claims.spent(best))


def on_average(results):
    """By the mean of all points but the IRNN's, of which the paper says less."""
    text = "Over the cells but the IRNN it is about 5 bits on average"
    paper = f"about {published.CAPACITY_MEAN:g}, small networks lower; our reading: within {ABOUT:g}"
    known = [r for r in results if r.cell != "irnn" and np.isfinite(per_param(r))]
    if not known:
        return claims.missing(text, paper)
    mean, interval = claims.mean([per_param(r) for r in known])
    sizes = [r.num_params for r in known]
    ours = f"{mean:.2f} ({claims.shown(interval)}), {min(sizes)} to {max(sizes)} parameters"
    allowed = (published.CAPACITY_MEAN - ABOUT, published.CAPACITY_MEAN + ABOUT)
    return Claim(text, paper, ours, claims.of_best(interval, allowed), claims.spent(known))


def linear(results):
    """By the exponent of bits ~ params^a, fitted to each cell and depth: 1 where bits per parameter are flat."""
    text = "Bits grow in proportion to parameters: bits per parameter are flat in size"
    paper = "an exponent of 1; our reading: 0.9 to 1.1"
    exponents = []
    for _, group in points(results).groupby(["cell", "depth"]):
        group = group[group["bits"] > 0]
        if group["parameters"].nunique() > 1:
            exponents.append(float(np.polyfit(np.log(group["parameters"]), np.log(group["bits"]), 1)[0]))
    if not exponents:
        return claims.missing(text, paper)
    mean, interval = claims.mean(exponents)
    sizes = [r.num_params for r in results]
    ours = f"{mean:.2f} ({claims.shown(interval)}), {len(exponents)} cells and depths, {min(sizes)} to {max(sizes)}"
    found, why = claims.of_difference(interval, (0.9, 1.1), results)
    return Claim(text, paper, "; ".join(filter(None, [f"{ours} parameters", why])), found, claims.spent(results))


def irnn_lowest(results):
    text, paper = "The IRNN stores the least", f"about {published.CAPACITY_IRNN:g}, the others more"
    return claims.ranked(
        text, paper, results, [("irnn", other) for other in published.CAPACITY_ORDER[:-1]], per_param, ALIKE
    )


def in_order(results):
    order = published.CAPACITY_ORDER[:-1]
    text, paper = "The order of the cells", " > ".join(order)
    pairs = [(less, more) for more, less in itertools.pairwise(order)]
    return claims.ranked(text, paper, results, pairs, per_param, ALIKE)


def per_param(result):
    return result.bits_per_param


ABOUT = 0.5  # bits per parameter
ALIKE = attrgetter("depth", "max_params")  # the points of the grid at which cells are compared

FIGURE = Figure(
    name="fig1",
    title="Figure 1a-h: bits and bits per parameter against size, by depth",
    finding="Capacity is linear in the number of parameters over orders of magnitude: 3 to 6 bits per parameter for "
    "all cells and depths; about 5 on average, small networks lower. For scale, not the paper's: "
    + ", ".join(f"{what} {bits:g} bits" for what, bits in published.ELSEWHERE.items())
    + ".",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
