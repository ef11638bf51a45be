"""Every figure and table of trainability, whatever there is: it is told and drawn."""

import json
import re

import numpy as np
import pytest
from made import NAN, changed, words_of
from made_trainability import FIELDS, lossy, repeated, searched, sized, tuned

from experiments.figures import fig3, fig4, fig5, table1, tableA1, tableA2
from rnn_capacity.paper import published
from rnn_capacity.report import drawing
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED

FIGURES = {module.FIGURE.name: module.FIGURE for module in (fig3, fig4, fig5, table1, tableA1, tableA2)}


def everything(**fields):
    """Something for each of the figures."""
    of_tasks = [searched(task=task, **fields) for task in FIELDS]
    return [
        *of_tasks,
        searched(sampler="random", **fields),
        searched(**{"repeats": [0.5, 1.0], "max_params": 7} | fields),
    ]


def several_sizes():
    sizes = (500, 2000)
    return [found for size in sizes for found in everything(num_params=size, max_params=size, num_units=size // 50)]


HARD = {
    "one": everything(),
    "twice": everything() + everything(source="there"),
    "diverged": everything(losses=[None, None], score=NAN, chance=NAN),
    "diverged again": everything(repeats=[], num_infeasible_repeats=4),
    "one trial": everything(losses=[1.0]),
    "no loss": everything(losses=[0.0, 0.0], score=0.0),
    "no trial": everything(losses=[], score=NAN),
    "own cell": everything(cell="a_cell_of_ones_own"),
    "own task": [searched(task="ones_own")],
    "no budget": everything(max_params=None),
    "sizes": several_sizes(),
    "deep": everything(depth=16),
    "one value": everything(losses=[2.0] * 5) + everything(losses=[2.0] * 5, cell="rnn"),
    "pruned": everything(losses=[1.0, 2.0, 3.0]),
}


for _result in HARD["pruned"]:
    _result.trials["stopped_early"] = [False, True, True]


@pytest.mark.filterwarnings("error", "ignore:Precision loss:RuntimeWarning")
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("case", HARD)
def test_hard_inputs_are_told_and_drawn(name, case, tmp_path):
    figure = FIGURES[name]
    found = figure.select(HARD[case])
    for one in figure.claims(found):
        assert one.verdict in (AGREES, DISAGREES, NOT_REACHED, UNDECIDED, MISSING)
        assert not re.search(r"\bnan\b", one.ours)
    assert len(figure.table(found).columns)
    charts = figure.charts(found)
    json.dumps([chart.spec for chart in charts], allow_nan=False)
    drawing.write(figure, charts, tmp_path)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_measured_is_said(name):
    figure = FIGURES[name]
    found = figure.claims(figure.select([]))
    assert found
    assert {made.verdict for made in found} == {MISSING}
    assert len(figure.table([])) == 0
    assert figure.charts([]) == []


@pytest.mark.parametrize("name", FIGURES)
def test_a_users_own_cell_changes_no_verdict(name):
    figure = FIGURES[name]
    found = lossy(lambda *_: 4.0) + tuned(lambda *_: 1.0) + sized(lambda size, *_: 1 / size) + repeated(lambda _: 1)
    own = [
        searched("ones_own", depth, [0.01] * 50, sampler=sampler) for depth in (1, 4, 8) for sampler in ("gp", "random")
    ]
    own += [changed(result, unroll=500, study="of a longer T") for result in own]
    own += [searched("ones_own", losses=[0.5], repeats=[9.0, 9.1], num_infeasible_repeats=9)]
    verdicts = [made.verdict for made in figure.claims(figure.select(found))]
    assert [made.verdict for made in figure.claims(figure.select(found + own))] == verdicts


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "tableA2"])
def test_charts_are_drawn_and_know_their_trials(name, tmp_path):
    found = lossy(lambda *_: 4.0) + tuned(lambda *_: 1.0) + sized(lambda size, *_: 1 / size) + repeated(lambda _: 1)
    made = FIGURES[name].charts(FIGURES[name].select(found))
    assert made
    png, svg = drawing.write(FIGURES[name], made, tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert all(chart.caption in words_of(svg) for chart in made)
    if name != "table1":  # of which a point is all trials of a search
        assert all('"source": "here"' in json.dumps(chart.spec) for chart in made)


def test_ten_thousand_trials_stay_small():
    rng = np.random.default_rng(0)
    cells = published.INFEASIBLE[8]
    found = [searched(c, 8, list(rng.lognormal(size=1700)), sampler=s) for c in cells for s in ("random", "gp")]
    size = lambda figure: sum(len(json.dumps(chart.spec)) for chart in figure.charts(figure.select(found)))
    assert size(fig5.FIGURE) < 2e6
    assert size(fig4.FIGURE) < 3e5
