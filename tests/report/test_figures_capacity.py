"""Figures of capacity and recall: claims, tables and drawings of made-up results whose answers are known by hand."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import vl_convert
from made import NAN, changed, make, words_of
from scipy import stats

from experiments.figures import fig1, fig1i, fig2a, fig2b, fig2c, figA1, modern, precision
from rnn_capacity.cells import PAPER_CELLS
from rnn_capacity.display import charts, plots
from rnn_capacity.information import confidence_interval
from rnn_capacity.model.formats import ROUNDED
from rnn_capacity.paper import published
from rnn_capacity.report import claims, drawing
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED, Chart

MODULES = {"fig1": fig1, "fig1i": fig1i, "figA1": figA1, "fig2a": fig2a, "fig2b": fig2b, "fig2c": fig2c}
RANDOM = {"optimizer": ["adam", "sgd"]}  # part of the paper's space
RATE, MAPPINGS = {"low": 0.02, "high": 0.06, "log": True}, {"low": 2.0, "high": 5.0, "log": False}


def make_search(measure, cell, best, *, source=".", space=None, **fields):
    """A result with a table of three trials: the second diverged, the third is the best."""
    trials = {"number": [0, 1, 2], "learning_rate": 0.03, "feasible": [True, False, True], "stopped_early": False}
    own = {"nonlinearity": "relu" if cell == "irnn" else "tanh", "learning_rate": RATE}
    known = {"num_units": 10, "num_trials": 1000, "train_steps": 50_000, "total_steps": 300, "best_number": 2}
    known |= {"trials": pd.DataFrame(trials).assign(**best), "space": own if space is None else space}
    return make(measure, cell=cell, source=source, **known | fields)


def make_capacity(cell="rnn", bits=4.0, depth=1, max_params=500, unroll=5, b=None, repeats=(), held=None, **fields):
    """A budget of n has n - 100 parameters; b is per parameter."""
    size, b = max_params - 100, 1.1 * bits if b is None else b
    best = {"bits_per_param": [bits / 2, NAN, bits], "num_mappings": [2 * b * size, b * size, b * size]}
    own = {"nonlinearity": "relu" if cell == "irnn" else "tanh", "learning_rate": RATE, "mappings_per_param": MAPPINGS}
    known = {"space": own | ({"nonlinearity": held} if held else {}), "depth": depth, "unroll": unroll}
    known |= {"study": f"capacity {cell} depth={depth} params={max_params} T={unroll} {held}"}
    known |= {"max_params": max_params, "num_params": size, "chance_bits_per_param": 0.05, "accuracy": 0.98}
    known |= {"bits": bits * size, "bits_per_param": bits, "num_mappings": round(b * size)}
    known |= {"repeats": tuple(repeats), "interval": confidence_interval(repeats)}
    return make_search("capacity", cell, best, **known | fields)


def make_recall(cell="rnn", num_units=32, error=None, depth=1, **fields):
    on = max(0.0, 1 - num_units / 64)
    error = on + 0.01 if error is None else error
    known = {"study": f"recall {cell} depth={depth} units={num_units}", "num_inputs": 64, "error": error, "line": on}
    known |= {"depth": depth, "max_params": None, "num_params": 1000, "unroll": 12, "num_units": num_units}
    return make_search("recall", cell, {"eval_loss": [1.0, NAN, error]}, **known | {"chance_error": 1.05} | fields)


def diverged(result):
    """The same, had every trial diverged."""
    names = ("bits", "bits_per_param", "accuracy", "chance_bits_per_param", "error", "chance_error")
    scores = {"bits_per_param", "eval_loss"} & {*result.trials}
    nothing = {"interval": (NAN, NAN), "repeats": (), "num_mappings": 0, "best_number": None}
    trials = result.trials.assign(feasible=False, **dict.fromkeys(scores, NAN))
    return changed(result, **dict.fromkeys(names, NAN) | nothing, trials=trials)


BITS = {"rnn": 5.4, "ugrnn": 5.2, "gru": 5.0, "lstm": 4.8, "+rnn": 4.6, "irnn": 3.5}
RELU = [make_capacity(cell, 3.5, held="relu", repeats=(3.45, 3.5, 3.4), source="relu") for cell in ("rnn", "ugrnn")]
GROWTH = {1: 0.5, 3: 0.9, 5: 1.0, 12: 1.01}
# The paper, as if we had found just that.
AS_PUBLISHED = [
    *(
        make_capacity(cell, bits + 0.01 * depth + 0.0001 * size, depth, size, repeats=(bits, bits - 0.1, bits - 0.05))
        for cell, bits in BITS.items()
        for depth in (1, 2)
        for size in (500, 1100)
    ),
    *(make_capacity(cell, BITS[cell] * f, 1, 250, T) for cell in BITS for T, f in GROWTH.items()),
    *RELU,
    *(make_recall(cell, units) for cell in BITS for units in (16, 48, 64, 80)),
]
CELLS = list(BITS)
OWN = [changed(r, cell="a_cell_of_ones_own") for r in AS_PUBLISHED if r.cell == "gru"]
HARD = {
    "nothing": [],
    "the paper": AS_PUBLISHED,
    "one point": [make_capacity()],
    "one T": [make_capacity(unroll=3)],
    "one recall": [make_recall()],
    "all diverged": [diverged(r) for r in AS_PUBLISHED],
    "one diverged": [diverged(AS_PUBLISHED[0]), *AS_PUBLISHED[1:]],
    "nothing stored": [make_capacity(bits=0.0, b=2.0), make_capacity("gru", bits=0.0, b=2.0)],
    "a user's cell": OWN,
    "a user's cell held to ReLU": [make_capacity("mine", held="relu"), make_capacity("mine")],
    "ReLU alone": RELU,
    "several depths": [make_capacity("gru", depth=d, unroll=T) for d in (1, 2, 4, 8, 16) for T in (1, 5, 20)]
    + [make_recall("gru", units, depth=d) for d in (1, 2, 4, 8, 16) for units in (8, 63, 200)],
    "twice": [changed(r, source=source) for r in AS_PUBLISHED for source in ("a", "b")],
    "begun": [changed(diverged(make_capacity()), num_trials=0, trials=pd.DataFrame())],
}


def claimed(module, results):
    return module.FIGURE.claims(module.FIGURE.select(results))


def verdicts(module, results):
    return [claim.verdict for claim in claimed(module, results)]


def told(module, results):
    return pd.DataFrame(module.FIGURE.table(module.FIGURE.select(results)))


# --- Every figure, whatever there is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("case", HARD)
@pytest.mark.filterwarnings("error")
def test_a_figure_is_made_of_whatever_there_is(name, case, tmp_path):
    figure = MODULES[name].FIGURE
    results = figure.select(HARD[case])
    found = figure.claims(results)
    assert found
    assert {claim.verdict for claim in found} <= {AGREES, DISAGREES, NOT_REACHED, UNDECIDED, MISSING}
    for claim in found:
        assert (claim.ours == "-" or "not measured: " in claim.ours) == (claim.verdict == MISSING) or (
            claim.verdict == DISAGREES  # one counterexample is enough
        )
    assert "nan" not in " ".join(part for claim in found for part in claim)
    if not results:
        assert {claim.verdict for claim in found} == {MISSING}
    assert len(figure.table(results)) == (len({r.cell for r in results}) if name == "fig1i" else len(results))
    charts = figure.charts(results)
    json.dumps([chart.spec for chart in charts], allow_nan=False)
    for path in drawing.write(figure, charts, tmp_path):
        assert path.stat().st_size > 1000


# What must be read in the drawing for print.
SEEN = {
    "fig1": ["Depth 1: bits", "Depth 2: bits", "dotted: chance", "the paper: 3 to 6", "bits per parameter", *CELLS],
    "fig1i": ["stores as much as", "1.53", "0.65", *CELLS],
    "figA1": ["rnn: a point a trial", "+rnn, likewise", "b per parameter", "bits stored per parameter"],
    "fig2a": ["rnn, 400 parameters", "about 3.5", "ReLU alone", "tanh"],
    "fig2b": ["Depth 1, 250 parameters", "T", "bits per parameter", *CELLS],
    "fig2c": ["the paper's 1 - units / inputs", "within 0.05", "units", "squared error above the line", *CELLS],
}


@pytest.mark.parametrize("name", MODULES)
def test_a_drawing_for_print_shows_all_charts_and_is_the_same_again(name, tmp_path):
    figure = MODULES[name].FIGURE
    charts = figure.charts(figure.select(AS_PUBLISHED))
    assert charts
    png, svg = drawing.write(figure, charts, tmp_path)
    assert (png.name, svg.name) == (f"{name}.png", f"{name}.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    words = words_of(svg)
    assert [text for text in SEEN[name] if text not in words] == []
    before = [path.read_bytes() for path in (png, svg)]
    assert [path.read_bytes() for path in drawing.write(figure, charts, tmp_path)] == before


KEPT = {name: (share, share) for name, share in zip(ROUNDED, (1, 1, 0.9, 0.5, 0.2), strict=True)}
OF_TODAY = [
    *(make_capacity(cell, bits, max_params=n) for cell, bits in (("s6", 1.0), ("lru", 2.0)) for n in (500, 1100)),
    make_capacity("s6 block", 1.5),
    *(make("association", cell=cell, num_pairs=n, accuracy=1 / n) for cell in ("s6", "lru") for n in (4, 8)),
    make_recall("lru", state_floats=64),
    make("trainability", cell="s6", median_loss=3.0, num_infeasible=1, plan={"sampler": "random"}, space=RANDOM),
]
BEYOND = {
    "modern": (
        modern,
        OF_TODAY,
        ["Bare cells, depth 1: bits", "1,100 parameters at most", "8 pairs", "32 units", "s6, 50 % diverged"],
    ),
    "precision": (
        precision,
        [make_capacity(rounded=KEPT, plan={"precision": "float32"})],
        ["Trained in float32", "bits a weight", "32", "rnn"],
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_beyond_the_paper_is_drawn_too(name, tmp_path):
    module, results, seen = BEYOND[name]
    charts = module.FIGURE.charts(module.select(results))
    words = words_of(drawing.write(module.FIGURE, charts, tmp_path)[1])
    assert [text for text in [*seen, *(chart.caption for chart in charts)] if text not in words] == []


def test_the_cells_of_today_are_listed_the_best_first():
    first, *_, held, recalled, trained = (chart.spec for chart in modern.FIGURE.charts(modern.select(OF_TODAY)))
    of = lambda spec, *names: [tuple(row[name] for name in names) for row in spec["data"]["values"]]
    assert of(first, "_what", "size") == [
        (c, f"{n} parameters at most") for c in ("lru", "s6") for n in ("500", "1,100")
    ]
    assert of(held, "_what", "accuracy") == [("s6", 0.25), ("lru", 0.25), ("s6", 0.125), ("lru", 0.125)]
    assert of(recalled, "_what", "size") == [("lru", "32 units")]
    assert of(trained, "_what", "median loss") == [("s6, 50 % diverged", 3.0)]


def test_cells_of_today_are_compared_by_searches_of_one_budget():
    """The one that most of them had, of each track and depth; of two as common the larger."""
    few = [make_capacity(cell, 1.0, num_trials=8) for cell in ("s6", "lru", "gru")]
    many = [make_capacity(cell, 3.0, num_trials=24) for cell in ("gru", "lstm")]
    block = make_capacity("s6 block", 1.5, num_trials=24)
    assert modern.select([*few, *many, block]) == [*few, block]
    assert modern.select([*few[1:], *many]) == many


def test_cells_of_today_are_compared_by_what_half_of_them_were_asked():
    drawn = {"plan": {"sampler": "random"}, "space": RANDOM}
    common = [make_recall(cell) for cell in ("s6", "lru", "gru")]
    common += [make("association", cell=cell, num_pairs=4) for cell in ("s6", "lru", "gru")]
    common += [make("trainability", cell=cell, unroll=20, **drawn) for cell in ("s6", "lru", "gru")]
    rare = [make_recall("gru", num_units=48), make("association", cell="gru", num_pairs=8)]
    rare += [make("trainability", cell="gru", unroll=175, **drawn)]
    assert modern.select([*common, *rare]) == common
    assert modern.select(rare) == rare


def test_more_sizes_than_shapes_are_drawn_too(tmp_path):
    """Each of twelve sizes a figure of twelve cells."""
    cells = [cell for cell in modern.NAMES if not cell.endswith("block")][:12]
    many = [make_recall(cell, num_units=n, state_floats=3 * n) for n, cell in enumerate(cells, 5)]
    many += [make_capacity(cell, 2.0, max_params=100 * n) for n, cell in enumerate(cells, 5)]
    charts = modern.FIGURE.charts(modern.select(many))
    words = words_of(drawing.write(modern.FIGURE, charts, tmp_path)[1])
    assert [
        n for n in range(5, 17) if f"{n} units" not in words or f"{100 * n:,} parameters at most" not in words
    ] == []


def test_what_stored_nothing_is_left_out_on_a_log_axis():
    """Vega draws all others in one place beside it."""
    results = [make_capacity("rnn", bits) for bits in (2.0, 4.0)] + [make_capacity("gru", 0.0)]
    _, bits = fig1.FIGURE.charts(results)
    assert [row["bits"] is None for row in bits.spec["data"]["values"]] == [False, False, True]


def test_charts_have_one_legend_unless_a_cell_looks_otherwise_in_two():
    of = lambda *cells: pd.DataFrame([{"cell": cell, "depth": 1, "x": 1.0, "y": 2.0} for cell in cells])
    chart = lambda *cells: Chart("", charts.lines(of(*cells), charts.axis("x"), charts.axis("y")))
    together = drawing.side_by_side([chart("rnn", "gru"), chart("gru", "lstm")], 2)
    assert together["resolve"]["scale"] == {}
    for panel in together["concat"]:
        assert panel["layer"][-1]["encoding"]["color"]["scale"]["domain"] == ["rnn", "gru", "lstm"]
    # A chart gives the cells of one's own their looks in turn: one has two, or two have one.
    for charts_of in ([chart("mine a", "mine b"), chart("mine b")], [chart("mine a"), chart("mine b")]):
        apart = drawing.side_by_side(charts_of, 2)
        assert apart["resolve"]["scale"] == {"color": "independent", "shape": "independent"}
        assert apart["concat"][1]["layer"][-1]["encoding"]["color"]["scale"]["domain"] == ["mine b"]


@pytest.mark.parametrize("name", MODULES)
def test_the_paper_agrees_with_itself(name):
    assert set(verdicts(MODULES[name], AS_PUBLISHED)) == {AGREES}


@pytest.mark.parametrize("name", ["fig1", "fig1i", "fig2a", "fig2c"])
def test_part_of_the_cells_agrees_with_nothing(name):
    found = claimed(MODULES[name], [r for r in AS_PUBLISHED if r.cell != "ugrnn"])
    assert {claim.verdict for claim in found} == {MISSING}
    assert all(claim.ours.endswith("not measured: ugrnn") for claim in found)


@pytest.mark.parametrize("name", ["fig1", "fig1i"])
def test_cells_that_are_all_alike_are_in_no_order(name):
    alike = [make_capacity(cell, 3.5, max_params=n) for cell in BITS for n in (500, 600, 700)]
    orders = [claim for claim in claimed(MODULES[name], alike) if "order" in claim.text or "least" in claim.text]
    assert {claim.verdict for claim in orders} == {UNDECIDED}


@pytest.mark.parametrize("name", MODULES)
def test_a_users_cell_is_shown_and_changes_no_verdict(name):
    figure = MODULES[name].FIGURE
    odd = [changed(r, bits_per_param=0.1, error=0.5, num_mappings=4000) for r in OWN]
    odd += [changed(odd[0], space={"nonlinearity": held}) for held in ("relu", "tanh")]
    assert set(verdicts(MODULES[name], odd)) == {MISSING}
    results = figure.select([*AS_PUBLISHED, *odd])
    assert figure.claims(results) == claimed(MODULES[name], AS_PUBLISHED)
    assert "a_cell_of_ones_own" in set(figure.table(results)["cell"])


@pytest.mark.parametrize("name", [name for name in MODULES if name != "fig2c"])
def test_no_claim_on_capacity_is_decided_by_one_point(name):
    assert set(verdicts(MODULES[name], [make_capacity()])) <= {UNDECIDED, MISSING}


@pytest.mark.parametrize("name", [name for name in MODULES if name != "fig1i"])
def test_a_point_of_a_chart_names_its_trial(name):
    figure = MODULES[name].FIGURE
    for chart in figure.charts(figure.select(AS_PUBLISHED)):
        rows = chart.spec["data"]["values"]
        assert rows
        assert all({"source", "study", "number"} <= row.keys() for row in rows)
        assert {row["number"] for row in rows if row.get("_best", True)} == {2}


def test_the_wider_of_two_searches_of_one_budget_is_taken_for_figure_1():
    held, free = make_capacity(bits=3.0, held="tanh"), make_capacity(bits=4.0, held=["tanh", "relu"])
    for order in ([held, free], [free, held]):
        assert fig1.select(order) == [free]
    assert fig1.select([make_capacity(held="relu"), make_capacity(unroll=3)]) == []
    assert fig1.select([make_capacity("irnn")]) != []


def test_the_greater_budget_is_taken_of_a_point_measured_twice():
    small, great = make_capacity(), make_capacity(total_steps=301)
    assert fig1.select([great, small]) == [great]


def test_a_search_for_what_is_left_in_fewer_bits_is_a_point_of_its_own_figure_alone():
    usual, rough = make_capacity("gru"), make_capacity("gru", bits=3.0)
    rough.record.plan["precision"] = "bfloat16"
    stored = make_capacity("gru", bits=3.5, max_params=250, rounded=KEPT, plan={"precision": "float32"})
    for module in (fig1, modern):
        assert module.select([usual, rough, stored]) == [usual]
        assert module.select([rough, stored]) == []
    assert precision.select([usual, stored]) == [stored]


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


@pytest.mark.parametrize("module", [fig1, fig1i, figA1, fig2a, fig2b, fig2c])
@pytest.mark.parametrize("factor", [0.3, 0.9])
def test_tiny_searches_refute_nothing_about_maxima(module, factor):
    """All of it far below the paper's, by 4 trials of 1,500 steps a point."""
    found = [
        changed(
            r,
            num_trials=4,
            train_steps=1500,
            bits=factor * getattr(r, "bits", NAN),
            bits_per_param=factor**2 * getattr(r, "bits_per_param", NAN),
            repeats=tuple(factor * x for x in r.repeats),
            interval=tuple(factor * x for x in r.interval),
            error=1 - factor * (1 - getattr(r, "error", NAN)),
        )
        for r in AS_PUBLISHED
    ]
    for claim in claimed(module, found):
        assert claim.verdict != DISAGREES, claim
        if claim.verdict == NOT_REACHED:
            assert claim.spent.startswith("4 trials of 1,500 steps a point")


@pytest.mark.parametrize(
    ("interval", "allowed", "more_is_better", "expected"),
    [
        ((3.5, 4.0), (3, 6), True, AGREES),
        ((2.0, 2.5), (3, 6), True, NOT_REACHED),
        ((7.0, 7.5), (3, 6), True, DISAGREES),
        ((2.5, 3.5), (3, 6), True, UNDECIDED),
        ((0.2, 0.3), (0.0, 0.1), False, NOT_REACHED),
        ((-0.3, -0.2), (0.0, 0.1), False, DISAGREES),
        ((NAN, NAN), (3, 6), True, UNDECIDED),
    ],
)
def test_the_best_of_a_search_confirms_or_passes_and_never_falls_short(interval, allowed, more_is_better, expected):
    assert claims.of_best(interval, allowed, more_is_better=more_is_better) == expected


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


# --- What they are made of --------------------------------------------------------------------------------------------


def test_a_geometric_mean_and_logarithms():
    assert claims.geometric([math.log(2), math.log(8)])[0] == pytest.approx(4)
    assert claims.log(math.e) == pytest.approx(1)
    assert all(math.isnan(claims.log(value)) for value in (0.0, -1.0, NAN))


@pytest.mark.parametrize(("a", "b"), [((1.0, 2.0, 4.0), (3.0, 3.5, 5.0, 9.0)), ((2.0, 2.1), (1.0, 1.5))])
def test_welchs_interval_is_scipys(a, b):
    difference, interval = claims.welch(a, b)
    assert difference == pytest.approx(np.mean(a) - np.mean(b))
    assert interval == pytest.approx(tuple(stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)))


def test_welchs_interval_of_what_does_not_vary_and_of_too_little():
    assert claims.welch((3.0, 3.0), (2.0, 2.0)) == (1.0, (1.0, 1.0))
    for a, b in (((1.0,), (2.0, 3.0)), ((), (1.0, 2.0)), ((), ())):
        assert all(map(math.isnan, claims.welch(a, b)[1]))


def test_what_was_searched_is_a_range_a_number_or_unknown():
    space = {"range": {"low": 1, "high": 2.5, "log": True}, "number": 3, "names": ["a", "b"]}
    result = make("capacity", space=space)
    assert claims.searched(result, "range") == (1.0, 2.5)
    assert claims.searched(result, "number") == (3.0, 3.0)
    assert all(math.isnan(bound) for name in ("names", "none") for bound in claims.searched(result, name))


def test_counts_are_told_in_words():
    assert [claims.counted(n, "points") for n in (0, 1, 2)] == ["0 points", "1 point", "2 points"]
    assert claims.counted(1, "studies", "study") == "1 study"


def test_cells_come_in_one_order_everywhere():
    assert plots.in_order(["mine", "gru", "another", "rnn", "gru"]) == ["rnn", "gru", "another", "mine"]


def test_cells_of_ones_own_are_told_apart_on_the_page_as_in_print():
    own = [f"mine {letter}" for letter in "abcdefghijklmnop"]
    rows = pd.DataFrame({"cell": [*own, *plots.STYLES], "depth": 1, "x": 1.0, "y": 2.0})
    spec = charts.lines(rows, charts.axis("x"), charts.axis("y"))
    looks = spec["layer"][-1]["encoding"]
    scales = [looks[channel]["scale"] for channel in ("color", "shape")]
    assert [scale["domain"] for scale in scales] == [[*plots.STYLES, *own]] * 2
    found = list(zip(*(scale["range"] for scale in scales), strict=True))
    theirs, mine = found[: len(plots.STYLES)], found[len(plots.STYLES) :]
    assert len(set(mine)) == len(own)
    for part in (0, 1):
        assert not {look[part] for look in mine} & {look[part] for look in theirs}
        assert len({look[part] for look in mine[:4]}) == 4  # by colour alone, and by shape alone
    assert [color for color, _ in mine[:4]] == [color for color, _ in plots.OWN_STYLES]
    drawn = re.findall(r'aria-roledescription="point" [^>]*? d="([^"]*)"', vl_convert.vegalite_to_svg(spec))
    assert len(drawn) == len(rows)
    assert len(set(drawn)) == len(plots.PALETTE) + len(plots.OWN_STYLES)  # the shapes


def test_the_paper_has_a_place_for_each_of_its_cells():
    assert sorted(published.CAPACITY_ORDER) == sorted(PAPER_CELLS)


def test_a_map_has_its_middle_at_0():
    rows = pd.DataFrame({"a": ["x", "y"], "b": ["x", "y"], "v": [-3.0, 1.0], "t": ["-3", "1"]})
    colour = charts.heat(rows, "a", "b", "v", "t")["layer"][0]["encoding"]["color"]
    assert colour["scale"]["domain"] == [-3.0, 3.0]
