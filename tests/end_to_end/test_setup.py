"""The package's extras: BUILD.md tells of each, and the tests' has what they would be skipped without."""

import re
import runpy
import sys
from types import SimpleNamespace

import pytest
from helpers import ROOT

import rnn_capacity


@pytest.fixture
def given(monkeypatch):
    given = {}  # setuptools itself need not be there
    stand_in = SimpleNamespace(setup=given.update, find_packages=lambda include: include)
    monkeypatch.setitem(sys.modules, "setuptools", stand_in)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


@pytest.fixture
def extras(given):
    return given["extras_require"]


def test_the_version_is_the_packages(given):
    assert given["version"] == rnn_capacity.__version__


def test_every_extra_is_told_of(extras):
    told = re.findall(r'^\| `pip install "\.\[(\w+)\]"`', (ROOT / "BUILD.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(extras)


@pytest.mark.parametrize("name", ["live", "parquet", "postgres", "report", "text8"])
def test_what_is_tested_is_installed_for_the_tests(extras, name):
    assert set(extras[name]) <= set(extras["test"])
