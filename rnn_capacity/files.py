"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path to write to, and moves it to `path` at the end: no reader, and no kill, leaves half a file."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())  # or a machine that goes down could lose both
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write(path: pathlib.Path, content: str | bytes) -> pathlib.Path:
    """Writes a file whole; text as UTF-8."""
    with whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
