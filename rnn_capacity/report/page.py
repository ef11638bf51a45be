"""The report: one HTML page that needs no network, and the figures as PNG and SVG."""

from __future__ import annotations

import base64
import datetime
import hashlib
import importlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from rnn_capacity import files
from rnn_capacity.checks import InputError, MissingPackageError
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.report import packed
from rnn_capacity.report.claims import RULES
from rnn_capacity.report.collection import Collection
from rnn_capacity.report.figure import Claim, Figure
from rnn_capacity.report.section import Section, Shown, machines, results_table, section

PAGE, FIGURES = "report.html", "figures"  # what is written, in the folder that is given
ASSETS = pathlib.Path(__file__).with_name("assets")


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
    jinja2, vega = _packages()
    page, drawings, sections = pathlib.Path(folder) / PAGE, pathlib.Path(folder) / FIGURES, []
    try:
        drawings.mkdir(parents=True, exist_ok=True)
        for one in shown:
            progress(f"drawing {one.figure.title}")
            sections.append(section(one, collection.results, collection.workdir, drawings))
        progress("writing the page")
        text = _page(jinja2, vega, collection, sections)
        files.write(page, text.encode("utf-8", "surrogateescape"))  # of a path
    except OSError as error:
        must = f"it must be a folder that can be written ({error.strerror})"
        raise InputError(f"out: {str(folder)!r} given; {must}") from None
    drawn = [path for one in sections for path in one.paths]
    return Written([page, *drawn], [(one.figure, claim) for one in sections for claim in one.claims])


def _packages() -> tuple[ModuleType, ModuleType]:
    """Needed by nothing else, so an extra."""
    try:
        return importlib.import_module("jinja2"), importlib.import_module("vl_convert")
    except ImportError:
        raise MissingPackageError('the report needs jinja2 and vl-convert-python: pip install ".[report]"') from None


def _page(jinja2: ModuleType, vega: ModuleType, collection: Collection, sections: Sequence[Section]) -> str:
    read = lambda name: (ASSETS / name).read_text(encoding="utf-8")
    scripts = [_script(f"(function(){{{vega.javascript_bundle()}}})();"), _script(read("page.js"))]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    results = collection.results
    found = [(one, claim) for one in sections for claim in one.claims]
    charts = [packed.compact(chart.spec) for one in sections for chart in one.charts]
    measures = []
    for question in QUESTIONS.values():
        if places := [place for place, result in enumerate(results) if result.measure == question.name]:
            group = results_table(question, [results[place] for place in places], places)
            measures.append((question.name, group, question.caption))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        policy=" ".join(f"'sha256-{digest}'" for digest in hashes),
        scripts=scripts,
        style=read("page.css"),
        data=_json({"studies": [packed.study(result) for result in results], "charts": charts}),
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


def _script(text: str) -> str:
    """That nothing in it ends the element that it is put into."""
    return re.sub(r"<(?=/script|!--|script)", r"\\x3C", text, flags=re.IGNORECASE)


def _json(value: Any) -> str:
    """For a script element; a study's name may hold anything."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
