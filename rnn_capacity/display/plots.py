"""Plots of results, in matplotlib, for notebooks and beside a sweep's tables: readable by colour-blind eyes."""

import itertools
import math
import os
import pathlib
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnn_capacity import files
from rnn_capacity.cells import NAMED_CELLS

# Okabe and Ito's palette, and a marker each, so that colour is never all that tells cells apart.
PALETTE = (
    ("#0072B2", "o"),
    ("#E69F00", "s"),
    ("#009E73", "^"),
    ("#D55E00", "D"),
    ("#CC79A7", "v"),
    ("#56B4E9", "P"),
)
# Of the package's cells, in their order: the paper's six, then each colour with the markers of the others, in turn.
_PAIRS = [(color, PALETTE[(i + turn) % 6][1]) for turn in range(6) for i, (color, _) in enumerate(PALETTE)]
STYLES = dict(zip(NAMED_CELLS, _PAIRS, strict=False))
# Of cells of one's own, in turn; like the others they stand out from a white page and from a black one.
OWN_STYLES = (("#8C6BB1", "X"), ("#A6761D", "*"), ("#E7298A", "p"), ("#7F7F7F", "h"))
INK = "#7c7c7c"  # of a plot without a background: read on white and on black
LONGEST_LEGEND = 18  # lines in a column
LINES = {1: "-", 2: "--", 4: "-.", 8: ":"}  # by depth
Result = TypeVar("Result")


# --- Looks ------------------------------------------------------------------------------------------------------------


def look(cell: str) -> tuple[str, str]:
    """The colour and the marker of a cell; all of a user's own have one."""
    return STYLES.get(cell, OWN_STYLES[0])


def styles(keys: Iterable[tuple]) -> dict[tuple, tuple[str, str]]:
    """A colour and a marker for each key, which begins with a cell: the cell's own, once, and others in turn."""
    keys = list(dict.fromkeys(keys))
    found: dict[tuple, tuple[str, str]] = {}
    free = [style for cell, style in STYLES.items() if cell not in {key[0] for key in keys}]
    others = itertools.cycle([*OWN_STYLES, *free])
    for key in keys:
        known = STYLES.get(key[0])
        found[key] = next(others) if known is None or known in found.values() else known
    return found


def in_order(cells: Iterable[str]) -> list[str]:
    """Names of cells, each once: the package's as it has them, then a user's own."""
    known = set(cells)
    return [*(cell for cell in STYLES if cell in known), *sorted(known - STYLES.keys())]


def literal(name: str) -> str:
    """A name as matplotlib's text, in which $ begins a formula; a label that begins with _ it would leave out."""
    return re.sub("^_", " _", name.replace("$", r"\$"))


def label(result: Any, *names: str) -> str:
    """What a legend calls a result: its cell, its depth if that is above 1, and what is named of these."""
    more = {"num_params": "{} parameters", "unroll": "T = {}"}
    deep = [f"depth {result.depth}"] * (result.depth > 1)
    return ", ".join([literal(result.cell), *deep, *(more[name].format(getattr(result, name)) for name in names)])


# --- Axes -------------------------------------------------------------------------------------------------------------


def axes(ax: Axes | None) -> Axes:
    """The axes given, or new ones for a notebook, without a background: its page may be light or dark."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    ax = pyplot.subplots(figsize=(5.5, 4))[1]
    ax.set_facecolor("none")
    ax.figure.set_facecolor("none")
    for text in ax.findobj(Text):
        text.set_color(INK)
    ax.tick_params(which="both", colors=INK)
    ax.spines[:].set_color(INK)
    return ax


def finished(ax: Axes, title: str, diverged: bool = False) -> Axes:
    """The axes with a title and a legend.

    Args:
        diverged: whether there is nothing to draw, since every trial diverged.
    """
    ink = ax.xaxis.label.get_color()
    ax.set_title(title, fontsize="medium", loc="left")
    columns = 1 + (len(ax.get_legend_handles_labels()[0]) - 1) // LONGEST_LEGEND
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), labelcolor=ink, ncols=max(columns, 1))
    ax.spines[["top", "right"]].set_visible(False)
    if diverged:
        ax.text(0.5, 0.5, "every trial diverged", transform=ax.transAxes, ha="center", va="center", color=ink)
    return ax


def whole(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator("auto", integer=True))


def log_losses(ax: Axes) -> None:
    """A log axis of losses in plain numbers, those between powers of ten too where there is but one."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_major_formatter(plain)
    ax.yaxis.set_minor_formatter(plain if high < 10 * low else NullFormatter())


def plain(ax: Axes) -> None:
    """Labels log axes in plain numbers, at 1, 2 and 5 of each power of ten, fewer of many powers, more of one."""
    for axis, ends in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() != "log" or min(ends) <= 0:
            continue
        decades = math.log10(max(ends) / min(ends))
        subs = (1,) if decades >= 3 else (1, 2, 5) if decades > 0.4 else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_formatter(NullFormatter())


# --- What is drawn ----------------------------------------------------------------------------------------------------


def grouped(results: Sequence[Result], *names: str) -> list[tuple[tuple, list[Result]]]:
    """Results apart by some of their fields."""
    groups: dict[tuple[Hashable, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(getattr(result, name) for name in names), []).append(result)
    return list(groups.items())


def line(ax: Axes, cell: str, x: Sequence[float], y: Sequence[float], depth: int = 1, **looks: Any) -> None:
    """A line in the looks of its cell and depth."""
    color, marker = look(cell)
    known = {"color": color, "marker": marker, "linestyle": LINES.get(depth, "-"), "label": literal(cell)}
    ax.plot(x, y, **(known | looks))


def bars(ax: Axes, cell: str, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
    """Intervals at the points of such a line."""
    ax.vlines(x, low, high, color=look(cell)[0], linewidth=3, alpha=0.35)


def write(drawings: Mapping[str, Callable[[Axes], Axes]], folder: str | os.PathLike) -> list[pathlib.Path]:
    """A figure for each drawing, as PNG and SVG under its name."""
    paths = []
    for name, draw in drawings.items():
        figure = Figure(figsize=(5.5, 4.5))
        draw(figure.subplots())
        for kind in ("png", "svg"):
            paths.append(save(figure, pathlib.Path(folder) / f"{name}.{kind}"))
    return paths


def save(figure: Figure, path: pathlib.Path) -> pathlib.Path:
    """Writes a figure whole, in the format of the file's name."""
    with files.whole(path) as part:
        # Tight, so that a legend of any length is beside the axes and takes nothing from them.
        figure.savefig(part, format=path.suffix[1:], dpi=150, bbox_inches="tight")
    return path
