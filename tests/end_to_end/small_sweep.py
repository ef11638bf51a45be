"""A sweep of moments: its config, its results and what it shows, and the files that it writes."""

import csv
import io

from rich.console import Console
from tiny import TINY

from rnn_capacity import sweep
from rnn_capacity.display import tables

WRITTEN = ["capacity.png", "capacity.svg", "results.csv", "results.json", "study.db", "trials.csv"]


def config(workdir=None, **fields):
    return TINY | {"cell": "irnn"} | ({"workdir": str(workdir)} if workdir else {}) | fields


def run(workdir, **fields):
    """The results, and what was shown."""
    console = Console(file=io.StringIO(), width=400)
    return sweep.run(config(workdir, **fields), console), console.file.getvalue()


def line(result):
    """The row of its question's table."""
    return tables.line(result.question.columns, result)


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
