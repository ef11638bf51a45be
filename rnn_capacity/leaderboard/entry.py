"""A row of the leaderboard as files: what was claimed, of which protocol and which cell; read back without running any.

results/leaderboard/<protocol>-<digest>/<cell>.json    the entry; the cell's name with a hyphen for each space
results/leaderboard/<protocol>-<digest>/<cell>.csv     every trial of its search
results/leaderboard/<protocol>-<digest>/<cell>.py      the file of a cell that is none of the package
"""

import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from rnn_capacity import files
from rnn_capacity.cells import NAMED_CELLS
from rnn_capacity.checks import InputError, check_choice, check_int
from rnn_capacity.information import confidence_interval
from rnn_capacity.leaderboard.protocols import PROTOCOLS, Protocol
from rnn_capacity.leaderboard.source import Source, read_file

FOLDER = pathlib.Path("results/leaderboard")
FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9+_][A-Za-z0-9+_. -]{0,63}")  # of a cell; its files have a hyphen for a space
CLOSE = 1e-6  # relative: the same number, written and read
# What is read of a result, and its type; numbers may be whole where they need not be.
COUNTS: tuple[str, ...] = ("num_params", "num_units", "state_floats", "operations", "num_trials", "num_infeasible")
COUNTS += ("num_infeasible_repeats", "train_steps")
# Of some questions, or null: columns of the page.
SHOWN = {"bits_per_state": "bits/state", "operations_per_bit": "ops/bit", "median_loss": "median loss"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """What a submission claims. All of it is plain JSON, and every field is checked as it is read."""

    format: int
    protocol: str
    digest: str  #: of the protocol
    config: Mapping[str, Any]  #: of the protocol, in full
    cell: str
    source: str  #: "package", or the cell's name in its file
    file_digest: str | None  #: SHA-256 of the cell's file; None for a cell of the package
    program: str  #: a digest of what the cell computes, at these sizes and by this JAX
    track: str  #: "bare" or "block"
    result: Mapping[str, Any]  #: of the question, as `to_dict` gives it; null for what is no number
    best_number: int  #: of the trial whose score is claimed
    space: Mapping[str, Any]  #: what was searched, the cell's own ranges included
    trials_digest: str  #: SHA-256 of the table of trials
    machine: Mapping[str, Any]  #: versions, digests of the code that trains, device, kind of CPU
    date: str

    @property
    def of_protocol(self) -> Protocol:
        """The protocol, which is known by now."""
        return PROTOCOLS[self.protocol]

    @property
    def score(self) -> float:
        """What is claimed of the best trial."""
        return self.result[self.of_protocol.score]

    @property
    def repeats(self) -> tuple[float, ...]:
        """Scores of the best hparams again, those left out that diverged."""
        return tuple(self.result["repeats"])

    @property
    def mean(self) -> float:
        """Of the repeats: what rows are ranked by."""
        return float(np.mean(self.repeats))

    def write(self, folder: pathlib.Path, trials: bytes, file: bytes | None) -> pathlib.Path:
        """Writes what belongs to the entry, itself last; returns its path.

        Raises:
            InputError: one of this cell is there already.
        """
        path = path_of(folder, self.of_protocol, self.cell)
        check_new(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path.with_suffix(".csv"), trials)
        if file is not None:
            files.write(path.with_suffix(".py"), file)
        text = json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False, ensure_ascii=False)
        return files.write(path, text + "\n")

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """An entry, if all of it is what this package would have written; nothing of the cell is run.

        Raises:
            InputError: what is not, by name: of another protocol, edited, or without a file that belongs to it.
        """
        path = pathlib.Path(path)
        fail = lambda text: InputError(f"entry: {str(path)!r} given; {text}")
        try:
            known = json.loads(read_file("entry", path))
        except ValueError as error:  # an InputError is one
            raise error if isinstance(error, InputError) else fail(f"it must be JSON ({error})") from None
        if not isinstance(known, dict):
            raise fail("it must be an object of JSON")
        try:
            _check_names("entry", known, [field.name for field in dataclasses.fields(cls)])
            _check_protocol(known)
            entry = cls(**known)
            _check_types(entry)
            _check_result(entry)
            _check_files(entry, path)
        except InputError as error:
            raise fail(str(error)) from None
        return entry

    def load_source(self, path: str | os.PathLike) -> Source:
        """The cell's, of an entry that was read from a path; its file has the digest that is claimed.

        Raises:
            InputError: the file is not there, or was edited.
        """
        if self.file_digest is None:
            return Source(self.cell)
        beside = pathlib.Path(path).with_suffix(".py")
        source = Source(self.source, read_file("the file of the cell", beside), str(beside))
        if source.digest != self.file_digest:
            must = f"it was edited after its submission: SHA-256 {source.digest}, not {self.file_digest}"
            raise InputError(f"the file of the cell: {str(beside)!r} given; {must}; submit it anew")
        return source


def path_of(folder: pathlib.Path, protocol: Protocol, cell: str) -> pathlib.Path:
    """Where a cell's entry lies.

    Raises:
        InputError: the cell has a name that no file should have.
    """
    if not NAME.fullmatch(cell):
        raise InputError(f"cell: one called {cell!r} given; its name must be letters, digits, spaces, +, _, - and dots")
    return folder / protocol.version / f"{cell.replace(' ', '-')}.json"


def check_new(path: pathlib.Path) -> None:
    """An entry is never replaced: the protocol fixes the seed, so the same cell would only give the same again.

    Raises:
        InputError: there is one.
    """
    if path.exists():
        raise InputError(
            f"cell: {path.stem!r} given; {path} is there; give a cell that differs another name, or remove it"
        )


def _check_names(field: str, known: Mapping[str, Any], names: list[str]) -> None:
    if missing := [name for name in names if name not in known]:
        raise InputError(f"{field}.{missing[0]}: none given; it must be there")
    if more := [name for name in known if name not in names]:
        raise InputError(f"{field}.{more[0]}: given; there is no such field")


def _check_protocol(known: Mapping[str, Any]) -> None:
    if known["format"] != FORMAT:
        raise InputError(f"format: {known['format']!r} given; it must be {FORMAT}")
    protocol = PROTOCOLS[check_choice("protocol", known["protocol"], tuple(PROTOCOLS))]
    if known["digest"] != protocol.digest:
        must = f"this is {protocol.version}, and results of two versions are not compared; measure the cell again"
        raise InputError(f"digest: {known['digest']!r} given, of another version of {protocol.name}; {must}")
    config = known["config"] if isinstance(known["config"], dict) else {}
    _check_names("config", config, list(protocol.fields))
    for name, value in protocol.fields.items():
        if config[name] != value or type(config[name]) is not type(value):
            raise InputError(f"config.{name}: {config[name]!r} given; in {protocol.version} it is {value!r}")


def _check_types(entry: Entry) -> None:
    texts = ("cell", "source", "program", "trials_digest", "date")
    for name in texts:
        if not isinstance(getattr(entry, name), str):
            raise InputError(f"{name}: {getattr(entry, name)!r} given; it must be text")
    if not isinstance(entry.file_digest, str | None):
        raise InputError(f"file_digest: {entry.file_digest!r} given; it must be text or null")
    check_choice("track", entry.track, ("bare", "block"))
    check_int("best_number", entry.best_number, 0)
    for name in ("result", "space", "machine"):
        if not isinstance(getattr(entry, name), dict):
            raise InputError(f"{name}: {getattr(entry, name)!r} given; it must be an object")
    path_of(FOLDER, entry.of_protocol, entry.cell)  # its name
    if not isinstance(entry.machine.get("packages"), dict):
        raise InputError(f"machine.packages: {entry.machine.get('packages')!r} given; it must be an object")
    if (entry.file_digest is None) != (entry.source == "package"):
        raise InputError(f"source: {entry.source!r} given; it must be 'package', or a name in a file with a digest")
    if (entry.cell in NAMED_CELLS) != (entry.file_digest is None):
        raise InputError(f"cell: {entry.cell!r} given; it must be a cell of the package, or of a file of another name")


def _check_number(field: str, value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{field}: {value!r} given; it must be a number")


def _check_result(entry: Entry) -> None:
    """What is claimed fits the protocol, and itself."""
    result, protocol = entry.result, entry.of_protocol
    check = lambda name, right: _check_equal(f"result.{name}", result.get(name), right)
    for name in COUNTS:
        check_int(f"result.{name}", result.get(name), 0)
    for name in (protocol.score, "seconds"):
        _check_number(f"result.{name}", result.get(name))
    for name in SHOWN:
        if result.get(name) is not None:
            _check_number(f"result.{name}", result[name])
    for name in ("repeats", "interval"):
        if not isinstance(result.get(name), list):
            raise InputError(f"result.{name}: {result.get(name)!r} given; it must be a list of numbers")
        for value in result[name]:
            _check_number(f"result.{name}", value)
    if not isinstance(result.get("best_hparams"), dict):
        raise InputError(f"result.best_hparams: {result.get('best_hparams')!r} given; it must be an object")
    check("measure", protocol.question)
    check("cell", entry.cell)
    for name in ("num_trials", "depth", "unroll", "train_steps"):
        check(name, protocol.fields[name])
    if len(entry.repeats) < 2:
        raise InputError(f"result.repeats: {len(entry.repeats)} given; two at least must not have diverged")
    repeats = len(entry.repeats) + result["num_infeasible_repeats"]
    _check_equal("result.repeats and those that diverged", repeats, protocol.num_repeats)
    right = confidence_interval(entry.repeats)
    if len(result["interval"]) != 2 or not np.allclose(result["interval"], right, CLOSE, CLOSE):
        raise InputError(f"result.interval: {result['interval']} given; that of the repeats is {list(right)}")


def _check_equal(field: str, given: Any, right: Any) -> None:
    if given != right:
        raise InputError(f"{field}: {given!r} given; it must be {right!r}")


def _check_files(entry: Entry, path: pathlib.Path) -> None:
    """The trials are those that were submitted, the claimed one is among them, and so is the cell's file."""
    if path.name != (right := path_of(FOLDER, entry.of_protocol, entry.cell).name):
        raise InputError(f"cell: {entry.cell!r} given; the file must be called {right}")
    table = read_file("the table of trials", path.with_suffix(".csv"))
    found = hashlib.sha256(table).hexdigest()
    if found != entry.trials_digest:
        raise InputError(f"trials_digest: {entry.trials_digest!r} given; the table of trials has {found}")
    reported = entry.of_protocol.asked.plan.reported
    try:
        trials = pd.read_csv(io.BytesIO(table)).set_index("number")
        score = float(trials.loc[entry.best_number, reported])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"best_number: {entry.best_number} given; the table of trials has no such ({error})") from None
    _check_equal("result.num_trials", entry.result["num_trials"], len(trials))
    if not math.isclose(score, entry.score, rel_tol=CLOSE, abs_tol=1e-9):
        name = entry.of_protocol.score
        raise InputError(f"result.{name}: {entry.score} given; trial {entry.best_number} has {score} in the table")
    entry.load_source(path)
