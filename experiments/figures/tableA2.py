"""Table App.2: Welch's t between the losses that random hparams give two cells; of the studies of table1.

python launch/sweep.py --config=experiments/figures/tableA2.py[:quick|:evening]
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from experiments.figures.table1 import asked, get_config, select
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import AGREES, DISAGREES, UNDECIDED, Claim, Figure
from rnn_capacity.studies import trials

__all__ = ["FIGURE", "get_config"]
STANDARD = 0.05  # a p below it decides


def compare(results):
    """A row a pair of the paper's; at depths between the paper's the pairs of depth 8, beside no number of it."""
    made = []
    for setting, depth in sorted({(claims.setting(r), r.depth) for r in results}, key=lambda point: point[::-1]):
        at = {r.cell: r for r in results if (claims.setting(r), r.depth) == (setting, depth)}
        theirs = published.WELCH.get(depth, {})
        for one, other in theirs or published.WELCH[8]:
            if one in at and other in at:
                losses = [trials.losses(at[cell].trials) for cell in (one, other)]
                means = [float(np.mean(values)) if len(values) else math.nan for values in losses]
                t, dof, p = trials.welch(*losses)
                difference = means[0] - means[1]
                half = abs(difference / t) * stats.t.ppf(0.975, dof) if t and not math.isnan(t) else math.nan
                made.append(
                    {"depth": depth, "cell": one, "against": other, "t": t, "dof": dof, "p": p, "mean": means[0]}
                    | {"against mean": means[1], "low": difference - half, "high": difference + half}
                    | {"paper": theirs.get((one, other), math.nan), "setting": setting}
                    | {"trials": len(losses[0]), "against trials": len(losses[1])}
                )
    return pd.DataFrame(made, columns=COLUMNS)


COLUMNS = ["depth", "cell", "against", "t", "dof", "p", "paper", "mean", "against mean", "low", "high"]
COLUMNS += ["setting", "trials", "against trials"]


def table(results):
    return compare(results).rename(columns={"paper": "the paper's t", "low": "difference, low", "high": "high"})


def found_claims(results):
    """Pair by pair; where a depth of the paper was not measured, all its pairs in one."""
    results = claims.largest(results)
    found = compare(results)
    made = []
    for depth, theirs in published.WELCH.items():
        at_depth = found[found["depth"] == depth].set_index(["cell", "against"])
        if len(at_depth):
            made += [lower(pair, depth, t, at_depth, asked(results)) for pair, t in theirs.items()]
        else:
            made.append(not_measured(depth, theirs, found))
    return made


def lower(pair, depth, theirs, at_depth, of):
    """Agrees where Welch's t is significant and of the paper's sign, disagrees where it is of the other."""
    text = f"Random hparams, depth {depth}: the {pair[0].upper()}'s losses are lower than the {pair[1].upper()}'s"
    paper = f"Welch's t {theirs:g}"
    if pair not in at_depth.index:
        return claims.missing(text, paper)
    row = at_depth.loc[pair]
    return Claim(text, paper, f"{said(row)}{of}", decided(row, theirs))


def said(row):
    t, p = claims.number(row["t"], ".2f"), claims.number(row["p"], ".2g")
    means = [claims.number(row[name], ".3g") for name in ("mean", "against mean")]
    interval = claims.shown((row["low"], row["high"]), "+.2g")
    return f"t {t}, p {p}, mean {means[0]} against {means[1]} (difference {interval})"


def decided(row, theirs):
    if not row["p"] < STANDARD:
        return UNDECIDED
    return AGREES if row["t"] * theirs > 0 else DISAGREES


def not_measured(depth, theirs, found):
    """What a depth between the paper's says instead is told, and decides nothing."""
    cell = next(iter(theirs))[0]
    text = f"Random hparams, depth {depth}: the {cell.upper()}'s losses are lower than every other cell's"
    claim = claims.missing(text, f"Welch's t {min(theirs.values()):g} to {max(theirs.values()):g}")
    instead = found[found["depth"] == found["depth"].max()]
    if not len(instead) or instead["depth"].iloc[0] in published.WELCH:
        return claim
    pairs = ", ".join(f"{row['against']} {claims.number(row['t'], '.1f')}" for _, row in instead.iterrows())
    return claim._replace(ours=f"not run; at depth {instead['depth'].iloc[0]} Welch's t against {pairs}")


FIGURE = Figure(
    name="tableA2",
    title="Table App.2: Welch's t between the losses that random hparams give two cells",
    finding="At depth 1 the GRU's losses are lower than every other cell's, at depth 8 the +RNN's, all of them "
    "significantly.",
    select=select,
    claims=found_claims,
    table=table,
)
