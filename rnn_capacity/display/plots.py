"""Figures, in matplotlib: readable in print and by colour-blind eyes."""

from __future__ import annotations

import itertools
import math
import os
import pathlib
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnn_capacity import files
from rnn_capacity.display import tables
from rnn_capacity.paper import published
from rnn_capacity.studies.trials import curve, finite, losses

# Okabe and Ito's palette, and a marker each, so that colour is never all that tells cells apart.
STYLES = {
    "rnn": ("#0072B2", "o"),
    "irnn": ("#E69F00", "s"),
    "ugrnn": ("#009E73", "^"),
    "gru": ("#D55E00", "D"),
    "lstm": ("#CC79A7", "v"),
    "+rnn": ("#56B4E9", "P"),
}
# Of cells of one's own, in turn; like the others they stand out from a white page and from a black one.
OWN_STYLES = (("#8C6BB1", "X"), ("#A6761D", "*"), ("#E7298A", "p"), ("#7F7F7F", "h"))
OWN_STYLE = OWN_STYLES[0]
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
INK = "#7c7c7c"  # of a plot without a background: read on white and on black
LINES = {1: "-", 2: "--", 4: "-.", 8: ":"}  # by depth
# Vega's scheme blueorange, which the page has too: its two ends differ to every eye, its middle is pale.
BLUE_TO_ORANGE = LinearSegmentedColormap.from_list(
    "blueorange",
    [
        *("#134b85", "#2f78b3", "#5da2cb", "#9dcae1", "#d2e5ef"),
        "#f2f0eb",
        *("#fce0ba", "#fbbf74", "#e8932f", "#c5690d", "#994a07"),
    ],
)


def capacity(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Bits per parameter against size, a line for each cell and depth, over the paper's band (its Figure 1)."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.subplots()
    low, high = published.CAPACITY_RANGE
    ax.axhspan(low, high, color="0.92", zorder=0)
    ax.text(0.01, high - 0.08, "the paper: 3 to 6", transform=ax.get_yaxis_transform(), va="top", color="0.35")

    several_unrolls = len({r["unroll"] for r in results}) > 1
    for (cell, depth, unroll), group in _grouped(results, "cell", "depth", "unroll"):
        group = sorted(group, key=lambda r: r["num_params"])
        color, marker = STYLES.get(cell, OWN_STYLE)
        label = ", ".join([literal(cell), *[f"depth {depth}"] * (depth > 1), *[f"T = {unroll}"] * several_unrolls])
        sizes = [r["num_params"] for r in group]
        best = [r["bits_per_param"] for r in group]
        ax.plot(sizes, best, LINES.get(depth, "-"), marker=marker, color=color, label=label, markersize=7)
        for result in group:
            ax.vlines(result["num_params"], *result["interval"], color=color, linewidth=3, alpha=0.35)
    ax.set_xscale("log")
    if results:
        chance = max(r["chance_bits_per_param"] for r in results)
        ax.axhline(chance, color="0.5", linewidth=1, linestyle=":")
        ax.text(0.99, chance + 0.05, "chance", transform=ax.get_yaxis_transform(), ha="right", color="0.35")
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        sizes = [r["num_params"] for r in results]
        ax.set_xlim(min(sizes) / 1.7, max(sizes) * 1.7)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(0, max([high, *(r["bits_per_param"] for r in results if r["bits_per_param"] > high)]) + 0.2)
    ax.set_xlabel("parameters")
    ax.set_ylabel("bits per parameter")
    ax.set_title(
        "Best of the trials; bars: its hparams again, 95 % interval of the mean", fontsize="medium", loc="left"
    )
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def trials(results: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Bits stored against bits shown, a point a trial: the best lie just under the line (the paper's Figure App.1)."""
    ax, most = _axes(ax), 0.0
    groups = _grouped(results, "cell", "depth", "unroll", "num_params")
    styles = _styles([key for key, _ in groups])
    for key, group in groups:
        (cell, depth, unroll, size), (color, marker) = key, styles[key]
        label = ", ".join([literal(cell), *[f"depth {depth}"] * (depth > 1), f"{size} parameters", f"T = {unroll}"])
        for result in group:
            found = result["trials"][result["trials"]["feasible"]]
            shown, stored = found["num_mappings"] / size, found["bits_per_param"].astype(float)
            most = max(most, shown.max()) if len(found) else most
            ax.scatter(shown, stored, color=color, marker=marker, s=45, alpha=0.6, linewidth=0, label=label)
            best = (result["num_mappings"] / size, result["bits_per_param"])
            ax.scatter(*best, color=color, marker=marker, s=140, linewidth=0)
            label = None
    ax.plot([0, most], [0, most], color="0.6", linewidth=1, label="all of it stored", zorder=0)
    ax.set_xlabel("mappings shown, per parameter")
    ax.set_ylabel("bits stored, per parameter")
    ax.set_title("A point a trial; large: the best", fontsize="medium", loc="left")
    return _finished(ax, diverged=not most)


def recall(results: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Squared error against units over inputs, beside the line 1 - n_h / n_in (the paper's Figure 2c)."""
    ax = _axes(ax)
    most = max([2.0, *(r["num_units"] / r["num_inputs"] for r in results)])
    ax.plot([0, 1, most], [1, 0, 0], color="0.6", linewidth=1, label="1 - units / inputs")
    styles = _styles([(r["cell"],) for r in results])
    for (cell, depth, unroll), group in _grouped(results, "cell", "depth", "unroll"):
        group = sorted(group, key=lambda r: r["num_units"] / r["num_inputs"])
        color, marker = styles[cell,]
        shares = [r["num_units"] / r["num_inputs"] for r in group]
        label = ", ".join([literal(cell), *[f"depth {depth}"] * (depth > 1), f"T = {unroll}"])
        ax.plot(shares, [r["error"] for r in group], LINES.get(depth, "-"), color=color, marker=marker, label=label)
    ax.set_ylim(-0.03, max([1.1, *(1.05 * r["error"] for r in results if r["error"] > 1)]))
    ax.set_xlabel("units per number of the input")
    ax.set_ylabel("squared error")
    ax.set_title("Best of the trials", fontsize="medium", loc="left")
    return _finished(ax, diverged=not finite([r["error"] for r in results]))


def trainability(results: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Best (thick) and median loss so far against the tuner's iterations, a colour a cell (the paper's Figure 4)."""
    ax = _axes(ax)
    styles = _styles([(r["cell"],) for r in results])
    for (cell, depth, size, unroll), group in _grouped(results, "cell", "depth", "num_params", "unroll"):
        color, _ = styles[cell,]
        label = ", ".join([literal(cell), *[f"depth {depth}"] * (depth > 1), f"{size} parameters", f"T = {unroll}"])
        for result in group:
            found = curve(result["trials"])
            dot = "o" if found["best"].count() == 1 else None  # of one point a line shows nothing
            drawn = {"where": "post", "color": color, "marker": dot}
            ax.step(found["trials"], found["best"], LINES.get(depth, "-"), label=label, **drawn)
            ax.step(found["trials"], found["median"], LINES.get(depth, "-"), alpha=0.4, lw=1, **drawn)
            label = None
    if any((r["trials"]["eval_loss"].astype(float) > 0).any() for r in results):
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        ax.yaxis.set_major_formatter(PLAIN)
        ax.yaxis.set_minor_formatter(PLAIN if high < 10 * low else NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trials")
    ax.set_ylabel("loss")
    titles = {literal(r["task"]) for r in results}
    ax.set_title(f"{', '.join(sorted(titles))}: best so far, and pale the median", fontsize="medium", loc="left")
    return _finished(ax, diverged=bool(results) and not any(r["trials"]["feasible"].any() for r in results))


OF_MEASURE = {"capacity": trials, "recall": recall, "trainability": trainability}  # what a result is drawn as


def boxes(results: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """The losses of all trials that did not diverge, a box a cell and depth (the paper's Figure 5)."""
    ax = _axes(ax)
    found = [losses(result["trials"]) for result in results]
    names = [f"{literal(r['cell'])}, depth {r['depth']}, {r['num_params']}" for r in results]
    drawn = ax.boxplot(found, patch_artist=True, medianprops={"color": "black"}, flierprops={"ms": 3})
    for patch, result in zip(drawn["boxes"], results, strict=True):
        patch.set(facecolor=STYLES.get(result["cell"], OWN_STYLE)[0], alpha=0.6)
    for place, result in enumerate(results, 1):
        share = f"{result['percent_infeasible']:.0f} %"
        ax.text(place, 1.0, share, transform=ax.get_xaxis_transform(), ha="center", va="bottom", color="0.35")
    if any((values > 0).any() for values in found):
        ax.set_yscale("log")
    ax.set_xticks(ax.get_xticks(), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_ylabel("loss")
    tasks = ", ".join(sorted({literal(r["task"]) for r in results}))
    title = f"{tasks}: losses of all trials; above, how many diverged"
    ax.set_title(title, fontsize="medium", loc="left", pad=18)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def panels(rows: int, columns: int, **more: Any) -> tuple[Figure, Any]:
    """A figure of several panels, and its axes as an array of rows and columns."""
    figure = Figure(figsize=(0.8 + 3.2 * columns, 0.6 + 2.8 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def line(ax: Axes, cell: str, x: Sequence[float], y: Sequence[float], depth: int = 1, **looks: Any) -> None:
    """A line in the looks of its cell and depth."""
    color, marker = STYLES.get(cell, OWN_STYLE)
    look = {"color": color, "marker": marker, "linestyle": LINES.get(depth, "-"), "label": literal(cell)}
    ax.plot(x, y, **(look | looks))


def heat(rows: pd.DataFrame, row: str, column: str, shade: str, label: str) -> Figure:
    """A table as a map of two colours, from the least shade below 0 to the greatest above it, with its text.

    Args:
        row, column: columns of names, which keep their order.
        shade: of numbers; one that is none has no colour.
        label: of text.
    """
    down, along = list(dict.fromkeys(rows[row])), list(dict.fromkeys(rows[column]))
    figure = Figure(figsize=(max(4.4, 1.6 + 0.75 * len(along)), 1.4 + 0.5 * len(down)), layout="constrained")
    ax = figure.subplots()
    ax.set_xlim(-0.5, max(1, len(along)) - 0.5)
    ax.set_ylim(max(1, len(down)) - 0.5, -0.5)
    most = max([1e-9, *(abs(value) for value in rows[shade] if math.isfinite(value))])
    for name, other, value, text in rows[[row, column, shade, label]].itertuples(index=False):
        x, y = along.index(other), down.index(name)
        color = BLUE_TO_ORANGE(0.5 + 0.5 * value / most)[:3] if math.isfinite(value) else (1.0, 1.0, 1.0)
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
        ax.text(x, y, text, ha="center", va="center", color=ink_on(color))
    crowded = any(len(name) > 7 for name in along)
    turned = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if crowded else {}
    ax.set_xticks(range(len(along)), along, **turned)
    ax.set_yticks(range(len(down)), down)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(column)
    ax.set_ylabel(row)
    ax.spines[:].set_visible(False)
    return figure


def luminance(color: Any) -> float:
    """WCAG's relative luminance, from 0 for black to 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def ink_on(color: Any) -> str:
    """Black or white, whichever of them stands out more."""
    return "black" if (luminance(color) + 0.05) ** 2 > 0.05 * 1.05 else "white"


def legend(figure: Figure) -> None:
    """One for all panels, at the right; each name once."""
    named = {}
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        figure.legend(named.values(), named.keys(), frameon=False, loc="outside right upper")


def _grouped(results: Sequence[Mapping[str, Any]], *names: str) -> list[tuple[tuple, list[Mapping[str, Any]]]]:
    groups: dict[tuple, list] = {}
    for result in results:
        groups.setdefault(tuple(result[name] for name in names), []).append(result)
    return list(groups.items())


def _drawn(draw: Callable, results: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    draw(results, figure.subplots())
    return figure


def _styles(keys: Iterable[tuple]) -> dict[tuple, tuple[str, str]]:
    """A colour and a marker for each key, which begins with a cell: the cell's own, once, and others in turn."""
    keys, styles = dict.fromkeys(keys), {}
    free = [style for cell, style in STYLES.items() if cell not in {key[0] for key in keys}]
    others = itertools.cycle([*OWN_STYLES, *free])
    for key in keys:
        known = STYLES.get(key[0])
        styles[key] = next(others) if known is None or known in styles.values() else known
    return styles


def _axes(ax: Axes | None) -> Axes:
    """The axes given, or new ones for a notebook, without a background: its page may be light or dark."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    ax = pyplot.subplots(figsize=(7, 4), layout="constrained")[1]
    for background in (ax, ax.figure):
        background.set_facecolor("none")
    for text in ax.findobj(Text):
        text.set_color(INK)
    ax.tick_params(which="both", colors=INK)
    ax.spines[:].set_color(INK)
    return ax


def _finished(ax: Axes, diverged: bool = False) -> Axes:
    ink = ax.xaxis.label.get_color()
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), labelcolor=ink)
    ax.spines[["top", "right"]].set_visible(False)
    if diverged:
        ax.text(0.5, 0.5, "every trial diverged", transform=ax.transAxes, ha="center", va="center", color=ink)
    return ax


def write(results: Sequence[Mapping[str, Any]], folder: str | os.PathLike) -> list[pathlib.Path]:
    """A figure for each question that was measured, and of trainability for each task, as PNG and SVG."""
    groups, figures = tables.by_measure(results), {}
    if "capacity" in groups:
        figures["capacity"] = capacity(groups["capacity"])
    if "recall" in groups:
        figures["recall"] = _drawn(recall, groups["recall"])
    for (task,), group in _grouped(groups.get("trainability", []), "task"):
        name = f"trainability-{re.sub(r'[^A-Za-z0-9]+', '-', task)}"
        figures[name] = _drawn(trainability, group)
        figures[f"{name}-losses"] = _drawn(boxes, group)
    paths = []
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            paths.append(pathlib.Path(folder) / f"{name}.{kind}")
            with files.whole(paths[-1]) as part:
                figure.savefig(part, format=kind, dpi=150)
    return paths


def literal(name: str) -> str:
    """A name as matplotlib's text, in which $ begins a formula; a label that begins with _ it would leave out."""
    return re.sub("^_", " _", name.replace("$", r"\$"))


def in_order(cells: Iterable[str]) -> list[str]:
    """Names of cells, each once: the paper's as it has them, then a user's own."""
    known = set(cells)
    return [*(cell for cell in STYLES if cell in known), *sorted(known - STYLES.keys())]


def plain(ax: Axes) -> None:
    """Labels log axes in plain numbers, at 1, 2 and 5 of each power of ten, fewer of many powers, more of one."""
    for axis, ends in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() != "log" or min(ends) <= 0:
            continue
        decades = math.log10(max(ends) / min(ends))
        subs = (1,) if decades >= 3 else (1, 2, 5) if decades > 0.4 else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    """2000 is 2k."""
    size, unit = next((size, unit) for size, unit in ((1e6, "M"), (1e3, "k"), (0, "")) if value >= size)
    return f"{value / (size or 1):.3g}{unit}"


def wrapped(text: str, width: int = 34) -> str:
    """A title in as many lines as a panel's width asks for."""
    return textwrap.fill(text, width)
