"""`measure_association`: what it finds where the answer is known, what it keeps, and bad input."""

import functools
import json

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.figure
import numpy as np
import pytest
from made import make
from tiny import numbers

from rnn_capacity import Cell, compare, measure_association, measure_trainability, train_again
from rnn_capacity.cells import CELLS
from rnn_capacity.display import tables
from rnn_capacity.information import mutual_information
from rnn_capacity.measure.association import ASSOCIATION, AssociationConfig, AssociationResult, draw
from rnn_capacity.measure.questions import results_in
from rnn_capacity.model import counters

mpl.use("Agg")
TINY = {"num_pairs": (2, 4), "num_keys": 6, "num_values": 4, "num_units": 4, "num_trials": 3, "train_steps": 40}
measure = functools.partial(measure_association, "gru", progress=False, **TINY)


def table() -> Cell:
    """A table of the values by their keys, which forgets nothing and has nothing to learn; its units are the values."""

    def init(key, num_inputs, num_units, hparams):
        return {"start": jnp.zeros((num_units, num_inputs - num_units))}

    def apply(params, held, x, s):
        key, value = jnp.split(x, [held.shape[1]])
        return held + jnp.outer(value, key), held @ key

    return Cell("table", init, lambda params: params["start"], apply)


def test_a_table_recalls_all_pairs_and_an_lstm_of_a_unit_few():
    fields = TINY | {"num_pairs": (2, 6), "num_trials": 1, "train_steps": 60, "hparams": {"learning_rate": 0.08}}
    held = measure_association(table(), progress=False, **fields)
    assert [p.accuracy for p in held.points] == [1.0, 1.0]
    assert held.num_recalled() == 6
    assert [p.bits for p in held.points] == [2 * 2, 6 * 2]
    assert held.bits_per_state == 12 / (4 * 6)
    assert "6 pairs recalled, 0.50 bits per number of the state" in held.title
    poor = measure_association("lstm", progress=False, **fields | {"num_units": 1, "train_steps": 300})
    assert poor.num_recalled() == 0
    assert poor.points[1].accuracy < 0.6
    assert compare([held, poor]).parts == (*held.points, *poor.points)


def test_a_point_is_of_the_least_validation_loss_and_its_bits_follow_from_its_accuracy(trainer):
    found = measure(num_repeats=2)
    for point, pairs in zip(found.points, (2, 4), strict=True):
        best = point.trials.loc[point.trials["valid_loss"].idxmin()]
        assert point.accuracy == best["accuracy"]
        assert point.bits == float(mutual_information(pairs, point.accuracy, 4))
        assert point.chance_accuracy == point.trials["untrained_accuracy"].max()
        assert point.state_floats == 4
        assert point.operations == counters.count(CELLS["gru"], num_inputs=10, num_units=4).operations
        assert point.bits_per_state == point.bits / 4
        assert (point.num_pairs, point.num_keys, point.num_values, point.unroll) == (pairs, 6, 4, 2 * pairs)
        assert len(point.repeats) == 2
    assert list(found.trials["num_pairs"]) == [2, 2, 2, 4, 4, 4]


def test_results_are_stored_read_again_and_shown_alike(tmp_path, trainer):
    first = measure(storage=tmp_path)
    assert len(trainer.trained) == 2 * 3
    assert numbers(measure(storage=tmp_path)) == numbers(first)
    assert len(trainer.trained) == 2 * 3
    read, notes = results_in(tmp_path)
    assert notes == []
    assert AssociationResult(points=tuple(read)) == first
    found = first.to_dict()
    assert json.dumps(json.loads(json.dumps(found))) == json.dumps(found)
    assert (found["num_recalled"], len(found["points"])) == (first.num_recalled(), 2)
    shown = tables.text(ASSOCIATION.columns, read).splitlines()
    assert shown == [tables.header(ASSOCIATION.columns), *(tables.line(ASSOCIATION.columns, p) for p in first.points)]
    assert max(map(len, shown)) <= 160
    assert ASSOCIATION.caption in first._repr_html_().replace("&#x27;", "'")


def test_a_trial_is_trained_again_to_the_same(tmp_path):
    (point,) = measure(storage=tmp_path, num_pairs=2, num_trials=2).points
    before, again = train_again(tmp_path, point.study, 1)
    assert before.pop("seconds") > 0 < again.pop("seconds")
    assert before == again


def test_the_task_with_a_budget_of_parameters_is_one_of_trainability(tmp_path, trainer):
    measure_trainability(
        "gru", "association", task_fields={"num_pairs": 2}, num_trials=2, storage=tmp_path, progress=False
    )
    (found,), _ = results_in(tmp_path)
    assert (found.measure, found.task) == ("trainability", "association")


@pytest.mark.parametrize("accuracy", [0.95, 0.5, float("nan")])
def test_the_figure_is_drawn_and_the_row_shown_whatever_there_is(accuracy):
    points = [
        make("association", accuracy=accuracy, bits=1.0, num_pairs=n, num_units=u) for n in (2, 8) for u in (4, 8)
    ]
    found = AssociationResult(points=tuple(points))
    ax = draw(points, mpl.figure.Figure().subplots())
    lines = [line for line in ax.lines if "units" in line.get_label()]
    assert [line.get_xdata().tolist() for line in lines] == [[2, 8]] * 2
    np.testing.assert_array_equal([line.get_ydata() for line in lines], np.full((2, 2), accuracy))
    assert found.num_recalled() == (8 if accuracy > 0.9 else 0)
    assert found.num_recalled(0.4) == (0 if np.isnan(accuracy) else 8)
    assert {tables.cells(ASSOCIATION.columns, p)["recalled"] for p in points} == {"yes" if accuracy > 0.9 else "no"}


BAD = {
    "num_pairs": [(), 0, (2, 0), "4", (2, 40)],
    "num_units": [0, 1.5],
    "num_values": [1],
    "num_keys": [0, 3],
    "unroll": [7],
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in BAD.items() for v in values])
def test_bad_input_is_refused_in_a_line_before_any_training(field, value):
    blamed = "num_keys" if value == (2, 40) else field
    with pytest.raises(ValueError, match=rf"^{blamed}: ") as error:
        measure(**{field: value})
    assert "\n" not in str(error.value)


def test_numpys_numbers_are_as_good():
    plain, numpys = (AssociationConfig(num_pairs=n, cell="rnn").studies() for n in ([2, 4], np.array([2, 4])))
    assert [c.plan().name for c in numpys] == [c.plan().name for c in plain]
