"""`compare`: one table and one plot of results of one question; of different ones it refuses by name."""

import re

import matplotlib as mpl
import pytest
from matplotlib import pyplot
from tiny import FRAGILE, TINY, TINY_PARENTHESES, TINY_RECALL, FakeTrainer

from rnn_capacity import compare, measure_capacity, measure_recall, measure_trainability
from rnn_capacity.display import tables

mpl.use("Agg")

MEASURES = {
    "capacity": (measure_capacity, TINY),
    "recall": (measure_recall, TINY_RECALL),
    "trainability": (measure_trainability, TINY_PARENTHESES),
}


@pytest.fixture(scope="module")
def results():
    """Two results of each measure, with made-up numbers: of a known cell, and of a user's."""
    with pytest.MonkeyPatch.context() as patch:
        FakeTrainer().install(patch)
        return {
            name: [measure(cell, progress=False, **options) for cell in ("rnn", FRAGILE)]
            for name, (measure, options) in MEASURES.items()
        }


@pytest.fixture(params=MEASURES)
def measure(request):
    return request.param


def test_the_rows_are_those_of_the_results_in_the_order_given(results, measure):
    first, second = results[measure]
    assert compare([first, second]).rows() == first.rows() + second.rows()
    assert compare((second, first)).rows() == second.rows() + first.rows()
    assert compare([compare([second]), first]).rows() == second.rows() + first.rows()


def test_a_notebook_gets_one_table_with_a_row_each(results, measure):
    both = compare(results[measure])
    table, best, rest = both._repr_html_().split("</table>")
    assert f"<b>{measure}: rnn, fragile</b>" in table
    cells = re.findall(r"<td>(.*?)</td>", table)
    for part in both.parts:
        assert set(tables.cells(part.question.columns, part).values()) - {"-"} <= set(cells)
    assert table.count("<tr") == 1 + len(both.rows())
    assert "learning_rate" in best
    assert rest == "</div></details>"


def test_a_terminal_gets_a_column_each(results, measure):
    both = compare(results[measure])
    title, _, *lines = repr(both).splitlines()
    assert title == f"{measure}: rnn, fragile"
    found = {name: cells for name, *cells in (re.split(" {2,}", line.strip()) for line in lines)}
    assert found["cell"] == [row["cell"] for row in both.rows()]
    assert found["params"] == [str(row["num_params"]) for row in both.rows()]


def test_the_plot_has_both(results, measure):
    ax = compare(results[measure]).plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len([label for label in labels if label.startswith(("rnn", "fragile"))]) == 2
    given = mpl.figure.Figure().subplots()
    assert compare(results[measure]).plot(given) is given
    pyplot.close("all")


def test_what_diverged_stands_beside_what_did_not(results, monkeypatch):
    FakeTrainer(infeasible=lambda hparams: True).install(monkeypatch)
    diverged = measure_capacity("gru", progress=False, **TINY)
    both = compare([diverged, results["capacity"][0]])
    assert [row["num_infeasible"] for row in both.rows()] == [4, 0]
    assert "nan" in both._repr_html_()
    assert not len(both.plot().texts)
    assert [text.get_text() for text in compare([diverged]).plot().texts] == ["every trial diverged"]
    pyplot.close("all")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda r: [], "^results: none given; it must be a list of results$"),
        (lambda r: r["capacity"][0], "^results: CapacityResult given; it must be a list of results$"),
        (lambda r: [r["capacity"][0], "gru"], "^results: list given; it must be a list of results$"),
        (lambda r: [r["capacity"][0], r["recall"][0]], "^results: capacity and recall given; it must be the same"),
        (lambda r: [*r["trainability"], r["capacity"][0]], "^results: trainability and capacity given"),
    ],
    ids=["nothing", "a result", "a name", "two measures", "three results"],
)
def test_what_cannot_be_compared_is_refused_by_name(results, given, message):
    with pytest.raises(ValueError, match=message):
        compare(given(results))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task_fields": TINY_PARENTHESES["task_fields"] | {"max_count": 4}}, "^max_count: 3 and 4 given"),
        ({"task": "random_functions", "task_fields": {"num_held_out": 64}}, "^task: parentheses and random_functions"),
    ],
)
def test_losses_of_different_tasks_are_refused(results, trainer, options, message):
    other = measure_trainability("rnn", progress=False, **(TINY_PARENTHESES | options))
    with pytest.raises(ValueError, match=message):
        compare([results["trainability"][0], other])


def test_unrolls_are_compared(results, trainer):
    longer = measure_trainability("rnn", progress=False, **(TINY_PARENTHESES | {"unroll": 4}))
    assert [row["unroll"] for row in compare([results["trainability"][0], longer]).rows()] == [3, 4]
