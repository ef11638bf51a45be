"""A figure for print: its charts side by side in one picture, as PNG and SVG."""

import copy
import pathlib
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rnn_capacity import files
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
    own = [look for look in LOOKS if not _shared(panels, look)]
    config = CONFIG | {"legend": CONFIG["legend"] | ({"orient": "top", "columns": 3} if own else {})}
    resolve = {"scale": dict.fromkeys(own, "independent")}
    return {"columns": columns, "concat": panels, "resolve": resolve, "config": config}


def _shared(panels: Sequence[Any], channel: str) -> bool:
    """Gives all panels one scale of a look, of what is in any of them; False where two differ about it."""
    found = [look for panel in panels for look in _channels(panel, channel) if "range" in look.get("scale", {})]
    looks: dict[Any, Any] = {}
    for look in found:
        for value, drawn in zip(look["scale"]["domain"], look["scale"]["range"], strict=True):
            if looks.setdefault((look["field"], value), drawn) != drawn:
                return False
    if len({look["field"] for look in found}) > 1:
        return False
    for look in found:
        look["scale"] |= {"domain": [value for _, value in looks], "range": [*looks.values()]}
    return True


def _channels(spec: Any, channel: str) -> Iterator[dict[str, Any]]:
    """What the encodings of a specification say of a channel."""
    for part in [spec, *spec.get("layer", ())]:
        if channel in part.get("encoding", {}):
            yield part["encoding"][channel]
