"""Figure 1i: how many times the parameters of one cell another needs to store as many bits; of the studies of fig1.

python launch/sweep.py --config=experiments/figures/fig1i.py[:quick|:evening]
"""

import itertools
import math

import pandas as pd

from experiments.figures.fig1 import ALIKE, get_config, select
from rnn_capacity.display import charts
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import Chart, Claim, Figure

__all__ = ["FIGURE", "get_config"]
PLACE, OTHER = "its place in the paper", "stores as much as"
COLUMNS = ("cell", OTHER, "times the parameters", "low", "high", "points")


def log_bits(result):
    return claims.log(result.bits_per_param)


def multiplier(results, cell, other):
    """How many times the parameters `cell` needs to store what `other` does: (mean, interval, points of the grid)."""
    logs = claims.paired(results, other, cell, log_bits, ALIKE)
    return (*claims.geometric(logs), len(logs))


def cells(results):
    """Those measured, in the paper's order; others behind them."""
    known, order = {r.cell for r in results}, published.CAPACITY_ORDER
    return [*(cell for cell in order if cell in known), *sorted(known.difference(order))]


def pairs(results):
    """A row for each two cells."""
    found = []
    for cell, other in itertools.product(cells(results), repeat=2):
        times, (low, high), points = multiplier(results, cell, other)
        found.append(dict(zip(COLUMNS, (cell, other, times, low, high, points), strict=True)))
    return pd.DataFrame(found, columns=COLUMNS)


def table(results):
    """A row and a column a cell."""
    order = published.CAPACITY_ORDER
    rows = []
    for cell in cells(results):
        place = f"{order.index(cell) + 1} of {len(order)}" if cell in order else "-"
        rows.append({"cell": cell, PLACE: place} | {other: shown(results, cell, other) for other in cells(results)})
    return pd.DataFrame(rows, columns=["cell", PLACE, *cells(results)])


def shown(results, cell, other):
    times, interval, points = multiplier(results, cell, other)
    if cell == other or not points:
        return "1" if points else "-"
    return f"{times:.2f} ({claims.shown(interval, '.3g')})"


CAPTION = "How many times the parameters the cell of the row needs to store as many bits as that of the column"


def shaded(results):
    """The pairs, each with its shade and its text: twice is as orange as half is blue."""
    found = pairs(results)
    found["shade"] = [claims.log(times) for times in found["times the parameters"]]
    found["text"] = ["-" if math.isnan(times) else f"{times:.2f}" for times in found["times the parameters"]]
    return found


def drawn_charts(results):
    found = shaded(results)
    return [] if found.empty else [Chart(CAPTION, charts.heat(found, "cell", OTHER, "shade", "text"))]


def found_claims(results):
    """By each two neighbours of the order: the one behind needs more than once the parameters."""
    order = published.CAPACITY_ORDER
    text, paper = "Down the paper's order each cell needs more parameters for the same bits", " < ".join(order)
    said, verdicts = [], []
    for less, more in itertools.pairwise(order):
        times, interval, points = multiplier(results, more, less)
        if points:
            sides = [r for both in claims.beside(results, more, less, ALIKE) for r in both]
            found, why = claims.of_difference(interval, (1.0, math.inf), sides)
            about = ", ".join(filter(None, [claims.shown(interval, ".3g"), why]))
            said.append(f"{more} {times:.2f} times {less} ({about})")
            verdicts.append(found)
    if not said:
        return [claims.missing(text, f"{paper}; no numbers known")]
    claim = Claim(text, f"{paper}; no numbers known", "; ".join(said), claims.worst(verdicts), claims.spent(results))
    return [claims.of_all(claim, order, {r.cell for r in results})]


FIGURE = Figure(
    name="fig1i",
    title="Figure 1i: how many times the parameters a cell (row) needs to store as many bits as another (column)",
    finding="The RNN needs the fewest parameters, then UGRNN, GRU, LSTM and +RNN; the IRNN needs the most. "
    "The paper's numbers of this table are not known here, so its order stands beside ours. "
    "Ours: the ratio of bits per parameter at the same depth and budget, geometric mean and 95 % interval.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
