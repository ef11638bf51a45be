"""The package's extras: BUILD.md tells of each, and the tests' has what they would be skipped without."""

import pathlib
import re
import runpy
import subprocess
import sys
import sysconfig
from types import SimpleNamespace

import pytest
from helpers import ROOT

import rnn_capacity


@pytest.fixture
def given(monkeypatch):
    given = {}  # setuptools itself need not be there
    stand_in = SimpleNamespace(setup=given.update, find_packages=lambda include: list(include))
    monkeypatch.setitem(sys.modules, "setuptools", stand_in)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_all_of_the_launchers_and_configs_is_shipped(given):
    """So that the commands work where there is no clone."""
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "experiments").rglob("*.py")} | {"launch"}
    assert given["package_dir"] == {f"rnn_capacity.shipped.{f.replace('/', '.')}": f for f in folders}
    assert set(given["package_dir"]) <= set(given["packages"])


@pytest.mark.parametrize("name", ["sweep", "report", "table", "compile", "leaderboard"])
def test_the_installed_commands_run_from_any_folder(tmp_path, name):
    command = [
        pathlib.Path(sysconfig.get_path("scripts")) / f"rnn-capacity-{name}",
        "--config=experiments/gru.py:quick",
    ]
    done = subprocess.run([*command, "--config.num_units=3"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    said = dict.fromkeys(("sweep", "compile"), "config.num_units: no such field; there are batch_size, ")
    said |= {"leaderboard": "command: '--config=experiments/gru.py:quick' given; it must come first"}
    assert done.stderr.startswith(f"error: {said.get(name, 'Unknown command line flag')}")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def extras(given):
    return given["extras_require"]


def test_the_version_is_the_packages(given):
    assert given["version"] == rnn_capacity.__version__


def test_every_extra_is_told_of(extras):
    told = re.findall(
        r'^\| `pip install "\.\[([\w-]+)\]"`', (ROOT / "BUILD.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(told) == sorted(extras)


@pytest.mark.parametrize("name", ["live", "parquet", "postgres", "report", "text8"])
def test_what_is_tested_is_installed_for_the_tests(extras, name):
    assert set(extras[name]) <= set(extras["test"])
