"""A leaderboard of cells, each measured alike, which anyone can verify.

python launch/leaderboard.py submit --cell=gru --protocol=capacity-500-v1     measures, and writes an entry
python launch/leaderboard.py submit --cell=my_cell.py:cell --protocol=...     the same of a file of yours
python launch/leaderboard.py verify --entry=results/leaderboard/.../gru.json  trains the best again, on fresh draws
python launch/leaderboard.py build                                            a page of all entries; runs no cell
"""

import pathlib
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends what is imported at once, without a traceback
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # the clone's rnn_capacity, where none is installed

from absl import flags

from rnn_capacity import command_line
from rnn_capacity.checks import InputError
from rnn_capacity.leaderboard import entry, page, submit, verify

COMMANDS = {
    "submit": ("cell", "protocol", "folder", "workdir", "run_code"),
    "verify": ("entry", "seed", "run_code"),
    "build": ("folder",),
}
_CELL = flags.DEFINE_string("cell", None, "a cell of the package, or a file and the cell's name in it: my_cell.py:cell")
_PROTOCOL = flags.DEFINE_string("protocol", None, "what is measured: capacity-500-v1 or another of docs/leaderboard.md")
_FOLDER = flags.DEFINE_string("folder", str(entry.FOLDER), "where the entries of all protocols are")
_WORKDIR = flags.DEFINE_string("workdir", "results/submissions", "where a submission that was stopped goes on")
_ENTRY = flags.DEFINE_multi_string("entry", [], "the .json of an entry; may be given again")
_SEED = flags.DEFINE_integer("seed", None, "of the fresh draws; by default one that nobody could know")
_RUN_CODE = flags.DEFINE_bool("run_code", False, "agree to run the file of a cell, without being asked")


def main(argv):
    command = argv[1]
    for flag in {"submit": (_CELL, _PROTOCOL), "verify": (_ENTRY,)}.get(command, ()):
        if not flag.value:
            raise InputError(f"--{flag.name} must be given to {command}")
    if command == "submit":
        path, result = submit.submit(_CELL.value, _PROTOCOL.value, _agree, _FOLDER.value, _WORKDIR.value)
        print(f"{result!r}\nWritten: {path}")
    elif command == "verify":
        found = []
        for path in _ENTRY.value:
            found.append(verify.verify(path, _agree, _SEED.value))
            print(found[-1], flush=True)
        sys.exit(0 if all(one.sound for one in found) else 1)
    else:
        written, left_out = page.build(_FOLDER.value)
        for reason in left_out:
            print(f"left out: {reason}", file=sys.stderr)
        print(f"Written: {written}")


def _agree(question):
    """Whether the user agrees to run code; nobody is asked where nobody can answer."""
    if _RUN_CODE.value or not sys.stdin.isatty():
        return _RUN_CODE.value
    return input(f"{question} Run it? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    command_line.run(main, lambda argv: command_line.parse_command(argv, COMMANDS))
