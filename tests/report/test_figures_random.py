"""Table 1, Figure 5 and Table App.2, of random draws: numbers and verdicts from results of known answers."""

import numpy as np
import pytest
from made_trainability import lossy, searched
from scipy import stats

from experiments.figures import fig5, table1, tableA2
from rnn_capacity.paper import published
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, UNDECIDED

# --- Table 1 ----------------------------------------------------------------------------------------------------------


def drawn(percent, depths=(1, 8), number=1000, **fields):
    """Random draws of which some percent diverged; percent: (cell, depth) -> percent."""
    made = []
    for depth in depths:
        for cell in published.INFEASIBLE.get(depth, published.INFEASIBLE[8]):
            diverged = round(number * percent(cell, depth) / 100)
            losses = [None] * diverged + [2.0 + i % 7 for i in range(number - diverged)]
            made.append(searched(cell, depth, losses, sampler="random", **fields))
    return made


def theirs(cell, depth):
    return published.INFEASIBLE[depth][cell]


def test_the_papers_own_percentages_agree_with_it():
    assert [c.verdict for c in table1.FIGURE.claims(table1.select(drawn(theirs)))] == [AGREES] * 3


def test_the_opposite_of_the_paper_disagrees_with_it():
    found = drawn(lambda cell, depth: 60 - theirs(cell, depth) + 10 * (depth == 8))
    assert [c.verdict for c in table1.FIGURE.claims(table1.select(found))] == [DISAGREES] * 3


def test_where_nothing_diverges_nothing_is_decided():
    found = table1.FIGURE.claims(table1.select(drawn(lambda *_: 0, number=20)))
    assert [c.verdict for c in found] == [UNDECIDED] * 3
    assert "all alike" in found[1].ours


def test_a_depth_of_4_stands_beside_no_number_of_the_paper_but_beside_the_order_of_depth_8():
    found = table1.select(drawn(lambda cell, depth: theirs(cell, 8 if depth == 4 else 1), depths=(1, 4)))
    table = table1.FIGURE.table(found)
    assert table.loc[table["depth"] == 4, "the paper's %"].isna().all()
    assert table.loc[table["depth"] == 1, "the paper's %"].notna().all()
    order = table1.FIGURE.claims(found)[1]
    assert order.verdict == AGREES
    assert "depth 4 beside depth 8: +1.00" in order.ours


def test_percentages_and_their_exact_intervals():
    found = table1.select([searched("gru", 1, [None] * 3 + [1.0] * 17, sampler="random")])
    row = table1.FIGURE.table(found).iloc[0]
    low, high = (stats.beta.ppf(q, a, b) for q, a, b in ((0.025, 3, 18), (0.975, 4, 17)))
    assert (row["diverged"], row["% diverged"], row["the paper's %"]) == (3, 15.0, 15.5)
    assert row["exact 95 %"] == f"{100 * low:.1f} to {100 * high:.1f}"


def test_rank_correlations_are_spearmans():
    rng = np.random.default_rng(0)
    mine, other = rng.permutation(6), rng.permutation(6)
    found = table1.correlations(stats.rankdata(mine), stats.rankdata(other)[:, None])
    assert found == pytest.approx(stats.spearmanr(mine, other).statistic)


def test_tuned_searches_are_not_random_draws():
    assert table1.select([searched(sampler="gp"), searched(task="arithmetic", sampler="random")]) == []


# --- Figure 5 and Table App.2 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "verdict"), [(3.0, AGREES), (5.0, DISAGREES)])
def test_welch_decides_pair_by_pair(loss, verdict):
    found = lossy(lambda cell, depth: loss if cell == published.EASIEST[depth] else 4.0)
    pairs = tableA2.FIGURE.claims(tableA2.FIGURE.select(found))
    assert [c.verdict for c in pairs] == [verdict] * 9
    assert [c.verdict for c in fig5.FIGURE.claims(fig5.FIGURE.select(found))] == [verdict] * 2


def test_means_that_are_alike_decide_nothing():
    found = lossy(lambda *_: 4.0, number=3)
    assert {c.verdict for c in tableA2.FIGURE.claims(tableA2.FIGURE.select(found))} == {UNDECIDED}


def test_welch_is_scipys_with_the_interval_of_the_difference():
    a, b = [1.0, 2.0, 4.0], [3.0, 5.0, 5.5, 8.0]
    found = tableA2.FIGURE.select([searched("gru", losses=[None, *a], sampler="random")])
    found += tableA2.FIGURE.select([searched("lstm", losses=b, sampler="random")])
    row = tableA2.FIGURE.table(found).iloc[0]
    known = stats.ttest_ind(a, b, equal_var=False)
    assert (row["cell"], row["against"], row["the paper's t"]) == ("gru", "lstm", -6.65)
    assert (row["t"], row["dof"], row["p"]) == pytest.approx((known.statistic, known.df, known.pvalue))
    assert (row["difference, low"], row["high"]) == pytest.approx(tuple(known.confidence_interval()))


def test_welch_at_depth_4_is_told_and_decides_nothing():
    found = tableA2.FIGURE.select(lossy(lambda cell, _: 3.0 if cell == "+rnn" else 4.0, depths=(4,)))
    shallow, deep = tableA2.FIGURE.claims(found)
    assert [shallow.verdict, deep.verdict] == [MISSING] * 2
    assert deep.ours.startswith("not run; at depth 4 Welch's t against gru -")
    assert tableA2.FIGURE.table(found)["the paper's t"].isna().all()


def test_figure_5_has_a_point_a_trial_and_says_how_many_diverged():
    found = fig5.select([searched("gru", losses=[None, 1.0, 2.0, 4.0], sampler="random")])
    points = fig5.points(found)
    assert points[["number", "loss"]].values.tolist() == [[1, 1.0], [2, 2.0], [3, 4.0]]
    assert points["_spread"].between(-1, 1).all()
    (chart,) = fig5.FIGURE.charts(found)
    assert chart.caption.endswith("diverged: gru 25 %")
    assert len(chart.spec["data"]["values"]) == 3
    assert fig5.FIGURE.table(found)["median"].tolist() == [2.0]
