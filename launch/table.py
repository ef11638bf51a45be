"""Trials as Parquet, into a file that is not there yet.

python launch/table.py --storage=results/gru --out=trials.parquet [--format=authors]   exports what was measured
python launch/table.py --authors=fig3_txt8rcf.p --out=authors.parquet                  imports the authors' table
"""

import sys

from absl import app, flags

from rnn_capacity import dataset
from rnn_capacity.database import StorageLostError

_STORAGE = flags.DEFINE_string("storage", None, "what to export: the folder of a study.db, or a database URL")
_AUTHORS = flags.DEFINE_string("authors", None, "what to import: a pickle of the authors' published table")
_OUT = flags.DEFINE_string("out", None, "the Parquet file to write")
_FORMAT = flags.DEFINE_enum("format", "trials", dataset.FORMATS, "of an export: as measured, or the authors' rows")


def main(argv):
    if len(argv) > 1:
        sys.exit(f"error: unknown arguments: {' '.join(argv[1:])}")
    if _OUT.value is None or (_STORAGE.value is None) == (_AUTHORS.value is None):
        sys.exit("error: --out must be given, and one of --storage and --authors")
    try:
        if _AUTHORS.value is not None:
            written = dataset.import_authors(_AUTHORS.value, _OUT.value)
        else:
            written = dataset.export(_STORAGE.value, _OUT.value, _FORMAT.value)
    except (ValueError, ImportError, StorageLostError) as error:  # bad input is told in a line
        sys.exit(f"error: {error}")
    print(f"Written: {written}")


def parse(argv):
    """As absl does, but what is wrong with a flag is told in a line."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(f"error: {str(error).strip().splitlines()[-1]}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
