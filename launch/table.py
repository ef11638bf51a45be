"""Trials as Parquet, into a file that is not there yet.

python launch/table.py --storage=results/gru --out=trials.parquet [--format=authors]   exports what was measured
python launch/table.py --authors=fig3_txt8rcf.p --out=authors.parquet                  imports the authors' table
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
from rnn_capacity.paper import dataset

_STORAGE = flags.DEFINE_string("storage", None, "what to export: the folder of a study.db, or a database URL")
_AUTHORS = flags.DEFINE_string("authors", None, "what to import: a pickle of the authors' published table")
_OUT = flags.DEFINE_string("out", None, "the Parquet file to write")
_FORMAT = flags.DEFINE_enum("format", "trials", dataset.FORMATS, "of an export: as measured, or the authors' rows")


def main(_):
    if _OUT.value is None or (_STORAGE.value is None) == (_AUTHORS.value is None):
        raise InputError("--out must be given, and one of --storage and --authors")
    if _AUTHORS.value is not None:
        written = dataset.import_authors(_AUTHORS.value, _OUT.value)
    else:
        written = dataset.export(_STORAGE.value, _OUT.value, _FORMAT.value)
    print(f"Written: {written}")


if __name__ == "__main__":
    command_line.run(main, command_line.parse_flags)
