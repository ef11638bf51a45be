"""A grid of studies: cells x depths x sizes, each measured, shown as it comes, and written to the workdir."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from rnn_capacity import sharding, store
from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.database import hide_password
from rnn_capacity.measure import check_run, measure_capacity
from rnn_capacity.plan import CapacityPlan, plan_capacity
from rnn_capacity.progress import reporter
from rnn_capacity.report import plots, tables
from rnn_capacity.tasks import TASKS
from rnn_capacity.types import check_choice

# What a config may say. Where `measure_capacity` takes a field of that name, its default is the field's.
FIELDS: Mapping[str, str] = {
    "cell": "a name of CELLS, or several",
    "task": "a name of TASKS",
    "depths": "layers, or several",
    "num_params": "budget of parameters, or several",
    "unroll": "T, steps in time, or several",
    "num_inputs": "bits of an input; None: enough for ten mappings a parameter, at least 20",
    "num_trials": "networks trained in the search, for each point of the grid",
    "num_repeats": "times the best hparams are trained again on fresh data and weights",
    "train_steps": "gradient steps a trial",
    "batch_size": "mappings a step; None: all of them",
    "space": "search space: quick, or paper (the whole of its appendix A)",
    "hparams": "hparams fixed to a value or narrowed to (low, high), by family; in a config file also by name",
    "sampler": "gp (the paper's bandit), quasi-random or random",
    "halving": "stop losers early, one in so many stays at each rung; None: all trials run to the end, as in the paper",
    "seed": "of the data, the initial weights and the search",
    "precision": "of matrix products: default, high, highest (full float32)",
    "devices": "how many to use; None: all. On a CPU every core is one",
    "trials_per_device": "trials a device is given at a time; None: what suits the backend",
    "workdir": "folder of the study, the tables and the figure",
    "storage": "database URL of the study, for many workers; None: SQLite in the workdir",
    "per_cell": "cell -> fields that differ for it",
}
GRID = {"cell": "cell", "depths": "depth", "num_params": "num_params", "unroll": "unroll"}
NOT_OF_A_MEASUREMENT = ("task", "workdir", "storage", "per_cell")


def defaults() -> dict[str, Any]:
    """Every field at its default; a sequence where the grid runs over it."""
    of_call = inspect.signature(measure_capacity).parameters
    values = {field: of_call[GRID.get(field, field)].default for field in FIELDS if field not in NOT_OF_A_MEASUREMENT}
    values |= {field: (values[field],) for field in GRID}
    return values | {"hparams": {}, "task": "memorization", "workdir": "results", "storage": None, "per_cell": {}}


def points(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The grid's points as arguments of `measure_capacity`, every one checked before any is run.

    Raises:
        ValueError: a field that is not known, a grid without points, or what `measure_capacity` refuses.
    """
    for field in config:
        check_choice("config field", field, tuple(FIELDS))
    config = defaults() | dict(config)
    check_choice("task", config["task"], tuple(TASKS))
    cells = _several(config["cell"])
    of_one_cell = tuple(field for field in FIELDS if field not in ("cell", *NOT_OF_A_MEASUREMENT))
    for cell, fields in config["per_cell"].items():
        check_choice("per_cell", cell, (*CELLS, *cells))
        for field in fields:
            check_choice(f"per_cell.{cell}", field, of_one_cell)
    found = []
    for cell in cells:
        own = config["per_cell"].get(cell, {})
        hparams = {**config["hparams"], **own.get("hparams", {})}
        of_cell = config | dict(own) | {"cell": cell, "hparams": hparams}
        fixed = {k: v for k, v in of_cell.items() if k not in NOT_OF_A_MEASUREMENT and k not in GRID}
        for point in itertools.product(*(_several(of_cell[field]) for field in GRID)):
            found.append(fixed | dict(zip(GRID.values(), point, strict=True)))
    if not found:
        raise ValueError(f"config: a grid without points; {', '.join(GRID)} must each have a value")
    for point in found:
        _plan(point)
        check_run(**{k: point[k] for k in inspect.signature(check_run).parameters})
    return found


def _plan(point: Mapping[str, Any]) -> CapacityPlan:
    return plan_capacity(**{k: point[k] for k in inspect.signature(plan_capacity).parameters})


def _several(value: Any) -> tuple:
    if isinstance(value, Cell):  # a NamedTuple, and one value
        return (value,)
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return tuple(part for v in value for part in _several(v)) if isinstance(value, tuple | list) else (value,)


def run(config: Mapping[str, Any], console: Console | None = None) -> list[dict[str, Any]]:
    """Measures every point, a row as soon as it is known, and writes tables and figure after each.

    Returns all results of the workdir, those of earlier sweeps included.
    """
    sharding.use_all_cores()  # before JAX starts
    console = console or Console()
    grid = points(config)
    workdir = store.check_workdir(config.get("workdir", defaults()["workdir"]))
    storage = store.open_storage(config.get("storage") or workdir)
    for plan in map(_plan, grid):
        store.check_plan(storage, plan.name, plan.describe())
    show = functools.partial(console.print, soft_wrap=True, highlight=False)
    show(f"{len(grid)} studies on {sharding.describe(sharding.choose_devices(config.get('devices')))}, into {workdir}")
    show(tables.header(), style="bold")
    for point in grid:
        result = measure_capacity(storage=storage, progress=reporter(True, console), **point)
        show(tables.line(result.to_dict()))
        write(storage, workdir)
    results = store.results(storage)
    if len(grid) > 1 or len(results) > 1:
        show(f"\nAll of {workdir}:\n{tables.text(results)}", style="bold")
    kept = hide_password(config.get("storage") or workdir / store.DATABASE)
    show(f"\n{tables.CAPTION}\n\nWritten: {', '.join(map(str, [kept, *write(storage, workdir)]))}")
    return results


def write(storage, workdir) -> list:
    """Tables and figure of everything that the storage holds."""
    results = store.results(storage)
    return tables.write(results, workdir) + plots.write(results, workdir)
