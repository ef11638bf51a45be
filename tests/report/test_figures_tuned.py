"""Figures 3 and 4 and Table App.1, of tuned searches: numbers, verdicts and drawings from results of known answers."""

import math

import numpy as np
import pytest
from made import changed
from made_trainability import repeated, searched, sized, tuned

from experiments.figures import fig3, fig4, tableA1
from rnn_capacity.paper import published
from rnn_capacity.report import claims
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED


def claim(figure, results, index):
    """The claim at an index, of what the figure itself selects."""
    return figure.claims(figure.select(results))[index]


# --- Figure 3 ---------------------------------------------------------------------------------------------------------


def test_loss_by_parameters_agrees_and_loss_by_units_disagrees():
    noise = {"rnn": 1.0, "ugrnn": 1.02, "gru": 0.99, "lstm": 1.01}
    of_parameters = sized(lambda size, units, cell: noise[cell] * size**-0.5)
    of_units = sized(lambda size, units, cell: noise[cell] / units)
    assert fig3.same_by_parameters("functions", fig3.select(of_parameters)).verdict == AGREES
    assert fig3.same_by_parameters("functions", fig3.select(of_units)).verdict == DISAGREES
    assert claim(fig3.FIGURE, of_parameters, 1).verdict == MISSING  # without the IRNN


def test_how_far_two_cells_are_apart_by_hand():
    """loss = k / parameters: log k at the same parameters; at the same units a cell of g gates has g times as many."""
    k = {"rnn": 1.0, "lstm": 1.1}
    found = [r for r in sized(lambda size, units, cell: k.get(cell, 1) / size) if r.cell in k]
    ((pair, (by_params, by_units)),) = fig3.distances(fig3.select(found))
    assert pair == ("rnn", "lstm")
    assert by_params == pytest.approx(math.log(1.1) ** 2)
    assert by_units == pytest.approx(math.log(1.1 / 4) ** 2)


def test_the_jackknife_by_hand():
    """Log ratios with each cell left out, their spread, and Student's t for two degrees of freedom."""
    pairs = [(("a", "b"), (1.0, 4.0)), (("a", "c"), (4.0, 4.0)), (("b", "c"), (1.0, 16.0))]
    ratio, (low, high) = fig3.ratio_of(pairs)
    left = np.log([1 / 4, 1, 1 / 2])  # without a, without b, without c
    error = math.sqrt(2 / 3 * np.sum((left - left.mean()) ** 2))
    assert ratio == pytest.approx(math.sqrt(6 / 24))
    assert (math.log(low), math.log(high)) == pytest.approx(math.log(ratio) + 4.3026527 * error * np.array([-1, 1]))


def test_cells_of_one_size_or_of_no_common_units_are_not_compared():
    alone = sized(lambda size, units, cell: 0.5, sizes=(500,))
    assert claim(fig3.FIGURE, alone, 1).verdict == MISSING
    assert "no two cells overlap" in claim(fig3.FIGURE, alone, 1).ours


def test_synthetic_text_stands_beside_its_entropy_and_not_beside_the_papers_best():
    fields = {"score_name": "bits_per_char"}
    synthetic = fig3.select(sized(lambda *_: 2.5, "text8:synthetic", **fields))
    assert "entropy, 2.28 bits" in fig3.FIGURE.claims(synthetic)[0].ours
    assert 1.54927 not in list(fig3.FIGURE.table(synthetic)["loss"])
    real = fig3.select(sized(lambda *_: 2.5, "text8", **fields))
    assert list(fig3.FIGURE.table(real)["loss"])[-1] == 1.54927
    assert "entropy" not in fig3.FIGURE.claims(real)[0].ours
    said = [[chart.caption for chart in fig3.FIGURE.charts(found)] for found in (synthetic, real)]
    assert ["entropy" in caption for caption in said[0]] == [True, True]
    assert ["the paper's best" in caption for caption in said[1]] == [True, False]  # its units are not known


@pytest.mark.parametrize(
    ("score", "size", "verdict"),
    [
        (1.6, 1_250_000, AGREES),
        (3.0, 1_250_000, NOT_REACHED),
        (0.9, 1_250_000, DISAGREES),
        (1.6, 10_000, MISSING),
    ],
)
def test_the_best_text_is_compared_at_its_size_alone(score, size, verdict):
    found = searched("lstm", 4, [1.0], task="text8", num_params=size, score=score)
    assert claim(fig3.FIGURE, [found], 2).verdict == verdict


def test_losses_in_nats_are_drawn_in_bits():
    found = searched(task="text8", losses=[1.5], repeats=[1.4, 1.6], score_name="bits_per_char")
    row = fig3.points(fig3.select([found])).iloc[0]
    assert (row["loss"], row["low"], row["high"]) == pytest.approx(np.array([1.5, 1.4, 1.6]) / math.log(2))


def test_an_interval_below_0_is_cut_where_the_axis_is_logarithmic():
    found = fig3.select([searched(task="random_functions", losses=[0.5], interval=[-1.0, 2.0], repeats=[0.1, 0.9])])
    assert fig3.points(found)["low"].tolist() == [-1.0]
    (row,) = fig3.FIGURE.charts(found)[0].spec["data"]["values"]
    assert (row["low"], row["high"]) == (0.25, 2.0)


def test_the_panels_of_figure_3():
    found = sized(lambda size, *_: 1 / size) + sized(lambda size, *_: 2 + 1 / size, "text8", score_name="bits_per_char")
    made = fig3.FIGURE.charts(fig3.select(found))
    assert [chart.caption.split(":")[0] for chart in made] == ["Loss against parameters", "Loss against units"] * 2
    units = [row["units"] for row in made[3].spec["data"]["values"] if row["cell"] == "lstm"]
    assert units == pytest.approx([math.sqrt(size / 4) for size in (500, 2000, 8000)], rel=1e-3)


# --- Figure 4 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gated", "verdict"), [(0.1, AGREES), (4.0, DISAGREES)])
def test_gated_cells_are_easier_or_harder(gated, verdict):
    found = tuned(lambda cell, depth: gated * depth if cell in published.GATED else depth)
    best = claim(fig4.FIGURE, found, 0)
    assert best.verdict == verdict
    assert best.ours.startswith(f"{gated:.2f} times theirs")
    assert claim(fig4.FIGURE, found, 1).ours.startswith("1.00 times theirs")  # the medians are alike


def test_one_task_and_depth_decides_nothing():
    found = tuned(lambda cell, depth: 0.1 if cell in published.GATED else 1.0, depths=(1,), tasks=("arithmetic",))
    assert claim(fig4.FIGURE, found, 0).verdict == UNDECIDED


def test_cells_are_compared_after_as_many_iterations():
    losses = {cell: [9.0, 9.0, 0.1] for cell in ("irnn", "ugrnn", "lstm")}
    losses |= {"gru": [5.0, 4.0], "rnn": [6.0, 3.0, 1.0]}
    found = [searched(cell, losses=of_cell) for cell, of_cell in losses.items()]
    found.append(searched("a_cell_of_ones_own", losses=[0.1]))  # of one trial
    (at,) = fig4.fairly(fig4.select(found), "best").values()
    expected = {"irnn": 9.0, "ugrnn": 9.0, "gru": 4.0, "lstm": 9.0, "rnn": 3.0}
    assert {cell: math.exp(loss) for cell, loss in at.items()} == pytest.approx(expected)
    assert fig4.fairly(fig4.select(found[:2]), "best") == {}


def test_one_larger_search_of_one_cell_does_not_stand_for_all():
    whole = [searched(cell, unroll=175) for cell in published.INFEASIBLE[1]]
    known = claims.trained([*whole, searched("gru", unroll=200)], "parentheses")
    assert {r.unroll for r in claims.largest(known)} == {175}


@pytest.mark.parametrize(
    ("ungated", "gated", "verdict"), [(3.1, 0.1, AGREES), (0.1, 0.1, DISAGREES), (3.1, 3.1, NOT_REACHED)]
)
def test_who_learns_at_depth_8(ungated, gated, verdict):
    found = tuned(lambda cell, _: gated if cell in published.GATED else ungated, (1, 8), ("parentheses",))
    assert claim(fig4.FIGURE, found, 2).verdict == verdict


def test_depth_4_is_told_and_is_not_depth_8():
    found = claim(fig4.FIGURE, tuned(lambda cell, _: 0.1 if cell in published.GATED else 9.0), 2)
    assert found.verdict == MISSING
    assert "depth 8 was not run, only 1, 4; at 4: gated 8 of 8, rnn and irnn 0 of 4 learned" in found.ours


@pytest.mark.parametrize(("loss", "verdict"), [(0.1, AGREES), (5.0, DISAGREES)])
def test_the_easiest_cell(loss, verdict):
    found = tuned(lambda cell, depth: loss if cell == published.EASIEST[depth] else 1.0, depths=(1, 8))
    assert [claim(fig4.FIGURE, found, index).verdict for index in (3, 4)] == [verdict] * 2


def test_who_never_reads_the_input():
    """After one of six brackets each of three streams has its count at 1 where that bracket opened it, else at 0."""
    fields = {"num_types": 3, "num_noise": 1, "noise_fraction": 0.0, "unroll": 1}
    opened = 1 / 6
    by_hand = -3 * (opened * math.log(opened) + (1 - opened) * math.log(1 - opened))
    assert fig4.without_input(searched(task_fields=fields)) == pytest.approx(by_hand, abs=0.05)
    assert math.isnan(fig4.without_input(searched(task_fields={"of another version": 1})))


def test_figure_4_draws_the_best_and_the_median_of_each_search():
    found = fig4.select([searched("gru", losses=[None, 4.0, 2.0]), searched("rnn", 4, [3.0, 1.0])])
    shallow, deep = fig4.FIGURE.charts(found)
    rows = [(row["trials"], row["best"], row["median"]) for row in shallow.spec["data"]["values"]]
    assert rows == [(2, 4.0, 4.0), (3, 2.0, 3.0)]
    assert "depth 4: best loss so far, and pale the median; gray: who never reads the input" in deep.caption


def test_long_searches_are_thinned_but_for_what_changes():
    losses = list(np.random.default_rng(0).exponential(size=2500))
    rows = fig4.steps(fig4.select([searched(losses=losses)]))
    leads = np.flatnonzero(np.minimum.accumulate(losses) == losses)
    assert len(rows) < 200
    assert set(leads + 1) | {2500} <= set(rows["trials"])
    last = rows.iloc[-1]
    assert (last["best"], last["number"]) == (min(losses), losses.index(min(losses)))


# --- Table App.1 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("irnn", "others", "verdicts"),
    [
        (10, 0, [AGREES, AGREES]),
        (0, 8, [DISAGREES, DISAGREES]),
        (4, 1, [AGREES, UNDECIDED]),
        (3, 1, [DISAGREES, UNDECIDED]),
    ],
)
def test_how_often_the_best_diverges_again(irnn, others, verdicts):
    found = repeated(lambda cell: irnn if cell == "irnn" else others)
    assert [claim(tableA1.FIGURE, found, index).verdict for index in (0, 1)] == verdicts


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, AGREES), (0.5, DISAGREES)])
def test_the_best_of_a_search_is_optimistic(factor, verdict):
    found = repeated(lambda _: 0, factor=factor)
    found[0] = changed(found[0], repeats=[1.1 * loss for loss in found[0].repeats])
    optimism = claim(tableA1.FIGURE, found, 2)
    assert optimism.verdict == verdict
    ratios = np.log([1.1 * factor, *[factor] * 4])
    assert optimism.ours.startswith(f"{math.exp(ratios.mean()):.2f} times the original")
    assert optimism.paper.startswith("2.08 times the original")  # of the table's five ratios, by hand


@pytest.mark.parametrize(("lower", "verdict"), [(("gru",), AGREES), (("rnn", "irnn", "ugrnn", "lstm"), DISAGREES)])
def test_the_mean_against_the_original_cell_by_cell(lower, verdict):
    less = lambda result: 8 if result.cell in lower else 1
    found = [changed(r, repeats=[loss / less(r) for loss in r.repeats]) for r in repeated(lambda _: 0, factor=2.0)]
    assert claim(tableA1.FIGURE, found, 3).verdict == verdict


def test_the_table_of_repeats_by_hand():
    found = searched("gru", losses=[3.0, 0.5], repeats=[1.0, 2.0, 6.0], num_infeasible_repeats=1)
    row = tableA1.FIGURE.table(tableA1.select([found])).iloc[0]
    assert row[["times", "original", "percent infeasible", "min", "mean", "max"]].tolist() == [
        4,
        0.5,
        25.0,
        1.0,
        3.0,
        6.0,
    ]
    assert row["SD"] == pytest.approx(math.sqrt(7))
    assert row[["paper: original", "paper: %", "paper: SD"]].tolist() == [2.8e-4, 1, 9.08e-5]
