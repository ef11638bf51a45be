"""Table 1: how many random draws of hparams diverge, by cell and depth, on parentheses.

python launch/sweep.py --config=experiments/figures/table1.py[:quick|:evening]

Quick: about 5 minutes on 2 cores, evening: about 2 hours.
"""

import math

import numpy as np
from scipy import stats

from experiments import common, trainability
from rnn_capacity.display import charts
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import Chart, Claim, Figure, once, readable, rows

# Few steps, but the paper's T: what diverges does so early, and by the products of many steps in time.
QUICK = trainability.QUICK | {"unroll": (175,), "num_trials": 32, "train_steps": 100}


EVENING = QUICK | {"num_trials": 300, "train_steps": 300}


def get_config(arg: str = ""):
    fields = common.at_scale(arg, QUICK, EVENING, trainability.FULL)
    fields = fields | {"space": "paper", "sampler": "random", "num_repeats": 0}
    fields |= {"per_cell": common.deeper(fields["depths"])}
    config = common.get_config(
        arg, quick=fields, evening=fields, full=fields, task="parentheses", cell=common.SIX_CELLS
    )
    return common.several(arg, random=config)


DRAWS = 10_000


def select(results):
    """Random draws of hparams on parentheses, a result a cell and depth."""
    drawn = [r for r in claims.trained(results, "parentheses") if r.sampler == "random"]
    return claims.in_order(once(drawn, lambda r: (claims.setting(r), r.cell, r.depth)))


def points(results):
    share = lambda r: claims.proportion(r.num_infeasible, r.num_trials)
    return rows(
        results,
        setting=claims.setting,
        diverged=lambda r: r.num_infeasible,
        percent=lambda r: 100 * r.num_infeasible / r.num_trials,
        low=lambda r: 100 * share(r)[0],
        high=lambda r: 100 * share(r)[1],
        paper=lambda r: published.INFEASIBLE.get(r.depth, {}).get(r.cell, math.nan),
    ).sort_values(["setting", "depth"], ascending=[False, True], kind="stable")


def table(results):
    found = readable(points(results)).rename(columns={"percent": "% diverged", "paper": "the paper's %"})
    exact = [f"{low:.1f} to {high:.1f}" for low, high in zip(found["low"], found["high"], strict=True)]
    return found.assign(exact=exact).rename(columns={"exact": "exact 95 %"}).drop(columns=["low", "high"])


def drawn_charts(results):
    x, y = charts.by_name(), charts.axis("percent", "% diverged", zero=True)
    made = []
    for (setting, depth), group in points(results).groupby(["setting", "depth"], sort=False):
        theirs = group.loc[group["paper"].notna(), ["cell", "paper"]].rename(columns={"paper": "percent"})
        group = group.drop(columns=["source", "study", "number"])  # all trials, not one
        spec = charts.intervals(group, x, y, ("low", "high"), behind=[charts.ticks(theirs, x, y)] * bool(len(theirs)))
        about = "exact 95 %; gray: the paper's" if len(theirs) else "exact 95 %; the paper has no such depth"
        made.append(Chart(f"{setting}, depth {depth}: random draws that diverged, {about}", spec))
    return made


def found_claims(results):
    results = claims.largest(results)
    at = {depth: {r.cell for r in group} for depth, group in by_depth(results).items()}
    lacking = dict.fromkeys(cell for depth in at for cell in published.cells_at(depth) if cell not in at[depth])
    made = (irnn_most(results), in_order(results), fewer_when_deep(results))
    return [claims.of_all(claim, lacking, ()) for claim in made]


def possible(result):
    """Draws of the share that diverges, given what was counted (Jeffreys' prior); the same for the same counts."""
    seed = [result.num_infeasible, result.num_trials, result.depth, *map(ord, result.cell)]
    diverged, others = result.num_infeasible + 0.5, result.num_trials - result.num_infeasible + 0.5
    return np.random.default_rng(seed).beta(diverged, others, DRAWS)


def middle(draws):
    """The 95 % interval of draws."""
    return tuple(float(end) for end in np.quantile(draws, (0.025, 0.975)))


def by_depth(results):
    depths = sorted({r.depth for r in results})
    return {depth: [r for r in results if r.depth == depth] for depth in depths}


def percent(result):
    return 100 * result.num_infeasible / result.num_trials


def asked(results):
    return f" ({claims.setting(results[0])})" if results else ""


def decided(text, paper, said, verdicts, results):
    """A claim of several depths, each of which must hold."""
    if not said:
        return claims.missing(text, paper)
    return Claim(text, paper, "; ".join(said) + asked(results), claims.worst(verdicts))


def published_shares(depth):
    theirs = dict(published.INFEASIBLE[depth])
    irnn = theirs.pop("irnn")
    return f"depth {depth}: {irnn} %, others {min(theirs.values())} to {max(theirs.values())} %"


def irnn_most(results):
    """By the IRNN's share less the greatest of the others', at each depth."""
    text, paper = "Random hparams: the IRNN diverges most", "; ".join(map(published_shares, published.INFEASIBLE))
    said, verdicts = [], []
    for depth, group in by_depth(results).items():
        irnn, others = ([r for r in group if (r.cell == "irnn") == is_irnn] for is_irnn in (True, False))
        if irnn and others:
            low, high = middle(possible(irnn[0]) - np.max([possible(r) for r in others], axis=0))
            most = max(others, key=percent)
            said.append(
                f"depth {depth}: {percent(irnn[0]):.1f} %, next {most.cell} {percent(most):.1f} %, difference "
                f"{100 * low:+.1f} to {100 * high:+.1f}"
            )
            verdicts.append(claims.verdict((low, high), (0.0, math.inf)))
    return decided(text, paper, said, verdicts, results)


def in_order(results):
    """By the rank correlation with the paper's percentages, of which all of the 95 % interval must be above 0.5.

    Depths that the paper does not have stand beside its depth 8, and the claim says so.
    """
    text, paper = "Random hparams: the order of the cells by how many diverge", "a rank correlation of 1"
    said, verdicts = [], []
    for depth, group in by_depth(results).items():
        beside = depth if depth in published.INFEASIBLE else 8
        theirs = published.INFEASIBLE[beside]
        group = [r for r in group if r.cell in theirs]
        if len(group) < 3:
            continue
        ranks = stats.rankdata([theirs[r.cell] for r in group])
        drawn = stats.rankdata([possible(r) for r in group], axis=0)
        low, high = middle(correlations(ranks, drawn))
        found = correlations(ranks, stats.rankdata([percent(r) for r in group])[:, None])[0]
        name = f"depth {depth}" if depth == beside else f"depth {depth} beside depth {beside}"
        shown = "all alike" if math.isnan(found) else f"{found:+.2f}"
        said.append(f"{name}: {shown} ({claims.shown((low, high), '+.2f')})")
        verdicts.append(claims.verdict((low, high), (0.5, 1.0)))
    return decided(text, paper, said, verdicts, results)


def correlations(ranks, drawn):
    """Of ranks (cells,) with each column of others (cells, draws); NaN where all are alike."""
    ours, theirs = drawn - drawn.mean(axis=0), (ranks - ranks.mean())[:, None]
    with np.errstate(invalid="ignore"):
        found = (ours * theirs).sum(axis=0) / np.sqrt((ours**2).sum(axis=0) * (theirs**2).sum())
    return np.minimum(found, 1.0)


def fewer_when_deep(results):
    """By the mean over cells of the difference between the deepest and the shallowest networks."""
    theirs = [published.INFEASIBLE[8][cell] - share for cell, share in published.INFEASIBLE[1].items()]
    text = "Random hparams: fewer diverge at the greater depth, on average over the cells"
    paper = f"depth 8 less depth 1: {np.mean(theirs):+.1f} points on average, {min(theirs):+.1f} to {max(theirs):+.1f}"
    depths = by_depth(results)
    if len(depths) < 2:
        return claims.missing(text, paper)
    shallow, deep = ({r.cell: r for r in depths[end]} for end in (min(depths), max(depths)))
    cells = [cell for cell in shallow if cell in deep]
    if not cells:
        return claims.missing(text, paper)
    low, high = middle(np.mean([possible(deep[cell]) - possible(shallow[cell]) for cell in cells], axis=0))
    changes = {cell: percent(deep[cell]) - percent(shallow[cell]) for cell in cells}
    each = ", ".join(f"{cell} {change:+.1f}" for cell, change in changes.items())
    average = f"{np.mean([*changes.values()]):+.1f} points on average ({100 * low:+.1f} to {100 * high:+.1f})"
    ours = f"depth {max(depths)} less depth {min(depths)}: {average}; {each}"
    return Claim(text, paper, ours + asked(results), claims.verdict((low, high), (-math.inf, 0.0)))


FIGURE = Figure(
    name="table1",
    title="Table 1: how many random draws of hparams diverge, by cell and depth",
    finding="The IRNN diverges most, in about half of 1000 draws; in every cell fewer diverge at depth 8 than at 1.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
