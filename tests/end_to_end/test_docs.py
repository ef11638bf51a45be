"""The reference has everything that is public, what it takes from the README is there, and its example runs."""

import doctest
import importlib
import inspect
import re
import runpy

import pytest
from helpers import ROOT

import rnn_capacity
from rnn_capacity import sweep
from rnn_capacity.cells import CELLS
from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.model.task_check import check_task
from rnn_capacity.search import ranges
from rnn_capacity.studies import config
from rnn_capacity.tasks import TASKS

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
EVERYTHING = "\n".join(PAGES.values())
DOCUMENTED = set(re.findall(r"^\.\. auto\w+:: ([\w.]+)", EVERYTHING, re.MULTILINE))


@pytest.fixture(scope="module")
def tables():
    return runpy.run_path(str(ROOT / "docs" / "tables.py"))


def look_up(name):
    """The object of a dotted name, a module wherever there is one of that name."""
    try:
        return importlib.import_module(name)
    except ImportError:
        home, _, last = name.rpartition(".")
        return getattr(look_up(home), last)


@pytest.mark.parametrize("name", rnn_capacity.__all__)
def test_every_public_name_is_documented(name):
    data = f".. py:data:: {name}\n   :module: rnn_capacity\n"
    assert f"rnn_capacity.{name}" in DOCUMENTED or data in EVERYTHING


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_cell_is_documented_with_its_equations(cell):
    assert cell.init.__module__ in DOCUMENTED
    equations = importlib.import_module(cell.init.__module__).__doc__
    assert re.search(r"^\n {4}\S.* = ", equations, re.MULTILINE)  # else they are shown as prose


def test_every_task_is_documented():
    objects = [look_up(name) for name in DOCUMENTED]
    assert set(TASKS.values()) <= {found for found in objects if isinstance(found, type)}


def test_every_page_is_in_the_table_of_contents():
    listed = re.search(r"```{toctree}\n(?::.*\n)*\n(.*?)\n```", PAGES["index"], re.DOTALL)[1].split()
    assert sorted(listed) == sorted(PAGES.keys() - {"index"})


def test_what_is_taken_from_the_readme_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    includes = re.findall(r':start-after: "(.*)"\n:end-before: "(.*)"', EVERYTHING)
    assert len(includes) == EVERYTHING.count("README.md")
    for marks in includes:
        start, end = (readme.find(mark.replace("\\n", "\n")) for mark in marks)
        assert -1 < start < end, marks


def test_figures_of_the_readme_are_found_from_the_pages_that_take_them():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    taken = re.findall(r"```{include} \.\./README\.md\n(.*?)```", EVERYTHING, re.DOTALL)
    with_figure = 0
    for options in taken:
        start, end = (readme.find(mark.replace("\\n", "\n")) for mark in re.findall(r': "(.*)"\n', options))
        if "](docs/" in readme[start:end]:
            with_figure += 1
            assert ":relative-images:" in options
    assert with_figure


FUNCTIONS = [name for name in rnn_capacity.__all__ if inspect.isfunction(getattr(rnn_capacity, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_classes_that_a_signature_names_are_documented(name):
    """Else the reference refers to what it does not have, and is not built."""
    function = getattr(rnn_capacity, name)
    said = " ".join(map(str, function.__annotations__.values()))
    known = vars(config) | inspect.unwrap(function).__globals__
    named = [known.get(word) for word in re.findall(r"\w+", said)]
    ours = {found for found in named if isinstance(found, type) and found.__module__.startswith("rnn_capacity")}
    assert (rnn_capacity.Cell in ours) == (name != "compare")
    assert ours <= {found for found in map(look_up, DOCUMENTED) if isinstance(found, type)}


def test_tables_are_shown_and_hold_all_of_their_data(tables):
    made = tables["all_tables"]()
    assert set(made) == set(re.findall(r"^{{ (\w+) }}$", EVERYTHING, re.MULTILINE))
    for name, rows in {
        "cells": CELLS,
        "tasks": TASKS,
        "spaces": ranges.PAPER,
        "fields": sweep.FIELDS,
        "experiments": [f"experiments/{name}.py" for name in ("gru", "quickstart", "trainability")],
    }.items():
        first = {line.split(" | ")[0] for line in made[name].splitlines()}
        assert {f"| `{row}`" for row in rows} <= first


def test_tables_say_what_is_so(tables):
    made = tables["all_tables"]()

    def row(table, name):
        rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in made[table].splitlines())
        return next(cells for first, *cells in rows if first == f"`{name}`")

    assert row("fields", "train_steps")[1:] == ["`10000`", "`4000`", "`1000`", "`4000`"]
    assert row("fields", "num_units")[1:] == ["", "`16`, `32`, `48`, `64`, `80`", "", "`32`"]
    assert row("spaces", "learning_rate") == ["0.03 to 0.068, log", "0.0001 to 0.1, log", ""]
    assert row("spaces", "momentum_logit") == ["2.2", "1 to 7", "where `optimizer` is momentum"]
    assert row("spaces", "compute_steps") == ["6", "1 to 6, whole", "on arithmetic"]
    assert row("cells", "rnn")[0] == "22"


def test_the_numbers_of_the_modern_cells_in_the_readme_are_those_that_were_measured(tables):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    def row(name):
        (line,) = re.findall(rf"^\| {name} \| (.*) \|$", readme, re.MULTILINE)
        return re.findall(r"[\d.]+(?=,| %|$)", line)

    def best(sweep_name, field):
        found = tables["results_of"](sweep_name)
        return sorted((r[field] for r in found if r.get("num_pairs", 8) == 8 and r["max_params"] != 250), reverse=True)

    of_sweep = {"bare, one layer": "modern", "bare, two layers": "modern_deep", "blocks": "modern_blocks"}
    for name, sweep_name in of_sweep.items():
        assert row(f"bits/param, {name}") == [f"{bits:.2f}" for bits in best(sweep_name, "bits_per_param")]
    right = best("modern_association", "accuracy")
    assert row("8 pairs recalled, bare, 64 numbers of state") == [f"{100 * fraction:.0f}" for fraction in right]


def test_the_task_of_your_own_is_one(monkeypatch):
    (example,) = re.findall(r"```python\n(.*?class Parity.*?)```", PAGES["tasks"], re.DOTALL)
    given = []
    monkeypatch.setattr(rnn_capacity, "measure_trainability", lambda cell, task, **fields: given.append((task, fields)))
    exec(example, {"__name__": "example"})
    ((task, fields),) = given
    check_task(task)
    assert (task.num_outputs, fields) == (1, {"num_params": 500})


def test_the_cells_of_other_libraries_are_cells(monkeypatch):
    given = []
    monkeypatch.setattr(rnn_capacity, "measure_capacity", lambda cell, **fields: given.append((cell, fields)))
    for example in re.findall(r"```python\n(.*?)```", PAGES["cells"], re.DOTALL):
        exec(example, {"__name__": "example"})
    plans = [CapacityConfig(cell=cell, **fields).plan() for cell, fields in given]  # each is checked
    assert [plan.cell.name for plan in plans] == ["nnx.GRUCell", "linen.LSTMCell", "equinox", "decay"]
    assert all(400 < plan.num_params <= 500 for plan in plans)


WITH_EXAMPLES = [
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in (ROOT / "rnn_capacity").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_docstring_give_what_they_say(name):
    assert len(WITH_EXAMPLES) > 2
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0
