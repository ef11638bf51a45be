"""Plots: every number where it belongs, also where there is none."""

import functools
import html
import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest
from made import NAN, changed
from made_measures import MIXED, NO_RECALL, NOTHING, OWN, UNTRAINED, make_recall, make_result, make_trained
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from rnn_capacity.cells import NAMED_CELLS, PAPER_CELLS
from rnn_capacity.display import plots
from rnn_capacity.measure import overview
from rnn_capacity.measure.capacity import draw_sizes, draw_trials
from rnn_capacity.measure.recall import draw as draw_recall
from rnn_capacity.measure.trainability import draw_boxes, draw_curves

mpl.use("Agg")

MANY = [make_result(cell, depth, size) for cell in PAPER_CELLS for depth in (1, 2) for size in (100, 981, 10_000)]


def drawn(draws, results):
    """The figure, drawn on axes of its own."""
    return draws(results, mpl.figure.Figure(figsize=(5.5, 4.5)).subplots()).figure


# --- Figures ----------------------------------------------------------------------------------------------------------


def lines_of(figure):
    """label -> (sizes, bits per parameter)."""
    (ax,) = figure.axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []
    lines = {line.get_label(): line for line in ax.lines}
    return {label: np.array(lines[label].get_xydata()) for label in labels}


def band_of(figure):
    (ax,) = figure.axes
    (band,) = (p for p in ax.patches if isinstance(p, Rectangle))
    return band.get_y(), band.get_y() + band.get_height()


def draw(figure, tmp_path):
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_the_figure_has_a_line_for_each_cell_and_depth_and_the_papers_band(tmp_path):
    results = [changed(r, bits_per_param=i / 10) for i, r in enumerate(MANY)]
    figure = drawn(draw_sizes, results)
    found = lines_of(figure)
    assert set(found) == {f"{cell}{depth}" for cell in PAPER_CELLS for depth in ("", ", depth 2")}
    for result in results:
        label = result.cell + (", depth 2" if result.depth == 2 else "")
        assert (result.num_params, result.bits_per_param) in map(tuple, found[label])
    assert all(len(line) == 3 and (np.diff(line[:, 0]) > 0).all() for line in found.values())
    assert band_of(figure) == (3, 6)
    draw(figure, tmp_path)


def test_points_come_in_the_order_of_size(tmp_path):
    figure = drawn(draw_sizes, [make_result(num_params=n) for n in (10_000, 100, 1000)])
    assert list(lines_of(figure)["rnn"][:, 0]) == [100, 1000, 10_000]


def test_cells_differ_by_colour_and_marker_and_depths_by_their_line():
    (ax,) = drawn(draw_sizes, MANY).axes
    lines = {line.get_label(): line for line in ax.lines}
    for first, second in itertools.combinations(PAPER_CELLS, 2):
        assert lines[first].get_color() != lines[second].get_color()
        assert lines[first].get_marker() != lines[second].get_marker()
    for cell in PAPER_CELLS:
        assert lines[cell].get_color() == lines[f"{cell}, depth 2"].get_color()
        assert lines[cell].get_linestyle() != lines[f"{cell}, depth 2"].get_linestyle()


def test_every_cell_has_a_pair_of_colour_and_marker_of_its_own():
    assert list(plots.STYLES) == list(NAMED_CELLS)
    assert len(set(plots.STYLES.values())) == len(NAMED_CELLS)
    assert list(plots.STYLES.values())[:6] == list(plots.PALETTE)


def test_a_bar_shows_the_interval():
    (ax,) = drawn(draw_sizes, [make_result()]).axes
    (bar,) = (c for c in ax.collections if isinstance(c, LineCollection))
    np.testing.assert_allclose(bar.get_segments()[0], [[981, 3.0], [981, 3.375]])


@pytest.mark.parametrize(
    ("results", "labels"),
    [
        ([make_result()], {"rnn"}),
        ([make_result(num_params=n) for n in (99, 10_050)], {"rnn"}),
        ([OWN, make_result()], {"a_cell_of_ones_own, depth 12", "rnn"}),
        ([make_result(unroll=t) for t in (1, 5)], {"rnn, T = 1", "rnn, T = 5"}),
        ([NOTHING], {"gru"}),
        ([NOTHING, make_result()], {"gru", "rnn"}),
        ([make_result(interval=[NAN, NAN])], {"rnn"}),
    ],
    ids=[
        "one size",
        "two sizes",
        "a user's cell",
        "two unrolls",
        "only NaN",
        "NaN and a number",
        "no repeats",
    ],
)
def test_the_figure_is_drawn_whatever_there_is(tmp_path, results, labels):
    figure = drawn(draw_sizes, results)
    assert set(lines_of(figure)) == labels
    assert band_of(figure) == (3, 6)
    draw(figure, tmp_path)


@pytest.mark.parametrize("name", ["$\\frac$", "a $x$ b", "$", "_mine", r"\$", "x_y^2"])
def test_a_name_is_no_formula_and_is_in_the_legend(tmp_path, name):
    """To matplotlib $ begins a formula, and a label that begins with _ is none."""
    results = [make_result(name), make_recall(name), make_trained(name, task=f"task {name}")]
    with mpl.rc_context({"svg.fonttype": "none"}):
        overview.write_figures(results, tmp_path)
    drawn = {path.name: html.unescape(path.read_text()) for path in tmp_path.glob("*.svg")}
    assert len(drawn) == 4
    for text in drawn.values():
        assert re.search(rf">\s?{re.escape(name)}[<,]", text)
    assert sum(f">task {name}: " in text for text in drawn.values()) == 2


def test_a_long_legend_stands_beside_the_axes_and_takes_nothing_from_them(tmp_path):
    drawn_on = {2: None, 60: None}

    def lines(count, ax):
        drawn_on[count] = draw_sizes([make_result(unroll=t) for t in range(1, count + 1)], ax)
        return ax

    plots.write({str(count): functools.partial(lines, count) for count in drawn_on}, tmp_path)
    few, many = (np.array(ax.get_window_extent().bounds) for ax in drawn_on.values())
    np.testing.assert_array_equal(many, few)
    legends = [ax.get_legend().get_window_extent() for ax in drawn_on.values()]
    assert legends[1].height < 1.2 * many[3]
    height, width, _ = mpl.image.imread(tmp_path / "60.png").shape
    few_high, few_wide, _ = mpl.image.imread(tmp_path / "2.png").shape
    scale = 150 / drawn_on[60].figure.dpi  # the file's
    assert width - few_wide == pytest.approx(scale * (legends[1].width - legends[0].width), abs=20)
    assert height < 1.2 * few_high


def test_every_measured_point_is_inside_the_figure(tmp_path):
    results = [make_result(num_params=n, bits_per_param=b) for n, b in ((60, 0.2), (100_000, 5.9))]
    figure = drawn(draw_sizes, results)
    draw(figure, tmp_path)
    (ax,) = figure.axes
    for size, bits in lines_of(figure)["rnn"]:
        assert ax.get_xlim()[0] < size < ax.get_xlim()[1]
        assert ax.get_ylim()[0] <= bits < ax.get_ylim()[1]


def test_the_figure_is_written_for_screen_and_print(tmp_path):
    paths = overview.write_figures([make_result(), NOTHING], tmp_path)
    assert [p.name for p in paths] == ["capacity.png", "capacity.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in paths[1].read_text()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_plot_of_trials_shows_those_that_are_feasible():
    ax = draw_trials([make_result()], mpl.figure.Figure().subplots())
    assert isinstance(ax, Axes)
    everything, best = (np.asarray(c.get_offsets()) for c in ax.collections)
    np.testing.assert_allclose(everything, [[4000 / 981, 3.25]])
    np.testing.assert_allclose(best, [[4000 / 981, 3.25]])
    assert legend(ax) == ["rnn, 981 parameters, T = 5", "all of it stored"]
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [4000 / 981] * 2])


@pytest.mark.parametrize("result", [NOTHING, OWN], ids=["zero feasible trials", "a user's cell"])
def test_the_plot_of_trials_is_drawn_whatever_there_is(tmp_path, result):
    ax = draw_trials([result], mpl.figure.Figure().subplots())
    assert [text.get_text() for text in ax.texts] == ["every trial diverged"] * (result is NOTHING)
    draw(ax.figure, tmp_path)


def test_no_two_results_are_drawn_alike():
    names = ("rnn", "gru", "mine", "another")
    results = [make_result(cell, num_params=n) for cell in names for n in (981, 500)]
    ax = draw_trials([*results, results[0]], mpl.figure.Figure().subplots())
    assert legend(ax)[:2] == ["rnn, 981 parameters, T = 5", "rnn, 500 parameters, T = 5"]
    assert len(legend(ax)) == 8 + 1
    for draws, cells in (
        (draw_recall, [make_recall(n) for n in names]),
        (draw_curves, map(make_trained, names)),
    ):
        lines = {line.get_label(): line for line in draws(list(cells), mpl.figure.Figure().subplots()).lines}
        assert len({line.get_color() for label, line in lines.items() if label.startswith(names)}) == len(names)
    drawn = [mpl.colors.to_hex(c.get_facecolor()[0]) for c in ax.collections[1::2]]  # the best of each
    assert drawn[:2] == [plots.STYLES["rnn"][0].lower()] * 2  # one result twice
    assert len(set(drawn)) == len(drawn) - 1 == 8


def luminance(color):
    """WCAG's relative luminance, from 0 for black to 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(color)]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("color", [plots.INK, *(c for c, _ in (*plots.STYLES.values(), *plots.OWN_STYLES))])
def test_every_colour_is_seen_on_a_light_page_and_on_a_dark_one(color):
    """WCAG's contrast; text wants 4.5 on white, and what is drawn at least 2 on either."""
    of_color, of_paper = luminance(color), luminance("#111111")
    light, dark = 1.05 / (of_color + 0.05), (of_color + 0.05) / (of_paper + 0.05)
    assert min(light, dark) > (4 if color == plots.INK else 2)


@pytest.mark.parametrize(
    ("draws", "result"), [(draw_trials, make_result()), (draw_recall, make_recall()), (draw_curves, make_trained())]
)
def test_a_plot_of_its_own_has_no_background_and_no_black(draws, result):
    from matplotlib import pyplot

    ax = draws([result])
    ax.figure.canvas.draw()
    assert ax.get_facecolor()[3] == ax.figure.get_facecolor()[3] == 0
    assert {mpl.colors.to_hex(text.get_color()) for text in ax.findobj(mpl.text.Text) if text.get_text()} == {plots.INK}
    pyplot.close(ax.figure)


# --- Figures of the other measures ------------------------------------------------------------------------------------


def test_recall_is_drawn_over_units_per_input_beside_the_papers_line(tmp_path):
    sizes = ((64, 0.25), (16, 0.875), (96, 0.125))
    results = [make_recall(cell, n, error) for cell in ("rnn", "gru") for n, error in sizes]
    ax = draw_recall(results, mpl.figure.Figure().subplots())
    line, *cells = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[0, 1], [1, 0], [2, 0]])
    assert [c.get_label() for c in cells] == ["rnn, T = 12", "gru, T = 12"]
    for found in cells:
        np.testing.assert_array_equal(found.get_xydata(), [[0.25, 0.875], [1.0, 0.25], [1.5, 0.125]])
    assert cells[0].get_color() != cells[1].get_color()
    draw(ax.figure, tmp_path)


def test_the_line_of_recall_reaches_the_widest_network():
    ax = draw_recall([make_recall(num_units=256)], mpl.figure.Figure().subplots())
    np.testing.assert_array_equal(ax.lines[0].get_xydata()[-1], [4, 0])


def test_trainability_is_drawn_as_best_and_median_over_the_trials(tmp_path):
    results = [make_trained("gru"), make_trained("gru", losses=(4.0, 3.0)), make_trained("irnn", losses=(8.0, None))]
    ax = draw_curves(results, mpl.figure.Figure().subplots())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "gru, 981 parameters, T = 5",
        "irnn, 981 parameters, T = 5",
    ]
    best, median, other, _, diverged, _ = ax.lines
    np.testing.assert_array_equal(best.get_xydata(), [[1, 2.0], [2, 0.5], [3, 0.5]])
    np.testing.assert_array_equal(median.get_xydata(), [[1, 2.0], [2, 1.25], [3, 1.25]])
    np.testing.assert_array_equal(other.get_ydata(), [4.0, 3.0])
    np.testing.assert_array_equal(diverged.get_ydata(), [8.0, 8.0])
    assert best.get_color() == median.get_color() == other.get_color() != diverged.get_color()
    assert best.get_alpha() != median.get_alpha()
    assert ax.get_yscale() == "log"
    draw(ax.figure, tmp_path)


@pytest.mark.parametrize(
    "results",
    [
        [UNTRAINED],
        [UNTRAINED, make_trained()],
        [make_trained("a_cell_of_ones_own", depth=12)],
        [make_trained(losses=(0.0,))],
    ],
    ids=["only NaN", "NaN and a number", "a user's cell", "a loss of 0"],
)
def test_the_figure_of_trainability_is_drawn_whatever_there_is(tmp_path, results):
    draw(draw_curves(results, mpl.figure.Figure().subplots()).figure, tmp_path)


@pytest.mark.parametrize("losses", [(2.0,), (None, None, 2.0)], ids=["one trial", "all but the last diverged"])
def test_one_point_of_a_curve_is_seen(losses):
    best, median = draw_curves([make_trained(losses=losses)], mpl.figure.Figure().subplots()).lines
    assert best.get_marker() == median.get_marker() == "o"


def test_losses_are_plain_numbers_on_their_axis():
    ax = draw_curves([make_trained(losses=(0.8, 3.2))], mpl.figure.Figure().subplots())
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_yticklabels(which="both")]
    assert {"1", "2", "3"} <= set(labels)


@pytest.mark.parametrize("results", [[NO_RECALL], [NO_RECALL, make_recall("mine", 8, depth=3)]], ids=["NaN", "own"])
def test_the_figure_of_recall_is_drawn_whatever_there_is(tmp_path, results):
    draw(draw_recall(results, mpl.figure.Figure().subplots()).figure, tmp_path)


def test_mixed_results_are_written_as_a_figure_for_each_measure_and_each_task(tmp_path):
    paths = overview.write_figures(MIXED, tmp_path)
    tasks = ("parentheses", "text8")
    names = ["capacity", "recall", *(f"trainability-{task}{kind}" for task in tasks for kind in ("", "-losses"))]
    assert [p.name for p in paths] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for png, svg in zip(paths[::2], paths[1::2], strict=True):
        assert png.read_bytes().startswith(b"\x89PNG")
        assert "<svg" in svg.read_text()
    shown = {path.stem: path.read_text() for path in paths[1::2]}
    assert "gru, 981 parameters" in shown["trainability-parentheses"]
    assert "gru, 981 parameters" not in shown["trainability-text8"]
    assert "rnn, 981 parameters" in shown["trainability-text8"]


@pytest.mark.parametrize("only", ["recall", "trainability"])
def test_no_figure_is_written_of_what_was_not_measured(tmp_path, only):
    paths = overview.write_figures([r for r in MIXED if r.measure == only], tmp_path)
    figures = {f"trainability-{task}{kind}" for task in ("parentheses", "text8") for kind in ("", "-losses")}
    assert {p.stem for p in paths} == ({"recall"} if only == "recall" else figures)


def test_a_box_shows_the_quartiles_of_what_did_not_diverge_and_above_it_how_much_did(tmp_path):
    results = [make_trained("gru", losses=(1.0, 2.0, 3.0, 4.0, None)), make_trained("lstm", losses=(8.0, 8.5))]
    ax = draw_boxes(results)
    boxes = [patch.get_path().vertices[:, 1] for patch in ax.patches]
    assert [(box.min(), box.max()) for box in boxes] == [(1.75, 3.25), (8.125, 8.375)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["gru, depth 1, 981", "lstm, depth 1, 981"]
    assert [text.get_text() for text in ax.texts] == ["20 %", "0 %"]
    draw(ax.figure, tmp_path)
