"""Imports go down: a module imports from its own package and from those above it, and from nothing below."""

import ast
import pathlib
import re

from helpers import ROOT

PACKAGE = "rnn_capacity"
LAYERS = (
    "checks",
    "files",
    "private",
    "types",
    "information",
    "dimension",
    "cells",
    "tasks",
    "model",
    "training",
    "search",
    "studies",
    "paper",
    "display",
    "measure",
    "report",
    "sweep",
    "command_line",
    "installed",
)


def imported(path: pathlib.Path):
    """The layers that a module imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            _, *below = node.module.split(".")
            yield from below[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith(f"{PACKAGE}."))


def test_every_module_imports_from_its_layer_and_those_above_it():
    modules = [path for path in (ROOT / PACKAGE).rglob("*.py") if path.parent != ROOT / PACKAGE or path.stem in LAYERS]
    layer = {path: path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py") for path in modules}
    assert set(layer.values()) == set(LAYERS)
    upwards = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules
        for name in imported(path)
        if name != layer[path] and LAYERS.index(name) > LAYERS.index(layer[path])
    ]
    assert upwards == []


def test_no_module_lies_beside_the_packages_unplaced():
    beside = {path.stem for path in (ROOT / PACKAGE).glob("*.py")} - {"__init__"}
    assert beside <= set(LAYERS)


PRIVATE = re.compile(
    r"^(?:import|from) [\w.]*\._\w+|\b(?:study|trial|storage|jax|optuna|orbax)\w*\._(?!replace\b)[a-z]\w*"
)


def test_private_names_of_libraries_are_in_one_module():
    """So that a new release breaks one file."""
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in (ROOT / PACKAGE).rglob("*.py")
        for hit in PRIVATE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert {line.split(":")[0] for line in found} == {f"{PACKAGE}/private.py"}, found
