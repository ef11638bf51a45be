"""`measure_trainability`: its numbers hang together, are the same every time, and are shown as they are."""

import dataclasses
import html
import json
import math
import re

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optuna
import pytest
from scipy import stats
from tiny import FRAGILE, TINY_PARENTHESES, FakeTrainer, numbers, without_seconds
from tiny_measures import trainability as measure

from rnn_capacity import TASKS, TrainabilityResult, train_again
from rnn_capacity.display import tables
from rnn_capacity.measure import overview
from rnn_capacity.measure.questions import results_in
from rnn_capacity.measure.trainability import TRAINABILITY
from rnn_capacity.studies import store
from rnn_capacity.studies.trials import box, curve
from rnn_capacity.tasks import SPLITS
from rnn_capacity.tasks.parentheses import Parentheses
from rnn_capacity.training import steps

mpl.use("Agg")

FIELDS = TINY_PARENTHESES["task_fields"]
LEAST = {  # every other task that it measures, of moments
    "recall": {"task_fields": {"num_inputs": 2, "num_held_out": 16}, "unroll": 2},
    "random_functions": {"task_fields": {"num_points": 50, "num_inputs": 2, "num_held_out": 16}, "unroll": 2},
    "text8:synthetic": {"task_fields": {"warm_up": 1, "num_held_out": 16}, "unroll": 4, "num_params": 200},
    "arithmetic": {"task_fields": {"max_number": 9, "num_held_out": 16}, "unroll": 20, "num_params": 200},
    "association": {"task_fields": {"num_pairs": 2, "num_keys": 3, "num_values": 2, "num_held_out": 16}, "unroll": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parentheses")


@pytest.fixture(scope="module")
def result(folder):
    return measure(storage=folder)


# --- What comes out ---------------------------------------------------------------------------------------------------


def test_the_arguments_are_in_the_result(result):
    assert isinstance(result, TrainabilityResult)
    assert (result.cell, result.task, result.depth) == ("rnn", "parentheses", 1)
    assert (result.unroll, result.train_steps) == (3, 20)
    assert result.task_fields == dataclasses.asdict(Parentheses(unroll=3, **FIELDS))
    count = lambda h: h * h + 3 * h + h + h + 4 * h + 4  # three characters of a type, four counts
    assert (result.num_inputs, result.num_units, result.num_params) == (3, 4, count(4))
    assert count(4) <= 60 < count(5)
    assert (result.num_trials, len(result.trials), len(result.repeats)) == (3, 3, 2)
    assert (result.sampler, result.score_name) == ("gp", "accuracy")


def test_loss_and_score_are_the_evaluations_of_the_least_validation_loss(result):
    best = result.trials.loc[result.trials["valid_loss"].idxmin()]
    assert (result.loss, result.score) == (best["eval_loss"], best["accuracy"])
    assert (result.trials["valid_loss"] != result.trials["eval_loss"]).all()
    assert result.best_hparams["learning_rate"] == best["learning_rate"]


def test_the_loss_reported_may_not_be_the_least_evaluation_loss(trainer):
    """The made-up losses of the splits are independent, so the two selections differ for some of the seeds."""
    found = [measure(seed=seed, num_trials=4, num_repeats=0) for seed in range(8)]
    for result in found:
        assert result.loss == result.trials.loc[result.trials["valid_loss"].idxmin(), "eval_loss"]
    assert any(result.loss > result.trials["eval_loss"].min() for result in found)


def test_training_lowers_the_loss():
    """Before it all four counts are about as likely: log 4 nats."""
    found = measure("gru", train_steps=200, num_trials=4, num_repeats=0, num_params=150)
    assert found.loss < 0.8 * math.log(4)
    assert found.score > found.chance


def test_median_box_and_chance_are_those_of_the_trials(result):
    eval_losses = result.trials["eval_loss"].to_numpy(float)
    assert result.median_loss == np.median(eval_losses)
    assert result.box == box(eval_losses)
    assert result.chance == pytest.approx(result.trials["untrained_accuracy"].mean())
    assert 0 < result.chance < 1


def test_the_interval_is_students_of_the_repeats_losses(result):
    first, second = result.repeats
    mean, half = (first + second) / 2, 12.7062 * abs(first - second) / 2
    assert result.interval == pytest.approx((mean - half, mean + half), rel=1e-4)
    assert first != second


def test_the_curve_is_of_its_trials(result):
    assert result.curve.equals(curve(result.trials))
    assert list(result.curve["trials"]) == [1, 2, 3]
    assert result.curve["best"].iloc[-1] == result.loss
    assert result.curve["median"].iloc[-1] == result.median_loss


def test_every_other_task_is_measured():
    assert {task.split(":")[0] for task in LEAST} == TASKS.keys() - {"memorization", "parentheses"}
    for task, options in LEAST.items():
        of_task = {"num_trials": 2, "num_repeats": 0, "train_steps": 3} | options
        found = measure("irnn", **({"task": task} | of_task))
        assert found.task == task
        assert found.num_infeasible == 0
        assert found.score_name == TASKS[task.split(":")[0]].measure
        assert found.score == found.trials.loc[found.trials["valid_loss"].idxmin(), found.score_name]
        assert math.isfinite(found.loss)
        assert json.loads(json.dumps(found.to_dict()))["task_fields"]["num_held_out"] == 16


def test_a_task_of_ones_own_is_given_as_it_is(result):
    given = measure(task=Parentheses(unroll=3, **FIELDS), task_fields=None, unroll=None)
    assert numbers(given) == numbers(result)


# --- Two results beside each other ------------------------------------------------------------------------------------


def test_two_results_are_compared_by_welchs_t_of_the_losses_of_trials_that_did_not_diverge(monkeypatch):
    FakeTrainer(infeasible=lambda hparams: hparams["learning_rate"] > 0.03).install(monkeypatch)
    first, second = (measure(cell, num_trials=12, num_repeats=0, sampler="random") for cell in ("rnn", "gru"))
    assert first.num_infeasible > 0
    samples = [r.trials.loc[r.trials["feasible"], "eval_loss"].astype(float) for r in (first, second)]
    assert min(map(len, samples)) >= 2
    expected = stats.ttest_ind(*samples, equal_var=False)
    assert first.welch(second) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    assert second.welch(first)[0] == -first.welch(second)[0]
    assert first.welch(first)[0] == 0


# --- The same every time ----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_identical_results_and_another_gives_others(result):
    assert numbers(measure()) == numbers(result)
    other = measure(seed=1)
    assert set(other.trials["eval_loss"]).isdisjoint(result.trials["eval_loss"])


def test_a_kept_trial_is_trained_again_to_the_same_from_what_is_kept_alone(result, folder):
    (search, repeats) = sorted(optuna.get_all_study_names(store.open_storage(folder)), key=len)
    for name in (search, repeats):
        before, again = train_again(folder, name, 1)
        assert before.pop("seconds") > 0 < again.pop("seconds")
        assert before == again
        assert before["eval_loss"] in (*result.repeats, *result.trials["eval_loss"])


def test_a_trial_of_a_task_of_ones_own_is_trained_again_with_it_and_with_no_other(tmp_path, trainer):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(Parentheses):
        name = "mine"

    task = Mine(unroll=3, **FIELDS)
    found = measure(task=task, task_fields=None, unroll=None, storage=tmp_path, num_repeats=0)
    (name,) = optuna.get_all_study_names(store.open_storage(tmp_path))
    before, again = train_again(tmp_path, name, 2, task=task)
    assert before["eval_loss"] == again["eval_loss"] == found.trials["eval_loss"][2]
    for other in (None, dataclasses.replace(task, max_count=4), Parentheses(unroll=3, **FIELDS)):
        with pytest.raises(ValueError, match=r"^task: "):
            train_again(tmp_path, name, 2, task=other)


def test_a_measurement_goes_on_where_its_storage_is(tmp_path, trainer):
    first = measure(storage=tmp_path)
    assert len(trainer.trained) == 3 + 2
    assert numbers(measure(storage=tmp_path)) == numbers(first)
    assert len(trainer.trained) == 3 + 2
    more = measure(storage=tmp_path, num_trials=7, num_repeats=3)
    assert len(set(trainer.trained)) == len(trainer.trained)
    assert without_seconds(more.trials)[:3].equals(without_seconds(first.trials))
    assert numbers(more) == numbers(measure(num_trials=7, num_repeats=3))


@pytest.mark.parametrize("trained", [0, 6, 10, 13, 17])
def test_a_measurement_that_was_killed_ends_as_if_it_had_not_been(tmp_path, monkeypatch, trainer, trained):
    """Nine trials to the first rung, five to the second, three to the end, and two repeats."""
    options = {"num_trials": 9, "devices": 1, "trials_per_device": 2, "halving": 2}
    expected = numbers(measure(**options))

    class Killed(BaseException):
        pass

    class Dies(FakeTrainer):
        def __call__(self, *args, **kwargs):
            if len(self.trained) >= trained:
                raise Killed
            return super().__call__(*args, **kwargs)

    Dies().install(monkeypatch)
    with pytest.raises(Killed):
        measure(storage=tmp_path, **options)
    trainer.install(monkeypatch)
    assert numbers(measure(storage=tmp_path, **options)) == expected


def test_halving_keeps_the_least_losses(trainer):
    found = measure(num_trials=9, num_repeats=0, train_steps=18, halving=3)
    assert found.num_stopped_early == 8
    assert found.total_steps == 6 * 2 + 2 * 6 + 18
    reached = {}  # as the fake makes them again: the whole of the trials up to each rung
    for rung in (2, 6):
        whole = measure(num_trials=9, num_repeats=0, train_steps=rung)
        reached[rung] = dict(zip(whole.trials["number"], whole.trials["valid_loss"], strict=True))
    stopped = dict(zip(found.trials["number"], found.trials["steps"], strict=True))
    after_first = sorted(reached[2], key=reached[2].get)[:3]
    assert {number for number, steps in stopped.items() if steps > 2} == set(after_first)
    assert stopped[min(after_first, key=reached[6].get)] == 18
    assert found.loss == found.trials.loc[~found.trials["stopped_early"], "eval_loss"].item()


# --- Divergence -------------------------------------------------------------------------------------------------------


def test_divergence_is_counted_in_percent_and_is_in_no_loss():
    """FRAGILE gives NaN where its input scale is above a half; some of these trials are there."""
    found = measure(FRAGILE, num_trials=8, num_repeats=1, hparams={"input_scale": (0.3, 0.8)}, sampler="random")
    diverged = found.trials["input_scale"] > 0.5
    assert list(found.trials["feasible"]) == list(~diverged)
    assert 0 < found.num_infeasible == diverged.sum() < 8
    assert found.percent_infeasible == found.to_dict()["percent_infeasible"] == 12.5 * diverged.sum()
    assert found.trials.loc[diverged, ["train_loss", "valid_loss", "eval_loss", "accuracy"]].isna().all(axis=None)
    feasible = found.trials.loc[~diverged, "eval_loss"].astype(float)
    assert found.median_loss == feasible.median()
    assert found.box["high"] <= feasible.max()
    assert found.best_hparams["input_scale"] < 0.5
    assert math.isfinite(found.chance)


def test_untrained_networks_that_diverge_are_left_out_of_chance():
    """The squared error of a NaN is one; a fraction of right answers is 0 instead."""
    options = {"task": "recall", "sampler": "random", "hparams": {"input_scale": (0.3, 0.8)}, **LEAST["recall"]}
    found = measure(FRAGILE, num_trials=8, num_repeats=0, train_steps=2, **options)
    untrained = found.trials["untrained_squared_error"]
    assert 0 < untrained.isna().sum() == found.num_infeasible < 8
    assert found.chance == pytest.approx(untrained.mean())


def test_nothing_but_divergence_is_infeasible_and_no_crash(tmp_path):
    found = measure(FRAGILE, hparams={"input_scale": 0.9}, storage=tmp_path)
    assert found.percent_infeasible == 100
    assert all(math.isnan(n) for n in (found.loss, found.score, found.median_loss, found.mean, *found.interval))
    assert all(math.isnan(n) for n in (*found.box.values(), *found.welch(found)))
    assert (found.repeats, found.best_hparams, found.still_improving) == ((), {}, False)
    assert found.curve[["best", "median"]].isna().all(axis=None)
    assert [text.get_text() for text in found.plot().texts] == ["every trial diverged"]
    assert "nan" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["num_infeasible"] == 3
    again = measure(FRAGILE, hparams={"input_scale": 0.9}, storage=tmp_path)
    assert again.trials.equals(found.trials)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_trial_is_infeasible_where_any_of_its_losses_is_not_finite(split, number):
    """The weights may be finite and one example among the thousand of a split too much for them."""
    losses = dict.fromkeys(SPLITS, jnp.array([1.0, 2.0])) | {split: jnp.array([1.0, number])}
    spec = type("Spec", (), {"task": Parentheses(), "rounded": False})
    state = steps.TrialState(None, None, jnp.array([True, True]))
    found = steps.outcome(spec, {}, lambda index, params: (losses[SPLITS[int(index)]], {}), state, None)
    assert found.feasible.tolist() == [True, False]
    stands_still = state._replace(feasible=jnp.array([False, True]))
    found = steps.outcome(spec, {}, lambda index, params: (losses[SPLITS[int(index)]], {}), stands_still, None)
    assert found.feasible.tolist() == [False, False]


# --- What is shown ----------------------------------------------------------------------------------------------------


def test_the_dict_is_plain_json(result):
    found = result.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    fields = {f.name for f in dataclasses.fields(TrainabilityResult)} - {"trials", "record"}
    assert set(found) == fields | {"measure", "percent_infeasible"}
    assert (found["measure"], found["percent_infeasible"]) == ("trainability", 0.0)
    assert found["interval"] == list(result.interval)


def test_a_storage_gives_the_result_back(result, folder):
    (kept,), notes = results_in(folder)
    assert (kept, notes) == (result, [])
    columns = TRAINABILITY.columns
    assert overview.text([kept]).splitlines() == [tables.header(columns), tables.line(columns, kept)]


def test_the_title_says_what_was_found(result):
    assert result.title.startswith("rnn, depth 1, on parentheses: loss ")
    assert result.title.endswith(f" {result.loss:.4g}, accuracy {result.score:.3g}")


def test_a_notebook_gets_a_table_and_names_as_text(result):
    shown = result._repr_html_()
    assert shown.count("<table") == 2
    assert {"parentheses", "rnn", "accuracy", f"{result.loss:#.3g}"} <= set(re.findall(r"<td>(.*?)</td>", shown))
    assert html.escape(result.title) in shown
    name = "<script>alert(1)</script>"
    shown = dataclasses.replace(result, task=name, cell=name)._repr_html_()
    assert name not in shown
    assert html.escape(name) in shown


def test_the_plot_has_the_best_and_the_median_over_the_trials(result):
    ax = result.plot()
    best, median = ax.lines
    np.testing.assert_array_equal(best.get_xydata(), result.curve[["trials", "best"]])
    np.testing.assert_array_equal(median.get_xydata(), result.curve[["trials", "median"]])
    assert ax.get_yscale() == "log"
    assert "parentheses" in ax.get_title(loc="left")
    given = mpl.figure.Figure().subplots()
    assert result.plot(given) is given
