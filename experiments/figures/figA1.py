"""Figure App.1: the best b is just above the bits stored, a point a trial; of the studies of fig1.

python launch/sweep.py --config=experiments/figures/figA1.py[:quick|:evening]
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from experiments.figures.fig1 import get_config, select
from rnn_capacity.display import charts, plots
from rnn_capacity.report import claims
from rnn_capacity.report.figure import Chart, Claim, Figure, readable, rows

__all__ = ["FIGURE", "get_config"]
SHOWN, STORED = "b per parameter", "bits stored per parameter"
COLUMNS = ("cell", "depth", "parameters", SHOWN, STORED, "_best", "source", "study", "number")
SLIGHTLY = 1.25  # our reading of "only slightly larger"


def points(results):
    """A row a trial that was trained to its end and did not diverge."""
    found = [_trials(result) for result in results if len(result.trials)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))


def _trials(result):
    ended = result.trials[result.trials["feasible"].astype(bool) & ~result.trials["stopped_early"].astype(bool)]
    own = {"cell": result.cell, "depth": result.depth, "parameters": result.num_params}
    own |= {"source": result.record.source, "study": result.study, "number": ended["number"]}
    own |= {SHOWN: ended["num_mappings"].astype(float) / result.num_params}
    own |= {STORED: ended["bits_per_param"].astype(float), "_best": ended["number"] == result.record.best_number}
    return pd.DataFrame(own, index=ended.index, columns=list(COLUMNS)).dropna(subset=[SHOWN, STORED])


def drawn_charts(results):
    found = points(results)
    if found.empty:
        return []
    ends = [float(found[STORED].min()), float(found[SHOWN].max())]
    x, y = (charts.axis(name, domain=ends, nice=True) for name in (SHOWN, STORED))
    line = charts.reference([(value, value) for value in ends], x, y)
    said = "a point a trial; the line: all of b stored; ringed: the best trial of each study"
    drawn = []
    for cell in plots.in_order(found["cell"]):  # all on one would hide each other
        spec = charts.scatter(found[found["cell"] == cell], x, y, behind=line)
        spec["layer"].append(charts.best(x, y))
        drawn.append(Chart(f"{cell}, likewise" if drawn else f"{cell}: {said}", spec))
    return drawn


def table(results):
    found = rows(
        results,
        b_per_parameter=shown,
        bits_per_parameter=lambda r: r.bits_per_param,
        b_over_bits=ratio,
        accuracy=lambda r: r.accuracy,
    )
    return readable(found).assign(paper="only slightly above 1")


def shown(result):
    return result.num_mappings / result.num_params if result.num_mappings else math.nan


def ratio(result):
    """NaN where nothing was stored."""
    return shown(result) / result.bits_per_param if result.bits_per_param > 0 else math.nan


def is_fixed(result):
    """Whether b was given, so that the search says nothing about which is best."""
    low, high = claims.searched(result, "mappings_per_param")
    return low == high


def around_best(result):
    """Between what multiples of the best b was proposed after the first trials, where it was."""
    known = result.record.space.get("mappings_per_param")
    return tuple(known["around_best"][:2]) if isinstance(known, Mapping) and known.get("around_best") else None


def found_claims(results):
    known = [r for r in claims.of_its_cells(results) if not is_fixed(r)]
    text = "The best b is only slightly larger than the bits stored"
    paper = f"only slightly larger; our reading: at most {SLIGHTLY:g} times"
    ratios = [value for value in map(ratio, known) if np.isfinite(value)]
    if not ratios:
        return [claims.missing(text, paper)]
    mean, interval = claims.mean(ratios)
    ranges = [bound for r in known for bound in claims.searched(r, "mappings_per_param") if np.isfinite(bound)]
    studies = claims.counted(len(ratios), "studies", "study")
    ours = f"{mean:.3f} times ({claims.shown(interval, '.3f')}), the best of {studies}"
    ours += f"; b was searched within {min(ranges):g} to {max(ranges):g} per parameter" if ranges else ""
    for low, high in sorted(set(filter(None, map(around_best, known)))):
        ours += f", after the first trials from {low:g} to {high:g} times the best"
    found = claims.of_best(interval, (-math.inf, SLIGHTLY), more_is_better=False)
    return [Claim(text, paper, ours, found, claims.spent(known))]


FIGURE = Figure(
    name="figA1",
    title="Figure App.1: the best b against the bits stored",
    finding="The number of mappings b that is best was always only slightly larger than the bits stored: the best "
    "networks make nearly no errors.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
    columns=3,
)
