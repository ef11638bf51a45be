"""The report: one HTML page that needs no network, and the figures as PNG and SVG."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import math
import os
import pathlib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd

from rnn_capacity import files
from rnn_capacity.checks import InputError, MissingPackageError
from rnn_capacity.display import tables
from rnn_capacity.report.claims import RULES
from rnn_capacity.report.figure import Claim, Figure
from rnn_capacity.studies.database import first_line

if TYPE_CHECKING:
    from rnn_capacity.report.collection import Collection

PAGE, FIGURES = "report.html", "figures"  # what is written, in the folder that is given
ASSETS = pathlib.Path(__file__).with_name("assets")
DIGITS = 4  # significant ones of what is drawn
LEAST_TO_PACK = 8  # rows
SCORES = {"capacity": ("bits_per_param", "bits per parameter", 1)}  # the column that the tuner sees, its name and sign
LOSS = ("valid_loss", "validation loss", -1)  # of the others
NUMBER = re.compile(r"[-+−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( to .*|\+\d+| of \d+)?%?")
NOTHING = ("", "-", "–", "nan", "None")


class Wanted(NamedTuple):
    """A study that a figure needs: its title, and what its plan must have; None: no study of that title was begun."""

    title: str
    settings: Mapping[str, Any] | None


class Shown(NamedTuple):
    """A figure of the page, and how to measure what it lacks."""

    figure: Figure
    command: str  # measures what the figure needs, in the workdir that is appended to it
    beyond: str  # the command of a larger search
    wanted: Sequence[Wanted]  # the studies that the first command measures


class Written(NamedTuple):
    """What a report came to."""

    paths: list[pathlib.Path]  # the page first
    claims: list[tuple[Figure, Claim]]  # every finding of the paper beside ours, in the order of the figures


class Table(NamedTuple):
    """Strings, and which columns are numbers; `studies` are the rows' places among the page's studies."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    studies: Sequence[int] = ()


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
    folder = pathlib.Path(folder)
    sections, drawn = [], []
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
        for entry in shown:
            progress(f"drawing {entry.figure.title}")
            sections.append(_section(entry, collection, folder))
            drawn += sections[-1]["paths"]
        progress("writing the page")
        page = folder / PAGE
        files.write(page, _page(jinja2, vega, collection, sections).encode("utf-8", "surrogateescape"))  # of a path
    except OSError as error:
        raise InputError(
            f"out: {str(folder)!r} given; it must be a folder that can be written ({error.strerror})"
        ) from None
    return Written([page, *drawn], [(section["figure"], claim) for section in sections for claim in section["claims"]])


def _packages():
    """Needed by nothing else, so an extra."""
    try:
        import jinja2
        import vl_convert
    except ImportError:
        raise MissingPackageError('the report needs jinja2 and vl-convert-python: pip install ".[report]"') from None
    return jinja2, vl_convert


def _page(jinja2, vega, collection: Collection, sections: Sequence[Mapping[str, Any]]) -> str:
    read = lambda name: (ASSETS / name).read_text(encoding="utf-8")
    scripts = [_script(f"(function(){{{vega.javascript_bundle()}}})();"), _script(read("page.js"))]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    results = list(collection.results)
    found = [(section, claim) for section in sections for claim in section["claims"]]
    charts = [chart for section in sections for chart in section["charts"]]
    for place, chart in enumerate(charts):
        chart["place"] = place
    data = {
        "studies": [_study(result) for result in results],
        "charts": [chart["spec"] for chart in charts],
    }
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
        data=_json(data),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        sources=collection.sources,
        notes=collection.notes,
        machines=_machines(results),
        num_trials=sum(len(result["trials"]) for result in results),
        sections=sections,
        claims=found,
        verdicts={verdict: sum(claim.verdict == verdict for _, claim in found) for verdict in RULES},
        rules=RULES,
        measures=[
            (measure, _results_table(group, results), tables.CAPTIONS[measure])
            for measure, group in tables.by_measure(results).items()
        ],
        studies=[(i, r["source"], r["study"]) for i, r in enumerate(results)],
    )


def _script(text: str) -> str:
    """That nothing in it ends the element that it is put into."""
    return re.sub(r"<(?=/script|!--|script)", r"\\x3C", text, flags=re.IGNORECASE)


def _json(value: Any) -> str:
    """For a script element; a study's name may hold anything."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# --- A figure ---------------------------------------------------------------------------------------------------------


def _section(shown: Shown, collection: Collection, folder: pathlib.Path) -> dict[str, Any]:
    figure, there = shown.figure, _found(shown.wanted, collection.results)
    command = f"{shown.command} --workdir={shlex.quote(_home(there, collection.workdir))}"
    section = {
        "figure": figure,
        "command": command,
        "beyond": shown.beyond,
        "more": command if _missing(there) else shown.beyond,
        "wanted": shown.wanted,
        "missing": _missing(there),
        "failed": None,
        "claims": [],
        "charts": [],
        "paths": [],
        "table": None,
        "measured": None,
    }
    try:
        results = figure.select(collection.results)
        section["claims"] = _judged(figure, results)
        if results:
            charts = [{"caption": chart.caption, "spec": _compact(chart.spec)} for chart in figure.charts(results)]
            section |= {"charts": charts, "table": _table(figure.table(results)), "measured": _measured(results)}
            section["paths"] = _draw(figure, results, folder) if figure.draw else []
    except OSError:
        raise
    except Exception as error:  # of what another version measured: the other figures are drawn
        section["failed"] = f"{type(error).__name__}: {first_line(error)}"
    return section


def _judged(figure: Figure, results: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """By studies that are finished: half of one is shown, and decides nothing."""
    return figure.claims([result for result in results if result["finished"]])


def _draw(figure: Figure, results: Sequence[Mapping[str, Any]], folder: pathlib.Path) -> list[pathlib.Path]:
    paths = []
    with matplotlib.rc_context({"svg.hashsalt": figure.name}):  # the same results give the same file
        drawing = figure.draw(results)
        for kind, options in {"png": {"dpi": 150}, "svg": {"metadata": {"Date": None}}}.items():
            path = folder / FIGURES / f"{figure.name}.{kind}"
            with files.whole(path) as part:
                drawing.savefig(part, format=kind, **options)
            paths.append(path)
    return paths


def _found(
    wanted: Sequence[Wanted], results: Iterable[Mapping[str, Any]]
) -> list[tuple[Wanted, Mapping[str, Any] | None]]:
    """Each wanted study with its result, a finished one where there are several; None where there is none."""
    own = ("cell's program", "task's program")  # of a user's, whatever it is called
    found = sorted((r for r in results if not any(name in r["plan"] for name in own)), key=lambda r: not r["finished"])
    is_of = lambda plan, settings: all(name in plan and plan[name] == value for name, value in settings.items())
    of = lambda w: None if w.settings is None else next((r for r in found if is_of(r["plan"], w.settings)), None)
    return [(w, of(w)) for w in wanted]


def _missing(there: Iterable[tuple[Wanted, Mapping[str, Any] | None]]) -> list[tuple[str, str]]:
    """The wanted studies that are not there or not finished, and how far they are."""
    states = [(wanted.title, "not begun" if result is None else _progress(result)) for wanted, result in there]
    return [(name, state) for name, state in states if state]


def _home(there: Iterable[tuple[Wanted, Mapping[str, Any] | None]], workdir: str) -> str:
    """The workdir in which the command goes on: each sweep has a folder of its own in it."""
    sources = [result["source"] for _, result in there if result is not None and "://" not in result["source"]]
    homes = Counter(os.path.normpath(os.path.join(workdir, source, os.pardir)) for source in sources)
    return homes.most_common(1)[0][0] if homes else workdir


def _progress(result: Mapping[str, Any]) -> str:
    done, wanted = len(result["trials"]), result["wanted_trials"]
    if result["finished"]:
        return ""
    if wanted is None:
        return f"{done} trials so far"
    return f"{done} of {wanted} trials" + ("; the best not yet trained again" if done >= wanted else "")


def _measured(results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What it takes to judge the numbers, and to measure them again."""
    if not results:
        return None
    rows = [
        [
            r["study"],
            f"{len(r['trials'])}" + ("" if r["finished"] else f" of {r['wanted_trials'] or '?'}"),
            f"{r['num_infeasible']}",
            "yes" if r["still_improving"] else "no",
            _whole(r["train_steps"]),
            _whole(r["total_steps"]),
            _whole(r["seconds"]),
        ]
        for r in results
    ]
    columns = ("study", "trials", "infeasible", "rising", "steps a trial", "steps in all", "seconds")
    plans = [{name: _words(value) for name, value in r["plan"].items()} for r in results]
    common = {k: v for k, v in plans[0].items() if all(plan.get(k) == v for plan in plans)}
    own = [{k: v for k, v in plan.items() if k not in common} for plan in plans]
    commands = dict.fromkeys(w["command"] for r in results for w in r["workers"] if w.get("command"))
    return {
        "table": Table(columns, rows, [False, *[True] * 2, False, *[True] * 3]),
        "commands": list(commands),
        "machines": _machines(results),
        "common": common,
        "own": [(r["study"], plan) for r, plan in zip(results, own, strict=True) if plan],
    }


def _machines(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the studies were trained with, each once: the device, our code, the packages."""
    found: dict[str, dict[str, Any]] = {}
    for worker in (worker for result in results for worker in result["workers"]):
        known = {name: worker.get(name) for name in ("device", "code", "packages")}
        found.setdefault(json.dumps(known, sort_keys=True), known)
    return list(found.values())


def _words(value: Any) -> str:
    """A value of a plan, as people read it."""
    if isinstance(value, Mapping) and {"low", "high"} <= set(value):
        scales = [name for name in ("log", "whole") if value.get(name)]
        return ", ".join([f"{value['low']:g} to {value['high']:g}", *scales])
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


# --- Tables -----------------------------------------------------------------------------------------------------------


def _table(frame: pd.DataFrame) -> Table:
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return Table([str(name) for name in frame.columns], rows, _numeric(rows, len(frame.columns)))


def _results_table(group: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> Table:
    """The terminal's table, with how far a study is, and where the explorer has it."""
    places = {id(result): i for i, result in enumerate(results)}
    rows = []
    for result in group:
        cells = {name: _cell(value) for name, value in tables.cells(result).items()}
        if not result["finished"]:
            cells["trials"] += f" of {result['wanted_trials'] or '?'}"
        rows.append(list(cells.values()))
    columns = list(tables.COLUMNS[tables.measure_of(group[0])])
    return Table(columns, rows, _numeric(rows, len(columns)), [places[id(result)] for result in group])


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        value = f"{value:.4g}"
    return "–" if value is None or str(value).strip() in NOTHING else str(value)


def _whole(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.0f}"


def _numeric(rows: Sequence[Sequence[str]], width: int) -> list[bool]:
    """The columns to be aligned, and sorted, as numbers."""
    said = [[row[i] for row in rows if row[i] not in NOTHING] for i in range(width)]
    return [bool(column) and all(NUMBER.fullmatch(text) for text in column) for column in said]


# --- What the scripts are given ---------------------------------------------------------------------------------------


def _study(result: Mapping[str, Any]) -> dict[str, Any]:
    """A study's trials, a list a column."""
    column, score, sign = SCORES.get(tables.measure_of(result), LOSS)
    trials = result["trials"]
    dimensions = [_dimension(name, result["plan"], trials[name]) for name in result["hparam_names"]]
    if len(trials):
        stopped = trials["stopped_early"].astype(bool)
        notes = np.where(~trials["feasible"].astype(bool), "infeasible", np.where(stopped, "stopped early", ""))
    return {
        "source": result["source"],
        "study": result["study"],
        "score": score,
        "sign": sign,
        "best": result["best_number"],
        "finished": bool(result["finished"]),
        "hparams": dimensions,
        "trials": _packed(
            {
                "number": trials["number"].tolist(),
                "score": trials[column].tolist(),
                "note": notes.tolist(),
                **{name: trials[name].tolist() for name in result["hparam_names"]},
            }
        )
        if len(trials)
        else {},
    }


def _dimension(name: str, plan: Mapping[str, Any], values: pd.Series) -> dict[str, Any]:
    """How an hparam is drawn: between two numbers, or among names."""
    planned = plan.get(f"hparams.{name}")
    if isinstance(planned, Mapping) and {"low", "high"} <= planned.keys():
        return {"name": name, "low": planned["low"], "high": planned["high"], "log": bool(planned.get("log"))}
    known = values.dropna()
    if isinstance(planned, list | tuple) or any(isinstance(value, str) for value in known):
        return {"name": name, "options": list(planned or dict.fromkeys(known))}
    return {"name": name, "low": _plain(known.min()), "high": _plain(known.max()), "log": False}


def _compact(spec: Any, name: str = "") -> Any:
    """A Vega-Lite specification as JSON, its longer tables a list a column; the page turns them back."""
    if isinstance(spec, Mapping):
        return {str(k): _compact(v, "values" if name == "datasets" else k) for k, v in spec.items()}
    if isinstance(spec, list | tuple):
        if name == "values" and len(spec) >= LEAST_TO_PACK and all(_is_row(row) for row in spec):
            names = dict.fromkeys(field for row in spec for field in row)
            return {"packed": _packed({field: [row.get(field) for row in spec] for field in names})}
        return [_compact(value) for value in spec]
    return _plain(spec)


def _is_row(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(isinstance(v, Mapping | list | tuple) for v in value.values())


def _packed(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns of plain values; one of names, or of few values, as its values once and each row's place among them."""
    found = {}
    for name, values in columns.items():
        values = [_plain(value) for value in values]
        places: dict[tuple, int] = {}
        at = [places.setdefault((type(value), value), len(places)) for value in values]
        few = len(places) * 2 < len(values)
        found[name] = {"of": [value for _, value in places], "at": at} if few else values
    return found


def _plain(value: Any) -> Any:
    """As JSON has it: numbers with few digits, null for what is no number."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        value = float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        return int(value) if value is not None and value.is_integer() and abs(value) < 1e15 else value
    return value if isinstance(value, str | int | None) else str(value)
