"""`measure_recall`: its numbers hang together, are the same every time, and bad input is told before any work."""

import json
import math
import re

import matplotlib as mpl
import numpy as np
import optuna
import pytest
from matplotlib.axes import Axes
from tiny import FRAGILE, TINY_RECALL, FakeTrainer, numbers
from tiny_measures import check_refused

from rnn_capacity import RecallResult, measure_recall, train_again
from rnn_capacity.display import tables
from rnn_capacity.measure import overview
from rnn_capacity.measure.questions import results_in
from rnn_capacity.measure.recall import RECALL
from rnn_capacity.studies import store

mpl.use("Agg")


def measure(cell="rnn", **options):
    return measure_recall(cell, **(TINY_RECALL | {"progress": False} | options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recall")


@pytest.fixture(scope="module")
def result(folder):
    return measure(storage=folder)


# --- What comes out ---------------------------------------------------------------------------------------------------


def test_there_is_a_point_for_each_number_of_units_beside_the_papers_line(result):
    assert isinstance(result, RecallResult)
    assert [point.num_units for point in result.points] == [2, 4]
    assert [point.line for point in result.points] == [0.5, 0.0]
    for point in result.points:
        h = point.num_units
        assert point.num_params == h * h + 4 * h + h + h + 4 * h + 4
        assert (point.cell, point.depth, point.unroll, point.num_inputs, point.train_steps) == ("rnn", 1, 2, 4, 20)
        assert (point.num_trials, point.num_infeasible, len(point.trials)) == (3, 0, 3)


def test_the_error_reported_is_the_evaluation_error_of_the_least_validation_loss(result):
    for point in result.points:
        best = point.trials.loc[point.trials["valid_loss"].idxmin()]
        assert point.error == best["eval_loss"] == best["squared_error"]
        assert (point.trials["valid_loss"] != point.trials["eval_loss"]).all()
        assert point.best_hparams["learning_rate"] == best["learning_rate"]


def test_what_is_reported_may_not_be_the_least_evaluation_error(trainer):
    """The made-up losses of the splits are independent, so the two selections differ for some of the units."""
    found = measure(num_units=tuple(range(1, 9)), num_trials=4, num_repeats=0)
    for point in found.points:
        assert point.error == point.trials.loc[point.trials["valid_loss"].idxmin(), "eval_loss"]
    assert any(point.error > point.trials["eval_loss"].min() for point in found.points)


def test_training_lowers_the_error_and_more_units_lower_it_further():
    found = measure("rnn", num_units=(1, 4), train_steps=300, num_trials=4, num_repeats=0, unroll=1)
    few, enough = found.points
    assert enough.error < few.error - 0.2
    assert few.error > few.line - 0.05  # it cannot keep more numbers than it has
    assert all(point.error < point.chance_error for point in found.points)


def test_chance_is_the_least_error_of_the_untrained(result):
    for point in result.points:
        assert point.chance_error == point.trials["untrained_squared_error"].min() > 0.5


def test_the_interval_is_students_of_the_repeats_errors(result):
    for point in result.points:
        first, second = point.repeats
        mean, half = (first + second) / 2, 12.7062 * abs(first - second) / 2
        assert point.interval == pytest.approx((mean - half, mean + half), rel=1e-4)
        assert point.mean == pytest.approx(mean)
        assert first != second


def test_all_trials_are_in_one_table(result):
    assert list(result.trials["num_units"]) == [2, 2, 2, 4, 4, 4]
    assert list(result.trials["eval_loss"]) == [e for point in result.points for e in point.trials["eval_loss"]]


def test_one_number_of_units_is_one_point(trainer):
    assert [[p.num_units for p in measure(num_units=n).points] for n in (3, [3])] == [[3], [3]]


# --- The same every time ----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_identical_results_and_another_gives_others(result):
    assert numbers(measure()) == numbers(result)
    other = measure(seed=1)
    assert set(other.trials["eval_loss"]).isdisjoint(result.trials["eval_loss"])


def test_a_kept_trial_is_trained_again_to_the_same_from_what_is_kept_alone(result, folder):
    names = optuna.get_all_study_names(store.open_storage(folder))
    assert len(names) == 2 + 2  # a search and its repeats for each number of units
    for name in (names[0], next(name for name in names if name.endswith("again"))):
        before, again = train_again(folder, name, 1)
        assert before.pop("seconds") > 0 < again.pop("seconds")
        assert before == again
    assert before["eval_loss"] in {error for point in result.points for error in point.repeats}


def test_a_measurement_goes_on_where_its_storage_is(tmp_path, trainer):
    first = measure(storage=tmp_path)
    assert len(trainer.trained) == 2 * (3 + 2)
    again = measure(storage=tmp_path)
    assert len(trainer.trained) == 2 * (3 + 2)
    assert numbers(again) == numbers(first)
    wider = measure(storage=tmp_path, num_units=(2, 3, 4))
    assert len(trainer.trained) == 3 * (3 + 2)
    assert [point.error for point in wider.points[::2]] == [point.error for point in first.points]
    more = measure(storage=tmp_path, num_trials=5)
    assert len(set(trainer.trained)) == len(trainer.trained)
    assert numbers(more) == numbers(measure(num_trials=5))


def test_a_measurement_that_was_killed_ends_as_if_it_had_not_been(tmp_path, monkeypatch, trainer):
    expected = numbers(measure())

    class Killed(BaseException):
        pass

    class Dies(FakeTrainer):
        def __call__(self, spec, *args, **kwargs):
            if spec.num_units == 4:
                raise Killed
            return super().__call__(spec, *args, **kwargs)

    Dies().install(monkeypatch)
    with pytest.raises(Killed):
        measure(storage=tmp_path)
    trainer.install(monkeypatch)
    assert numbers(measure(storage=tmp_path)) == expected


def test_halving_keeps_the_least_losses(monkeypatch):
    """Of nine trials, rungs at 2, 6 and 18 steps: three go on after the first, one after the second."""
    reached = {}

    class Racing(FakeTrainer):
        def __call__(self, spec, hparams, keys, state, start, until, **kwargs):
            outcomes, after = super().__call__(spec, hparams, keys, state, start, until, **kwargs)
            for rate, loss in zip(hparams["learning_rate"], outcomes.loss["valid"], strict=True):
                reached.setdefault(until, {})[float(rate)] = float(loss)
            return outcomes, after

    Racing().install(monkeypatch)
    found = measure(num_units=3, num_trials=9, num_repeats=0, train_steps=18, halving=3).points[0]
    assert {steps: len(losses) for steps, losses in reached.items()} == {2: 9, 6: 3, 18: 1}
    for steps, following in ((2, 6), (6, 18)):
        kept = sorted(reached[steps], key=reached[steps].get)[: len(reached[following])]
        assert set(kept) == set(reached[following])
    assert found.num_stopped_early == 8
    assert found.total_steps == 6 * 2 + 2 * 6 + 18
    (ended,) = found.trials[~found.trials["stopped_early"]].itertuples()
    assert found.error == ended.eval_loss


# --- Divergence -------------------------------------------------------------------------------------------------------


def test_a_cells_divergence_is_counted_and_its_untrained_networks_are_not_chance():
    """FRAGILE gives NaN where its input scale is above a half; some of these trials are there."""
    found = measure(FRAGILE, num_units=3, num_trials=6, hparams={"input_scale": (0.2, 0.8)}).points[0]
    diverged = found.trials["input_scale"] > 0.5
    assert list(found.trials["feasible"]) == list(~diverged)
    assert 0 < found.num_infeasible == diverged.sum() < 6
    assert found.trials.loc[diverged, ["train_loss", "valid_loss", "eval_loss", "squared_error"]].isna().all(axis=None)
    assert found.best_hparams["input_scale"] < 0.5
    assert math.isfinite(found.error)
    assert found.chance_error == found.trials.loc[~diverged, "untrained_squared_error"].min()


def test_nothing_but_divergence_is_infeasible_and_no_crash(tmp_path):
    found = measure(FRAGILE, hparams={"input_scale": 0.9}, storage=tmp_path)
    for point in found.points:
        assert point.num_infeasible == point.num_trials == len(point.trials) == 3
        assert all(math.isnan(n) for n in (point.error, point.chance_error, point.mean, *point.interval))
        assert (point.repeats, point.best_hparams, point.still_improving) == ((), {}, False)
    assert [point.line for point in found.points] == [0.5, 0.0]
    assert [text.get_text() for text in found.plot().texts] == ["every trial diverged"]
    assert "nan" in found._repr_html_()
    assert repr(found).startswith("fragile, depth 1: every trial diverged\n")
    assert len(json.loads(json.dumps(found.to_dict()))["points"]) == 2
    assert results_in(tmp_path)[0] == list(found.points)


# --- What is shown ----------------------------------------------------------------------------------------------------


def test_the_dict_is_plain_json(result):
    found = result.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == {"points": result.rows()}
    assert [row["measure"] for row in found["points"]] == ["recall", "recall"]
    assert [row["error"] for row in found["points"]] == [point.error for point in result.points]
    assert "trials" not in found["points"][0]


def test_a_storage_gives_the_points_back(result, folder):
    kept, notes = results_in(folder)
    assert (tuple(kept), notes) == (result.points, [])
    assert overview.text(kept).splitlines()[0] == tables.header(RECALL.columns)


def test_a_notebook_gets_a_table_with_a_row_for_each_point(result):
    shown = result._repr_html_()
    assert shown.split("</table>")[0].count("<tr") == 1 + 2
    cells = re.findall(r"<td>(.*?)</td>", shown)
    for point in result.points:
        assert {"rnn", f"{point.num_units}", f"{point.error:.3f}", f"{point.line:.3f}"} <= set(cells)
        assert f"{point.num_units} units: squared error {point.error:.3f}" in point._repr_html_()


def test_the_plot_has_the_errors_over_the_units_and_the_line(result):
    ax = result.plot()
    line, errors = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[0, 1], [1, 0], [2, 0]])
    np.testing.assert_allclose(errors.get_xydata(), [[point.num_units / 4, point.error] for point in result.points])
    given = mpl.figure.Figure().subplots()
    assert result.plot(given) is given


def test_a_point_is_shown_as_the_whole_is(result):
    first, _ = result.points
    assert repr(first).splitlines()[0] == f"rnn, depth 1, 2 units: squared error {first.error:.3f}"
    ax = first.plot()
    assert isinstance(ax, Axes)
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[2 / 4, first.error]])


def test_the_repr_has_a_column_for_each_point(result):
    title, _, *lines = repr(result).splitlines()
    above = max(point.error - point.line for point in result.points)
    assert title == f"rnn, depth 1: squared error at most {above:.3f} above the line"
    rows = {name: cells for name, *cells in (re.split(" {2,}", line) for line in lines)}
    assert rows["units"] == ["2", "4"]
    assert rows["error"] == [f"{point.error:.3f}" for point in result.points]


# --- Bad input --------------------------------------------------------------------------------------------------------

BAD = [
    ("cell", "'elman'", {"cell": "elman"}),
    ("num_units", "0", {"num_units": 0}),
    ("num_units", "0", {"num_units": (4, 0)}),
    ("num_units", "none given", {"num_units": ()}),
    ("num_units", "none given", {"num_units": []}),
    ("num_units", "2.5", {"num_units": 2.5}),
    ("num_units", "'16'", {"num_units": "16"}),
    ("num_units", "None", {"num_units": None}),
    ("num_units", "True", {"num_units": True}),
    ("num_inputs", "0", {"num_inputs": 0}),
    ("num_inputs", "1.5", {"num_inputs": 1.5}),
    ("unroll", "0", {"unroll": 0}),
    ("unroll", "-1", {"unroll": -1}),
    ("unroll", "None", {"unroll": None}),
    ("depth", "0", {"depth": 0}),
    ("train_steps", "0", {"train_steps": 0}),
    ("batch_size", "0", {"batch_size": 0}),
    ("num_trials", "0", {"num_trials": 0}),
    ("num_repeats", "-1", {"num_repeats": -1}),
    ("trials_per_device", "0", {"trials_per_device": 0}),
    ("devices", "99", {"devices": 99}),
    ("halving", "1", {"halving": 1}),
    ("seed", "-1", {"seed": -1}),
    ("space", "'wide'", {"space": "wide"}),
    ("sampler", "'vizier'", {"sampler": "vizier"}),
    ("precision", "'float64'", {"precision": "float64"}),
    ("hparams.learning_rate", "-1", {"hparams": {"learning_rate": -1}}),
    ("hparams", "'mappings_per_param'", {"hparams": {"mappings_per_param": 2}}),
    ("hparams", "'input_steps'", {"hparams": {"input_steps": "every"}}),
    ("storage", "/proc/nowhere", {"storage": "/proc/nowhere"}),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value", "options"), BAD, ids=[f"{f}={v}-{i}" for i, (f, v, _) in enumerate(BAD)])
def test_bad_input_is_refused_in_a_line_with_field_and_value_before_any_training(field, value, options):
    check_refused(measure, field, value, options)
