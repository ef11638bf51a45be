"""Where trials in training stand, kept on disk, so that what a killed worker had trained is not trained again."""

import concurrent.futures
import contextlib
import hashlib
import json
import logging
import os
import pathlib
import secrets
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity import files

ABOUT = "about"  # the array of a file that describes the others, as JSON
SECONDS_TO_WRITE = 600  # half a file that is older was left by a killed worker
_logger = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Trials that train together, between two steps."""

    numbers: Sequence[int]  #: of the trials in their study, K of them
    step: int  #: that they stand at
    state: Any  #: a tree of arrays [K or more, ...]; rows beyond K are padding, and are not kept


class Checkpoints:
    """The checkpoints of a study, one file a worker, written whole or not at all; any worker goes on from any file.

    A file is a NumPy archive without pickles. What is damaged, or of other networks, is left out with a warning.

    Args:
        folder: may hold other studies, and be shared by workers on several machines; nothing is made or read yet.
        study_name: any text; a folder is made of its digest.
    """

    def __init__(self, folder: str | os.PathLike, study_name: str):
        study = hashlib.sha256(study_name.encode(errors="surrogatepass")).hexdigest()[:32]
        self._home = pathlib.Path(folder).expanduser().absolute() / study
        self._own = self._home / f"{secrets.token_hex(8)}.npz"
        self._writer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: concurrent.futures.Future = concurrent.futures.Future()
        self._writing.set_result(None)
        self._warned: set[str] = set()

    def save(self, batches: Sequence[Batch], *, wait: bool = False) -> None:
        """Keeps where trials stand, in the place of all that this worker kept before; of no batch, deletes that.

        The states are copied to the host before this returns, and written behind the training. Where the disk is slower
        than that, those between are passed over. Where writing fails a warning is logged, once, and the older stays.

        Args:
            wait: returns once it is on disk.
        """
        about, arrays = [], dict[str, np.ndarray]()
        for numbers, step, state in batches:
            leaves = [np.asarray(leaf)[: len(numbers)] for leaf in jax.tree.leaves(jax.device_get(state))]
            about.append({"numbers": [int(n) for n in numbers], "step": int(step), "like": _described(state, 1)})
            arrays |= {f"{len(about)}.{i}": np.array(leaf).view(_plain(leaf.dtype)) for i, leaf in enumerate(leaves)}
        self._writing.cancel()  # unless it has begun
        self._writing = self._writer.submit(self._write, about, arrays)
        if wait:
            self._writing.result()

    def load(self, numbers: Collection[int], like: Callable[[int], Any]) -> dict[int, Any]:
        """Where trials stand, each by the furthest checkpoint of any worker; those that have none are left out.

        Args:
            numbers: of the trials.
            like: number -> a tree of `jax.ShapeDtypeStruct`, of one trial; asked of those alone that are kept.

        Returns:
            By trial number NumPy arrays in the structure of `like`.
        """
        found: dict[int, tuple[int, Any]] = {}
        for path in self._paths():
            with self._left_out(path), _opened(path) as (about, archive):
                for n, batch in enumerate(about, 1):
                    wanted = {
                        number: k
                        for k, number in enumerate(batch["numbers"])
                        if number in numbers and (number not in found or found[number][0] < batch["step"])
                    }
                    if any(_described(like(number)) != batch["like"] for number in wanted):
                        raise ValueError("it is of other networks")
                    rows = [archive[f"{n}.{i}"] for i in range(len(batch["like"]))] if wanted else []
                    for number, k in wanted.items():
                        leaves, structure = jax.tree.flatten(like(number))
                        one = [np.array(a[k]).view(leaf.dtype) for a, leaf in zip(rows, leaves, strict=True)]
                        found[number] = batch["step"], jax.tree.unflatten(structure, one)
        return {number: state for number, (_, state) in found.items()}

    def prune(self, finished: Collection[int]) -> None:
        """Deletes the files, of any worker, whose trials are all in `finished`, and those of no use to any."""
        concurrent.futures.wait([self._writing])
        for path in self._paths():
            with contextlib.suppress(OSError):
                try:
                    with _opened(path) as (about, _):
                        of_use = not {number for batch in about for number in batch["numbers"]} <= set(finished)
                except (EOFError, KeyError, ValueError, zipfile.BadZipFile):  # damaged
                    of_use = False
                if not of_use:
                    path.unlink()
        for path in self._home.glob("*.part"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > SECONDS_TO_WRITE:
                    path.unlink()

    def close(self) -> None:
        """Waits for what is being written."""
        self._writer.shutdown()

    def _paths(self) -> list[pathlib.Path]:
        return sorted(self._home.glob("*.npz"))

    def _write(self, about: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> None:
        try:
            if not about:
                self._own.unlink(missing_ok=True)
                return
            self._home.mkdir(parents=True, exist_ok=True)
            with files.whole(self._own) as part, open(part, "wb") as file:
                saved: dict[str, Any] = {**arrays, ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)}
                np.savez(file, **saved)
        except Exception as error:  # of any kind: training goes on
            self._warn(f"{self._home}: checkpoints cannot be written, training goes on without", f" ({error})")

    @contextlib.contextmanager
    def _left_out(self, path: pathlib.Path) -> Iterator[None]:
        """Warns of a checkpoint that cannot be read, unless it was deleted meanwhile."""
        try:
            yield
        except FileNotFoundError:
            pass
        except Exception as error:  # whatever is wrong with it
            self._warn(f"{path}: a checkpoint is left out", f" ({error})")

    def _warn(self, message: str, reason: str) -> None:
        """Once, whatever the reasons."""
        if message not in self._warned:
            self._warned.add(message)
            _logger.warning("%s%s", message, reason)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[list[dict[str, Any]], Any]]:
    """What a file says of its batches, and its arrays, which are read when they are asked for; each has a checksum."""
    with np.load(path, allow_pickle=False) as archive:
        yield json.loads(archive[ABOUT].tobytes()), archive


def _described(tree: Any, skip: int = 0) -> list[list]:
    """Path, dtype and shape of each leaf, but for the first dimensions."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [[jax.tree_util.keystr(path), np.dtype(a.dtype).name, list(a.shape[skip:])] for path, a in leaves]


def _plain(dtype: np.dtype) -> np.dtype:
    """A dtype of as many bytes that NumPy's files know."""
    return dtype if dtype.kind in "biuf" and dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")
