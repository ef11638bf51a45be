"""What the commands of launch/ share: bad input and a world that fails are one line, a bug is a traceback."""

import contextlib
import errno
import importlib.machinery
import logging
import pathlib
import re
import signal
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, FrozenConfigDict

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


def parse_command(argv: Sequence[str], commands: Mapping[str, Sequence[str]]) -> list[str]:
    """As `parse_flags`, of a command whose first argument says what it does, which `argv[1]` is then.

    Args:
        commands: the flags that each takes, beside those that all do.

    Raises:
        InputError: there is no such, or it has no such flag.
    """
    if not argv[1:] or argv[1] not in commands:
        given = repr(argv[1]) if argv[1:] else "none"
        raise InputError(f"command: {given} given; it must come first, and be one of {', '.join(commands)}")
    parse_flags([argv[0], *argv[2:]])
    for name in {name for names in commands.values() for name in names} - {*commands[argv[1]]}:
        if flags.FLAGS[name].present:
            raise InputError(f"--{name} given; {argv[1]} has no such flag, but --{', --'.join(commands[argv[1]])}")
    return list(argv[:2])


def parse_config(argv: Sequence[str], root: pathlib.Path) -> list[str]:
    """As `parse_flags`, of a command with the flag `config`, which it must be given.

    Args:
        root: of the clone or the installed package whose experiments/ is meant, from whatever folder.

    Raises:
        InputError: what is wrong with a flag, the file of the config, or the names of its fields.
    """
    argv = [f"-{arg}" if re.match("-config[=.]|-config$", arg) else arg for arg in argv]  # to absl the same
    given = _of_flag("config", argv)
    path = "" if given is None else given.partition(":")[0]
    if given and path.startswith("experiments/") and not pathlib.Path(path).exists() and (root / path).is_file():
        found = f"{root}/{given}"
        argv = [arg.replace(given, found) if arg in (given, f"--config={given}") else arg for arg in argv]
        given = found
    if given is not None:
        _check_overrides(_load(given), argv)
    rest = parse_flags(argv)
    if given is None:
        raise InputError("config: none given; it must be a file of experiments/: --config=experiments/gru.py:quick")
    return rest


def _of_flag(name: str, argv: Sequence[str]) -> str | None:
    """The value of a flag.

    Raises:
        InputError: it is there twice.
    """
    found = []
    for arg, following in zip(argv, [*argv[1:], None], strict=True):
        flag, equals, value = arg.partition("=")
        if flag == f"--{name}":
            found.append(value if equals else following)
    if len(found) > 1:
        raise InputError(f"{name}: {' and '.join(map(repr, found))} given; there can be one")
    return found[0] if found else None


def _load(given: str) -> ConfigDict:
    """The config that a file's get_config returns, as its flag will load it.

    Raises:
        InputError: whatever is wrong with the file, with its line.
    """
    path, colon, argument = given.partition(":")
    module = types.ModuleType("config")
    try:
        importlib.machinery.SourceFileLoader("config", path).exec_module(module)
        config = module.get_config(*[argument] * bool(colon))
    except InputError:
        raise
    except Exception as error:
        raise _refused(given, _reason(error, path)) from error
    if not isinstance(config, ConfigDict) or isinstance(config, FrozenConfigDict):
        raise _refused(given, f"get_config returns {config!r}")
    return config


def _reason(error: Exception, path: str) -> str:
    if isinstance(error, OSError) and error.filename == path:
        return error.strerror or str(error)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    text = str(error)
    if isinstance(error, SyntaxError):
        lines, text = [error.lineno] if error.filename == path else lines, error.msg
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {text}"


def _refused(given: str, reason: str) -> InputError:
    must = "it must be a Python file whose get_config returns a ConfigDict, as those of experiments/ do"
    return InputError(f"config: {given!r} given; {must} ({reason})")


def _check_overrides(config: ConfigDict, argv: Sequence[str]) -> None:
    """Fields of the config that flags set are there.

    Raises:
        InputError: one is not.
    """
    for name in (arg.removeprefix("--config.").partition("=")[0] for arg in argv if arg.startswith("--config.")):
        value, parts = config, name.split(".")
        for place, part in enumerate(parts, 1):
            fields = list(value) if isinstance(value, ConfigDict) else []
            if part not in fields:
                there = f"there are {', '.join(fields)}" if fields else "it has none"
                raise InputError(f"config.{'.'.join(parts[:place])}: no such field; {there}")
            value = value[part]


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
