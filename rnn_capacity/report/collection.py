"""Whatever was measured, read for a report: finished or half done, by this version of the package or by another."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from optuna.trial import FrozenTrial

from rnn_capacity.cells import CELLS
from rnn_capacity.checks import InputError
from rnn_capacity.measure import capacity, recall, trainability
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.measure.search import best_of, of_trials
from rnn_capacity.search.space import from_json
from rnn_capacity.studies import archive, store
from rnn_capacity.studies.archive import Kept
from rnn_capacity.studies.database import first_line, hide_password
from rnn_capacity.studies.plan import HPARAM, SEARCH, SIZES, STATIC
from rnn_capacity.tasks import TASKS, Task
from rnn_capacity.tasks.recall import line

NAN = float("nan")
AGAIN = re.compile(r" trial \d+ again$")  # at the end of the name of a study of repeats
OF_THE_PACKAGE = (*STATIC, *SIZES, *SEARCH, "cell", "task", "cell's program", "task's program", "task's data")
WORKER = {"packages": {}, "code": None, "device": None, "command": None}
LOSSES = ("train_loss", "valid_loss", "eval_loss")
OUTCOMES = {  # outcomes of a trial of each measure, apart from its score
    "capacity": ("bits", "bits_per_param", "accuracy", "loss", "untrained_bits_per_param", "num_mappings"),
    "recall": (*LOSSES, "squared_error", "untrained_squared_error"),
    "trainability": LOSSES,
}


class Collection(NamedTuple):
    """What was found, and what could not be read."""

    results: list[dict[str, Any]]  # a search each, as `collect` says
    notes: list[str]  # sentences for people
    sources: list[str]  # the databases that were read
    workdir: str  # the folder, as it was given


def collect(workdir: str | os.PathLike, storages: Iterable[str] = ()) -> Collection:
    """Every search of the databases in a folder or below it, and of others; nothing is written, nothing trained.

    A result has the fields that `to_dict` of its measure's result has. Where a search has no result yet, or one of
    fewer trials than there are now, they are of the trials so far; what nobody knows is NaN or None. Beside them:

        study, source: its name, and the folder, relative to `workdir`, or the URL that it is in
        trials: a table, a row a trial that counts: number, hparams, what it gave; its columns also where it has no row
        hparam_names: the columns of it that are hparams
        space: name -> the range of each dimension as JSON, tuned or fixed
        plan: all that defines the study
        best_number: of the best trial; None where there is none
        finished: whether it has all the trials and repeats that were asked for
        wanted_trials, wanted_repeats: how many these are; None where it was not kept
        workers: what trained it, dicts of packages, code, device and command
        begun, ended: of its first trial and of its last so far, in UTC; None where there is none

    Args:
        workdir: hidden folders in it are left out.
        storages: database URLs.

    Raises:
        InputError: the folder is not there.
    """
    folder = pathlib.Path(os.path.expanduser(workdir))
    if not folder.is_dir():
        raise InputError(f"workdir: {str(workdir)!r} given; it must be a folder that is there")
    results, notes, sources, files = [], [], [], set()
    below = {str(path.relative_to(folder)): path for path in _folders(folder, notes)}
    for source, storage in (*below.items(), *((hide_password(url), url) for url in storages)):
        try:
            file = archive.file_of(storage)
            if file is not None and file.resolve() in files:
                continue
            found, failed = archive.read(storage)
        except ValueError as error:
            notes.append(f"{source}: {error}")
            continue
        files |= {file.resolve()} if file is not None else set()
        sources.append(source)
        notes += [f"{source}: the study {name!r} cannot be read ({reason})" for name, reason in failed.items()]
        results += _results(source, found, notes)
    return Collection(results, notes, sources, str(workdir))


def _folders(folder: pathlib.Path, notes: list[str]) -> list[pathlib.Path]:
    """Those with a database, hidden ones left out."""
    found = []
    unread = lambda error: notes.append(f"{os.path.relpath(error.filename, folder)}: {error.strerror}")
    for path, folders, files in os.walk(folder, onerror=unread):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if store.DATABASE in files:
            found.append(pathlib.Path(path))
    return found


def _results(source: str, studies: Sequence[Kept], notes: list[str]) -> list[dict[str, Any]]:
    """The results of the searches of a database, each with the repeats that belong to it."""
    repeats = {study.name: study for study in studies if AGAIN.search(study.name)}
    found = []
    for study in studies:
        if study.name in repeats:
            continue
        plan = study.user_attrs.get(store.PLAN)
        if not isinstance(plan, Mapping) or "cell" not in plan:
            notes.append(f"{source}: the study {study.name!r} is none of this package's, and left out")
            continue
        try:
            found.append({"study": study.name, "source": source, **_result(study, plan, repeats)})
        except Exception as error:  # of a version that nobody can foresee
            reason = f"{type(error).__name__}: {first_line(error)}"
            notes.append(f"{source}: the study {study.name!r} is of another version, and left out ({reason})")
    return found


def _result(study: Kept, plan: Mapping[str, Any], repeats: Mapping[str, Kept]) -> dict[str, Any]:
    kept = study.user_attrs.get(store.RESULT) or {}
    asked = study.user_attrs.get(store.ASKED) or {}
    wanted_trials, wanted_repeats = asked.get("num_trials"), asked.get("num_repeats")
    kept_repeats = len(kept.get("repeats", ())) + kept.get("num_infeasible_repeats", 0)
    known = _of_plan(plan, kept)
    measure, score = known["measure"], kept.get("score_name")

    trials = _first(study.trials, wanted_trials, kept.get("num_trials", 0))
    score = score or _score_name(known["task"], trials)
    trials = _completed(trials, measure, score)
    best = best_of(trials, study.sign)
    again = repeats.get(f"{study.name} trial {best.number} again") if best is not None else None
    told = _completed(_first(again.trials, wanted_repeats, kept_repeats), measure, score) if again is not None else []

    space = {name.removeprefix(HPARAM): d for name, d in plan.items() if name.startswith(HPARAM)}
    reported = QUESTIONS[measure].plan.reported
    now = of_trials(trials, best, told, _understood(space), reported, study.sign)
    now |= _scores(measure, trials, best, score)
    now |= {"interval": list(now["interval"]), "repeats": list(now["repeats"])}
    if measure == "trainability":
        now["percent_infeasible"] = 100 * now["num_infeasible"] / len(trials) if trials else NAN
    task = known.pop("task")
    if measure == "trainability":
        known |= {"task": task.label if task is not None else plan.get("task"), "sampler": plan.get("sampler")}
        known["task_fields"] = {name: plan[name] for name in _task_fields(plan, task)}

    current = (kept.get("num_trials"), kept_repeats) == (len(trials), len(told))
    if wanted_trials is None or wanted_repeats is None:
        finished = current
    else:
        finished = len(trials) >= wanted_trials and (best is None or len(told) >= wanted_repeats)
    tuned = [name for name, d in space.items() if isinstance(d, Mapping | list)]
    hparam_names = list(dict.fromkeys([*tuned, *(name for t in trials for name in t.params)]))
    workers = _workers(study) + (_workers(again) if again is not None else [])
    return {
        **(known | now | kept if current else known | kept | now),
        "cell": _cell(plan),
        "trials": _table(trials, hparam_names, measure, score),
        "hparam_names": hparam_names,
        "space": space,
        "plan": dict(plan),
        "best_number": None if best is None else best.number,
        "finished": finished,
        "wanted_trials": wanted_trials,
        "wanted_repeats": wanted_repeats,
        "workers": [worker for i, worker in enumerate(workers) if worker not in workers[:i]],
        "begun": _iso(min, [t.datetime_start for t in (*trials, *told)]),
        "ended": _iso(max, [t.datetime_complete for t in (*trials, *told)]),
    }


def _understood(space: Mapping[str, Any]) -> dict[str, Any]:
    """Its dimensions; as they are where another version kept them otherwise."""
    found = dict(space)
    for name, dimension in space.items():
        with contextlib.suppress(TypeError):
            found[name] = from_json(dimension)
    return found


def _cell(plan: Mapping[str, Any]) -> str:
    """Its name; a user's own that is called like one of the paper's is none of these."""
    own = "cell's program" in plan and plan["cell"] in CELLS
    return f"{plan['cell']} (own)" if own else plan["cell"]


def _iso(first_or_last: Callable, times: Iterable[datetime.datetime | None]) -> str | None:
    known = [time for time in times if time is not None]
    return first_or_last(known).isoformat() if known else None


def _first(trials: list[FrozenTrial], wanted: int | None, kept: int) -> list[FrozenTrial]:
    """The trials that count: workers side by side may have stored a few more than the budget."""
    return trials if wanted is None else trials[: max(wanted, kept)]


def _of_plan(plan: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a result that no trial says; the task itself, None where it cannot be made any more."""
    task = _task(plan)
    names = ("cell", "depth", *SIZES, "unroll", "train_steps")
    known = {name: plan.get(name) for name in names}
    known["num_inputs"] = plan.get("num_inputs") if task is None else task.num_inputs
    measure = kept.get("measure") or _measure(plan)
    if measure == "recall":
        sizes = (known["num_units"], known["num_inputs"])
        known["line"] = NAN if None in sizes else float(line(*sizes))
    return {"measure": measure, "task": task, **known}


def _measure(plan: Mapping[str, Any]) -> str:
    """Which question a study answers; recall is asked with units, and the task of that name with a budget too."""
    name = plan.get("task", "memorization")
    if name == "memorization":
        return "capacity"
    return "recall" if name == "recall" and plan.get("max_params") is None else "trainability"


def _task(plan: Mapping[str, Any]) -> Task | None:
    kind = TASKS.get(plan.get("task", "memorization"))
    if kind is None or "task's program" in plan:  # a user's own, whatever its name
        return None
    try:
        return kind(**{field.name: plan[field.name] for field in dataclasses.fields(kind)})
    except (KeyError, TypeError, ValueError):  # of another version
        return None


def _task_fields(plan: Mapping[str, Any], task: Task | None) -> list[str]:
    if task is not None:
        return [field.name for field in dataclasses.fields(task)]
    return [name for name in plan if name not in OF_THE_PACKAGE and not name.startswith(HPARAM)]


def _score_name(task: Task | None, trials: Sequence[FrozenTrial]) -> str | None:
    if task is not None:
        return task.measure
    names = (name for t in trials for name in t.user_attrs[store.OUTCOME] if name.startswith("untrained_"))
    return next((name.removeprefix("untrained_") for name in names), None)


def _completed(trials: Sequence[FrozenTrial], measure: str, score: str | None) -> list[FrozenTrial]:
    """The same with all that trials have; another version may not have kept it."""
    lacking = dict.fromkeys(_outcomes(measure, score), NAN)
    for trial in trials:
        about = {"feasible": trial.value is not None, "stopped_early": False, "steps": NAN, "seconds": NAN}
        trial.user_attrs = {store.OUTCOME: {**about, **lacking, **trial.user_attrs[store.OUTCOME]}}
    return list(trials)


def _outcomes(measure: str, score: str | None) -> list[str]:
    names = [*OUTCOMES[measure], *((score, f"untrained_{score}") if measure == "trainability" and score else ())]
    return list(dict.fromkeys(names))


def _scores(measure: str, trials: list[FrozenTrial], best: FrozenTrial | None, score: str | None) -> dict[str, Any]:
    if measure == "trainability":
        return trainability.scores(trials, best, score)
    return {"capacity": capacity, "recall": recall}[measure].scores(trials, best)


def _table(trials: list[FrozenTrial], hparam_names: list[str], measure: str, score: str | None) -> pd.DataFrame:
    rows = store.trials_frame(trials).to_dict("records")
    columns = ["number", *hparam_names, "feasible", *_outcomes(measure, score), "steps", "stopped_early", "seconds"]
    columns = list(dict.fromkeys([*columns, *(rows[0] if rows else ())]))
    return pd.DataFrame(rows, columns=columns).astype({"number": int, "feasible": bool, "stopped_early": bool})


def _workers(study: Kept) -> list[dict[str, Any]]:
    known = (about for name, about in study.user_attrs.items() if name.startswith(store.WORKER))
    return [WORKER | about for about in known if isinstance(about, Mapping)]
