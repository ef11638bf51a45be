"""Samplers that look at no result: a proposal is a function of the seed and the number, whatever was asked before."""

import re
import types

import numpy as np
import optuna
import pytest
from helpers import ROOT
from scipy.stats import qmc

from rnn_capacity import search
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search.ranges import PAPER
from rnn_capacity.search.space import distributions
from rnn_capacity.studies import store

NAMES = ("quasi-random", "random")
SPACE = {
    "x": Range(-2.0, 2.0),
    "y": Range(1e-4, 1e-1, log=True),
    "fixed": 3.0,
    "name": Choice(("a", "b", "c")),
}
UNIT = {"x": Range(0.0, 1.0), "y": Range(0.0, 1.0), "z": Range(0.0, 1.0)}


def proposal(name, space, seed, number):
    sampler, trial = SAMPLERS[name](space, seed), types.SimpleNamespace(number=number)
    return sampler.sample_relative(None, trial, sampler.infer_relative_search_space(None, trial))


def points(name, seed, count):
    """The first so many proposals in the unit cube."""
    return np.array([[*proposal(name, UNIT, seed, number).values()] for number in range(count)])


def ask(study, space, count):
    return [study.ask(fixed_distributions=distributions(space)).params for _ in range(count)]


def new_study(name, space, seed, **kwargs):
    return optuna.create_study(sampler=SAMPLERS[name](space, seed), direction="maximize", **kwargs)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_and_number_give_the_same_proposal_in_any_order(name):
    expected = [proposal(name, SPACE, 5, number) for number in range(12)]
    for number in np.random.default_rng(0).permutation(12):
        assert proposal(name, SPACE, 5, int(number)) == expected[number]
    assert len({tuple(p.values()) for p in expected}) == 12


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_proposals(name):
    for number in (0, 1, 7):
        first, second = (proposal(name, SPACE, seed, number) for seed in (0, 1))
        assert first["x"] != second["x"]
        assert first["y"] != second["y"]


def test_the_samplers_differ():
    assert proposal("random", SPACE, 0, 3) != proposal("quasi-random", SPACE, 0, 3)


@pytest.mark.parametrize("seed", range(4))
def test_the_quasi_random_points_are_more_even_than_the_random_ones(seed):
    even, random = (qmc.discrepancy(points(name, seed, 64)) for name in ("quasi-random", "random"))
    assert even < random / 3


@pytest.mark.parametrize("seed", range(3))
def test_each_of_16_slices_of_a_dimension_has_one_of_the_first_16_quasi_random_points(seed):
    slices = np.floor(points("quasi-random", seed, 16) * 16)
    np.testing.assert_array_equal(np.sort(slices, axis=0), np.broadcast_to(np.arange(16)[:, None], slices.shape))


@pytest.mark.parametrize("name", NAMES)
def test_through_a_study_every_proposal_is_the_samplers_and_in_range(name):
    asked = ask(new_study(name, SPACE, 2), SPACE, 32)
    assert asked == [proposal(name, SPACE, 2, number) for number in range(32)]
    for params in asked:
        assert set(params) == {"x", "y", "name"}
        assert -2 <= params["x"] <= 2
        assert 1e-4 <= params["y"] <= 1e-1
        assert params["name"] in ("a", "b", "c")
    assert {params["name"] for params in asked} == {"a", "b", "c"}
    # Even on its logarithmic scale: about half of the draws lie below the geometric middle.
    assert 8 <= sum(params["y"] < 10**-2.5 for params in asked) <= 24


@pytest.mark.parametrize("name", NAMES)
def test_whole_numbers_are_proposed_as_such_and_each_of_them(name):
    space = {"n": Range(1, 6, whole=True), "x": Range(0.0, 1.0)}
    study = new_study(name, space, 0)
    asked = [store.propose(study.ask(), space) for _ in range(48)]
    counts = {n: sum(params["n"] == n for params in asked) for n in range(1, 7)}
    assert sum(counts.values()) == 48
    assert min(counts.values()) >= 1
    assert [trial.params for trial in study.trials] == asked


def test_the_bandit_proposes_whole_numbers_and_finds_the_best_of_them():
    """Minimised; 20 quasi-random trials, then 12 of its own, most of which are at 4 or beside it."""
    space = {"n": Range(1, 6, whole=True), "x": Range(0.0, 1.0)}
    study = optuna.create_study(sampler=SAMPLERS["gp"](space, 0), direction="minimize")
    asked = []
    for _ in range(32):
        trial = study.ask()
        asked.append(store.propose(trial, space))
        study.tell(trial, (asked[-1]["n"] - 4) ** 2 + (asked[-1]["x"] - 0.3) ** 2)
    assert {params["n"] for params in asked} == set(range(1, 7))
    own = [params["n"] for params in asked[20:]]
    assert sum(abs(n - 4) <= 1 for n in own) >= 9
    assert sum(n == 4 for n in own) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_results_change_no_proposal(name):
    study = new_study(name, SPACE, 0)
    asked = []
    for value in (1.0, None, 3.0, 0.0, None, 2.0):
        trial = study.ask(fixed_distributions=distributions(SPACE))
        asked.append(trial.params)
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, value)
    assert asked == ask(new_study(name, SPACE, 0), SPACE, 6)


@pytest.mark.parametrize("name", NAMES)
def test_a_reopened_study_goes_on_in_the_sequence(name):
    storage = optuna.storages.InMemoryStorage()
    asked = []
    for count in (3, 1, 4):
        study = new_study(name, SPACE, 7, storage=storage, study_name="one", load_if_exists=True)
        asked += ask(study, SPACE, count)
    assert asked == ask(new_study(name, SPACE, 7), SPACE, 8)


@pytest.mark.parametrize("name", NAMES)
def test_a_space_with_nothing_to_tune_proposes_nothing(name):
    space = {"x": 1.0, "name": "a"}
    assert ask(new_study(name, space, 0), space, 3) == [{}, {}, {}]


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_whole_space_is_proposed(name):
    study = new_study(name, PAPER, 0)
    asked = [store.propose(study.ask(), PAPER) for _ in range(12)]
    for params, trial in zip(asked, study.trials, strict=True):
        assert set(params) == set(PAPER)
        without_effect = set() if trial.params["optimizer"] == "momentum" else {"momentum_logit"}
        without_effect |= {"recurrent_scale"} if trial.params["recurrent_init"] == "identity" else set()
        assert set(trial.params) == set(distributions(PAPER)) - without_effect
    assert len({params["optimizer"] for params in asked}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_dimension_that_the_space_lacks_is_refused_by_name(name):
    trial = new_study(name, SPACE, 0).ask()
    with pytest.raises(ValueError, match=r"^width: .*x, y, fixed, name"):
        trial.suggest_float("width", 0, 1)


@pytest.mark.parametrize("name", search.__all__)
def test_every_public_name_is_documented(name):
    page = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    found = re.findall(r"auto\w+:: rnn_capacity\.search\.(\w+)$", page, re.MULTILINE)
    found += re.findall(r"py:data:: (\w+)\n   :module: rnn_capacity\.search\n", page)
    assert name in found


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_plain_objective_may_suggest_the_dimensions_of_the_space(name):
    def objective(trial):
        value = trial.suggest_float("x", -2.0, 2.0) - trial.suggest_float("y", 1e-4, 1e-1, log=True)
        return value + (trial.suggest_categorical("name", ("a", "b", "c")) == "b")

    study = new_study(name, SPACE, 0)
    study.optimize(objective, n_trials=4)
    assert [trial.params for trial in study.trials] == ask(new_study(name, SPACE, 0), SPACE, 4)


# --- Around the best --------------------------------------------------------------------------------------------------

FOLLOWING = {"b": Range(0.1, 10.0, log=True, around_best=(1.0, 1.5, 2.5)), "quality": Range(0.8, 1.0)}


def stored(capacity, b, quality):
    """Everything up to the capacity; the more beyond it, the less."""
    return min(b, quality * capacity * (quality * capacity / b) ** 0.5)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("capacity", [0.12, 0.5, 2.0, 4.3, 9.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whatever_can_be_stored_b_ends_where_it_is_stored(name, capacity, seed):
    study = new_study(name, FOLLOWING, seed)
    for _ in range(8):  # rounds of 3, as trials that train together
        for trial in [study.ask(fixed_distributions=distributions(FOLLOWING)) for _ in range(3)]:
            study.tell(trial, stored(capacity, **trial.params))
    best = study.best_trial
    assert best.value > 0.87 * capacity
    assert 1.0 <= best.params["b"] / best.value < 1.5
    assert all(t.distributions == distributions(FOLLOWING) for t in study.trials)  # as one study must have them


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_that_minimises_follows_the_best_alike(name):
    studies = []
    for sign, direction in ((1, "maximize"), (-1, "minimize")):
        study = optuna.create_study(sampler=SAMPLERS[name](FOLLOWING, 0), direction=direction)
        for _ in range(6):
            trial = study.ask(fixed_distributions=distributions(FOLLOWING))
            study.tell(trial, sign * stored(2.0, **trial.params))
        studies.append([trial.params for trial in study.trials])
    assert studies[0] == studies[1]
