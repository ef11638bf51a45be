"""The leaderboard as one HTML page, from the entries alone: no cell is run, and none of its files is imported."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from rnn_capacity import files
from rnn_capacity.checks import InputError
from rnn_capacity.leaderboard.entry import FOLDER, SHOWN, Entry
from rnn_capacity.leaderboard.protocols import PROTOCOLS, Protocol
from rnn_capacity.report import html

PAGE = "index.html"  # in the folder of the entries
ASSETS = pathlib.Path(__file__).with_name("assets")
HEAD = "python launch/leaderboard.py"


class Row(NamedTuple):
    """An entry as its table has it."""

    entry: Entry
    json: str  #: the path of its file, from the page
    file: str | None  #: that of its cell, likewise
    own: list[Any]  #: of the columns of `SHOWN` that the table has
    low: float  #: its interval and its mean along the axis of all, in per cent
    high: float
    at: float


class Board(NamedTuple):
    """A protocol and its rows, the best mean first."""

    protocol: Protocol
    own: list[str]
    rows: list[Row]


class Built(NamedTuple):
    """The page, and a sentence on each entry that is not on it."""

    path: pathlib.Path
    left_out: list[str]


def build(folder: str | os.PathLike = FOLDER) -> Built:
    """Writes index.html of all entries in a folder of protocols; those that are not as they should be are left out.

    Raises:
        InputError: there is no such folder, or it cannot be written.
        MissingPackageError: jinja2 is not installed.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"folder: {str(folder)!r} given; it must be a folder of entries")
    found: dict[str, list[tuple[pathlib.Path, Entry]]] = {name: [] for name in PROTOCOLS}
    left_out = []
    for path in sorted(folder.glob("*/*.json")):
        try:
            entry = Entry.read(path)
            if path.parent.name != entry.of_protocol.version:
                raise InputError(f"entry: {str(path)!r} given; it must be in a folder {entry.of_protocol.version}")
            found[entry.protocol].append((path.relative_to(folder), entry))
        except InputError as error:
            left_out.append(str(error))
    text = html.render(
        "board.html",
        folder=ASSETS,
        scripts=[html.asset("tables.js"), html.asset("board.js", ASSETS)],
        style=html.asset("page.css") + html.asset("board.css", ASSETS),
        boards=[_board(PROTOCOLS[name], entries) for name, entries in found.items()],
        left_out=left_out,
        command=HEAD,
    )
    try:
        return Built(files.write(folder / PAGE, text), left_out)
    except OSError as error:
        raise InputError(f"folder: {str(folder)!r} given; it must be one that can be written ({error})") from None


def _board(protocol: Protocol, entries: Sequence[tuple[pathlib.Path, Entry]]) -> Board:
    entries = sorted(entries, key=lambda one: (-protocol.sign * one[1].mean, one[1].cell))
    ends = [end for _, entry in entries for end in entry.result["interval"]]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    along = lambda value: 100 * (value - low) / (high - low) if high > low else 50.0
    own = [name for name in SHOWN if any(name in entry.result for _, entry in entries)]
    rows = []
    for path, entry in entries:
        ends = entry.result["interval"]
        row = Row(
            entry=entry,
            json=path.as_posix(),
            file=None if entry.file_digest is None else path.with_suffix(".py").as_posix(),
            own=[entry.result.get(name) for name in own],
            low=along(ends[0]),
            high=along(ends[1]),
            at=along(entry.mean),
        )
        rows.append(row)
    return Board(protocol, [SHOWN[name] for name in own], rows)
