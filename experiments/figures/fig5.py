"""Figure 5: the losses that random hparams give, a box a cell and depth; of the studies of table1.

python launch/sweep.py --config=experiments/figures/fig5.py[:quick|:evening]
"""

import pandas as pd

from experiments.figures import tableA2
from experiments.figures.table1 import asked, get_config, percent, select
from rnn_capacity.display import charts
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import Chart, Claim, Figure, readable, rows
from rnn_capacity.studies.trials import box, losses

__all__ = ["FIGURE", "get_config"]
AXIS = charts.axis("loss", log=True, nice=False, padding=8)


def spread(number):
    """Where in its box a trial's point stands, from -1 to 1, the same every time: golden steps never meet."""
    return 2 * (number * 0.6180339887 % 1) - 1


def points(results):
    """A row a trial that ended and has a loss."""
    made = [pd.DataFrame(columns=["setting", "cell", "depth", "loss", "source", "study", "number", "_spread"])]
    for result in results:
        known = result.trials
        known = known[known["feasible"] & ~known["stopped_early"] & (known["eval_loss"].astype(float) > 0)]
        about = {"setting": claims.setting(result), "cell": result.cell, "depth": result.depth}
        about |= {"source": result.record.source, "study": result.study}
        number = known["number"].astype(int)
        made.append(
            pd.DataFrame({"loss": known["eval_loss"].astype(float), "number": number, "_spread": spread(number)})
        )
        made[-1] = made[-1].assign(**about)
    return pd.concat([frame for frame in made if len(frame)] or made[:1], ignore_index=True)


def table(results):
    spreads = {r.study + r.record.source: box(losses(r.trials)) for r in results}
    of = lambda name: lambda r: spreads[r.study + r.record.source][name]
    found = rows(
        results,
        setting=claims.setting,
        lower_quartile=of("lower"),
        median=of("median"),
        upper_quartile=of("upper"),
        percent_diverged=percent,
        paper=lambda r: published.INFEASIBLE.get(r.depth, {}).get(r.cell),
    ).sort_values(["setting", "depth"], ascending=[False, True], kind="stable")
    return readable(found).rename(columns={"paper": "the paper's percent"})


def drawn_charts(results):
    made = []
    for (setting, depth), group in points(results).groupby(["setting", "depth"], sort=False):
        of = [r for r in results if (claims.setting(r), r.depth) == (setting, depth)]
        diverged = ", ".join(f"{r.cell} {percent(r):.0f} %" for r in of)
        spec = charts.boxes(group.drop(columns="setting"), charts.by_name(), AXIS)
        made.append(Chart(f"{setting}, depth {depth}: losses of random draws; diverged: {diverged}", spec))
    return made


def found_claims(results):
    return [lowest(claims.largest(results), depth) for depth in published.WELCH]


def lowest(results, depth):
    """By Welch's t against every other cell, as in Table App.2."""
    theirs = published.WELCH[depth]
    cell = next(iter(theirs))[0]
    text = f"Random hparams: at depth {depth} the {cell.upper()}'s losses are the lowest on average"
    paper = f"Welch's t {min(theirs.values()):g} to {max(theirs.values()):g} against the others"
    found = tableA2.compare([r for r in results if r.depth == depth])
    if not len(found):
        return claims.missing(text, paper)
    verdict = claims.worst([tableA2.decided(row, -1.0) for _, row in found.iterrows()])
    told = lambda row: f"{row['against']} {claims.number(row['t'], '.1f')} (p {claims.number(row['p'], '.2g')})"
    pairs = ", ".join(told(row) for _, row in found.iterrows())
    claim = Claim(text, paper, f"t against {pairs}{asked(results)}", verdict)
    expected = dict.fromkeys(cell for pair in theirs for cell in pair)
    return claims.of_all(claim, expected, {r.cell for r in results if r.depth == depth})


FIGURE = Figure(
    name="fig5",
    title="Figure 5: the losses that random hparams give, by cell and depth",
    finding="Of 1000 random draws a cell, the GRU's losses are the lowest at depth 1 and the +RNN's at depth 8.",
    select=select,
    claims=found_claims,
    table=table,
    charts=drawn_charts,
)
