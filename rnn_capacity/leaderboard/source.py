"""Where a submitted cell comes from. A file is code: it is read and hashed at will, run only where the user agrees."""

import hashlib
import os
import pathlib
import sys
import traceback
import types
from collections.abc import Callable
from typing import NamedTuple

from rnn_capacity.cells import NAMED_CELLS, Cell
from rnn_capacity.checks import InputError, first_line
from rnn_capacity.studies.plan import find_cell

Agree = Callable[[str], bool]  # whether the user agrees to a question


class Source(NamedTuple):
    """A cell of the package, or a file with the name that it has there; of the file every byte that will run."""

    name: str  #: of the cell in the package, or in the file
    file: bytes | None = None
    path: str = ""

    @property
    def digest(self) -> str | None:
        """The file's SHA-256; None for a cell of the package."""
        return None if self.file is None else hashlib.sha256(self.file).hexdigest()

    def load(self, agree: Agree) -> Cell:
        """The cell; of a file it is run, once the user has agreed.

        Raises:
            InputError: the user does not agree, the file fails, or there is no such cell in it.
        """
        if self.file is None:
            return find_cell(self.name)
        given = f"cell: '{self.path}:{self.name}' given"
        if not agree(f"{self.path} is code that will run as you, with all that you may do (SHA-256 {self.digest})."):
            raise InputError(f"{given}; it is code, and was not run; read it, then agree, or give --run_code")
        module = types.ModuleType(f"submitted_{self.digest}")
        module.__file__ = self.path
        sys.modules[module.__name__] = module  # as a dataclass in it needs
        try:
            exec(compile(self.file, self.path, "exec"), module.__dict__)
        except Exception as error:  # of a user's own code
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.path]
            where = f"line {lines[-1]}: " if lines else ""
            must = "it must be a Python file that runs by itself, without files beside it"
            raise InputError(f"{given}; {must} ({where}{type(error).__name__}: {first_line(error)})") from error
        if not hasattr(module, self.name):
            names = [name for name, value in vars(module).items() if isinstance(value, Cell)]
            raise InputError(f"{given}; the file has no {self.name!r}, but the cells {', '.join(names) or 'none'}")
        cell = find_cell(getattr(module, self.name))
        if cell.name in NAMED_CELLS:
            raise InputError(f"{given}; its cell is called {cell.name!r}, as one of the package; call it otherwise")
        return cell


def source_of(given: str) -> Source:
    """What `--cell` names: a cell of the package, or `my_cell.py:cell`. The file is read, not run.

    Raises:
        InputError: it names neither, or there is no such file.
    """
    path, colon, name = given.rpartition(":")
    if given in NAMED_CELLS:
        return Source(given)
    if not colon or not name.isidentifier() or not path.endswith(".py"):
        must = f"it must be one of {', '.join(NAMED_CELLS)}, or a file and the name of a cell in it: my_cell.py:cell"
        raise InputError(f"cell: {given!r} given; {must}")
    return Source(name, read_file("cell", path), path)


def read_file(field: str, path: str | os.PathLike) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return pathlib.Path(path).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        must = f"it must be a file that can be read ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{field}: {str(path)!r} given; {must}") from None
