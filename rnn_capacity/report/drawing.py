"""A figure for print: its charts side by side in one picture, as PNG and SVG."""

import copy
import pathlib
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rnn_capacity import files
from rnn_capacity.display import plots
from rnn_capacity.report import html
from rnn_capacity.report.figure import Chart, Figure

WIDTHS = {1: 480, 2: 340, 3: 210}  # pixels of a chart, by how many are in a row; the PNG has half as many again
LETTER = 5.2  # pixels of a title's, on average
LOOKS = ("color", "shape", "strokeDash")  # what a legend tells apart
PLAIN: dict[str, Any] = {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
CONFIG: dict[str, Any] = {
    "aria": False,  # a description of every mark would be most of the file
    "background": "white",
    "font": "Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "concat": {"spacing": 30},
    "axis": PLAIN | {"gridOpacity": 0.5, "labelOverlap": True, "labelSeparation": 2},
    "legend": PLAIN | {"labelLimit": 0},
    "title": {"anchor": "start", "fontSize": 12, "fontWeight": "normal", "offset": 10},
    "line": {"strokeWidth": 1.8},
    "text": {"fontSize": 11},
}


def write(figure: Figure, charts: Sequence[Chart], folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes <name>.png and <name>.svg of a figure's charts, where it has any; the same charts give the same files."""
    if not charts:
        return []
    vega = html.package("vl_convert")
    svg = vega.vegalite_to_svg(side_by_side(charts, figure.columns))
    drawn = {"png": vega.svg_to_png(svg, scale=1.5), "svg": svg}
    return [files.write(folder / f"{figure.name}.{kind}", content) for kind, content in drawn.items()]


def side_by_side(charts: Sequence[Chart], columns: int) -> dict[str, Any]:
    """A Vega-Lite specification of charts in rows, each under its caption; one legend where they agree on its looks."""
    columns = min(columns, len(charts))
    width = WIDTHS[columns]
    known = {"width": width, "height": round(0.7 * width)}
    whole = lambda caption: re.sub(r" (?=%|=)|(?<==) ", "\u00a0", caption)  # no line ends within 95 % or T = 5
    title = lambda chart: textwrap.wrap(whole(chart.caption), round((width + 40) / LETTER))
    panels = [known | copy.deepcopy(dict(chart.spec)) | {"title": title(chart)} for chart in charts]
    shared = {look: _in_all(panels, look) for look in LOOKS}
    if _alike(shared["color"], shared["shape"]):
        shared |= {"color": None, "shape": None}
    own = [look for look, values in shared.items() if values is None]
    for look, values in shared.items():
        if values is not None:
            for found in _looks(panels, look):
                found["scale"] |= {"domain": [*values], "range": [*values.values()]}
    config = CONFIG | {"legend": CONFIG["legend"] | ({"orient": "top", "columns": 3} if own else {})}
    resolve = {"scale": dict.fromkeys(own, "independent")}
    return {"columns": columns, "concat": panels, "resolve": resolve, "config": config}


def _in_all(panels: Sequence[Any], channel: str) -> dict[Any, Any] | None:
    """How each value is drawn that is in any of the panels; None where two differ about one, or are of two fields."""
    looks: dict[Any, Any] = {}
    found = list(_looks(panels, channel))
    for look in found:
        for value, drawn in zip(look["scale"]["domain"], look["scale"]["range"], strict=True):
            if looks.setdefault(value, drawn) != drawn:
                return None
    fields = {look["field"] for look in found}
    order = plots.in_order(looks) if fields == {"cell"} else sorted(looks) if fields == {"depth"} else looks
    return {value: looks[value] for value in order} if len(fields) < 2 else None


def _alike(colors: dict[Any, Any] | None, shapes: dict[Any, Any] | None) -> bool:
    """Whether two values have one colour and one shape: cells of a user's own, of which each chart begins anew."""
    if not colors or not shapes or colors.keys() != shapes.keys():
        return False
    return len({(color, shapes[value]) for value, color in colors.items()}) < len(colors)


def _looks(panels: Sequence[Any], channel: str) -> Iterator[dict[str, Any]]:
    """What the encodings of all panels say of a channel, where they say how each value is drawn."""
    for panel in panels:
        for part in [panel, *panel.get("layer", ())]:
            if "range" in part.get("encoding", {}).get(channel, {}).get("scale", {}):
                yield part["encoding"][channel]
