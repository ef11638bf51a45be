"""The tables of the reference, made from the data that they are about: Markdown by name."""

from __future__ import annotations

import ast
import itertools
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from rnn_capacity import CELLS, TASKS, sweep
from rnn_capacity.dimension import Choice, Dimension, Range, Space
from rnn_capacity.leaderboard.entry import FOLDER, Entry
from rnn_capacity.leaderboard.protocols import PROTOCOLS
from rnn_capacity.measure.questions import QUESTIONS, question_of
from rnn_capacity.model import layout
from rnn_capacity.search import ranges, recipe

ROOT = pathlib.Path(__file__).parents[1]
MEASURED_ON = {name: next(t for t in TASKS if question_of(t) is question) for name, question in QUESTIONS.items()}


def all_tables() -> dict[str, str]:
    modern = results_of("modern")
    return {
        "cells": cells(),
        "tasks": tasks(),
        "spaces": spaces(),
        "quick_by_cell": by_cell(),
        "quick_by_task": differences({name: task.quick for name, task in TASKS.items()}),
        "fields": fields(),
        "experiments": experiments(),
        "leaderboard": leaderboard(),
        "modern": capacities(modern, max_params=500),
        "modern_small": capacities(modern, max_params=250),
        "modern_deep": capacities(results_of("modern_deep"), max_params=500),
        "modern_blocks": capacities(results_of("modern_blocks"), max_params=500),
        "modern_held": held(),
    }


def cells() -> str:
    """What each cell has to tune of its own, and its units for 1000 parameters with 20 inputs and one output."""
    return table(
        ("cell", "units for 1000 parameters", "hparams that it reads"),
        (
            (
                code(name),
                layout.units_for_budget(1000, cell, num_inputs=20),
                ", ".join(
                    code(name)
                    for family in ranges.INIT_FAMILIES
                    for name in layout.hparam_names(cell)
                    if name == family or name.startswith(f"{family}_")
                ),
            )
            for name, cell in CELLS.items()
        ),
    )


def by_cell() -> str:
    """The ranges that a cell has of its own, in a line, since no two groups of cells have the same."""
    said = {
        name: ", ".join(f"{code(hparam)} {dimension(d)}" for hparam, d in cell.ranges.get("quick", {}).items())
        for name, cell in CELLS.items()
    }
    return table(("cells", "quick ranges of their own"), _together({name: text for name, text in said.items() if text}))


def _together(said: dict[str, str]) -> Iterable[tuple[str, str]]:
    """Cells of which the same is said share a row."""
    for text in dict.fromkeys(said.values()):
        yield ", ".join(code(name) for name, other in said.items() if other == text), text


def tasks() -> str:
    return table(
        ("task", "class", "T", "measure", "examples a step"),
        (
            (code(name), f"{{py:class}}`~rnn_capacity.tasks.{task.__name__}`", task.unroll, code(task.measure), size)
            for name, task in TASKS.items()
            for size in [task.batch_size or "all"]
        ),
    )


def spaces() -> str:
    quick = {**ranges.QUICK, **recipe.memorization(10_000)}
    quick["learning_rate"] = recipe.learning_rate(quick["learning_rate"], 1000)
    return table(
        ("hparam", "`quick`, memorization, 1000 parameters", "`paper`", "tuned only"),
        ((code(name), dimension(quick[name]), dimension(d), when(name)) for name, d in ranges.PAPER.items()),
    )


def when(name: str) -> str:
    """Where a dimension is tuned at all; nothing where that is everywhere."""
    parent, options = ranges.CONDITIONS.get(name, ("", ()))
    conditions = [f"where `{parent}` is {' or '.join(options)}"] if parent else []
    if name in ranges.OF_SOME_TASKS:
        tasks = [task.name for task in TASKS.values() if name in (*task.tunes, *task.dimensions)]
        conditions.append(f"on {' and '.join(tasks)}")
    return ", ".join(conditions)


def differences(spaces: dict[str, Space]) -> str:
    spaces = {name: space for name, space in spaces.items() if space}
    names = dict.fromkeys(itertools.chain.from_iterable(spaces.values()))
    return table(
        ("hparam", *spaces),
        ((code(name), *(dimension(space.get(name, "")) for space in spaces.values())) for name in names),
    )


def dimension(value: Dimension) -> str:
    if isinstance(value, Choice):
        return ", ".join(value.options)
    if isinstance(value, Range):
        kind = ", log" * value.log + ", whole" * value.whole
        around = value.around_best and ", from {:g} to {:g} times the best so far".format(*value.around_best)
        return f"{value.low:g} to {value.high:g}{kind}{around or ''}"
    return value if isinstance(value, str) else f"{value:g}"


def fields() -> str:
    """Every field of a config, with its default where it is a field at all."""
    defaults = [sweep.defaults(task) for task in MEASURED_ON.values()]
    return table(
        ("field", "", *MEASURED_ON),
        (
            (code(field), text, *(default(values[field]) if field in values else "" for values in defaults))
            for field, text in sweep.FIELDS.items()
        ),
    )


def default(value: Any) -> str:
    """As it is typed; one of a grid alone."""
    if isinstance(value, tuple):
        return ", ".join(map(default, value))
    return code(value) if value != {} else "none"


def experiments() -> str:
    """What the docstring of each config says first."""
    paths = sorted((ROOT / "experiments").rglob("*.py"))
    said = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in paths}
    return table(
        ("config", ""),
        (
            (code(path.relative_to(ROOT).as_posix()), summary(text))
            for path, text in said.items()
            if text is not None and path.stem != "common"
        ),
    )


def leaderboard() -> str:
    """Every entry of the repository, by protocol; the best mean first."""
    found = [Entry.read(path) for path in sorted((ROOT / FOLDER).glob("*/*.json"))]
    order = {name: n for n, name in enumerate(PROTOCOLS)}
    found.sort(key=lambda entry: (order[entry.protocol], -entry.of_protocol.sign * entry.mean))
    number = lambda value: "" if value is None else f"{value:.3g}"
    return table(
        (
            "protocol",
            "cell",
            "track",
            "again",
            "95 %",
            "best",
            "params",
            "units",
            "state",
            "bits/state",
            "ops/bit",
            "rising",
        ),
        (
            (
                code(entry.protocol),
                entry.cell,
                entry.track,
                f"**{number(entry.mean)}**",
                " to ".join(map(number, entry.result["interval"])),
                number(entry.score),
                *(entry.result[name] for name in ("num_params", "num_units", "state_floats")),
                *(number(entry.result.get(name)) for name in ("bits_per_state", "operations_per_bit")),
                "yes" if entry.result["still_improving"] else "no",
            )
            for entry in found
        ),
    )


def results_of(sweep_name: str) -> list[dict[str, Any]]:
    """What a sweep of `experiments/figures/modern.py:quick` gave."""
    return json.loads((ROOT / "results/reference/modern-quick" / sweep_name / "results.json").read_text())


def capacities(results: Sequence[dict[str, Any]], max_params: int) -> str:
    """Bits of each cell of this budget, the most a parameter first."""
    found = [r for r in results if r["max_params"] == max_params]
    return table(
        ("cell", "params", "units", "state", "bits", "bits/param", "again, 95 %", "rising", "bits/state", "ops/bit"),
        (
            (
                *(r[name] for name in ("cell", "num_params", "num_units", "state_floats")),
                f"{r['bits']:.0f}",
                f"**{r['bits_per_param']:.2f}**",
                " to ".join("-" if end is None else f"{end:.2f}" for end in r["interval"]),
                "yes" if r["still_improving"] else "no",
                f"{r['bits_per_state']:.1f}",
                f"{r['operations_per_bit']:.1f}",
            )
            for r in sorted(found, key=lambda r: -r["bits_per_param"])
        ),
    )


def held() -> str:
    """What the cells hold of associations and of a vector, and how random hparams do; the most associations first."""
    of_pairs = {(r["cell"], r["num_pairs"]): r for r in results_of("modern_association")}
    recall, random = ({r["cell"]: r for r in results_of(f"modern_{name}")} for name in ("recall", "trainability"))
    cells = sorted(random, key=lambda cell: -of_pairs[cell, 8]["accuracy"])
    return table(
        (
            *("cell", "params", "state", "4 pairs", "8 pairs", "bits held of 24", "bits/state"),
            *("recall, 32 units: squared error", "random draws: median loss", "best accuracy", "diverged"),
        ),
        (
            (
                *(cell, of_pairs[cell, 8]["num_params"], of_pairs[cell, 8]["state_floats"]),
                f"{of_pairs[cell, 4]['accuracy']:.3f}",
                f"**{of_pairs[cell, 8]['accuracy']:.3f}**",
                f"{of_pairs[cell, 8]['bits']:.1f}",
                f"{of_pairs[cell, 8]['bits_per_state']:.2f}",
                f"{recall[cell]['error']:.3f}",
                f"{random[cell]['median_loss']:.2f}",
                f"{random[cell]['score']:.2f}",
                f"{random[cell]['num_infeasible']} of {random[cell]['num_trials']}",
            )
            for cell in cells
        ),
    )


def summary(docstring: str) -> str:
    """Its first paragraph, without the command that some have behind a colon."""
    return " ".join(docstring.split("\n\n")[0].split()).split(": `python")[0].rstrip(".")


def code(value: Any) -> str:
    return f"`{value}`"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
