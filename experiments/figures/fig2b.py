"""Figure 2b: bits per parameter against T, the unrolled steps after which the label is read.

python launch/sweep.py --config=experiments/figures/fig2b.py[:quick|:evening]

Quick: about 5 minutes on 2 cores, evening: about 4 hours.
"""

import math
from operator import attrgetter
from typing import NamedTuple

from experiments import common
from rnn_capacity.display import charts
from rnn_capacity.measure.capacity import CapacityResult
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import INTERVAL, Chart, Claim, Figure, once, readable, rows

QUICK = {"num_params": (250,), "unroll": (1, 2, 5, 8, 12), "num_trials": 8, "num_repeats": 4}
EVENING = common.EVENING | {"num_params": (500,), "unroll": (1, 2, 5, 8, 12)}
FULL = common.FULL | {"num_params": (1_000, 10_000), "depths": (1,), "unroll": (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)}

FLAT = (0.9, 1.1)  # our reading of "saturates": what the last T has of what T = 5 has


def get_config(arg: str = ""):
    unroll = common.get_config(arg, quick=QUICK, evening=EVENING, full=FULL, cell=common.SIX_CELLS[:-1])
    return common.several(arg, unroll=unroll)


def select(results):
    """Capacity of cells, depths and budgets that were measured at another T than the paper's too."""
    known = [r for r in claims.measured(results, CapacityResult) if not claims.held_to_relu(r)]
    several = {point(r) for r in known if r.unroll != published.CAPACITY_UNROLL}
    return once([r for r in known if point(r) in several], attrgetter("cell", "depth", "max_params", "unroll"))


point = attrgetter("cell", "depth", "max_params")


def points(results):
    found = rows(
        results,
        budget=lambda r: r.max_params,
        bits_per_parameter=lambda r: r.bits_per_param,
        **INTERVAL,
        chance=lambda r: r.chance_bits_per_param,
    )
    return found.sort_values(["depth", "budget", "cell", "T"], kind="stable")


def panels(results):
    """A panel a depth and budget: (what it is of, its points)."""
    return [
        (f"depth {depth}, {budget:,} parameters", group)
        for (depth, budget), group in points(results).groupby(["depth", "budget"])
    ]


def drawn_charts(results):
    steps = charts.axis("T") | {"axis": {"tickMinStep": 1}}
    per_param = charts.axis("bits per parameter", domainMin=0)
    said = "bits per parameter against T, the best of the trials; bars: its hparams again, 95 % of the mean"
    return [
        Chart(f"{title[0].upper()}{title[1:]}: {said}", charts.lines(group, steps, per_param, interval=("low", "high")))
        for title, group in panels(results)
    ]


def table(results):
    found = points(results)
    paper = ["grows" if T < published.CAPACITY_UNROLL else "flat from here" for T in found["T"]]
    return readable(found).assign(paper=paper)


def found_claims(results):
    known = claims.of_its_cells(results)
    return [grows(known), saturates(known)]


class At(NamedTuple):
    """A point of a line."""

    bits: float  # the logarithm of bits per parameter
    unroll: int
    result: CapacityResult


def logs(results, T):
    """What each cell, depth and budget has at T; None: at the greatest T of each."""
    found = {}
    for result in sorted(results, key=lambda r: r.unroll):
        bits = claims.log(result.bits_per_param)
        if math.isfinite(bits) and T in (None, result.unroll):
            found[point(result)] = At(bits, result.unroll, result)
    return found


def ratios(results, first, last):
    """Of bits per parameter, the last T's over the first's: (mean, interval, the results compared, their last Ts)."""
    early, late = logs(results, first), logs(results, last)
    both = [name for name in early if name in late and late[name].unroll > first]
    mean, interval = claims.geometric([late[name].bits - early[name].bits for name in both])
    sides = [at[name].result for at in (early, late) for name in both]
    return mean, interval, sides, sorted({late[name].unroll for name in both})


def grows(results):
    text, paper = "Bits per parameter grow over the first steps", "they grow; no number"
    return judged(text, paper, results, (1, published.CAPACITY_UNROLL), (1.0, math.inf))


def saturates(results):
    text, paper = "From then on they stay", f"they saturate; our reading: {FLAT[0]:g} to {FLAT[1]:g} times"
    return judged(text, paper, results, (published.CAPACITY_UNROLL, None), FLAT)


def judged(text, paper, results, ends, allowed):
    first, last = ends
    mean, interval, sides, greatest = ratios(results, first, last)
    if not sides:
        return claims.missing(text, paper)
    found, why = claims.of_difference(interval, allowed, sides)
    ours = f"{mean:.2f} times from T = {first} to {' and '.join(map(str, greatest))}"
    ours += f" ({claims.shown(interval, '.3g')}), {claims.counted(len(sides) // 2, 'lines')}"
    return Claim(text, paper, "; ".join(filter(None, [ours, why])), found, claims.spent(sides))


FIGURE = Figure(
    name="fig2b",
    title="Figure 2b: bits per parameter against T, the unrolled steps",
    finding="Bits per parameter grow with the number of unrolled steps for the first few steps, then saturate.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
