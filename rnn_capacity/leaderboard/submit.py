"""Measures a cell by a protocol, and writes its entry."""

import datetime
import hashlib
import json
import os
import pathlib
from typing import Any

from rnn_capacity.cells import Cell
from rnn_capacity.checks import InputError, check_choice
from rnn_capacity.display import tables
from rnn_capacity.leaderboard import entry as entries
from rnn_capacity.leaderboard import protocols
from rnn_capacity.leaderboard.entry import FOLDER, Entry
from rnn_capacity.leaderboard.protocols import Protocol, protocol_of
from rnn_capacity.leaderboard.source import Agree, Source, source_of
from rnn_capacity.measure.result import Result
from rnn_capacity.model import cell_check
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import session, store
from rnn_capacity.studies.plan import Plan
from rnn_capacity.training import sharding


def submit(
    cell: str,
    protocol: str,
    agree: Agree,
    folder: str | os.PathLike = FOLDER,
    storage: str | os.PathLike | None = None,
    progress: bool = True,
) -> tuple[pathlib.Path, Result]:
    """Measures a cell by a protocol; returns the path of its entry, and the result.

    Args:
        cell: a name of the package, or `my_cell.py:cell`.
        agree: asked before the file of a cell is run.
        folder: of all entries.
        storage: a folder where a measurement that was stopped goes on, by the same code; None: it begins anew.

    Raises:
        InputError: bad input, by name, before anything is compiled; or nothing was found that could be claimed.
    """
    known, source = protocol_of(protocol), source_of(cell)
    folder = store.check_workdir(folder, "folder")
    with session.measuring("the same command goes on where it was"):
        loaded = source.load(agree)
        check_choice("track", loaded.track, ("bare", "block"))
        path = entries.path_of(folder, known, loaded.name)
        entries.check_new(path)
        program, machine = program_of(known.plan(loaded)), machine_here()
        if storage is not None:  # of the package a study's name does not say by which code its cell was trained
            storage = pathlib.Path(storage, f"{path.stem}-{_digest([known.version, program, machine])}")
        budget: dict[str, Any] = {"num_trials": known.num_trials, "num_repeats": known.num_repeats}
        shown = known.asked.call(cell=loaded, **known.config, **budget, storage=storage, progress=progress)
        (result,) = shown.parts
        assert isinstance(result, Result)
        if len(result.repeats) < 2:
            what = f"{result.num_infeasible} of {result.num_trials} trials diverged, and of the best again all but "
            raise InputError(f"cell: {loaded.name!r} given; {what}{len(result.repeats)}: there is no score to claim")
        trials = result.trials.to_csv(index=False).encode()
        made = _entry(known, source, loaded, result, trials, program=program, machine=machine)
        return made.write(folder, trials, source.file), result


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[: protocols.DIGITS]


def program_of(plan: Plan) -> str:
    """A digest of what the plan's cell computes, which is of this version of JAX, too."""
    sizes = {"num_units": plan.num_units, "depth": plan.static["depth"]}
    sizes |= {"num_inputs": plan.task.num_inputs, "num_outputs": plan.task.num_outputs}
    return cell_check.program_digest(plan.cell, spaces.options(plan.space["nonlinearity"]), **sizes)


def machine_here() -> dict[str, Any]:
    """What decides the last digits of a number."""
    code = "-".join(store.code_digest(store.PACKAGE / name) for name in ("model", "tasks", "training"))
    device = sharding.present_devices()[0].device_kind
    return {"packages": store.packages(), "code": code, "device": device, "cpu": sharding.cpu_kind()}


def _entry(protocol: Protocol, source: Source, cell: Cell, result: Result, trials: bytes, **measured: Any) -> Entry:
    assert result.record.best_number is not None  # as it has repeats
    return Entry(
        format=entries.FORMAT,
        protocol=protocol.name,
        digest=protocol.digest,
        config=protocol.fields,
        cell=cell.name,
        source="package" if source.file is None else source.name,
        file_digest=source.digest,
        track=cell.track,
        result=tables.plain(result.to_dict(), finite=True),
        best_number=result.record.best_number,
        space=tables.plain(result.record.space, finite=True),
        trials_digest=hashlib.sha256(trials).hexdigest(),
        date=datetime.date.today().isoformat(),
        **measured,
    )
