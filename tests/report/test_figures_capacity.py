"""All figures of capacity and recall, also those beyond the paper: each is made and drawn, whatever there is."""

import json
import re

import pandas as pd
import pytest
import vl_convert
from made import NAN, changed, make, words_of
from made_capacity import BITS, claimed, diverged, make_capacity, make_recall, verdicts

from experiments.figures import fig1, fig1i, fig2a, fig2b, fig2c, figA1, modern, precision
from rnn_capacity.cells import PAPER_CELLS
from rnn_capacity.display import charts, plots
from rnn_capacity.model.formats import ROUNDED
from rnn_capacity.paper import published
from rnn_capacity.report import drawing
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED, Chart

# --- Every figure, whatever there is ----------------------------------------------------------------------------------

MODULES = {"fig1": fig1, "fig1i": fig1i, "figA1": figA1, "fig2a": fig2a, "fig2b": fig2b, "fig2c": fig2c}
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


# --- What is beyond the paper -----------------------------------------------------------------------------------------

RANDOM = {"optimizer": ["adam", "sgd"]}  # part of the paper's space


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


def test_a_search_for_what_is_left_in_fewer_bits_is_a_point_of_its_own_figure_alone():
    usual, rough = make_capacity("gru"), make_capacity("gru", bits=3.0)
    rough.record.plan["precision"] = "bfloat16"
    stored = make_capacity("gru", bits=3.5, max_params=250, rounded=KEPT, plan={"precision": "float32"})
    for module in (fig1, modern):
        assert module.select([usual, rough, stored]) == [usual]
        assert module.select([rough, stored]) == []
    assert precision.select([usual, stored]) == [stored]


# --- How they are drawn -----------------------------------------------------------------------------------------------


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
