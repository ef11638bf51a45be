"""Tables of trials in Parquet files: ours as they are, ours in the authors' row format, and the authors' own."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rnn_capacity import files
from rnn_capacity.checks import InputError, MissingPackageError, check_choice
from rnn_capacity.paper import authors
from rnn_capacity.studies import reader, store
from rnn_capacity.studies.reader import Stored

FORMATS = ("trials", "authors")
METADATA = "rnn_capacity"  # the key, in a Parquet file's own metadata, of what we attach


def export(storage: reader.Storage, out: str | os.PathLike, format: str = "trials") -> pathlib.Path:
    """Every finished trial of every study of a storage, into a new Parquet file.

    With format "trials" a row has the study, the trial's number and state, what it gave (bits, loss in nats an example,
    seconds and so on) and, as a column each, the hparams that it ran with; what a trial does not have is null. With
    format "authors" it is a row of the authors' table (`authors.rows`), its hparams a string of JSON.

    The file's metadata holds each study's plan, package versions, device and result. With these and its row a trial can
    be run again; the program of a user's own cell is known by its fingerprint only.

    Args:
        storage: a folder with a study.db, or a database URL.
        out: a file that is not there yet.
        format: "trials" or "authors".

    Raises:
        InputError: bad input, by name.
        ImportError: pyarrow is not installed.
    """
    check_choice("format", format, FORMATS)
    out = _check_out(out)
    studies = reader.load_studies(storage)
    frame = authors.rows(studies) if format == "authors" else None
    table = _trials_table(studies) if frame is None else _authors_table(frame)
    if not table.num_rows:
        raise InputError("storage: one without a measured trial given; it must hold one")
    return _write(table, out, {"studies": {study.name: study.user_attrs for study in studies}})


def import_authors(path: str | os.PathLike, out: str | os.PathLike) -> pathlib.Path:
    """A pickle of the authors' table into a new Parquet file, of the schema of `export(..., format="authors")`.

    Raises:
        InputError: bad input, by name; a pickle that names anything but what arrays need is refused.
        ImportError: pyarrow is not installed.
    """
    out = _check_out(out)
    return _write(_authors_table(authors.read_authors(path)), out, {"source": pathlib.Path(path).name})


def read(path: str | os.PathLike) -> pd.DataFrame:
    """A Parquet file written here, hparams of the authors' format as dicts again; `attrs` has the file's metadata.

    Raises:
        InputError: it is no such file.
        ImportError: pyarrow is not installed.
    """
    pa, parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
        metadata = json.loads((table.schema.metadata or {})[METADATA.encode()])
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        reason = "it has none of our metadata" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise InputError(f"path: {str(path)!r} given; it must be a Parquet file written here ({reason})") from None
    frame = table.to_pandas()
    if "hparams" in frame:
        frame["hparams"] = pd.Series([json.loads(text) for text in frame["hparams"]], dtype=object)
    frame.attrs = metadata
    return frame


def _pyarrow():
    """Heavy, and needed by nothing else, so an extra."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingPackageError('Parquet files need pyarrow: pip install ".[parquet]"') from None
    return pyarrow, parquet


def _trials_table(studies: Sequence[Stored]):
    pa, _ = _pyarrow()
    rows = [
        {"study": study.name, "number": trial.number, "state": trial.state.name}
        | trial.user_attrs.get(store.OUTCOME, {})
        | study.hparams(trial)
        for study in studies
        for trial in study.trials
    ]
    names = dict.fromkeys(name for row in rows for name in row)  # in order
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    # A column without any value has no type either; what we measure is mostly numbers.
    return pa.table({n: c.cast(pa.float64()) if pa.types.is_null(c.type) else c for n, c in columns.items()})


def _authors_table(frame: pd.DataFrame):
    pa, _ = _pyarrow()
    types = dict.fromkeys(authors.FIELDS, pa.string())
    types |= dict.fromkeys(authors.COUNTS, pa.int64()) | dict.fromkeys(authors.LOSSES, pa.float64())
    columns = frame.assign(hparams=[json.dumps(hparams) for hparams in frame["hparams"]])
    return pa.table(  # by lists: a NaN is then kept as such, and does not become null
        {n: pa.array([None if v is pd.NA else v for v in columns[n].tolist()], types[n]) for n in authors.FIELDS}
    )


def _check_out(out: str | os.PathLike) -> pathlib.Path:
    """Before anything is read: pyarrow is there, and the file is not."""
    _pyarrow()
    path = pathlib.Path(os.path.expanduser(out))
    if os.path.lexists(path) or not path.parent.is_dir():
        raise InputError(f"out: {str(out)!r} given; it must be a file that is not there yet, in a folder that is")
    return path


def _write(table, path: pathlib.Path, metadata: Mapping[str, Any]) -> pathlib.Path:
    _, parquet = _pyarrow()
    try:
        with files.whole(path) as part:
            parquet.write_table(table.replace_schema_metadata({METADATA: json.dumps(metadata)}), part)
    except OSError as error:
        raise InputError(f"out: {str(path)!r} given; it must be a file that can be written ({error})") from None
    return path
