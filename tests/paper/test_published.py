"""The paper's numbers agree with each other, with the tasks' defaults and with the figures' full configs."""

import importlib

import pytest
from helpers import ROOT

from rnn_capacity import TASKS
from rnn_capacity.paper import published

CAPACITY_DEPTHS = (1, 2, 4)
CAPACITY_TRIALS = 1000  # "1000+" a point
RANDOM_DRAWS = 1000  # a cell and depth
RANDOM_PARAMS = 200_000
AGAIN_REPEATS = 100
AGAIN_PARAMS = 100_000
DEPTHS = (1, 2, 4, 8)  # of all figures
# By the names that our tasks have for them.
TASK_SIZES = {
    "memorization": {"unroll": published.CAPACITY_UNROLL},
    "recall": {"num_inputs": published.RECALL_INPUTS, "unroll": published.RECALL_UNROLL},
    "random_functions": {"num_points": 10**6, "num_inputs": 50, "tau": 5000, "unroll": 50},
    "text8": {"num_inputs": 27, "unroll": 50, "warm_up": 13},
    "parentheses": {
        "num_types": 10,
        "num_noise": 10,
        "noise_fraction": 0.5,
        "max_count": 9,
        "num_inputs": 300,
        "unroll": 175,
    },
    "arithmetic": {"max_number": 10**7, "unroll": 36},
}
NEEDED = {"memorization": {"max_mappings": 64}}  # by budget, so it has no default


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def full(name):
    """The sweeps of a figure at the paper's scale."""
    return importlib.import_module(f"experiments.figures.{name}").get_config("").sweeps


@pytest.mark.parametrize("name", [name for name in TASKS if name != "association"])  # which is not of the paper
def test_a_tasks_defaults_are_the_papers_sizes(name):
    task = TASKS[name](**NEEDED.get(name, {}))
    assert {field: getattr(task, field) for field in TASK_SIZES[name]} == TASK_SIZES[name]


def test_a_stream_of_parentheses_is_one_hot_over_brackets_and_noise():
    sizes = TASK_SIZES["parentheses"]
    assert sizes["num_inputs"] == sizes["num_types"] * (2 * sizes["num_types"] + sizes["num_noise"])


def test_figure_1_is_of_the_papers_depths_and_trials():
    sweeps = full("fig1").values()
    assert {depth for one in sweeps for depth in one.depths} == set(CAPACITY_DEPTHS)
    assert min(one.num_trials for one in sweeps) >= CAPACITY_TRIALS
    assert {unroll for one in sweeps for unroll in one.unroll} == {published.CAPACITY_UNROLL}
    assert set(CAPACITY_DEPTHS) < set(DEPTHS)


def test_table_1_is_of_the_papers_parameters_depths_and_draws():
    (one,) = full("table1").values()
    assert one.num_params == (RANDOM_PARAMS,)
    assert one.num_trials == RANDOM_DRAWS
    assert one.depths == tuple(published.INFEASIBLE) == tuple(published.WELCH)
    assert {*published.INFEASIBLE} <= set(DEPTHS)


def test_table_a1_is_of_the_papers_parameters_depth_and_repeats():
    (one,) = full("tableA1").values()
    assert one.num_params == (AGAIN_PARAMS,)
    assert one.depths == (published.AGAIN_DEPTH,)
    assert one.num_repeats == AGAIN_REPEATS


def test_what_was_trained_again_lies_in_order_and_is_counted_in_whole_runs():
    for again in published.AGAIN.values():
        assert again.least < again.mean < again.most
        assert float(again.infeasible * AGAIN_REPEATS / 100).is_integer()
