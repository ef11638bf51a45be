"""Figures 2a, 2b and 2c, of nonlinearity, T and recall: claims, tables and drawings whose answers are known by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from made import NAN, changed
from made_capacity import claimed, make_capacity, make_recall, told, verdicts
from scipy import stats

from experiments.figures import fig2a, fig2b, fig2c
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED

# --- Figure 2a --------------------------------------------------------------------------------------------------------


def test_tanh_alone_stands_beside_relu_and_where_it_was_not_measured_the_choice_of_both():
    relu = make_capacity(bits=3.0, held="relu")
    tanh, either = make_capacity(bits=4.0, held="tanh"), make_capacity(bits=5.0, held=["tanh", "relu"])
    other = make_capacity("gru")
    for given, chosen in (([either, tanh], tanh), ([tanh, either], tanh), ([either], either)):
        assert fig2a.select([*given, other, relu, make_capacity("irnn")]) == [relu, chosen]
    assert fig2a.select([tanh, either]) == []
    assert list(told(fig2a, [either, relu])["nonlinearity"]) == ["relu", "tanh or relu"]
    assert told(fig2a, [tanh, relu])[["learning rates", "paper"]].to_numpy().tolist() == [
        ["0.02 to 0.06", "about 3.5"],
        ["0.02 to 0.06", "-"],
    ]


def test_learning_rates_that_differ_are_told():
    def caption(low):
        slower = {"nonlinearity": "relu", "learning_rate": {"low": low, "high": 0.06, "log": True}}
        results = [make_capacity(bits=3.0, space=slower), make_capacity(bits=4.0)]
        return fig2a.FIGURE.charts(fig2a.select(results))[0].caption

    assert caption(0.01).endswith("searched: 0.01 to 0.06 for ReLU alone, 0.02 to 0.06 for tanh")
    assert "Learning rates" not in caption(0.02)


def test_the_cost_of_relu_at_one_point_is_by_welchs_interval_of_the_repeats():
    def of(relu, tanh):
        return [make_capacity(bits=3.0, held="relu", repeats=relu), make_capacity(bits=4.0, repeats=tanh)]

    low, high = (2.5, 2.7, 2.9), (3.6, 3.8, 4.0, 3.8)
    claim = fig2a.below(of(low, high))
    expected = stats.ttest_ind(low, high, equal_var=False).confidence_interval(0.95)
    assert claim.ours == f"rnn 3.00 against 4.00, both again -1.10 ({expected.low:+.2f} to {expected.high:+.2f})"
    assert claim.verdict == AGREES
    assert fig2a.below(of(high, low)).verdict == DISAGREES
    for undecided in (of(low, low), of(low, high[:1]), of((), ())):
        assert fig2a.below(undecided).verdict == UNDECIDED


def test_the_cost_of_relu_at_several_points_is_by_their_pairs():
    def of(*differences):
        pairs = zip((500, 600, 700), differences, strict=True)
        pairs = [(make_capacity(bits=4 + d, max_params=n, held="relu"), make_capacity(max_params=n)) for n, d in pairs]
        return [result for pair in pairs for result in pair]

    claim = fig2a.below(of(-1.0, -1.1, -0.9))
    assert (claim.ours, claim.verdict) == ("rnn -1.00 (-1.25 to -0.75), 3 points", AGREES)
    assert fig2a.below(of(1.0, 1.1, 0.9)).verdict == DISAGREES
    assert fig2a.below(of(-1.0, 0.5, -0.9)).verdict == UNDECIDED


def test_about_3_5_is_within_half_a_bit():
    def of(bits, *repeats):
        return [make_capacity(cell, bits, held="relu", repeats=repeats) for cell in ("rnn", "ugrnn")]

    assert verdicts(fig2a, of(3.5, 3.4, 3.5, 3.45)) == [MISSING, AGREES]
    assert verdicts(fig2a, of(2.4, 2.3, 2.4, 2.35)) == [MISSING, NOT_REACHED]
    assert verdicts(fig2a, of(4.4, 4.3, 4.4, 4.35)) == [MISSING, DISAGREES]
    assert verdicts(fig2a, of(3.1, 3.0, 3.1, 2.9)) == [MISSING, UNDECIDED]
    (_, claim) = claimed(fig2a, of(2.4, 2.3, 2.3))
    assert claim.ours == "rnn 2.40 (again 2.30 to 2.30); ugrnn 2.40 (again 2.30 to 2.30)"


def test_relu_and_tanh_are_joined_on_a_line_of_their_own():
    results = fig2a.select([make_capacity(bits=3.0, held="relu"), make_capacity(bits=4.0)])
    (chart,) = fig2a.FIGURE.charts(results)
    rows = chart.spec["data"]["values"]
    assert {row["_what"] for row in rows} == {"rnn, 400 parameters"}
    assert [(row["kind"], row["bits per parameter"]) for row in rows] == [("ReLU alone", 3.0), ("tanh", 4.0)]
    assert chart.spec["layer"][0]["data"]["values"] == [{"bits per parameter": 3.5}]  # the paper's
    assert "the paper's with ReLU alone, about 3.5" in chart.caption


# --- Figure 2b --------------------------------------------------------------------------------------------------------


def over(growth, cells=("rnn", "gru", "lstm"), spread=0.01):
    """Bits per parameter at each T, those of the cells a little apart."""
    apart = np.linspace(1 - spread, 1 + spread, len(cells))
    return [
        make_capacity(cell, 3.0 * factor * (share if T != 5 else 1.0), unroll=T)
        for cell, share in zip(cells, apart, strict=True)
        for T, factor in growth.items()
    ]


def test_growth_is_the_ratio_of_t_5_to_t_1_and_saturation_that_of_the_greatest_to_t_5():
    grows, stays = claimed(fig2b, over({1: 0.5, 5: 1.0, 8: 1.3, 12: 1.0}))
    assert (grows.verdict, stays.verdict) == (AGREES, AGREES)
    assert grows.ours.startswith("2.00 times from T = 1 to 5 (1.9")
    assert stays.ours.startswith("1.00 times from T = 5 to 12 (0.9")
    assert grows.ours.endswith(", 3 lines")
    assert verdicts(fig2b, over({1: 1.5, 5: 1.0, 12: 1.3})) == [DISAGREES, DISAGREES]
    assert verdicts(fig2b, over({1: 1.0, 5: 1.0, 12: 1.1})) == [UNDECIDED, UNDECIDED]
    assert verdicts(fig2b, over({1: 0.5, 5: 1.0})) == [AGREES, MISSING]
    assert verdicts(fig2b, over({2: 0.5, 5: 1.0, 9: 1.0})) == [MISSING, AGREES]
    assert verdicts(fig2b, over({1: 0.5, 12: 1.0})) == [MISSING, MISSING]


def test_what_was_measured_at_the_papers_t_alone_is_none_of_figure_2b():
    shown = [make_capacity(unroll=T) for T in (1, 5)]
    assert fig2b.select([*shown, make_capacity("gru"), make_capacity(max_params=900)]) == shown


def test_a_panel_a_budget_has_a_line_a_cell_over_t():
    results = [r for n in (500, 900) for r in (changed(r, max_params=n) for r in over({5: 1.0, 1: 0.5}))]
    found = fig2b.FIGURE.charts(fig2b.select(results))
    assert [c.caption.split(":")[0] for c in found] == ["Depth 1, 500 parameters", "Depth 1, 900 parameters"]
    for chart in found:
        lines = pd.DataFrame(chart.spec["data"]["values"]).groupby("cell")["T"].agg(list)
        assert lines.to_dict() == {cell: [1, 5] for cell in ("rnn", "gru", "lstm")}
    assert list(told(fig2b, over({1: 0.5, 5: 1.0}, ["rnn"]))["paper"]) == ["grows", "flat from here"]


# --- Figure 2c --------------------------------------------------------------------------------------------------------


def test_the_line_is_judged_by_the_farthest_point_of_each_cell():
    near = [make_recall("rnn", 16, 0.76), make_recall("rnn", 64, 0.02), make_recall("gru", 48, 0.22)]
    claim = fig2c.on_the_line(near)
    assert claim.verdict == AGREES
    assert "rnn +0.020 at 64; gru -0.030 at 48" in claim.ours
    for far, verdict in ((0.31, NOT_REACHED), (0.19, DISAGREES)):
        claim = fig2c.on_the_line([*near, make_recall("lstm", 48, far)])
        assert claim.verdict == verdict
        assert f"lstm {far - 0.25:+.3f} at 48" in claim.ours


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({48: 0.25, 64: 0.01}, AGREES),
        ({48: 0.25, 64: 0.06}, NOT_REACHED),
        ({48: 0.04, 64: 0.01}, DISAGREES),
        ({48: 0.25, 63: 0.01, 64: 0.01}, AGREES),  # the line is at 0.0156 there
        ({48: 0.25}, UNDECIDED),
        ({64: 0.01}, UNDECIDED),
        ({64: 0.06}, NOT_REACHED),
        ({64: NAN}, MISSING),
    ],
)
def test_the_input_is_given_back_if_and_only_if_there_are_enough_units(errors, expected):
    known = [make_recall("rnn", units, error) for units, error in errors.items() if not math.isnan(error)]
    assert fig2c.only_with_enough_units(known).verdict == expected


def test_recall_is_drawn_beside_the_line_and_off_it():
    results = [make_recall("gru", 80, 0.02), make_recall("gru", 16, 0.8), make_recall("+rnn", 160, 0.1, depth=2)]
    error, off = fig2c.FIGURE.charts(fig2c.select(results))
    line = error.spec["layer"][0]["data"]["values"]
    assert [[*point.values()] for point in line] == [[0, 1], [64, 0], [160, 0]]
    found = pd.DataFrame(error.spec["data"]["values"])[["cell", "depth", "units", "squared error"]]
    assert found.to_numpy().tolist() == [["gru", 1, 16, 0.8], ["gru", 1, 80, 0.02], ["+rnn", 2, 160, 0.1]]
    departures = [row["off the line"] for row in off.spec["data"]["values"]]
    assert departures == pytest.approx([0.05, 0.02, 0.1])
    found = told(fig2c, results)
    assert found["paper: the line"].tolist() == [0.75, 0, 0]


def test_recall_of_another_size_or_t_is_none_of_the_figure():
    assert fig2c.select([make_recall(num_inputs=32), make_recall(unroll=20), make_capacity()]) == []
