"""`measure_capacity`: its numbers hang together, are the same every time, and are shown as they are."""

import dataclasses
import html
import json
import math
import re

import jax
import matplotlib as mpl
import numpy as np
import optuna
import pytest
from helpers import count_events
from matplotlib.axes import Axes
from tiny import FRAGILE, TINY, FakeTrainer, numbers, without_seconds
from tiny_measures import capacity as measure

from rnn_capacity import CELLS, CapacityResult, measure_capacity, train_again
from rnn_capacity.display import tables
from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.studies import store
from rnn_capacity.studies.trials import still_improving
from rnn_capacity.training import program

mpl.use("Agg")


@pytest.fixture(scope="module")
def result():
    return measure()


# --- What comes out ---------------------------------------------------------------------------------------------------


def test_the_networks_size_is_the_largest_within_the_budget(result):
    count = lambda h: h * h + h * 8 + h + h + h + 1  # W_h, W_x, b, h_0, and the readout of an RNN
    assert (result.num_units, result.num_params) == (3, count(3))
    assert count(3) <= 60 < count(4)


def test_the_arguments_are_in_the_result(result):
    assert (result.cell, result.depth, result.unroll, result.num_inputs, result.train_steps) == ("rnn", 1, 1, 8, 40)
    assert result.num_trials == len(result.trials) == 4
    assert list(result.trials["number"]) == [0, 1, 2, 3]
    assert len(result.repeats) == 2


def test_the_bits_follow_from_accuracy_and_mappings(result):
    for found in (result, *result.trials.itertuples()):
        p, b = found.accuracy, found.num_mappings
        entropy = -sum(q * math.log2(q) for q in (p, 1 - p) if q > 0)
        assert found.bits == pytest.approx(b * (1 - entropy) if p > 0.5 else 0, abs=1e-3)
        assert 0 <= found.bits <= b
        assert found.bits_per_param == pytest.approx(found.bits / result.num_params)
        assert round(p * b) == pytest.approx(p * b, abs=1e-3)  # a whole number of them is right


def test_the_mappings_are_those_asked_for(result):
    for trial in result.trials.itertuples():
        assert 0.5 <= trial.mappings_per_param <= 1.0
        assert trial.num_mappings == round(trial.mappings_per_param * result.num_params)


def test_the_result_is_the_best_of_the_trials(result):
    best = result.trials.loc[result.trials["bits_per_param"].idxmax()]
    assert result.bits_per_param == best["bits_per_param"] > 0.1
    assert (result.bits, result.accuracy, result.num_mappings) == (best["bits"], best["accuracy"], best["num_mappings"])
    for name in ("learning_rate", "recurrent_scale", "mappings_per_param"):
        assert result.best_hparams[name] == best.get(name, result.best_hparams[name])
    plan = plan_of()
    without_effect = {"momentum_logit", "learning_rate_decay"}  # beside RMSProp and a cosine
    assert set(result.best_hparams) == set(plan.space) - without_effect
    fixed = {name: d for name, d in plan.space.items() if isinstance(d, float | str) and name not in without_effect}
    assert {name: result.best_hparams[name] for name in fixed} == fixed


def test_the_interval_is_students_of_the_repeats(result):
    first, second = result.repeats
    mean, half = (first + second) / 2, 12.7062 * abs(first - second) / 2  # t at 97.5 %, one degree of freedom
    assert result.interval == pytest.approx((mean - half, mean + half), rel=1e-4)
    assert result.mean == pytest.approx(mean)


def test_chance_is_the_same_selection_untrained_and_small(result):
    assert result.chance_bits_per_param == result.trials["untrained_bits_per_param"].max()
    assert 0 <= result.chance_bits_per_param < 0.1 < result.bits_per_param


def test_seconds_are_those_of_all_trials(result):
    assert result.seconds >= result.trials["seconds"].sum() > 0


def test_without_repeats_there_is_no_interval():
    found = measure(num_repeats=0)
    assert found.repeats == ()
    assert all(math.isnan(end) for end in (*found.interval, found.mean))
    assert found.bits_per_param > 0.1


# --- What is kept of a trial, and of a search -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0, 2.0], False),
        ([1.0, 2.0, 2.0, 3.0], True),
        ([1.0, 2.0, 2.0, 2.01], False),  # not by more than a hundredth
        ([None, None, None, 0.5], True),
        ([0.5, None, None, None], False),
        ([1.0, 1.0, 1.0, 1.5, 1.0], False),  # of five the last quarter is one
        ([None], False),
        ([], False),
        # From 12 trials on the last quarter must be better than the one before, too: (1, 2, 9) is not, (7, 8, 9) is.
        ([1.0] * 6 + [3.0, 4.0, 5.0] + [1.0, 2.0, 9.0], False),
        ([1.0] * 6 + [3.0, 4.0, 5.0] + [7.0, 8.0, 9.0], True),
        ([1.0] * 6 + [3.0, None, 9.5] + [7.0, 8.0, 9.0], False),  # better as a whole, but no better best
        ([1.0] * 6 + [None, None, None] + [7.0, 8.0, 9.0], True),
    ],
)
def test_a_search_is_still_improving_where_its_last_quarter_raised_the_best(values, expected):
    assert still_improving(values) is expected


def test_a_kept_trial_is_trained_again_to_the_same_from_what_is_kept_alone(tmp_path):
    result = measure(storage=tmp_path)
    for name in optuna.get_all_study_names(store.open_storage(tmp_path)):
        before, again = train_again(tmp_path, name, 1)
        assert before.pop("seconds") > 0 < again.pop("seconds")
        assert before == again
    assert before["bits_per_param"] in result.repeats or before["bits_per_param"] in set(
        result.trials["bits_per_param"]
    )


def test_to_train_again_what_is_not_there_or_with_another_cell_is_refused(tmp_path, trainer):
    measure(FRAGILE, storage=tmp_path)
    (name, *_) = optuna.get_all_study_names(store.open_storage(tmp_path))
    for args, field in (
        ((name, 99, FRAGILE), "number"),
        (("none", 0), "study_name"),
        ((name, 0, CELLS["gru"]), "cell"),
    ):
        with pytest.raises(ValueError, match=rf"^{field}: "):
            train_again(tmp_path, *args)
    with pytest.raises(ValueError, match=r"^storage: "):
        train_again(tmp_path / "nothing", name, 0)
    before, again = train_again(tmp_path, name, 0, FRAGILE)
    assert before["bits_per_param"] == again["bits_per_param"]


def test_the_steps_of_a_search_are_told_and_halving_saves_some(trainer):
    whole = measure("irnn", num_trials=8)
    raced = measure("irnn", num_trials=8, halving=2)
    assert (whole.total_steps, whole.num_stopped_early) == (8 * whole.train_steps, 0)
    assert raced.num_stopped_early == 6
    assert raced.total_steps == raced.trials["steps"].sum() < whole.total_steps / 2 + whole.train_steps


# --- The same every time ----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_identical_results(result):
    assert numbers(measure()) == numbers(result)


@pytest.mark.parametrize("options", [{"devices": 1}, {"devices": 2, "trials_per_device": 2}], ids=str)
def test_other_devices_and_batches_give_identical_results(options):
    assert len(jax.devices()) == 4
    stable = TINY["hparams"] | {"input_scale": (0.2, 0.4)}  # where FRAGILE is
    on_four = measure(FRAGILE, hparams=stable)
    assert numbers(measure(FRAGILE, hparams=stable, **options)) == numbers(on_four)
    assert on_four.num_infeasible == 0


def test_another_seed_gives_other_results(result):
    other = measure(seed=1)
    assert set(other.trials["loss"]).isdisjoint(result.trials["loss"])
    assert set(other.trials["learning_rate"]).isdisjoint(result.trials["learning_rate"])


def test_a_measurement_goes_on_where_its_storage_is(tmp_path, trainer):
    first = measure("irnn", storage=tmp_path / "new" / "folder")
    assert len(trainer.trained) == 6
    again = measure("irnn", storage=tmp_path / "new" / "folder")
    assert len(trainer.trained) == 6
    assert again == first
    assert again.trials.equals(first.trials)
    url = f"sqlite:///{tmp_path / 'new' / 'folder' / 'study.db'}"
    more = measure("irnn", storage=url, num_trials=7, num_repeats=3)
    assert len(set(trainer.trained)) == len(trainer.trained)
    assert 6 + 3 < len(trainer.trained) <= 6 + 3 + 3
    assert without_seconds(more.trials)[:4].equals(without_seconds(first.trials))
    assert numbers(more) == numbers(measure("irnn", num_trials=7, num_repeats=3))


def test_in_memory_nothing_is_left(trainer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = measure("irnn"), measure("irnn", storage=optuna.storages.InMemoryStorage())
    assert numbers(first) == numbers(second)
    assert len(trainer.trained) == 2 * 6
    assert list(tmp_path.iterdir()) == []


def test_the_repeats_have_their_own_data_and_the_search_has_one_for_all(monkeypatch):
    keys = []

    class Keyed(FakeTrainer):
        def __call__(self, spec, hparams, key, *args, **kwargs):
            keys.extend(
                (bytes(jax.random.key_data(t)), bytes(jax.random.key_data(n))) for t, n in zip(*key, strict=True)
            )
            return super().__call__(spec, hparams, key, *args, **kwargs)

    Keyed().install(monkeypatch)
    measure("irnn", num_trials=4, num_repeats=3)
    data, networks = zip(*keys, strict=True)
    assert len(keys) == len(set(networks)) == 7
    assert len(set(data[:4])) == 1
    assert len(set(data)) == 1 + 3
    assert not set(data) & set(networks)


# --- What is shown ----------------------------------------------------------------------------------------------------


def test_the_repr_is_the_table_on_its_side(result):
    title, empty, *lines = repr(result).splitlines()
    assert (title, empty) == (f"rnn, depth 1: {result.bits_per_param:.2f} bits per parameter", "")
    found = dict(re.split(" {2,}", line) for line in lines)
    assert found == tables.cells(result.question.columns, result)
    assert max(map(len, lines)) < 40
    assert str(result) == repr(result)


def test_the_dict_is_plain_json(result):
    found = result.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    known = {f.name for f in dataclasses.fields(CapacityResult)} - {"trials", "record"}
    assert set(found) == known | {"measure", "bits_per_state", "operations_per_bit"}
    assert found["measure"] == "capacity"
    assert found["interval"] == list(result.interval)
    assert found["best_hparams"]["optimizer"] == result.best_hparams["optimizer"]


def test_a_result_is_frozen(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.bits = 1000.0


def test_a_notebook_gets_a_table(result):
    shown = result._repr_html_()
    cells = re.findall(r"<td>(.*?)</td>", shown)
    assert f"rnn, depth 1: {result.bits_per_param:.2f} bits per parameter" in shown
    assert shown.count("<table") == 2
    assert {result.best_hparams["optimizer"], f"{result.best_hparams['learning_rate']:.3g}"} <= set(cells)
    assert {"rnn", "43", f"{result.bits_per_param:.2f}", f"{result.accuracy:.3f}", "3 to 6"} <= set(cells)
    assert "the same selection, untrained" in shown


def test_a_notebook_gets_names_as_text(result):
    name = "<script>alert(1)</script>"
    shown = dataclasses.replace(result, cell=name)._repr_html_()
    assert name not in shown
    assert html.escape(name) in shown


def test_the_plot_has_a_point_for_each_trial_and_the_best(result):
    from matplotlib import pyplot

    ax = result.plot()
    assert isinstance(ax, Axes)
    everything, best = (np.asarray(c.get_offsets()) for c in ax.collections)
    shown = result.trials["num_mappings"] / result.num_params
    np.testing.assert_allclose(everything, np.stack([shown, result.trials["bits_per_param"]], 1))
    np.testing.assert_allclose(best, [[result.num_mappings / result.num_params, result.bits_per_param]])
    given = pyplot.figure().subplots()
    assert result.plot(given) is given
    pyplot.close("all")


def test_a_plot_is_one_figure_without_a_background(result):
    from matplotlib import pyplot

    pyplot.close("all")
    ax = result.plot()
    assert [pyplot.figure(number) for number in pyplot.get_fignums()] == [ax.figure]
    ax.figure.canvas.draw()
    assert (np.asarray(ax.figure.canvas.buffer_rgba())[:3, :, 3] == 0).all()
    pyplot.close("all")


# --- A user's cell, and one that diverges -----------------------------------------------------------------------------


def test_a_users_cell_is_measured_without_registration_and_its_divergence_is_counted():
    """FRAGILE gives NaN where its input scale is above a half; some of these trials are there."""
    found = measure(FRAGILE, num_trials=5, hparams=TINY["hparams"] | {"input_scale": (0.2, 0.8)})
    assert found.cell == "fragile"
    assert found.num_params == 60 - (60 - 2) % 10  # 10 h + 2: W_x, h_0, the readout's h + 1, and the poison
    diverged = found.trials["input_scale"] > 0.5
    assert list(found.trials["feasible"]) == list(~diverged)
    assert 0 < found.num_infeasible == diverged.sum() < found.num_trials == 5
    assert found.trials.loc[diverged, ["bits", "bits_per_param", "accuracy", "loss"]].isna().all(axis=None)
    assert found.bits_per_param == found.trials.loc[~diverged, "bits_per_param"].max() > 0.1
    assert found.best_hparams["input_scale"] < 0.5
    assert len(found.repeats) == 2
    assert np.isfinite(found.chance_bits_per_param)
    assert isinstance(found.plot(), Axes)


def test_a_cell_that_returns_nan_is_infeasible_and_no_crash(tmp_path):
    found = measure(FRAGILE, hparams=TINY["hparams"] | {"input_scale": 0.9}, storage=tmp_path)
    assert found.num_infeasible == found.num_trials == len(found.trials) == 4
    assert all(math.isnan(n) for n in (found.bits, found.bits_per_param, found.accuracy, *found.interval))
    assert math.isnan(found.mean)
    assert (found.repeats, found.best_hparams, found.num_mappings) == ((), {}, 0)
    assert not found.trials["feasible"].any()
    assert repr(found).startswith("fragile, depth 1: every trial diverged\n")
    assert "fragile, depth 1: every trial diverged" in found._repr_html_()
    assert "<summary>best hparams</summary><p>none</p>" in found._repr_html_()
    assert [text.get_text() for text in found.plot().texts] == ["every trial diverged"]
    assert json.loads(json.dumps(found.to_dict()))["num_infeasible"] == 4
    again = measure(FRAGILE, hparams=TINY["hparams"] | {"input_scale": 0.9}, storage=tmp_path)
    assert again.trials.equals(found.trials)


# --- How many inputs --------------------------------------------------------------------------------------------------


def plan_of(cell="rnn", **options):
    of_plan = {
        "num_params": 60,
        "unroll": 1,
        "num_inputs": 8,
        "train_steps": 40,
        "hparams": TINY["hparams"],
    }
    return CapacityConfig(**({"cell": cell} | of_plan | options)).plan()


@pytest.mark.parametrize("mappings", [None, 10, (5, 40)])
@pytest.mark.parametrize("num_params", [30, 100, 1000, 104_900, 1_000_000])
def test_the_default_number_of_inputs_never_binds(num_params, mappings):
    plan = plan_of(
        "irnn", num_params=num_params, num_inputs=None, space="paper", hparams={"mappings_per_param": mappings}
    )
    most = plan.num_params * {None: 10, 10: 10, (5, 40): 40}[mappings]
    assert plan.task.max_mappings == most
    assert most <= 2**plan.task.num_inputs
    assert plan.task.num_inputs >= 20
    assert plan.spec.task.max_mappings >= most


def test_a_study_of_many_batches_of_the_papers_space_compiles_once():
    options = TINY | {
        "space": "paper",
        "num_trials": 160,
        "num_repeats": 2,
        "train_steps": 2,
        "hparams": None,
        "num_inputs": None,
    }
    with count_events(program.LOWERED) as lowered:
        result = measure_capacity("rnn", **options, sampler="random", trials_per_device=8, progress=False)
    assert lowered == [2]  # and once more for the repeats, of which there are fewer at once
    for choice, names in (("optimizer", 4), ("nonlinearity", 2), ("input_steps", 2)):
        assert result.trials[choice].nunique() == names
