"""The authors' table: their rows come as they are, ours as they would have written them."""

import dataclasses
import math
import pickle

import authors_table
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet
from tiny import TINY, TINY_PARENTHESES, TINY_RECALL, FakeTrainer

from rnn_capacity import TASKS, measure_capacity, measure_recall, measure_trainability
from rnn_capacity.paper import authors, dataset
from rnn_capacity.studies import reader, store
from rnn_capacity.tasks.parentheses import Parentheses

LSTM, DIVERGED, table = authors_table.LSTM, authors_table.DIVERGED, authors_table.table


@pytest.fixture
def write(tmp_path):
    def write(obj, protocol=2):
        path = tmp_path / "fig3_txt8rcf.p"
        path.write_bytes(obj if isinstance(obj, bytes) else pickle.dumps(obj, protocol))
        return path

    return write


# --- Theirs -----------------------------------------------------------------------------------------------------------


def check_the_two_rows(frame):
    assert tuple(frame.columns) == authors.FIELDS
    assert list(map(str, frame.dtypes)) == ["str", "str", "object", *["Int64"] * 4, *["float64"] * 3]
    first, second = frame.to_dict("records")
    assert first == {field: LSTM[field] for field in authors.FIELDS}
    assert (second["architecture"], second["n_layers"], second["hyper_iter"]) == ("+rnn", 8, 0)
    assert math.isnan(second["eval_loss"])
    assert second["valid_loss"] == math.inf
    assert second["hparams"] == {"lr_init": 0.01, "train_steps": 50000, "optimizer": "SGD", "f4": 0.5}
    assert [type(v) for v in second["hparams"].values()].count(str) == 1


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("strings", ["O", "S16", "U16"])
def test_a_row_is_read_as_it_was_published(write, strings, protocol):
    check_the_two_rows(authors.read_authors(write(table(LSTM, DIVERGED, strings=strings), protocol)))


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_file_of_python_2_is_read(write, protocol):
    check_the_two_rows(authors.read_authors(write(authors_table.PYTHON_2[protocol])))


def test_several_figures_are_one_table(write):
    one, other = table(LSTM), table(DIVERGED, strings="S16", order=sorted(LSTM))
    for figures in ([one, other], {"fig3": one, "fig4": other}):
        frame = authors.read_authors(write(figures))
        check_the_two_rows(frame)
        assert list(frame.index) == [0, 1]


def test_other_fields_are_left_out(write):
    row = LSTM | {"note": 1}
    frame = authors.read_authors(write(table(row, order=[*authors_table.ORDER, "note"])))
    assert tuple(frame.columns) == authors.FIELDS


def test_a_table_without_rows_is_one(write):
    frame = authors.read_authors(write(table()))
    assert (len(frame), tuple(frame.columns)) == (0, authors.FIELDS)


def objects(**fields):
    """The published row with every field an object, some replaced."""
    row = LSTM | fields
    return np.array([tuple(row[n] for n in authors.FIELDS)], [(n, "O") for n in authors.FIELDS])


def test_a_number_that_there_is_not_is_missing(write):
    frame = authors.read_authors(write(objects(max_params=None, num_params=math.nan, train_loss=None, n_layers=4.0)))
    assert frame["max_params"].isna().all()
    assert frame["num_params"].isna().all()
    assert math.isnan(frame["train_loss"][0])
    assert frame["n_layers"][0] == 4


@pytest.mark.parametrize(
    ("field", "value", "must"),
    [
        ("architecture", 3, "a string"),
        ("task_type", None, "a string"),
        ("hparams", "lr_init=0.1", "a dict from names to strings and numbers"),
        ("hparams", {1: 2}, "a dict from names to strings and numbers"),
        ("hparams", {"a": [1]}, "a dict from names to strings and numbers"),
        ("hparams", {"a": np.zeros(2)}, "a dict from names to strings and numbers"),
        ("hparams", None, "a dict from names to strings and numbers"),
        ("n_layers", 1.5, "a whole number"),
        ("n_layers", True, "a whole number"),
        ("hyper_iter", "17", "a whole number"),
        ("max_params", 10**30, "a whole number"),
        ("num_params", math.inf, "a whole number"),
        ("eval_loss", "1.5", "a number"),
        ("train_loss", {}, "a number"),
        ("valid_loss", 10**400, "a number"),
    ],
)
def test_what_does_not_belong_in_a_field_is_told_with_its_row(write, field, value, must):
    wrong = np.concatenate([objects(), objects(**{field: value})])
    with pytest.raises(ValueError, match=rf"^{field}: .* given in row 1; it must be {must}$"):
        authors.read_authors(write(wrong))


def test_a_value_as_deep_as_a_well_is_told_too(write):
    deep = b"(l" * 5000 + b"a" * 4999
    stream = pickle.dumps(objects(task_type="XXXX"), 0).replace(b"VXXXX\n", deep)
    with pytest.raises(ValueError, match=r"^task_type: .* given in row 0; it must be a string$"):
        authors.read_authors(write(stream))


@pytest.mark.parametrize("field", authors.FIELDS)
def test_a_field_that_is_lacking_is_told(write, field):
    array = table(LSTM, order=[name for name in authors_table.ORDER if name != field])
    with pytest.raises(ValueError, match=rf"^authors: '.*' given; it must hold .* \({field} is not there\)$"):
        authors.read_authors(write([table(LSTM), array]))


@pytest.mark.parametrize("array", [np.zeros(3), table(LSTM).reshape(1, 1), table(LSTM)[0:1].reshape(())], ids=repr)
def test_an_array_of_another_form_is_told(write, array):
    with pytest.raises(ValueError, match=r"^authors: '.*' given; it must hold a structured array of one axis"):
        authors.read_authors(write(array))


# --- Ours -------------------------------------------------------------------------------------------------------------


def rows_of(cell="lstm", **options):
    fields = TINY | {
        "progress": False,
        "storage": store.open_storage(None),
        "space": "paper",
        "sampler": "quasi-random",
    }
    fields |= options
    result = measure_capacity(cell, **fields)
    return authors.rows(reader.load_studies(fields["storage"])), result


@pytest.fixture
def trainer(monkeypatch):
    return FakeTrainer(infeasible=lambda hparams: hparams["learning_rate"] > 0.01).install(monkeypatch)


def test_our_lstm_has_the_names_of_the_published_one(trainer):
    frame, result = rows_of(num_trials=16)
    names = {name for hparams in frame["hparams"] for name in hparams}
    assert set(LSTM["hparams"]) <= names
    own = {"nonlinearity", "schedule", "input_steps", "readout_scale", "squared_gradient_decay", "mappings_per_param"}
    own |= {"learning_rate_warm_up", "weight_decay", "fan_in_power"}
    own |= {"bias_scale_readout"}
    assert names == set(LSTM["hparams"]) | own
    assert {hparams["optimizer"] for hparams in frame["hparams"]} == {"SGD", "Momentum", "RMSProp", "Adam"}
    assert {hparams["recurrent_bias_init_type"] for hparams in frame["hparams"]} == {"delta", "normal"}
    assert {h["recurrent_matrix_init_type"] for h in frame["hparams"]} == {"identity", "orthogonal", "normal"}
    number = result.trials["recurrent_init"].tolist().index("orthogonal")
    trial, hparams = result.trials.iloc[number], frame["hparams"][number]
    assert hparams["recurrent_matrix_scale_g"] == trial["recurrent_scale_f"]
    assert hparams["input_scale_c"] == trial["input_scale_c"]
    assert hparams["recurrent_bias_scale_o"] == trial["bias_scale_o"]
    assert hparams["lr_init"] == trial["learning_rate"]
    assert hparams["train_steps"] == 40


def test_our_row_says_what_was_measured(trainer):
    frame, result = rows_of("gru", num_trials=6, num_repeats=2)
    assert tuple(frame.columns) == authors.FIELDS
    assert list(frame["hyper_iter"]) == list(range(6))  # the repeats are no search
    for field, value in {
        "architecture": "gru",
        "task_type": "per_cap",
        "n_layers": 1,
        "max_params": TINY["num_params"],
        "num_params": result.num_params,
    }.items():
        assert set(frame[field]) == {value}
    assert result.num_params < TINY["num_params"]
    for field in authors.LOSSES:
        np.testing.assert_array_equal(frame[field], result.trials["loss"].astype(float))


def test_a_trial_that_diverged_has_no_loss(trainer):
    frame, result = rows_of("rnn", num_trials=8)
    diverged = ~result.trials["feasible"].to_numpy(bool)
    assert 0 < diverged.sum() < 8
    for field in authors.LOSSES:
        np.testing.assert_array_equal(np.isnan(frame[field]), diverged)


def test_fixed_hparams_are_told_too(trainer):
    frame, _ = rows_of("rnn", space="quick", hparams=TINY["hparams"] | {"l2": 1e-7, "recurrent_scale": 0.1 + 0.2})
    for hparams in frame["hparams"]:
        assert hparams["l2_decay"] == 1e-7
        assert hparams["recurrent_matrix_scale"] == 0.1 + 0.2
        assert (hparams["optimizer"], hparams["schedule"]) == ("RMSProp", "cosine")
        assert not any("Range(" in str(value) for value in hparams.values())


def test_every_depth_and_size_is_in_one_table(trainer):
    storage = store.open_storage(None)
    for depth, size in ((1, 60), (2, 90)):
        rows_of("rnn", storage=storage, depth=depth, num_params=size)
    frame = authors.rows(reader.load_studies(storage))
    found = frame.groupby(["n_layers", "max_params"]).size()
    assert found.to_dict() == {(1, 60): 4, (2, 90): 4}


THEIR_TASKS = {
    "recall": "mem_thru",
    "random_functions": "rcf",
    "text8": "text8",
    "parentheses": "parens_counting",
    "arithmetic": "arithmetic",
}


def test_every_task_has_the_name_that_the_authors_gave_it():
    assert authors.TASK_TYPES == THEIR_TASKS | {"memorization": "per_cap"}
    assert set(authors.TASK_TYPES) == set(TASKS) - {"association"}  # not of the paper


@pytest.mark.parametrize("task", sorted(THEIR_TASKS.keys() - {"recall"}))
def test_a_row_of_another_task_has_its_three_losses(trainer, task):
    storage = store.open_storage(None)
    options = {"num_params": 2000, "num_trials": 8, "num_repeats": 2, "train_steps": 40, "sampler": "random"}
    named = "text8:synthetic" if task == "text8" else task  # it needs no file
    result = measure_trainability("lstm", named, progress=False, storage=storage, **options)
    frame = authors.rows(reader.load_studies(storage))
    assert len(frame) == 8
    assert set(frame["task_type"]) == {THEIR_TASKS[task]}
    assert set(frame["max_params"]) == {2000}
    assert set(frame["num_params"]) == {result.num_params}
    for field in authors.LOSSES:
        np.testing.assert_array_equal(frame[field], result.trials[field].astype(float))
    diverged = ~result.trials["feasible"].to_numpy(bool)
    assert 0 < diverged.sum() < 8
    np.testing.assert_array_equal(frame[list(authors.LOSSES)].isna(), np.tile(diverged[:, None], 3))
    known = frame[~diverged]
    assert (known["train_loss"] != known["valid_loss"]).all()
    assert (known["valid_loss"] != known["eval_loss"]).all()
    names = {name for hparams in frame["hparams"] for name in hparams}
    assert set(LSTM["hparams"]) <= names
    assert ("compute_steps" in names) == (task == "arithmetic")


def test_recall_has_units_and_no_budget_and_so_no_max_params(trainer):
    storage = store.open_storage(None)
    result = measure_recall("gru", progress=False, storage=storage, **(TINY_RECALL | {"space": "paper"}))
    frame = authors.rows(reader.load_studies(storage))
    assert set(frame["task_type"]) == {"mem_thru"}
    assert frame["max_params"].isna().all()
    assert str(frame["max_params"].dtype) == "Int64"
    found = {p.num_params: p.trials["eval_loss"].astype(float) for p in result.points}
    assert len(found) == 2
    for num_params, losses in found.items():
        np.testing.assert_array_equal(frame.loc[frame["num_params"] == num_params, "eval_loss"], losses)


def test_a_task_of_ones_own_keeps_its_name(trainer):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(Parentheses):
        name = "mine"

    storage = store.open_storage(None)
    measure_trainability("rnn", Mine(), num_params=2000, num_trials=2, progress=False, storage=storage)
    assert set(authors.rows(reader.load_studies(storage))["task_type"]) == {"mine"}


def test_rows_of_all_tasks_are_exported_in_one_file(trainer, tmp_path):
    """What there is not, is null: recall's budget; a loss that diverged is NaN."""
    storage = store.open_storage(None)
    rows_of("rnn", storage=storage)
    measure_recall("rnn", progress=False, storage=storage, **(TINY_RECALL | {"num_units": 3, "space": "paper"}))
    measure_trainability("rnn", progress=False, storage=storage, **(TINY_PARENTHESES | {"num_trials": 6}))
    expected = authors.rows(reader.load_studies(storage))
    table = parquet.read_table(dataset.export(storage, tmp_path / "authors.parquet", "authors"))
    assert table.column("max_params").to_pylist() == [None if v is pd.NA else v for v in expected["max_params"]]
    budgets = dict(zip(table.column("task_type").to_pylist(), table.column("max_params").to_pylist(), strict=True))
    assert budgets == {"per_cap": 60, "mem_thru": None, "parens_counting": 60}
    for field in authors.LOSSES:
        assert table.column(field).null_count == 0
        np.testing.assert_array_equal(table.column(field).to_numpy(), expected[field])
    trials = dataset.read(dataset.export(storage, tmp_path / "trials.parquet"))
    of_recall = trials["study"].str.startswith("recall")
    assert trials["squared_error"].notna().equals(of_recall & trials["feasible"])
    assert trials["bits"].notna().equals(trials["study"].str.startswith("capacity") & trials["feasible"])


@pytest.mark.parametrize(
    ("cell", "name", "theirs"),
    [
        ("lstm", "recurrent_init_f", "recurrent_matrix_init_type_g"),
        ("lstm", "input_scale_f", "input_scale_g"),
        ("lstm", "recurrent_scale_c", "recurrent_matrix_scale_c"),
        ("ugrnn", "bias_scale_g", "recurrent_bias_scale_g"),
        ("rnn", "bias_scale", "recurrent_bias_scale"),
        ("+rnn", "input_scale_in", "input_scale_in"),
        ("+rnn", "forget_bias_y", "forget_bias_y"),
        ("+rnn", "bias_scale_in", "bias_scale_in"),
        ("gru", "learning_rate_decay", "lr_decay_rate"),
        ("mine", "recurrent_scale_f", "recurrent_matrix_scale_f"),
    ],
)
def test_a_name_of_ours_under_theirs(cell, name, theirs):
    assert authors.their_hparams(cell, {name: 0.5}) == {theirs: 0.5}


def test_both_tables_are_one_when_put_together(trainer, write):
    ours, _ = rows_of("gru")
    both = pd.concat([ours, authors.read_authors(write(table(LSTM, DIVERGED)))], ignore_index=True)
    pd.testing.assert_series_equal(both.dtypes, ours.dtypes)
    assert set(both["task_type"]) == {"per_cap", "text8"}
