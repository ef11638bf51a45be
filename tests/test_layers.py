"""Imports go down: a module imports from its own package and from those above it, and from nothing below."""

import ast
import pathlib

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
    "leaderboard",
    "schedule",
    "sweep",
    "compile_ahead",
    "dry_run",
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


PUBLIC = {"_replace", "_fields", "_asdict", "_exit"}  # whatever their names


def private_names(text: str):
    """Private modules and names that a text imports, and private attributes that it reads of other objects."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            names = [a.name for a in node.names] if isinstance(node, ast.ImportFrom) else []
            parts = [part for module in modules for part in module.split(".")] + names
            yield from (part for part in parts if part.startswith("_") and part != "__future__")
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and node.attr not in PUBLIC:
                yield node.attr


def test_private_names_of_libraries_are_in_one_module():
    """So that a new release breaks one file."""
    sample = "import a._b\nfrom c import _d\nself._e._f\nself._g\nh._i()\nj._replace()\n"
    assert sorted(private_names(sample)) == ["_b", "_d", "_f", "_i"]
    found = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        names = {*private_names(path.read_text(encoding="utf-8"))} - {"_identity"}  # of an object of its own kind
        if names and path.stem != "private":
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {}
