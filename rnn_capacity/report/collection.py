"""Whatever was measured, read for a report: finished or half done."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from rnn_capacity.cells import NAMED_CELLS
from rnn_capacity.checks import InputError
from rnn_capacity.measure.questions import results_in
from rnn_capacity.measure.result import Result
from rnn_capacity.studies import reader, store
from rnn_capacity.studies.database import hide_password


class Collection(NamedTuple):
    """What was found, and what could not be read."""

    results: list[Result]  # a search each, finished or not, by source and name
    notes: list[str]  # sentences for people
    sources: list[str]  # the databases that were read
    workdir: str  # the folder, as it was given


def collect(workdir: str | os.PathLike, storages: Iterable[str] = ()) -> Collection:
    """Every search of the databases in a folder or below it, and of others; nothing is written, nothing trained.

    Args:
        workdir: hidden folders in it are left out; where a study is is relative to it.
        storages: database URLs.

    Raises:
        InputError: the folder is not there.
    """
    folder = pathlib.Path(os.path.expanduser(workdir))
    if not folder.is_dir():
        raise InputError(f"workdir: {str(workdir)!r} given; it must be a folder that is there")
    found = Collection([], [], [], str(workdir))
    below = {str(path.relative_to(folder)): path for path in _folders(folder, found.notes)}
    files = set()
    named: list[tuple[str, str | os.PathLike]] = [*below.items(), *((hide_password(url), url) for url in storages)]
    for source, storage in named:
        try:
            file = reader.file_of(storage)
            if file is not None and file.resolve() in files:
                continue
            results, notes = results_in(storage, source)
        except ValueError as error:
            found.notes.append(f"{source}: {error}")
            continue
        files |= {file.resolve()} if file is not None else set()
        found.sources.append(source)
        found.notes.extend(f"{source}: {note}" for note in notes)
        found.results.extend(map(_told_apart, sorted(results, key=lambda result: result.study)))
    return found


def _told_apart(result: Result) -> Result:
    """A user's own cell that is called like one of the package's is none of these."""
    own = "cell's program" in result.record.plan and result.cell in NAMED_CELLS
    return dataclasses.replace(result, cell=f"{result.cell} (own)") if own else result


def _folders(folder: pathlib.Path, notes: list[str]) -> list[pathlib.Path]:
    """Those with a database, hidden ones left out."""
    found = []
    unread = lambda error: notes.append(f"{os.path.relpath(error.filename, folder)}: {error.strerror}")
    for path, folders, files in os.walk(folder, onerror=unread):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if store.DATABASE in files:
            found.append(pathlib.Path(path))
    return found
