"""Drawings in Vega-Lite, for the page and for print: the looks of cells, and the kinds of chart that figures need."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.markers import MarkerStyle

from rnn_capacity.display.plots import LINES, OWN_STYLES, STYLES, in_order

SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"}
DASHES = {"-": [1, 0], "--": [6, 3], "-.": [6, 2, 1, 2], ":": [1, 3]}
ROW = 36  # pixels of a map's row
LINE = 22  # and of a line of text
REFERENCE = {"color": "#808080", "opacity": 0.6}  # what is not measured: the paper's, the line, chance

Spec = dict[str, Any]


def outline(marker: str) -> str:
    """A marker of matplotlib, for which Vega has no name, as an SVG path in the square from -1 to 1."""
    drawn = MarkerStyle(marker)
    corners = np.asarray(drawn.get_path().transformed(drawn.get_transform()).to_polygons()[0])[:-1]
    return "M" + "L".join(f"{2 * x:.3f},{-2 * y:.3f}" for x, y in corners) + "Z"


def own_styles() -> Iterator[tuple[str, str]]:
    """Colours and shapes of cells that are not the paper's, in turn; none comes again before all pairs have been."""
    colors, markers = zip(*OWN_STYLES, strict=True)
    for turn in itertools.count():
        yield from ((color, outline(markers[(i + turn) % len(markers)])) for i, color in enumerate(colors))


def axis(field: str, title: str | None = None, log: bool = False, **scale: Any) -> Spec:
    """A numeric axis; its scale begins where the data does, unless `zero` or `domain` say otherwise."""
    known = {"type": "log"} if log else {"zero": False}
    return {"field": field, "type": "quantitative", "title": title or field, "scale": known | scale}


def lines(
    rows: pd.DataFrame, x: Spec, y: Spec, *, interval: tuple[str, str] | None = None, behind: Sequence[Spec] = ()
) -> Spec:
    """A line a cell (dashed by depth, where there are several) through points that tell of their trial.

    Args:
        rows: with the columns cell and depth, and those that the axes name.
        interval: the columns of an interval at each point, drawn as a bar.
        behind: layers of their own data, below.
    """
    looks = _by_cell(rows) | _by_depth(rows)
    layers = [*behind]
    if interval is not None:
        bars = {"x": x, "y": y | {"field": interval[0]}, "y2": {"field": interval[1]}}
        layers += _bars(rows, interval, bars | {"color": looks["color"]})
    layers.append({"mark": {"type": "line"}, "encoding": {"x": x, "y": y} | _without(looks, "shape")})
    layers.append(points(x, y, looks))
    return {"data": data(rows, x, y), "layer": layers}


def scatter(rows: pd.DataFrame, x: Spec, y: Spec, *, behind: Sequence[Spec] = ()) -> Spec:
    """A point a trial, in the looks of its cell."""
    return {"data": data(rows, x, y), "layer": [*behind, points(x, y, _by_cell(rows), opacity=0.7)]}


def steps(rows: pd.DataFrame, x: Spec, best: Spec, median: Spec) -> Spec:
    """A staircase a cell, and a pale one of the median (dashed by depth, where there are several).

    Where a row `_leads`, its trial bettered those before: a point on the stair tells of it.
    """
    looks = _by_cell(rows) | _by_depth(rows)
    stairs = lambda y, **mark: {
        "mark": {"type": "line", "interpolate": "step-after", **mark},
        "encoding": {"x": x, "y": y} | _without(looks, "shape"),
    }
    leaders = {"transform": [{"filter": "datum._leads"}], **points(x, best, looks, size=40)}
    layers = [stairs(median, opacity=0.4, strokeWidth=1), stairs(best, strokeWidth=2), leaders]
    return {"data": data(rows, x, best, median), "layer": layers}


def boxes(rows: pd.DataFrame, x: Spec, y: Spec) -> Spec:
    """A box a cell with the points of its trials over it; x says how the boxes stand."""
    looks = _by_cell(rows)
    box: Spec = {"mark": {"type": "boxplot", "opacity": 0.5, "outliers": False, "size": 18}}
    box["encoding"] = {"x": x, "y": y, "color": looks["color"]}
    # A trial's place within its box says nothing: it keeps points apart.
    spread = looks | {"xOffset": {"field": "_spread", "type": "quantitative", "scale": {"domain": [-2, 2]}}}
    return {"data": data(rows, x, y), "layer": [box, points(x, y, spread, opacity=0.5, size=14)]}


def points(x: Spec, y: Spec, looks: Spec, **mark: Any) -> Spec:
    """The layer of points, each with its row as a tooltip."""
    mark = {"type": "point", "filled": True, "size": 70, "opacity": 1, "tooltip": {"content": "data"}} | mark
    return {"mark": mark, "encoding": {"x": x, "y": y} | _without(looks, "strokeDash")}


def band(low: float, high: float, label: str) -> list[Spec]:
    """A range over the whole width, such as the paper's, with its name."""
    values = {"values": [{"low": low, "high": high, "label": label}]}
    across = {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}
    name = {"y": {"field": "high", "type": "quantitative"}, "text": {"field": "label"}, "x": {"value": 4}}
    return [
        {"data": values, "mark": {"type": "rect"} | REFERENCE | {"opacity": 0.15}, "encoding": across},
        {
            "data": values,
            "mark": {"type": "text", "align": "left", "dy": 8} | REFERENCE | {"opacity": 1},
            "encoding": name,
        },
    ]


def reference(values: Sequence[tuple[float, float]], x: Spec, y: Spec) -> list[Spec]:
    """A gray line through some points, such as a closed form."""
    through = {"values": [{x["field"]: a, y["field"]: b} for a, b in values]}
    return [{"data": through, "mark": {"type": "line"} | REFERENCE, "encoding": {"x": x, "y": y}}]


def dotted(x: Spec, y: Spec) -> Spec:
    """A layer of a gray dotted line a cell through other values of the chart's rows, such as chance."""
    mark = {"type": "line", "strokeDash": DASHES[":"], "strokeWidth": 1.5} | REFERENCE
    return {"mark": mark, "encoding": {"x": x, "y": y, "detail": {"field": "cell"}}}


def data(rows: pd.DataFrame, *axes: Spec) -> Spec:
    """Rows as JSON takes them: four digits, and nothing where there is no number, or on a log axis none above 0.

    Beside a number that its log axis does not have Vega draws no other aright.
    """
    logs = [axis["field"] for axis in axes if axis.get("scale", {}).get("type") == "log"]
    rows = rows.assign(**{name: rows[name].where(rows[name] > 0) for name in logs})
    return {"values": [{name: _plain(value) for name, value in row.items()} for row in rows.to_dict("records")]}


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def _by_cell(rows: pd.DataFrame) -> Spec:
    """A colour and a shape a cell, so that colour is never all that tells them apart."""
    names = in_order(rows["cell"])
    own = own_styles()
    styles = [(STYLES[n][0], SHAPES[STYLES[n][1]]) if n in STYLES else next(own) for n in names]
    known = {"field": "cell", "type": "nominal", "legend": {"symbolOpacity": 1}}  # whatever the layers' opacity
    look = lambda values: known | {"scale": {"domain": names, "range": values}}
    color, shape = (look([style[part] for style in styles]) | {"title": None} for part in (0, 1))
    return {"color": color, "shape": shape}


def _by_depth(rows: pd.DataFrame) -> Spec:
    depths = sorted({int(depth) for depth in rows["depth"]})
    if len(depths) < 2:
        return {}
    scale = {"domain": depths, "range": [DASHES[LINES.get(depth, "-")] for depth in depths]}
    legend = {"symbolType": "stroke", "encoding": {"symbols": {"stroke": {"value": "#808080"}}}}
    return {"strokeDash": {"field": "depth", "type": "nominal", "scale": scale, "legend": legend}}


def _bars(rows: pd.DataFrame, ends: tuple[str, str], encoding: Spec) -> list[Spec]:
    """The layer of intervals; none where no row has one, which Vega would warn of."""
    if rows[list(ends)].isna().any(axis=1).all():
        return []
    return [{"mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.35}, "encoding": encoding}]


def _without(looks: Spec, channel: str) -> Spec:
    return {name: look for name, look in looks.items() if name != channel}


def best(x: Spec, y: Spec) -> Spec:
    """A layer of rings around the points whose row has `_best`."""
    ring = {"type": "point", "filled": False, "size": 170, "strokeWidth": 2, "color": "#808080", "tooltip": None}
    only = [{"filter": "datum._best"}]
    return {"transform": only, "mark": ring, "encoding": {"x": x, "y": y, "shape": {"value": "circle"}}}


def heat(rows: pd.DataFrame, row: str, column: str, shade: str, label: str) -> Spec:
    """A table as a map of two colours, from the least shade below 0 to the greatest above it, with its text.

    Args:
        row, column: columns of names, which keep their order.
        shade: of numbers; one that is none has no colour.
        label: of text.
    """
    most = max([1e-9, *(abs(value) for value in rows[shade] if math.isfinite(value))])
    # In full, as Vega-Lite would put names without a colour last.
    place = lambda name, **more: {"field": name, "type": "nominal", "sort": [*dict.fromkeys(rows[name])], **more}
    cells = {"x": place(column, axis={"orient": "top", "labelAngle": 0}), "y": place(row)}
    scale = {"scheme": "blueorange", "domain": [-most, most]}
    color = {"field": shade, "type": "quantitative", "scale": scale, "legend": None}
    # Dark on the pale middle of the colours, pale on their dark ends, and seen on any page where there is none.
    tests = {f"!isValid(datum['{shade}'])": "#808080", f"abs(datum['{shade}']) > {0.7 * most:.4g}": "white"}
    ink = {"condition": [{"test": test, "value": ink} for test, ink in tests.items()], "value": "black"}
    layers = [
        {"mark": {"type": "rect", "tooltip": {"content": "data"}}, "encoding": cells | {"color": color}},
        {
            "mark": {"type": "text", "tooltip": {"content": "data"}},
            "encoding": cells | {"text": {"field": label}, "color": ink},
        },
    ]
    return {"height": ROW * rows[row].nunique(), "data": data(rows), "layer": layers}


def listed(
    rows: pd.DataFrame,
    x: Spec,
    y: str,
    kind: str,
    kinds: Sequence[str],
    *,
    interval: tuple[str, str] | None = None,
    behind: Sequence[Spec] = (),
) -> Spec:
    """A line of text for each of several things, in the order of the rows, and on it a point of each kind, joined.

    Args:
        y: the column of the text.
        kind: the column that says of which of the kinds a row is.
        interval: the columns of an interval at each point, drawn as a bar.
        behind: layers of their own data, below.
    """
    place = {"field": y, "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 300}}
    at = {"x": x, "y": place}
    color = {"color": _by_cell(rows)["color"] | {"legend": None}}  # the text names the cell
    gray = {"columns": 2, "encoding": {"symbols": {"fill": {"value": "#808080"}}}}  # of no cell
    shape: Spec = {"field": kind, "type": "nominal", "title": None, "legend": gray}
    shape["scale"] = {"domain": kinds, "range": [*itertools.islice(itertools.cycle(SHAPES.values()), len(kinds))]}
    bars = at | {"x": x | {"field": interval[0]}, "x2": {"field": interval[1]}} | color if interval else {}
    layers = [
        *behind,
        {"mark": {"type": "line"} | REFERENCE, "encoding": at | {"detail": {"field": y}}},
        *(_bars(rows, interval, bars) if interval else []),
        points(x, place, color | {"shape": shape}, size=90),
    ]
    return {"height": LINE * rows[y].nunique(), "data": data(rows, x), "layer": layers}


def across(x: Spec, value: float) -> list[Spec]:
    """A dashed line over the whole height, such as the paper's."""
    mark = {"type": "rule", "strokeDash": [6, 3], "strokeWidth": 2} | REFERENCE
    return [{"data": {"values": [{x["field"]: value}]}, "mark": mark, "encoding": {"x": x}}]


def ticks(rows: pd.DataFrame, x: Spec, y: Spec, **mark: Any) -> Spec:
    """A layer of its own data: a dash at each row, such as the paper's value beside ours."""
    mark = {"type": "tick", "orient": "horizontal", "thickness": 3, "size": 26, "tooltip": {"content": "data"}} | mark
    return {"data": data(rows, x, y), "mark": REFERENCE | mark, "encoding": {"x": x, "y": y}}


def intervals(rows: pd.DataFrame, x: Spec, y: Spec, ends: tuple[str, str], *, behind: Sequence[Spec] = ()) -> Spec:
    """A point a cell, with its interval as a bar.

    Args:
        ends: the columns of the interval.
    """
    looks = _by_cell(rows)
    bars = {"x": x, "y": y | {"field": ends[0]}, "y2": {"field": ends[1]}, "color": looks["color"]}
    layers = [*behind, *_bars(rows, ends, bars), points(x, y, looks)]
    return {"data": data(rows, x, y), "layer": layers}


def by_name(field: str = "cell") -> Spec:
    """An axis of names, in the order of the rows."""
    return {"field": field, "type": "nominal", "title": None, "sort": None, "axis": {"labelAngle": 0}}
