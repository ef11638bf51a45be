"""A grid of studies: cells x depths x sizes, each measured, shown as it comes, and written to the workdir."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from rnn_capacity import store
from rnn_capacity.measure import CapacityResult, measure_capacity
from rnn_capacity.report import plots, tables
from rnn_capacity.tasks import TASKS
from rnn_capacity.types import check_choice

# What a config may say: every field, its default, and what it is for. `experiments/` starts from these.
FIELDS: Mapping[str, tuple[Any, str]] = {
    "cell": (("gru",), "a name of CELLS, or several"),
    "task": ("memorization", "a name of TASKS"),
    "depths": ((1,), "layers"),
    "num_params": ((1000,), "budgets of parameters"),
    "unroll": ((5,), "T, steps in time"),
    "num_inputs": (None, "bits of an input; None: enough for ten mappings a parameter, at least 20"),
    "num_trials": (24, "networks trained in the search, for each point of the grid"),
    "num_repeats": (4, "times the best hparams are trained again on fresh data and weights"),
    "train_steps": (10_000, "gradient steps a trial"),
    "batch_size": (None, "mappings a step; None: all of them"),
    "space": ("quick", "search space: quick, or paper (the whole of its appendix A)"),
    "hparams": ({}, "hparams fixed (a value) or narrowed (low, high)"),
    "sampler": ("quasi-random", "quasi-random or random"),
    "seed": (0, "of the data, the initial weights and the search"),
    "precision": ("highest", "of matrix products: default, high, highest (full float32)"),
    "devices": (None, "how many to use; None: all. On a CPU every core is one"),
    "trials_per_device": (None, "trials a device is given at a time; None: what suits the backend"),
    "workdir": ("results", "folder of the study, the tables and the figure"),
    "per_cell": ({}, "cell -> fields that differ for it"),
}
GRID = ("depths", "num_params", "unroll")
NOT_OF_A_MEASUREMENT = ("cell", "task", "workdir", "per_cell", *GRID)


def points(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The grid's points as the arguments of `measure_capacity`, all checked as far as a config can be.

    Raises:
        ValueError: a field that is not known, a grid without points, a task that is not there.
    """
    for where in (config, *config.get("per_cell", {}).values()):
        for field in where:
            check_choice("config field", field, tuple(FIELDS))
    defaults = {field: default for field, (default, _) in FIELDS.items()}
    config = defaults | dict(config)
    check_choice("task", config["task"], tuple(TASKS))
    found = []
    for cell in _several(config["cell"]):
        of_cell = config | dict(config["per_cell"].get(cell, {}))
        arguments = {k: v for k, v in of_cell.items() if k not in NOT_OF_A_MEASUREMENT}
        arguments["hparams"] = dict(of_cell["hparams"])
        for depth, size, unroll in itertools.product(*(_several(of_cell[field]) for field in GRID)):
            found.append(arguments | {"cell": cell, "depth": depth, "num_params": size, "unroll": unroll})
    if not found:
        raise ValueError("config: a grid without points; cell, depths, num_params and unroll must each have a value")
    return found


def _several(value: Any) -> tuple:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def run(config: Mapping[str, Any], console: Console | None = None) -> list[dict[str, Any]]:
    """Measures every point, a row as soon as it is known, and writes tables and figure after each.

    Returns all results of the workdir, those of earlier sweeps included.
    """
    console = console or Console()
    grid = points(config)
    workdir = store.check_workdir(config.get("workdir", FIELDS["workdir"][0]))
    storage = store.open_storage(workdir)
    console.print(tables.line(list(tables.COLUMNS)), style="bold", soft_wrap=True)
    for result in _measure(grid, storage, console):
        console.print(tables.line(tables.cells(result.to_dict())), soft_wrap=True, highlight=False)
        written = write(storage, workdir)
    console.print(tables.table(r for r in store.results(storage)))
    console.print("written: " + ", ".join(str(path) for path in [workdir / store.DATABASE, *written]), soft_wrap=True)
    return store.results(storage)


def _measure(grid, storage, console) -> Iterator[CapacityResult]:
    from rnn_capacity.progress import reporter

    for point in grid:
        yield measure_capacity(storage=storage, progress=reporter(True, console), **point)


def write(storage, workdir) -> list:
    """Tables and figure of everything that the storage holds."""
    results = store.results(storage)
    return tables.write(results, workdir) + plots.write(results, workdir)
