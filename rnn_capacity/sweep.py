"""A grid of studies: cells x depths x sizes, each measured, shown as it comes, and written to the workdir."""

import contextlib
import functools
import itertools
import os
import pathlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import jax
import optuna
from rich.console import Console

import rnn_capacity
from rnn_capacity import schedule
from rnn_capacity.cells import NAMED_CELLS, Cell
from rnn_capacity.checks import InputError, check_choice, check_mapping
from rnn_capacity.display import tables
from rnn_capacity.measure import overview
from rnn_capacity.measure.question import Question
from rnn_capacity.measure.questions import QUESTIONS, question_of, results_in
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.shown import Shown
from rnn_capacity.studies import session, store
from rnn_capacity.studies.config import StudyConfig
from rnn_capacity.studies.database import hide_password
from rnn_capacity.studies.plan import Plan, find_cell
from rnn_capacity.studies.progress import Rows, dashboard, rows
from rnn_capacity.studies.study import blocks
from rnn_capacity.training import hosts, numerics, program, sharding
from rnn_capacity.training.share import Share

GRID = {
    "cell": "cell",
    "depths": "depth",
    "num_params": "num_params",
    "num_units": "num_units",
    "num_pairs": "num_pairs",
    "unroll": "unroll",
}
OF_GRID = {name: field for field, name in GRID.items()}
SWEEPS = "sweeps"  # the field of a config of several sweeps: name -> the fields of one
SECONDS_BETWEEN_TABLES = 60.0
NOT_OF_A_CONFIG = ("progress",)  # which is always shown
OF_A_SWEEP: dict[str, Any] = {"workdir": "results", "storage": None, "per_cell": {}}
TEXTS = {  # of the fields that no call has, or has otherwise
    "task": "a name of TASKS; text8:synthetic for a text that needs no file",
    "task_fields": "fields of the task, such as num_types; of a measurement of its own it has fields of the config",
    "workdir": "folder of the study, the tables and the figures",
    "storage": "database URL of the study, for many workers; None: SQLite in the workdir",
    "checkpoints": "folder of batches in training, where a stopped sweep goes on; None: in the workdir",
    "per_cell": "cell -> fields that differ for it",
}


def _texts() -> dict[str, str]:
    """What each field of a config is; where questions differ in one, what it is of each."""
    of_each: dict[str, dict[str, list[str]]] = {}
    for question in QUESTIONS.values():
        for name, text in question.texts().items():
            of_each.setdefault(OF_GRID.get(name, name), {}).setdefault(text, []).append(question.name)
    found = {}
    for field, of in of_each.items():
        said = [text if len(of) == 1 else f"of {' and '.join(names)}: {text}" for text, names in of.items()]
        found[field] = "; ".join(said) + ", or several" * (field in GRID)
    found = {field: text for field, text in found.items() if field not in NOT_OF_A_CONFIG} | TEXTS
    return {field: found[field] for field in dict.fromkeys(("cell", "task", "task_fields", *GRID, *found))}


FIELDS: Mapping[str, str] = _texts()


def defaults(task: str = "memorization") -> dict[str, Any]:
    """Every field that the task has, at its default; a sequence where the grid runs over it."""
    values = {"cell": ("gru",)}
    for name, default in question_of(task).defaults().items():
        field = OF_GRID.get(name, name)
        values[field] = _several(default) if field in GRID else default
    values = {field: value for field, value in values.items() if field not in NOT_OF_A_CONFIG}
    return values | {"hparams": {}, "task": task} | OF_A_SWEEP


def points(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The grid's points as arguments of the task's measurement, every one checked before any is run.

    Raises:
        InputError: as of `_grid`, or what the measurement refuses.
    """
    found = _grid(config)
    for point in found:
        _plans(_question(config), point)
    return found


def _grid(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The grid's points, of which the fields' names alone are checked.

    Raises:
        InputError: a field that is not known, or that the task does not have; a grid without points.
    """
    for field in config:
        check_choice("config field", field, tuple(FIELDS))
    task = config.get("task", "memorization")
    known = defaults(task)
    for field, value in config.items():
        if field not in known and value is not None:
            names = ", ".join(known)
            raise InputError(f"{field}: {value!r} given; {task} has no such field of the config, but {names}")
    config = known | {field: value for field, value in config.items() if field in known}
    question = question_of(task)
    grid = {field: name for field, name in GRID.items() if field in known}
    cells = _several(config["cell"])
    for cell in cells:
        find_cell(cell)
    per_cell = {c: check_mapping(f"per_cell.{c}", f) for c, f in check_mapping("per_cell", config["per_cell"]).items()}
    of_one_cell = tuple(field for field in known if field not in ("cell", "task", *OF_A_SWEEP))
    for cell, fields in per_cell.items():
        if cell not in cells:
            check_choice("per_cell", cell, tuple(NAMED_CELLS))
        for field in fields:
            check_choice(f"per_cell.{cell}", field, of_one_cell)
    found, taken = [], question.texts()
    for cell in cells:
        own = per_cell.get(cell, {})
        of_all, of_own = (check_mapping("hparams", fields.get("hparams")) for fields in (config, own))
        of_cell = config | dict(own) | {"cell": cell, "hparams": {**of_all, **of_own}}
        fixed = {k: v for k, v in of_cell.items() if k in taken and k not in (*GRID, *OF_A_SWEEP)}
        for point in itertools.product(*(_several(of_cell[field]) for field in grid)):
            found.append(fixed | dict(zip(grid.values(), point, strict=True)))
    if not found:
        raise InputError(f"config: a grid without points; {', '.join(grid)} must each have a value")
    return found


def _plans(question: Question, point: Mapping[str, Any]) -> list[Plan]:
    """Those of a point's studies, all of its options checked."""
    config, _, _ = question.asked(point)
    return [study.plan() for study in config.studies()]


def _several(value: Any) -> tuple:
    if isinstance(value, Cell):  # a NamedTuple, and one value
        return (value,)
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return tuple(part for v in value for part in _several(v)) if isinstance(value, tuple | list) else (value,)


def sweeps_of(config: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[dict[str, Any]]]]:
    """The sweeps that a config stands for, each with its points: itself, or those that it names.

    Each of several is kept in a folder of its own in the workdir.

    Raises:
        InputError: fields beside the sweeps that are not known, a sweep that says where it is kept, or what `points`
            refuses of one.
    """
    sharding.present_devices()  # or the first of several sweeps would be blamed for a platform that is not here
    if SWEEPS not in config:
        return [(config, points(config))]
    for field in config:
        check_choice("config field", field, (SWEEPS, "workdir"))
    if not check_mapping(SWEEPS, config[SWEEPS]):
        raise InputError("sweeps: none given; a config of several sweeps must name one at least")
    workdir = config.get("workdir", OF_A_SWEEP["workdir"])
    found: list[tuple[Mapping[str, Any], list[dict[str, Any]]]] = []
    if not isinstance(workdir, str | os.PathLike):
        store.check_workdir(workdir)  # refuses it
    for name, fields in config[SWEEPS].items():
        one = check_mapping(f"sweeps.{name}", fields)
        if one.get("workdir") is not None:
            must = f"it is the folder {name} of the workdir of all"
            raise InputError(f"sweeps.{name}.workdir: {str(one['workdir'])!r} given; {must}")
        one = {**one, "workdir": pathlib.Path(workdir, name)}
        try:
            found.append((one, points(one)))
        except InputError as error:
            raise InputError(f"sweeps.{name}.{error}") from None
    return found


def configs(config: Mapping[str, Any]) -> list[StudyConfig]:
    """What defines the studies that a config measures; none is planned, which takes long."""
    sweeps = config.get(SWEEPS, {"": config}).values()
    asked = [_question(one).asked(point)[0] for one in sweeps for point in _grid(one)]
    return [study for of_point in asked for study in of_point.studies()]


@numerics.fixed()
def studies(config: Mapping[str, Any]) -> list[tuple[Plan, Mapping[str, Any]]]:
    """Plans of the studies that a config measures, each with the arguments of its measurement.

    Raises:
        InputError: as of `sweeps_of`.
    """
    return [
        (plan, point) for one, grid in sweeps_of(config) for point in grid for plan in _plans(_question(one), point)
    ]


def _question(config: Mapping[str, Any]) -> Question:
    return question_of(config.get("task", "memorization"))


def run(config: Mapping[str, Any], console: Console | None = None) -> list[Result]:
    """Measures every point and shows its row; writes tables once a minute, and these and figures at the end.

    Returns all results of the workdirs, those of earlier sweeps included. In a job of several processes each calls
    this, and process 0 alone has the results and writes them.
    """
    with session.measuring("the same command goes on where it was"), hosts.all_or_none():
        sweeps = sweeps_of(config)  # all are checked before any is run
        results = []
        for n, (one, grid) in enumerate(sweeps, 1):
            what = f"{one['workdir'].name}, sweep {n} of {len(sweeps)}" if len(sweeps) > 1 else "sweep"
            flag = f"config.{SWEEPS}.{one['workdir'].name}" if SWEEPS in config else "config"
            results += _one(one, grid, what, flag, console or Console())
        return results


def _one(config: Mapping[str, Any], grid: list[dict[str, Any]], what: str, flag: str, console: Console) -> list[Result]:
    workdir = store.check_workdir(config.get("workdir", OF_A_SWEEP["workdir"]))
    if config.get("storage") is not None and config.get("checkpoints") is None:  # else they are beside the study
        grid = [point | {"checkpoints": workdir / store.CHECKPOINTS} for point in grid]
    question = _question(config)
    if hosts.index() > 0:
        for point in grid:
            question.call(storage=workdir, progress=False, **point)
        return []
    points = [_point(n, question, point) for n, point in enumerate(grid)]
    storage = store.open_storage(workdir if config.get("storage") is None else config["storage"])
    show = functools.partial(console.print, soft_wrap=True, highlight=False, markup=False, emoji=False)
    devices = sharding.choose_devices(config.get("devices"))
    where = sharding.describe(devices)
    where += f" in each of {hosts.count()} processes" if hosts.count() > 1 else ""
    num_shares = _num_shares(grid, points, devices)
    where += f", {num_shares} at a time" if num_shares > 1 else ""
    code = f"rnn_capacity {rnn_capacity.__version__} in {pathlib.Path(rnn_capacity.__file__).parent}"
    show(f"{len(grid)} studies on {where}, into {workdir}, by {code}")
    if url := getattr(storage, "url", None):
        show(f"live: {dashboard(hide_password(url))}")
    progress = rows(console, num_shares)

    def measure(point: schedule.Point, share: Share, place: int) -> Shown:
        fields = grid[point.number]
        own = {} if fields.get("devices") != config.get("devices") else {"devices": share}
        return question.call(storage=storage, progress=progress.of(place), **(fields | own))

    workers = getattr(storage, "workers_of_studies", None) if hosts.count() == 1 else None
    ahead = functools.partial(_compile_ahead, question, grid) if _has_free_core(devices) and num_shares == 1 else None
    ended = schedule.Schedule(points, measure, workers, ahead).run(devices, num_shares)
    results = _shown_as_they_end(question, grid, ended, storage, workdir, show, progress, what, flag)
    if len(grid) > 1 or len(results) > 1:
        show(f"\nAll of {workdir}:\n{overview.text(results)}", style="bold")
    written = overview.write_tables(results, workdir) + overview.write_figures(results, workdir)
    kept = hide_password(config.get("storage") or workdir / store.DATABASE)
    show(f"\n{overview.captions(results)}\n\nWritten: {', '.join(map(str, [kept, *written]))}")
    return results


def _point(number: int, question: Question, fields: Mapping[str, Any]) -> schedule.Point:
    """A point of the grid, described: a missing text is reported before anything is trained."""
    config, budget, runtime = question.asked(fields)
    devices = sharding.choose_devices(runtime.devices)
    together = len(devices) * sharding.trials_per_device(runtime.trials_per_device, devices) * hosts.count()
    plans = [study.plan() for study in config.studies()]
    sizes = [n for plan in plans for n in blocks(plan, budget.num_trials, budget.num_repeats, together)]
    return schedule.Point(number, [plan.name for plan in plans], sizes)


def _num_shares(
    grid: Sequence[Mapping[str, Any]], points: Sequence[schedule.Point], devices: Sequence[jax.Device]
) -> int:
    """How many points train at a time: one in a job, and where points have devices of their own."""
    if hosts.count() > 1 or len({repr(fields.get("devices")) for fields in grid}) > 1:
        return 1
    widths = [sharding.trials_per_device(fields.get("trials_per_device"), devices) for fields in grid]
    return schedule.at_once(points, len(devices), min(widths))


def _has_free_core(devices: Sequence[jax.Device]) -> bool:
    return hosts.count() == 1 and (devices[0].platform != "cpu" or sharding.num_cores() > len(devices))


def _compile_ahead(question: Question, grid: Sequence[Mapping[str, Any]], point: schedule.Point) -> None:
    """Compiles the programs of a point's first trials; what fails is reported when they train."""
    config, _, runtime = question.asked(grid[point.number])
    devices = sharding.choose_devices(runtime.devices)
    with numerics.fixed(), contextlib.suppress(Exception):
        plan = config.studies()[0].plan()
        each = sharding.trials_per_device(runtime.trials_per_device, devices)
        together = sharding.padded_count(min(point.blocks[0], each * len(devices)), devices, each)
        program.trial_program(plan.spec, tuple(devices)).compile(together, tuple(plan.example().hparams))


def _shown_as_they_end(
    question: Question,
    grid: Sequence[Mapping[str, Any]],
    ended: Generator[tuple[schedule.Point, Shown]],
    storage: optuna.storages.BaseStorage,
    workdir: pathlib.Path,
    show: Callable[..., None],
    progress: Rows,
    what: str,
    flag: str,
) -> list[Result]:
    """All results of the storage, once every point is measured; the storage is read before the first and at the end."""
    show(tables.header(question.columns), style="bold")
    counts = [point["num_trials"] + point["num_repeats"] for point in grid]
    known = {result.study: result for result in _measured(storage, show)}
    written_at, done, order = time.monotonic(), 0, dict[str, int]()
    progress.start("sweep", what, 0, sum(counts), f"{len(grid)} studies")
    try:
        with contextlib.closing(ended):
            for n, (point, answer) in enumerate(ended, 1):
                for result in answer.parts:
                    show("\n".join([tables.line(question.columns, result), *result.notes(flag)]))
                    known[result.study] = result
                order |= dict.fromkeys(point.studies, point.number)
                done += counts[point.number]
                progress.update("sweep", done, f"{n} of {len(grid)} studies done")
                if time.monotonic() - written_at >= SECONDS_BETWEEN_TABLES:
                    overview.write_tables(list(known.values()), workdir)
                    written_at = time.monotonic()
        return _in_order(_measured(storage, show), order)  # other workers' too
    except BaseException:
        if known:
            overview.write_tables(list(known.values()), workdir)
        raise
    finally:
        progress.stop("sweep")


def _in_order(results: list[Result], order: Mapping[str, int]) -> list[Result]:
    """The grid's results in its order, between those that were begun before them and after."""
    first = next((n for n, result in enumerate(results) if result.study in order), 0)
    place = lambda n: (first, order[results[n].study]) if results[n].study in order else (n, 0)
    return [results[n] for n in sorted(range(len(results)), key=place)]


def _measured(storage: optuna.storages.BaseStorage, show: Callable[..., None]) -> list[Result]:
    """The results of a storage, those of studies that were never measured to their end left out."""
    results, notes = results_in(storage)
    for note in notes:
        show(f"note: {note}")
    return [result for result in results if result.record.measured]
