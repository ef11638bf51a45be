"""What every figure and table of the paper must be here: a config at two scales, claims, a table, drawings."""

import importlib
import inspect
import re

import pytest
from helpers import ROOT

from experiments import common
from rnn_capacity import sweep
from rnn_capacity.report.figure import MISSING, Figure

# The list at the end of the paper's facts, in its order.
NAMES = (
    *("fig1", "fig1i", "figA1", "fig2a", "fig2b", "fig2c", "fig3", "fig4", "fig5"),
    *("table1", "tableA1", "tableA2"),
)
BEYOND = ("modern", "precision")  # what the paper has not
CONFIGS = (*NAMES, *BEYOND, "fig2", "all")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def module(name):
    return importlib.import_module(f"experiments.figures.{name}")


def figure(name) -> Figure:
    return module(name).FIGURE


def test_the_figures_are_the_papers_in_its_order():
    figures = importlib.import_module("experiments.figures").FIGURES
    assert tuple(figures) == (*NAMES, *BEYOND)
    assert {path.stem for path in (ROOT / "experiments" / "figures").glob("*.py")} == {*CONFIGS, "__init__"}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_figures_config_runs_at_three_scales(name):
    quick, evening, full = (module(name).get_config(arg) for arg in common.SCALES)
    for config in (quick, evening, full):
        assert config.is_locked
        for one in config.sweeps.values():
            assert set(one.to_dict()) == set(sweep.defaults(one.task))
    assert set(quick.sweeps) == set(evening.sweeps) == set(full.sweeps)
    assert len({config.workdir for config in (quick, evening, full)}) == 3
    for config in (quick, evening):
        assert 0 < len(sweep.configs(config.to_dict())) < 200
        if name in NAMES:  # or it is of other figures' sweeps
            sweep.studies(config.to_dict())
    cost = lambda config: sum(one.num_trials * one.train_steps for one in config.sweeps.values())
    assert cost(quick) < cost(evening) / 4 < cost(full) / 40
    for one in full.sweeps.values():  # the paper's own search space and budget
        assert one.space == "paper"
        assert one.num_trials >= 1000


def test_all_is_every_sweep_once():
    every = {n: one for name in NAMES for n, one in module(name).get_config("quick").sweeps.items()}
    assert module("all").get_config("quick").sweeps.to_dict() == {n: one.to_dict() for n, one in every.items()}


def test_sweeps_of_one_name_are_the_same_in_every_figure():
    for arg in common.SCALES:
        seen = {}
        for name in NAMES:
            for n, one in module(name).get_config(arg).sweeps.items():
                assert seen.setdefault(n, one.to_dict()) == one.to_dict()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_figures_file_says_how_it_is_run_and_how_long_that_takes(name):
    said = inspect.getdoc(module(name))
    assert f"\npython launch/sweep.py --config=experiments/figures/{name}.py[:quick|:evening]\n" in f"{said}\n"
    if module(name).get_config.__module__ == f"experiments.figures.{name}":
        assert re.search(r"Quick: about \d+ minutes on 2 cores, evening: about \d+ hours?\b", " ".join(said.split()))


@pytest.mark.parametrize("name", [*NAMES, *BEYOND])
def test_of_nothing_every_claim_is_not_measured(name):
    shown = figure(name)
    assert shown.name == name
    assert shown.select([]) == []
    claims = shown.claims([])
    assert claims or name == "fig1i"
    for claim in claims:
        assert claim.verdict == MISSING
        assert claim.paper
    assert len(shown.table([])) == 0
    assert list(shown.charts([])) == []


def test_the_reference_maps_every_figure_to_its_config():
    readme = (ROOT / "docs" / "report.md").read_text()
    for name in (*NAMES, *BEYOND):
        assert f"`experiments/figures/{name}.py`" in readme or f"`{name}`" in readme
