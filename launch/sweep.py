"""Runs a config: python launch/sweep.py --config=experiments/gru.py[:quick|:evening] [--workdir=DIR]
[--config.field=value ...].

Stop it any way; the same command goes on where it was. On several hosts start it on each: it finds the others where the
cluster tells of them (Cloud TPU, Slurm, Open MPI), or by --coordinator_address, --num_processes and --process_id.
"""

import importlib.machinery
import pathlib
import signal
import sys
import traceback
import types

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends what is imported at once, without a traceback
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # the clone's rnn_capacity, where none is installed

from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from rnn_capacity import command_line, sweep
from rnn_capacity.checks import InputError
from rnn_capacity.training import hosts

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the clone's experiments/, whatever else has that name

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "what to run: a file of experiments/, with :quick for minutes, :evening for a night"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "where results are kept, in place of config.workdir")
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "of a job on several hosts: host:port of process 0")
_PROCESSES = flags.DEFINE_integer("num_processes", None, "of such a job: how many, a process a host; 1: no job")
_PROCESS = flags.DEFINE_integer("process_id", None, "of such a job: which of them this is")
_TIMEOUT = flags.DEFINE_integer(
    "initialization_timeout", hosts.INITIALIZATION_TIMEOUT, "of such a job: seconds that the others are waited for"
)


def main(_):
    config = _CONFIG.value.to_dict()
    if _WORKDIR.value is not None:
        config["workdir"] = _WORKDIR.value
    hosts.start(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _TIMEOUT.value)
    sweep.run(config)


def parse(argv):
    """As absl does, but what is wrong with a flag or the config is an InputError."""
    given = _of_flag("config", argv)
    path = "" if given is None else given.partition(":")[0]
    if path.startswith("experiments/") and not pathlib.Path(path).exists() and (ROOT / path).is_file():
        found = f"{ROOT}/{given}"  # from any folder
        argv = [arg.replace(given, found) if arg in (given, f"--config={given}") else arg for arg in argv]
        given = found
    if given is not None:
        _check_overrides(_load(given), argv)
    rest = command_line.parse_flags(argv)
    if given is None:
        raise InputError("config: none given; it must be a file of experiments/: --config=experiments/gru.py:quick")
    return rest


def _of_flag(name, argv):
    for arg, following in zip(argv, [*argv[1:], None], strict=True):
        flag, equals, value = arg.partition("=")
        if flag in (f"--{name}", f"-{name}"):
            return value if equals else following
    return None


def _load(given):
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


def _reason(error, path):
    if isinstance(error, OSError) and error.filename == path:
        return error.strerror
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    text = str(error)
    if isinstance(error, SyntaxError):
        lines, text = [error.lineno] if error.filename == path else lines, error.msg
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {text}"


def _refused(given, reason):
    must = "it must be a Python file whose get_config returns a ConfigDict, as those of experiments/ do"
    return InputError(f"config: {given!r} given; {must} ({reason})")


def _check_overrides(config, argv):
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


if __name__ == "__main__":
    command_line.run(main, parse)
