"""Where trials in training stand, kept on disk, so that what a killed worker had trained is not trained again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging as absl_logging

SECONDS_TO_DESCRIBE = 600  # what is not described for so long never will be

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _About:
    """What a checkpoint holds, known without reading it."""

    numbers: list[int]
    step: int
    leaves: list[list]  # of one trial: path, dtype, shape
    digest: str  # of the bytes of all leaves


class Checkpoints:
    """The checkpoints of a study, of all its workers; a worker writes its own, and any worker goes on from them.

    A checkpoint is a description, `NAME.json`, and a folder of Orbax's, NAME, which has another name until it is whole.
    The description is written first, and deleted first. So what has both is whole, what has no description is rubbish,
    and of a folder that a kill left half written it is known whose trials it is of.

    Args:
        folder: may hold other studies, and be shared by workers on several machines; nothing is made or read yet.
        study_name: any text; a folder is made of its digest.
    """

    def __init__(self, folder: str | os.PathLike, study_name: str):
        study = hashlib.sha256(study_name.encode(errors="surrogatepass")).hexdigest()[:32]
        self._home = pathlib.Path(folder).expanduser().absolute() / study
        self._worker, self._counter = secrets.token_hex(8), itertools.count()
        self._writer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._latest: concurrent.futures.Future = concurrent.futures.Future()  # what is written, or is to be
        self._latest.set_result(None)
        self._latest_numbers: list[int] = []
        self._own: dict[str, set[int]] = {}  # what of this worker is on disk, for which trials; the writer's
        self._described: dict[str, _About] = {}
        self._read: tuple[str, list[np.ndarray]] | None = None  # the last that was read: its other trials come next
        self._warned: set[str] = set()

    def save(self, numbers: Sequence[int], step: int, state: Any, *, wait: bool = False) -> None:
        """Keeps where trials that train together stand, in the place of what this worker kept of them before.

        The state is copied to the host before this returns, and written behind the training. Where writing is slower
        than saving, states of the same trials between are passed over. Where it fails a warning is logged, once, and
        the older stays.
        Not for use in a signal handler: it may interrupt another save.

        Args:
            numbers: the trials' numbers in the study, K of them.
            step: where they stand.
            state: a tree of arrays [K or more, ...]; rows beyond K are padding, and are not kept.
            wait: returns once it is on disk.
        """
        paths, leaves = _flatten(jax.device_get(state))
        rows = [np.array(a[: len(numbers)], order="C") for a in leaves]  # a copy: the device's may go
        if short := [path for path, a in zip(paths, rows, strict=True) if len(a) < len(numbers)]:
            raise ValueError(f"state: {short[0]} of fewer rows given; it must have {len(numbers)}, one a trial")
        described = [[path, a.dtype.name, list(a.shape[1:])] for path, a in zip(paths, rows, strict=True)]
        data = [a.reshape(-1).view(np.uint8) for a in rows]
        self._read, numbers = None, [int(n) for n in numbers]
        if numbers == self._latest_numbers:
            self._latest.cancel()  # unless it has begun
        self._latest_numbers = numbers
        self._latest = self._writer.submit(self._write, numbers, int(step), described, data)
        if wait:
            self._latest.result()

    def drop(self, numbers: Collection[int]) -> None:
        """Deletes this worker's checkpoints of trials that are stored, in the background."""
        self._latest_numbers = []
        self._latest = self._writer.submit(self._forget, set(numbers))

    def numbers(self) -> set[int]:
        """Numbers of the trials that any worker has a checkpoint of."""
        found, entries = set(), self._entries()
        for name in entries:
            if f"{name}.json" in entries:
                with self._left_out(name):
                    found.update(self._known(name).numbers)
        return found

    def load(self, number: int, like: Any) -> Any | None:
        """Where a trial stands, by the furthest whole checkpoint that any worker kept; None if there is none.

        What does not fit, or is damaged, is left out with a warning. One that is not whole yet is not seen.

        Args:
            like: a tree of `jax.ShapeDtypeStruct`, of one trial.

        Returns:
            NumPy arrays in the structure of `like`.
        """
        paths, leaves = _flatten(like)
        wanted = [[path, np.dtype(a.dtype).name, list(a.shape)] for path, a in zip(paths, leaves, strict=True)]
        while True:
            entries = self._entries()
            rows = self._furthest(number, wanted, entries)
            if rows is not None:
                return jax.tree.unflatten(jax.tree.structure(like), rows)
            if entries == self._entries():  # or else its worker may have put another in its place meanwhile
                return None

    def prune(self, finished: Collection[int]) -> None:
        """Deletes what is kept, of any worker, of trials that are all in `finished`; and what is of no use to any."""
        self._read, finished = None, frozenset(finished)
        concurrent.futures.wait([self._latest])
        for name in {entry.partition(".")[0] for entry in self._entries()} - {""}:
            try:
                of_use = not finished.issuperset(self._about(name).numbers)
            except (FileNotFoundError, ValueError):
                of_use = self._is_begun(name)  # or it is deleted by halves, or damaged
            except OSError:
                continue
            if not of_use:
                self._remove(name)

    def close(self) -> None:
        """Waits for what is being written."""
        self._writer.shutdown()

    def _write(self, numbers, step, leaves, data) -> None:
        name, described = f"{self._worker}-{next(self._counter)}", False
        try:
            digest = _digest(*data)
            text = json.dumps(dataclasses.asdict(_About(numbers, step, leaves, digest)))
            self._home.mkdir(parents=True, exist_ok=True)
            unnamed = self._home / f"{name}.json.tmp"
            _write_file(unnamed, [_digest(text.encode()).encode(), b"\n", text.encode()])
            unnamed.replace(self._home / f"{name}.json")
            described = True
            with _quiet():
                checkpointer, args = _orbax()
                checkpointer.save(self._home / name, args=args(data))
        except Exception as error:  # of any kind: training goes on
            pruned = described and not (self._home / f"{name}.json").exists()  # the trials have been told meanwhile
            self._remove(name)
            if not pruned:
                self._warn(f"{self._home}: checkpoints cannot be written, training goes on without", f" ({error})")
        else:
            self._forget(set(numbers))
            self._own[name] = set(numbers)

    def _forget(self, numbers: set[int]) -> None:
        for name in list(self._own):
            self._own[name] -= numbers
            if not self._own[name]:
                self._remove(name)
                del self._own[name]

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._home / f"{name}.json").unlink(missing_ok=True)
            for path in [*self._home.glob(name), *self._home.glob(f"{name}.*")]:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _entries(self) -> set[str]:
        try:
            return set(os.listdir(self._home))
        except FileNotFoundError:
            return set()
        except OSError as error:
            self._warn(f"{self._home}: checkpoints cannot be read", f" ({error})")
            return set()

    def _is_begun(self, name: str) -> bool:
        """Whether another worker is at this moment describing what it will keep."""
        with contextlib.suppress(OSError):
            return time.time() - (self._home / f"{name}.json.tmp").stat().st_mtime < SECONDS_TO_DESCRIBE
        return False

    def _known(self, name: str) -> _About:
        return self._described.setdefault(name, self._described.get(name) or self._about(name))

    def _furthest(self, number: int, leaves: list[list], entries: set[str]) -> list[np.ndarray] | None:
        found = []
        for name in entries:
            if f"{name}.json" in entries:
                with self._left_out(name):
                    about = self._known(name)
                    if number in about.numbers:
                        found.append((about.step, name, about))
        for _, name, about in sorted(found, key=lambda checkpoint: checkpoint[0], reverse=True):
            with self._left_out(name):
                if about.leaves != leaves:
                    raise ValueError("it is of other networks")
                k = about.numbers.index(number)
                return [np.array(a[k]) for a in self._rows(name, about)]
        return None

    @contextlib.contextmanager
    def _left_out(self, name: str) -> Iterator[None]:
        """Warns of a checkpoint that cannot be read, unless it was deleted meanwhile."""
        try:
            yield
        except Exception as error:  # whatever Orbax finds wrong
            if (self._home / f"{name}.json").exists():
                self._warn(f"{self._home / name}: a checkpoint is left out: {error}")

    def _about(self, name: str) -> _About:
        """A checkpoint's description; it never changes.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged.
        """
        digest, _, text = (self._home / f"{name}.json").read_bytes().partition(b"\n")
        if digest != _digest(text).encode():
            raise ValueError("the description is damaged")
        return _About(**json.loads(text))

    def _rows(self, name: str, about: _About) -> list[np.ndarray]:
        if self._read is None or self._read[0] != name:
            with _quiet():
                checkpointer, args = _orbax()
                data = checkpointer.restore(self._home / name, args=args())
            if _digest(data) != about.digest:
                raise ValueError("the data are damaged")
            rows, begin = [], 0
            for _, dtype, shape in about.leaves:
                shape = (len(about.numbers), *shape)
                count = int(np.prod(shape))
                rows.append(np.frombuffer(data, dtype, count, begin).reshape(shape))
                begin += rows[-1].nbytes
            self._read = name, rows
        return self._read[1]

    def _warn(self, message: str, reason: str = "") -> None:
        """Once, whatever the reasons."""
        if message not in self._warned:
            self._warned.add(message)
            _logger.warning("%s%s", message, reason)


def _flatten(tree: Any) -> tuple[list[str], list[Any]]:
    """Leaves, and where in the tree they are: what holds none needs no keeping."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path) for path, _ in leaves], [leaf for _, leaf in leaves]


def _digest(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _write_file(path: os.PathLike, parts: Sequence[Any]) -> None:
    """On disk when this returns, or else a machine that goes down could lose what the older was deleted for."""
    with open(path, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within it absl's log leaves out what Orbax notes of every step that it takes."""
    keep = lambda record: record.levelno >= logging.WARNING or f"{os.sep}orbax{os.sep}" not in record.pathname
    logger = absl_logging.get_absl_logger()
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


@functools.cache
def _orbax() -> tuple[Any, type]:
    """Orbax, which takes a second to import: what writes and reads, and the type of its arguments.

    Each process is on its own, whatever others `jax.distributed` knows of: it is the primary, and waits for nobody.
    Orbax's own handlers of arrays do not allow that: one writes NumPy arrays in process 0 only, the other refuses
    arrays that are on the devices of one process. So the bytes are written here.
    """
    import orbax.checkpoint as ocp

    class Bytes(ocp.CheckpointHandler):
        def save(self, directory, args):
            _write_file(directory / "leaves", args.parts)

        def restore(self, directory, args):
            return (directory / "leaves").read_bytes()

    @ocp.args.register_with_handler(Bytes, for_save=True, for_restore=True)
    @dataclasses.dataclass
    class BytesArgs(ocp.args.CheckpointArgs):
        parts: Sequence[Any] = ()

    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=process, active_processes={process})
    return ocp.Checkpointer(Bytes(), multiprocessing_options=alone), BytesArgs
