"""Figures 1, 1i and App.1, of each cell's capacity: claims, tables and drawings whose answers are known by hand."""

import math
import re

import pytest
import vl_convert
from made_capacity import BITS, MAPPINGS, claimed, diverged, make_capacity, told, verdicts

from experiments.figures import fig1, fig1i, figA1
from rnn_capacity.display import charts
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED

# --- Figure 1 ---------------------------------------------------------------------------------------------------------


def test_the_wider_of_two_searches_of_one_budget_is_taken_for_figure_1():
    held, free = make_capacity(bits=3.0, held="tanh"), make_capacity(bits=4.0, held=["tanh", "relu"])
    for order in ([held, free], [free, held]):
        assert fig1.select(order) == [free]
    assert fig1.select([make_capacity(held="relu"), make_capacity(unroll=3)]) == []
    assert fig1.select([make_capacity("irnn")]) != []


def test_the_greater_budget_is_taken_of_a_point_measured_twice():
    small, great = make_capacity(), make_capacity(total_steps=301)
    assert fig1.select([great, small]) == [great]


def test_the_band_is_judged_by_the_mean_of_each_cell():
    inside = [make_capacity(bits=bits, max_params=size) for bits, size in ((4.0, 500), (4.2, 600), (4.1, 700))]
    below = [make_capacity("gru", bits, max_params=size) for bits, size in ((2.0, 500), (2.2, 600), (2.1, 700))]
    assert fig1.within_the_band(inside).verdict == AGREES
    found = fig1.within_the_band([*inside, *below])
    assert found.verdict == NOT_REACHED
    assert found.spent.startswith(
        "1,000 trials of 50,000 steps a point, no best in the last quarter; the paper: 1000 and more"
    )
    above = [make_capacity("gru", bits, max_params=size) for bits, size in ((7.0, 500), (7.2, 600), (7.1, 700))]
    assert fig1.within_the_band([*inside, *above]).verdict == DISAGREES  # a lower bound beyond it
    # Of three values 0.1 apart: 4.3027 standard errors of 0.1 / sqrt(3).
    assert "rnn 4.10 (3.85 to 4.35); gru 2.10 (1.85 to 2.35); 3 of 6 points inside" in found.ours
    assert fig1.within_the_band(inside[:1]).verdict == UNDECIDED


UNFAIR = {
    "one side had more trials": {"num_trials": 2000},
    "one side had more steps": {"train_steps": 99_000},
    "the best of one side came last": {"best_number": 750},
}


@pytest.mark.parametrize("fields", UNFAIR.values(), ids=UNFAIR)
def test_an_unfair_comparison_refutes_no_order_and_says_why(fields):
    """The IRNN far above the others, in a fair comparison and in one that is not."""
    others = [make_capacity(cell, 3.0 + 0.01 * n, max_params=n) for cell in BITS if cell != "irnn" for n in (500, 600)]
    irnn = lambda **more: [make_capacity("irnn", 9.0 + 0.01 * n, max_params=n, **more) for n in (500, 600)]
    assert fig1.irnn_lowest([*others, *irnn()]).verdict == DISAGREES
    unfair = fig1.irnn_lowest([*others, *irnn(**fields)])
    assert unfair.verdict == UNDECIDED
    assert "searched unlike" in unfair.ours or "best in the last quarter of the trials: irnn" in unfair.ours


# --- Figure 1i --------------------------------------------------------------------------------------------------------


def test_a_multiplier_is_the_geometric_mean_of_ratios_at_the_same_depth_and_budget():
    results = [
        make_capacity("rnn", 4.0),
        make_capacity("rnn", 4.0, depth=2),
        make_capacity("rnn", 5.0, max_params=900),  # the gru has no such point
        make_capacity("gru", 2.0),  # 2 times
        make_capacity("gru", 0.5, depth=2),  # 8 times
    ]
    times, (low, high), points = fig1i.multiplier(results, "gru", "rnn")
    # Logarithms of base 2: 1 and 3, of mean 2 and standard error 1; Student's t of one degree of freedom is 12.706.
    half = 12.7062047
    assert (times, low, high, points) == pytest.approx((4, 2 ** (2 - half), 2 ** (2 + half), 2))
    assert fig1i.multiplier(results, "rnn", "gru")[0] == pytest.approx(1 / 4)
    table = told(fig1i, results)
    assert list(table["cell"]) == ["rnn", "gru"]
    assert list(table[fig1i.PLACE]) == ["1 of 6", "3 of 6"]
    assert table["rnn"].tolist()[0] == table["gru"].tolist()[1] == "1"
    assert table["rnn"].tolist()[1].startswith("4.00 (")
    assert table["gru"].tolist()[0].startswith("0.25 (")


def test_the_order_of_multipliers_is_claimed_by_neighbours():
    def of(rnn, ugrnn):
        sizes = (500, 600, 700)
        noise = dict(zip(sizes, (1.0, 1.01, 0.99), strict=True))
        bits = {"rnn": rnn} | {cell: ugrnn * 0.8**k for k, cell in enumerate(("ugrnn", "gru", "lstm", "+rnn", "irnn"))}
        noisy = lambda k, n: noise[n] if k % 2 else 1.0
        return [make_capacity(c, bits[c] * noisy(k, n), max_params=n) for k, c in enumerate(bits) for n in sizes]

    (claim,) = claimed(fig1i, of(4.0, 2.0))
    assert claim.verdict == AGREES
    assert claim.ours.startswith("ugrnn 2.00 times rnn (1.9")
    assert claim.paper.startswith("rnn < ugrnn < gru < lstm < +rnn < irnn")
    assert verdicts(fig1i, of(2.0, 4.0)) == [DISAGREES]
    assert verdicts(fig1i, of(4.0, 4.0)) == [UNDECIDED]


def test_the_map_of_multipliers_has_a_cell_for_each_pair_dark_where_far_from_1():
    results = [make_capacity("rnn", 4.0), make_capacity("gru", 2.0), diverged(make_capacity("lstm"))]
    (chart,) = fig1i.FIGURE.charts(fig1i.select(results))
    rows = {(row["cell"], row[fig1i.OTHER]): row for row in chart.spec["data"]["values"]}
    assert len(rows) == 9
    assert (rows["gru", "rnn"]["text"], rows["rnn", "gru"]["text"], rows["lstm", "rnn"]["text"]) == (
        "2.00",
        "0.50",
        "-",
    )
    assert rows["gru", "rnn"]["shade"] == -rows["rnn", "gru"]["shade"] == pytest.approx(math.log(2), abs=1e-4)
    assert rows["lstm", "rnn"]["shade"] is None


def test_the_map_of_multipliers_is_in_order_blue_below_1_and_orange_above():
    results = [make_capacity("rnn", 4.0), make_capacity("gru", 2.0), make_capacity("+rnn", 3.0)]
    results = fig1i.select([*results, diverged(make_capacity("lstm"))])
    names = ["rnn", "gru", "lstm", "+rnn"]
    (chart,) = fig1i.FIGURE.charts(results)
    svg = vl_convert.vegalite_to_svg(chart.spec)
    filled = rf'{fig1i.OTHER}: (.+?); cell: (.+?); shade[^>]* d="M(\d+),(\d+)[^>]* fill="rgb\((\d+), (\d+), (\d+)\)"'
    on_page = re.findall(filled, svg)
    assert len(on_page) == 9  # those without a number have no colour
    for other, cell, x, y, *_ in on_page:
        assert (int(x) // 20, int(y) // charts.ROW) == (names.index(other), names.index(cell))
    fills = {(cell, other): [*map(int, rgb)] for other, cell, _, _, *rgb in on_page}
    blue, orange = fills["rnn", "gru"], fills["gru", "rnn"]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


# --- Figure App.1 -----------------------------------------------------------------------------------------------------


def test_a_point_is_a_trial_that_ended_and_did_not_diverge():
    result = make_capacity(bits=4.0, b=5.0)
    result.trials.loc[0, "stopped_early"] = True
    found = figA1.points([result, make_capacity("gru", bits=2.0, b=3.0)])
    assert found[["cell", figA1.SHOWN, figA1.STORED, "_best"]].to_numpy().tolist() == [
        ["rnn", 5.0, 4.0, True],
        ["gru", 6.0, 1.0, False],
        ["gru", 3.0, 2.0, True],
    ]


def test_the_best_b_is_judged_by_the_mean_ratio():
    slightly = [make_capacity(bits=4.0, b=b, max_params=n) for b, n in ((4.4, 500), (4.48, 600), (4.32, 700))]
    (claim,) = claimed(figA1, slightly)
    # Ratios 1.1, 1.12, 1.08: 4.3027 standard errors of 0.02 / sqrt(3) are 0.0497.
    assert claim.ours.startswith("1.100 times (1.050 to 1.150), the best of 3 studies")
    assert claim.ours.endswith("b was searched within 2 to 5 per parameter")
    assert claim.verdict == AGREES
    much = [make_capacity(bits=4.0, b=b, max_params=n) for b, n in ((6.0, 500), (6.4, 600), (6.2, 700))]
    assert verdicts(figA1, much) == [NOT_REACHED]
    assert verdicts(figA1, [slightly[0], much[0]]) == [UNDECIDED]
    assert told(figA1, slightly)["b over bits"].tolist() == pytest.approx([1.1, 1.12, 1.08])


def test_a_b_that_was_given_says_nothing_about_which_is_best():
    searched = [make_capacity(bits=4.0, b=b, max_params=n) for b, n in ((4.4, 500), (4.48, 600), (4.32, 700))]
    given = make_capacity(bits=1.0, b=5.0, max_params=800, space=searched[0].record.space | {"mappings_per_param": 5.0})
    (claim,) = claimed(figA1, [*searched, given])
    assert claim.ours.startswith("1.100 times (1.050 to 1.150), the best of 3 studies")
    (claim,) = claimed(figA1, [given])
    assert claim.verdict == MISSING


def test_b_that_followed_the_best_is_told():
    usual = make_capacity().record.space
    around = usual | {"mappings_per_param": MAPPINGS | {"around_best": [1.0, 1.5, 2.5]}}
    results = [make_capacity(max_params=n, space=around) for n in (500, 600, 700)]
    (claim,) = claimed(figA1, results)
    assert claim.ours.endswith("2 to 5 per parameter, after the first trials from 1 to 1.5 times the best")


def test_a_chart_a_cell_shows_its_trials_under_the_line_and_the_best_apart():
    results = [make_capacity("rnn", bits=4.0, b=5.0), make_capacity("gru", bits=2.0, b=3.0)]
    found = figA1.FIGURE.charts(figA1.select(results))
    assert [chart.caption.split(",")[0].split(":")[0] for chart in found] == ["rnn", "gru"]
    for chart, points in zip(found, ([(10, 2, False), (5, 4, True)], [(6, 1, False), (3, 2, True)]), strict=True):
        rows = chart.spec["data"]["values"]
        assert [(row[figA1.SHOWN], row[figA1.STORED], row["_best"]) for row in rows] == points
        line = chart.spec["layer"][0]["data"]["values"]
        assert [[*point.values()] for point in line] == [[1, 1], [10, 10]]
