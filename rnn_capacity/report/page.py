"""The report: one HTML page that needs no network, and the figures as PNG and SVG."""

import datetime
import os
import pathlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

from rnn_capacity import files
from rnn_capacity.checks import InputError
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.report import html, packed
from rnn_capacity.report.claims import RULES
from rnn_capacity.report.collection import Collection
from rnn_capacity.report.figure import Claim, Figure
from rnn_capacity.report.section import Section, Shown, machines, results_table, section

PAGE, FIGURES = "report.html", "figures"  # what is written, in the folder that is given


class Written(NamedTuple):
    """What a report came to."""

    paths: list[pathlib.Path]  # the page first
    claims: list[tuple[Figure, Claim]]  # every finding of the paper beside ours, in the order of the figures


def write(
    collection: Collection,
    shown: Sequence[Shown],
    folder: str | os.PathLike,
    progress: Callable[[str], None] = lambda line: None,
) -> Written:
    """Writes report.html, and figures/<name>.png and .svg of what was measured; each is replaced whole.

    Args:
        progress: called with a line for each thing that is drawn.

    Raises:
        InputError: the folder cannot be written.
        ImportError: jinja2 or vl-convert-python is not installed.
    """
    html.package("jinja2")  # before anything is drawn
    vega = html.package("vl_convert")
    page, drawings, sections = pathlib.Path(folder) / PAGE, pathlib.Path(folder) / FIGURES, []
    try:
        drawings.mkdir(parents=True, exist_ok=True)
        for one in shown:
            progress(f"drawing {one.figure.title}")
            sections.append(section(one, collection.results, collection.workdir, drawings))
        progress("writing the page")
        text = _page(vega, collection, sections)
        files.write(page, text.encode("utf-8", "surrogateescape"))  # of a path
    except OSError as error:
        must = f"it must be a folder that can be written ({error.strerror})"
        raise InputError(f"out: {str(folder)!r} given; {must}") from None
    drawn = [path for one in sections for path in one.paths]
    return Written([page, *drawn], [(one.figure, claim) for one in sections for claim in one.claims])


def _page(vega: ModuleType, collection: Collection, sections: Sequence[Section]) -> str:
    results = collection.results
    found = [(one, claim) for one in sections for claim in one.claims]
    charts = [packed.compact(chart.spec) for one in sections for chart in one.charts]
    measures = []
    for question in QUESTIONS.values():
        if places := [place for place, result in enumerate(results) if result.measure == question.name]:
            group = results_table(question, [results[place] for place in places], places)
            measures.append((question.name, group, question.caption))
    return html.render(
        "page.html",
        scripts=[f"(function(){{{vega.javascript_bundle()}}})();", html.asset("page.js") + html.asset("tables.js")],
        style=html.asset("page.css"),
        data=html.json_of({"studies": [packed.study(result) for result in results], "charts": charts}),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        sources=collection.sources,
        notes=collection.notes,
        machines=machines(results),
        num_trials=sum(result.num_trials for result in results),
        sections=sections,
        claims=found,
        verdicts={verdict: sum(claim.verdict == verdict for _, claim in found) for verdict in RULES},
        rules=RULES,
        measures=measures,
        studies=[(place, result.record.source, result.study) for place, result in enumerate(results)],
    )
