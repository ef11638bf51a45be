"""The Gaussian-process bandit: which trials count for its proposals, what its fit is given, and how good they are."""

import numpy as np
import pytest
from bandit_studies import FLAT, MIXED, STARTUP, add, ask, begun, bowl, features, fits_made, mixed, new_study, run
from optuna.trial import TrialState

from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import SAMPLERS, gp, gp_bandit
from rnn_capacity.search.samplers import quasi_random_sampler

fitted = pytest.fixture(fits_made)


# --- What counts ------------------------------------------------------------------------------------------------------


def test_before_enough_trials_have_ended_the_proposals_are_quasi_random():
    study = new_study(seed=3)
    expected = run(new_study(sampler=quasi_random_sampler(FLAT, 3)), STARTUP + 2)
    assert run(study, STARTUP - 1) == expected[: STARTUP - 1]
    assert [ask(study).params for _ in range(3)] == expected[STARTUP - 1 :]  # five have ended, so none is fitted


def test_infeasible_trials_have_no_outcome_and_a_process_of_their_own(fitted):
    study, _ = begun()
    add(study, state=TrialState.FAIL, x=0.9, y=0.5)
    ask(study)
    (x, y), (all_x, label) = fitted
    assert len(x) == len(y) == STARTUP
    assert len(all_x) == len(label) == STARTUP + 1
    assert label[-1] < 0 < label[:-1].min()

    study, _ = begun()
    add(study, -100.0, x=0.9, y=0.5)  # bad, but feasible
    ask(study)
    assert [len(x) for x, _ in fitted[2:]] == [STARTUP + 1]


@pytest.mark.parametrize("seed", range(3))
def test_a_half_where_trials_were_infeasible_is_avoided(seed):
    """The higher x is, the better; but above 0.2 nothing is feasible. Where these are left out, it looks there."""
    asked = []
    for told in (True, False):
        study, rng = new_study(seed=seed), np.random.default_rng(seed)
        for _ in range(30):
            params = {"x": rng.uniform(-1, 1), "y": 10 ** rng.uniform(-2, 0)}
            if params["x"] < 0.2:
                add(study, params["x"], **params)
            elif told:
                add(study, state=TrialState.FAIL, **params)
        asked.append(ask(study).params["x"])
    assert 0 < asked[0] < 0.35
    assert asked[0] < asked[1] - 0.05


def test_the_best_that_is_feasible_is_found():
    study = new_study()
    asked = run(study, STARTUP + 14, lambda params: params["x"], infeasible=lambda params: params["x"] > 0.2)
    late = [params["x"] for params in asked[-7:]]
    assert study.best_value > 0.18
    assert 0 < np.median(late) < 0.35


def test_a_history_of_nothing_feasible_still_proposes():
    study = new_study()
    asked = run(study, STARTUP + 4, infeasible=lambda params: True)
    assert asked == run(new_study(sampler=quasi_random_sampler(FLAT, 0)), STARTUP + 4)
    asked = run(study, 2)  # the first feasible one is enough for a fit
    assert asked[0] != asked[1]


def test_an_infinite_value_is_no_outcome(fitted):
    study, _ = begun()
    add(study, -np.inf, x=0.9, y=0.5)
    ask(study)
    assert [len(x) for x, _ in fitted] == [STARTUP, STARTUP + 1]


def test_a_pruned_trial_counts_with_its_last_value_if_it_has_one(fitted):
    one, _ = begun()
    add(one, state=TrialState.PRUNED, steps={1: 5.0, 3: -0.01, 2: 7.0}, x=0.2, y=0.05)
    other, _ = begun()
    add(other, -0.01, x=0.2, y=0.05)
    assert ask(one).params == ask(other).params
    np.testing.assert_array_equal(fitted[0][1], fitted[1][1])
    assert len(fitted[0][0]) == STARTUP + 1

    one, _ = begun()
    add(one, state=TrialState.PRUNED, x=0.2, y=0.05)
    assert ask(one).params == ask(begun()[0]).params


def test_trials_of_another_space_are_left_out():
    study, _ = begun()
    add(study, 100.0, x=0.2)
    assert ask(study).params == ask(begun()[0]).params


def test_how_bad_a_bad_trial_was_changes_no_proposal():
    proposals = []
    for factor in (1, 1e6):
        study = new_study()
        values = {}
        for params in run(new_study(), STARTUP):
            values[bowl(params)] = params
        median = np.median(list(values))
        for value, params in values.items():
            add(study, value if value >= median else median + factor * (value - median), **params)
        proposals.append(ask(study).params)
    assert proposals[0] == pytest.approx(proposals[1], rel=1e-6)


def test_minimising_is_maximising_in_a_mirror():
    study, _ = begun()
    mirrored, _ = begun(direction="minimize", function=lambda params: -bowl(params))
    assert run(study, 3) == run(mirrored, 3, lambda params: -bowl(params))


def test_a_constant_objective_is_explored():
    study, _ = begun(function=lambda params: 1.0)
    x = features(run(study, 4, lambda params: 1.0))
    assert np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(4, 1)].min() > 0.05


def test_outcomes_of_enormous_and_of_tiny_size_are_the_same_to_it():
    expected = features(run(begun()[0], 2))
    for factor in (1e-12, 1e12):
        scaled = lambda params, factor=factor: factor * bowl(params)
        np.testing.assert_allclose(features(run(begun(function=scaled)[0], 2, scaled)), expected, atol=1e-3)


def test_most_trials_are_left_out_of_a_fit_of_many(fitted, monkeypatch):
    """The first fit starts with few; the best are among those that are kept."""
    monkeypatch.setattr(gp, "FEW", 8)
    monkeypatch.setattr(gp_bandit, "MAX_FITTED", 16)
    study = new_study()
    rng = np.random.default_rng(0)
    for _ in range(40):
        params = {"x": rng.uniform(-1, 1), "y": 10 ** rng.uniform(-2, 0)}
        add(study, bowl(params), **params)
    run(study, 2)
    assert [len(x) for x, _ in fitted] == [8, 16, 16]  # the second proposal's fit starts from the first's
    values = [t.value for t in study.trials[:40]]
    best = features([study.trials[int(np.argmax(values))].params])[0]
    for x, y in fitted[:2]:
        np.testing.assert_array_equal(x[np.argmax(y)], best)


# --- What the fit is given --------------------------------------------------------------------------------------------


def test_values_below_the_median_count_by_their_rank():
    values = np.array([3.0, -1e9, 1.0, 2.0, -5.0, 0.5, -5.0])
    ranked = gp_bandit._ranked_below_median(values)
    good = values >= np.median(values)
    np.testing.assert_array_equal(ranked[good], values[good])
    order = np.argsort(values, kind="stable")
    assert (np.diff(ranked[order]) >= 0).all()
    assert ranked[4] == ranked[6]
    np.testing.assert_array_equal(gp_bandit._ranked_below_median(np.where(values < -10, -6.0, values)), ranked)
    assert ranked.min() > -5  # as a normal distribution would have it
    np.testing.assert_array_equal(gp_bandit._ranked_below_median(np.ones(4)), np.ones(4))


def test_what_is_kept_of_many_is_the_best_and_a_sample_of_the_rest():
    y = np.random.default_rng(0).permutation(100).astype(float)
    index = gp_bandit._thinned(y, 20)
    kept = y[index]
    assert (np.diff(index) > 0).all()
    assert len(kept) == 20
    assert set(range(90, 100)) <= set(kept)
    assert kept.min() == 0
    assert np.diff(np.sort(kept)).max() <= 11


# --- Spaces -----------------------------------------------------------------------------------------------------------


def test_a_conditional_dimension_is_proposed_only_where_it_holds():
    study, _ = begun(function=mixed, space=MIXED)
    asked = run(study, 6, mixed, MIXED)
    for params in asked:
        assert ("momentum_logit" in params) == (params["optimizer"] == "momentum")
    assert study.best_params["optimizer"] == "momentum"  # where there is more to be had
    assert study.best_value > 4


def test_a_space_of_choices_alone():
    space = {"nonlinearity": Choice(("tanh", "relu")), "input_steps": Choice(("first", "every"))}
    function = lambda params: float(params["nonlinearity"] == "relu") + 2 * (params["input_steps"] == "every")
    study, _ = begun(function=function, space=space)
    batch = [ask(study, space).params for _ in range(4)]
    assert all(set(params) == set(space) for params in batch)
    assert batch[0] == {"nonlinearity": "relu", "input_steps": "every"}


def test_a_space_of_one_dimension():
    space = {"x": Range(-1.0, 1.0)}
    function = lambda params: -((params["x"] - 0.3) ** 2)
    study, _ = begun(function=function, space=space)
    run(study, 6, function, space)
    assert study.best_params["x"] == pytest.approx(0.3, abs=0.01)


def test_a_space_with_nothing_to_tune_proposes_nothing():
    space = {"x": 1.0, "name": "a"}
    assert run(new_study(space), STARTUP + 2, lambda params: 1.0, space) == [{}] * (STARTUP + 2)


@pytest.mark.parametrize("end", ["low", "high"])
def test_the_ends_of_a_range_are_reached(end):
    """Of one that rounding takes above its upper end, too."""
    space = {"x": Range(-1.95, 1.38), "y": Range(0.01, 1.0, log=True)}
    assert -1.95 + (1.38 + 1.95) > 1.38
    sign = 1 if end == "high" else -1
    function = lambda params: sign * (params["x"] + np.log10(params["y"]))
    study, _ = begun(function=function, space=space)
    asked = run(study, 3, function, space)
    corner = {name: getattr(space[name], end) for name in space}
    assert any(params == pytest.approx(corner, abs=1e-12) for params in asked)


# --- How good it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_a_smooth_function_is_found_in_16_trials(seed):
    study = new_study(seed=seed)
    run(study, 16)
    random = new_study(sampler=SAMPLERS["random"](FLAT, seed))
    run(random, 100)
    assert study.best_value > -2e-3
    assert study.best_value > random.best_value / 2  # half of the loss of a hundred random trials
