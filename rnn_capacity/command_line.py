"""What the commands of launch/ share: bad input and a world that fails are one line, a bug is a traceback."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from absl import app, flags
from absl import logging as absl_logging

from rnn_capacity.checks import InputError, MissingPackageError
from rnn_capacity.studies.database import StorageLostError
from rnn_capacity.studies.progress import printable
from rnn_capacity.training.hosts import JobError
from rnn_capacity.training.trainer import OutOfMemoryError

EXPECTED = (InputError, MissingPackageError, StorageLostError, OutOfMemoryError, JobError, ConnectionError)
OF_THE_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}  # of an OSError that names no file
_DEBUG = flags.DEFINE_bool("debug", False, "show where an error comes from, too")


def run(main: Callable[[Sequence[str]], None], parse: Callable[[Sequence[str]], Sequence[str]]) -> None:
    """Parses the flags and runs a command; ends with 1 after an error, with 130 after Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # so that Ctrl-C ended it while it was imported
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(argv):
        absl_logging.set_verbosity(absl_logging.WARNING)
        # Absl's handler writes where bars are redrawn, and is lost; this one goes to whatever stderr is by then.
        logging.root.removeHandler(absl_logging.get_absl_handler())
        logging.root.addHandler(logging.lastResort)
        main(argv)

    with printable():
        app.run(_in_one_line(begin), flags_parser=_in_one_line(parse))


def parse_flags(argv: Sequence[str]) -> list[str]:
    """As absl does, but what is wrong with a flag is an InputError; and there is nothing but flags.

    Raises:
        InputError: a flag that there is not, or that has no such value.
    """
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        text = str(error).strip().splitlines()[-1]
        if of_number := re.fullmatch(r"flag --([^=]+)=.*: invalid literal for int\(\) with base 10: (.*)", text):
            text = f"{of_number[1]}: {of_number[2]} given; it must be a whole number"
        raise InputError(text) from error
    if len(rest) > 1:
        raise InputError(f"unknown arguments: {' '.join(rest[1:])}")
    return rest


def _in_one_line(call: Callable[[Sequence[str]], Sequence[str] | None]) -> Callable:
    def wrapped(argv):
        with _errors(_DEBUG.value if flags.FLAGS.is_parsed() else "--debug" in argv):
            return call(argv)

    return wrapped


@contextlib.contextmanager
def _errors(debug: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "stopped by Ctrl-C", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        named = isinstance(error, OSError) and (error.filename is not None or error.errno in OF_THE_SYSTEM)
        if debug or not (named or isinstance(error, EXPECTED)):
            raise
        sys.exit(f"error: {error}")
