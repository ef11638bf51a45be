"""The Gaussian-process bandit through Optuna studies: what it proposes, and what its proposals depend on."""

import copy
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from helpers import ROOT
from optuna.trial import TrialState, create_trial

from rnn_capacity.checks import InputError
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import SAMPLERS, GPBanditSampler, gp, gp_bandit
from rnn_capacity.search.encoding import Encoding
from rnn_capacity.search.samplers import quasi_random_sampler
from rnn_capacity.search.space import dimensions, distributions
from rnn_capacity.studies import store

STARTUP = 6
FLAT = {"x": Range(-1.0, 1.0), "y": Range(0.01, 1.0, log=True), "fixed": 2.0}
MIXED = {
    "optimizer": Choice(("adam", "momentum")),
    "momentum_logit": Range(1.0, 7.0),
    "learning_rate": Range(1e-4, 1e-1, log=True),
}


def bowl(params):
    """Highest, and 0, at x = 0.3, y = 10^-1.4."""
    return -((params["x"] - 0.3) ** 2) - (np.log10(params["y"]) + 1.4) ** 2


def mixed(params):
    return params.get("momentum_logit", 2.0) - abs(np.log10(params["learning_rate"]) + 2)


def new_study(space=FLAT, seed=0, storage=None, direction="maximize", sampler=None):
    """A study with a sampler object of its own, which goes on with what is in the storage."""
    return optuna.create_study(
        study_name="one",
        storage=storage or optuna.storages.InMemoryStorage(),
        sampler=sampler or GPBanditSampler(space, seed, num_startup=STARTUP),
        direction=direction,
        load_if_exists=True,
    )


def ask(study, space=FLAT):
    trial = study.ask()
    store.propose(trial, space)
    return trial


def run(study, count, function=bowl, space=FLAT, infeasible=lambda params: False):
    """So many trials one after another; what was proposed."""
    asked = []
    for _ in range(count):
        trial = ask(study, space)
        if infeasible(trial.params):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, function(trial.params))
        asked.append(trial.params)
    return asked


def begun(seed=0, function=bowl, space=FLAT, **kwargs):
    """A study in which the first fit is next, and its storage."""
    study = new_study(space, seed, **kwargs)
    run(study, STARTUP, function, space)
    return study, study._storage


def add(study, value=None, state=TrialState.COMPLETE, steps=None, **params):
    """A trial that ended elsewhere."""
    of_params = {name: d for name, d in distributions(FLAT).items() if name in params}
    study.add_trial(
        create_trial(state=state, value=value, params=params, distributions=of_params, intermediate_values=steps or {})
    )


def features(asked, space=FLAT):
    return np.array([Encoding(dimensions(space)).encode(params) for params in asked])


@pytest.fixture
def fitted(monkeypatch):
    """The features and outcomes of each fit that is made."""
    fits, real = [], gp.fit

    def fit(x, y, *args):
        fits.append((x, y))
        return real(x, y, *args)

    monkeypatch.setattr(gp, "fit", fit)
    return fits


# --- The same seed and history, the same proposals --------------------------------------------------------------------


def test_the_same_seed_and_history_give_the_same_proposals():
    one, other = (run(begun()[0], 3) for _ in range(2))
    assert one == other
    assert one[0] != run(begun(seed=1)[0], 1)[0]


def test_another_seed_gives_other_proposals_from_the_same_history():
    proposals = []
    for seed in (0, 1):
        _, storage = begun()
        proposals.append(ask(new_study(seed=seed, storage=storage)).params)
    assert proposals[0] != proposals[1]


def test_a_new_sampler_for_every_trial_proposes_the_same():
    expected = run(begun()[0], 4)
    _, storage = begun()
    assert [run(new_study(storage=storage), 1)[0] for _ in range(4)] == expected


def test_a_new_sampler_in_the_middle_of_a_batch_proposes_the_same_without_a_fit(fitted):
    study, _ = begun()
    expected = [ask(study).params for _ in range(5)]
    assert len(fitted) == 1
    study, storage = begun()
    asked = [ask(study).params for _ in range(2)]
    assert len(fitted) == 2
    workers = [new_study(storage=storage) for _ in range(2)]
    asked += [ask(workers[i]).params for i in (0, 1, 0)]
    assert asked == expected
    assert len(fitted) == 2


def test_a_database_keeps_all_that_the_proposals_depend_on(tmp_path):
    expected = run(begun()[0], 3)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study, _ = begun(storage=optuna.storages.RDBStorage(url))
    asked = run(study, 1)
    for _ in range(2):
        asked += run(new_study(storage=optuna.storages.RDBStorage(url)), 1)
    assert asked == expected


def test_one_fit_serves_a_batch_and_the_next_starts_from_it(fitted):
    study, _ = begun()
    for number in range(1, 4):
        for trial in [ask(study) for _ in range(3)]:
            study.tell(trial, bowl(trial.params))
        assert len(fitted) == number
    starts = [t.number for t in study.trials if gp_bandit.FIT in t.system_attrs]
    assert starts == [6, 9, 12]


def test_a_batch_that_ends_out_of_order_changes_no_bit(fitted):
    """What a proposal depends on is the trials that have ended, not the order in which they did."""
    proposals = []
    for order in ((0, 1, 2), (2, 0, 1)):
        study, _ = begun()
        batch = [ask(study) for _ in range(3)]
        for i in order:
            study.tell(batch[i], bowl(batch[i].params))
        proposals.append(ask(study).params)
    assert proposals[0] == proposals[1]


def test_a_sampler_serves_two_studies_as_two_would():
    expected = run(begun()[0], 2)
    sampler = GPBanditSampler(FLAT, 0, num_startup=STARTUP)
    run(new_study(sampler=sampler), STARTUP + 2, lambda params: -params["x"])
    assert run(new_study(sampler=sampler), STARTUP + 2)[STARTUP:] == expected


# --- Pending trials ---------------------------------------------------------------------------------------------------


def test_the_proposals_of_a_batch_are_apart():
    study, _ = begun()
    x = features([ask(study).params for _ in range(8)])
    apart = np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(8, 1)]
    assert apart.min() > 0.005
    assert np.median(apart) > 0.1


def test_a_pending_trial_of_another_worker_is_kept_away_from():
    _, storage = begun()
    first = ask(new_study(storage=storage)).params
    second = ask(new_study(storage=storage)).params
    assert np.linalg.norm(np.subtract(*features([first, second]))) > 0.02

    study, _ = begun()
    add(study, state=TrialState.RUNNING, **first)
    assert ask(study).params == second


def test_a_trial_that_ended_without_an_outcome_is_pending_no_more():
    study, _ = begun()
    batch = [ask(study) for _ in range(2)]
    for trial in batch:
        study.tell(trial, state=TrialState.PRUNED)
    assert ask(study).params == batch[0].params


@pytest.mark.parametrize("space", [FLAT, None])
def test_a_pending_trial_without_values_is_kept_away_from_where_it_will_be(space):
    """As with several workers or threads, of which one asks while another has yet to read its proposal."""
    study, _ = begun()
    expected = [ask(study).params for _ in range(3)]
    study, storage = begun()
    trials = [study.ask() for _ in range(3)]
    trials[1].suggest_float("x", -1.0, 1.0)
    for number in (2, 0, 1):
        worker = new_study(storage=storage, sampler=GPBanditSampler(space, num_startup=STARTUP))
        store.propose(optuna.Trial(worker, trials[number]._trial_id), FLAT)
    asked = [study.trials[t.number].params for t in trials]
    assert asked[2] == expected[2]
    x = features(asked)
    assert np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(3, 1)].min() > 0.02


def test_a_trial_that_was_stopped_between_its_values_is_asked_for_the_rest():
    study, storage = begun()
    expected = ask(study).params
    study, storage = begun()
    stopped = study.ask()
    stopped.suggest_float("x", -1.0, 1.0)
    again = optuna.Trial(new_study(storage=storage), stopped._trial_id)
    store.propose(again, FLAT)
    assert again.params == expected


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


# --- Any Optuna study -------------------------------------------------------------------------------------------------


def plain(trial):
    """FLAT's dimensions, as an objective of a user's own suggests them."""
    return bowl({"x": trial.suggest_float("x", -1.0, 1.0), "y": trial.suggest_float("y", 0.01, 1.0, log=True)})


def branching(trial):
    """Highest, and 3, at "deep", 2 layers: parameters of every kind, some only beside a value of another."""
    kind = trial.suggest_categorical("kind", (None, True, "deep"))
    value = -abs(trial.suggest_float("drop", 0.0, 0.6, step=0.2) - 0.4)
    if kind is True:
        return value - abs(trial.suggest_int("units", 1, 1000, log=True) - 30) / 1000
    if kind is None:
        return value
    layers = trial.suggest_int("layers", 1, 2)
    return value + 1 + layers - sum((trial.suggest_float(f"x{i}", -1.0, 1.0) - 0.3) ** 2 for i in range(layers))


def branched_study():
    """One that has been in every branch."""
    study = plain_study()
    for params in ({"kind": None}, {"kind": True}, {"kind": "deep", "layers": 1}, {"kind": "deep", "layers": 2}):
        study.enqueue_trial(params)
        study.enqueue_trial(params)
    study.optimize(branching, n_trials=8)
    return study


def plain_study(seed=0, direction="maximize", storage=None, **kwargs):
    """One of a sampler that is given no space; it goes on with what is in the storage."""
    sampler = GPBanditSampler(seed=seed, num_startup=STARTUP)
    return optuna.create_study(
        study_name="one", storage=storage, sampler=sampler, direction=direction, load_if_exists=True, **kwargs
    )


def asked_of(study):
    return [t.params for t in study.trials]


def same_history(study):
    """The study, with the trials that `begun` has."""
    study.add_trials(begun()[0].get_trials())
    return study


def test_without_a_space_the_same_history_gives_the_same_proposals_as_with_it():
    expected = run(begun()[0], 4)
    study = same_history(plain_study())
    study.optimize(plain, n_trials=4)
    assert asked_of(study)[STARTUP:] == expected


def test_parameters_of_every_kind_are_proposed_where_they_occur_and_the_best_is_found():
    study = branched_study()
    for _ in range(16):
        trial = study.ask()
        proposed = trial.relative_params
        study.tell(trial, branching(trial))
        assert proposed == trial.params
    assert (study.best_params["kind"], study.best_params["layers"]) == ("deep", 2)
    assert study.best_value > 2.8


def test_threads_propose_no_trial_twice():
    study = plain_study()
    study.optimize(plain, n_trials=24, n_jobs=4)
    x = features(asked_of(study))
    assert np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(24, 1)].min() > 1e-5
    assert study.best_value > -0.02


def test_the_first_proposals_are_of_the_seed_the_number_and_the_name():
    """So workers repeat neither themselves nor each other, in whatever order trials ask."""
    study = plain_study()
    trials = [study.ask() for _ in range(STARTUP)]
    for trial in reversed(trials):
        plain(trial)
    numbers = features(asked_of(study))
    assert len(np.unique(numbers)) == numbers.size
    again = plain_study()
    first = [again.ask() for _ in range(STARTUP)][-1]
    assert plain(first) == plain(trials[-1])
    assert plain(plain_study(seed=1).ask()) != plain(plain_study().ask())


def test_after_one_trial_the_proposals_are_quasi_random():
    study = plain_study(seed=3)
    study.optimize(plain, n_trials=STARTUP)
    expected = run(new_study(sampler=quasi_random_sampler(FLAT, 3)), STARTUP)
    assert asked_of(study)[1:] == expected[1:]


def test_workers_on_one_storage_propose_what_one_would(tmp_path):
    study = plain_study()
    study.optimize(plain, n_trials=STARTUP + 3)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    workers = [plain_study(storage=optuna.storages.RDBStorage(url)) for _ in range(2)]
    for number in range(STARTUP + 3):
        workers[number % 2].optimize(plain, n_trials=1)
    assert asked_of(workers[0]) == asked_of(study)


@pytest.mark.parametrize("space", [FLAT, None])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
def test_a_copy_of_a_sampler_proposes_the_same(space, copied):
    study, other = (new_study(sampler=GPBanditSampler(space, 5, num_startup=STARTUP)) for _ in range(2))
    for one in (study, other):
        one.optimize(plain, n_trials=STARTUP + 1)
    other.sampler = copied(other.sampler)
    for one in (study, other):
        one.optimize(plain, n_trials=1)
    assert asked_of(study) == asked_of(other)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_can_be_pickled(name):
    sampler = pickle.loads(pickle.dumps(SAMPLERS[name](FLAT, 7)))
    assert run(new_study(sampler=sampler), 2) == run(new_study(sampler=SAMPLERS[name](FLAT, 7)), 2)


def test_ranges_that_change_are_kept_to():
    """Whatever is proposed for the widest of them: where that is not possible, it is drawn at random."""

    def objective(trial):
        n = trial.suggest_int("n", 2, 9)
        return n + trial.suggest_float("z", n / 2, n, step=0.5 if n > 4 else 0.25)

    study = plain_study()
    study.optimize(objective, n_trials=STARTUP + 6)
    for params in asked_of(study):
        assert params["n"] / 2 <= params["z"] <= params["n"]


def test_parameters_of_one_value_and_none_at_all():
    study = plain_study()
    study.optimize(lambda trial: trial.suggest_float("one", 2.0, 2.0), n_trials=STARTUP + 2)
    study.optimize(lambda trial: 1.0, n_trials=2)
    study.optimize(lambda trial: trial.suggest_float("one", 2.0, 2.0) + plain(trial), n_trials=2)
    assert asked_of(study)[0] == {"one": 2.0}
    assert asked_of(study)[-1].keys() == {"one", "x", "y"}


def test_trials_that_end_in_every_way_are_taken():
    def objective(trial):
        value = plain(trial)
        if trial.number % 6 == 0:
            return np.nan
        if trial.number % 6 == 1:
            return np.inf
        if trial.number % 6 == 2:
            raise FloatingPointError
        if trial.number % 6 == 3:
            trial.report(value, 1)
            raise optuna.TrialPruned
        return value

    sampler, pruner = GPBanditSampler(num_startup=2), optuna.pruners.HyperbandPruner(1, 3)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.enqueue_trial({"x": 0.25})
    study.enqueue_trial({"x": 4.0})  # out of range; Optuna warns, and takes it
    with pytest.warns(UserWarning, match="out of range"):
        study.optimize(objective, n_trials=STARTUP + 8, catch=FloatingPointError)
    assert [params["x"] for params in asked_of(study)[:2]] == [0.25, 4.0]
    assert any(gp_bandit.FIT in t.system_attrs for t in study.trials)


def test_a_trial_that_violates_a_constraint_is_infeasible(fitted):
    one, other = same_history(plain_study()), same_history(plain_study())
    other.tell(other.ask(), state=TrialState.FAIL)
    for study in (one, other):
        trial = study.ask()
        value = plain(trial)
        trial.set_constraint("memory", 0.1)
        study.tell(trial, value) if study is one else study.tell(trial, state=TrialState.FAIL)
    proposals = [(plain(study.ask()), asked_of(study)[-1])[1] for study in (one, other)]
    assert proposals[0] == proposals[1]
    assert [len(x) for x, _ in fitted[-2:]] == [STARTUP, STARTUP + 1]


def test_a_kept_fit_that_lacks_what_failures_need_is_not_used(fitted):
    study, _ = begun()
    add(study, state=TrialState.FAIL, x=0.9, y=0.5)
    kept = {"trials": STARTUP + 1, "surest": None, "value": [0.0] * 4}
    study._storage.set_trial_system_attr(study.ask()._trial_id, gp_bandit.FIT, kept)
    ask(study)
    assert len(fitted) == 2


def test_a_trial_with_an_option_that_the_space_lacks_is_left_out():
    study, _ = begun(function=mixed, space=MIXED)
    choices = optuna.distributions.CategoricalDistribution(("adam", "lion"))
    rates = distributions(MIXED)["learning_rate"]
    params = {"optimizer": "lion", "learning_rate": 0.01}
    study.add_trial(
        create_trial(params=params, distributions={"optimizer": choices, "learning_rate": rates}, value=9.0)
    )
    assert ask(study, MIXED).params == ask(begun(function=mixed, space=MIXED)[0], MIXED).params


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_other_samplers_may_stand_before_it():
    fixed = optuna.samplers.PartialFixedSampler({"x": 0.25}, GPBanditSampler(num_startup=STARTUP))
    study = new_study(sampler=fixed)
    study.optimize(plain, n_trials=STARTUP + 3)
    assert {params["x"] for params in asked_of(study)} == {0.25}
    assert study.best_value > -0.05


def test_distributions_may_be_asked_for():
    study = plain_study()
    for _ in range(STARTUP + 3):
        trial = study.ask(distributions(FLAT))
        study.tell(trial, bowl(trial.params))
    expected = plain_study()
    expected.optimize(plain, n_trials=STARTUP + 3)
    assert asked_of(study) == asked_of(expected)


@pytest.mark.parametrize("space", [FLAT, None])
def test_several_objectives_are_refused(space):
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=GPBanditSampler(space))
    with pytest.raises(ValueError, match=r"^directions: 2 given; GPBanditSampler must have 1$"):
        study.ask(distributions(FLAT))


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"space": 3}, r"space: 3 given; it must be a mapping from names to dimensions, or None"),
        ({"space": {"x": (0, 1)}}, r"space\.x: \(0, 1\) given; it must be a Range, a Choice, or a value that is fixed"),
        ({"seed": None}, r"seed: None given; it must be a whole number of at least 0"),
        ({"num_startup": -1}, r"num_startup: -1 given; it must be a whole number of at least 0"),
    ],
)
def test_what_cannot_be_an_argument_is_refused_by_name(given, line):
    with pytest.raises(InputError, match=f"^{line}$"):
        GPBanditSampler(**given)


def test_the_examples_of_the_documentation_run():
    page = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    names = {}
    exec(examples[0], names)
    assert len(names["study"].trials) == 24
    assert names["study"].best_value < 1
    exec(examples[1], names)
    run(names["study"], 2, lambda params: params["x"], names["space"])


# --- Beside the rest of Optuna, and of JAX ----------------------------------------------------------------------------


def test_a_plain_optuna_objective_that_suggests_only_what_holds():
    def objective(trial):
        params = {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)}
        if trial.suggest_categorical("optimizer", ("adam", "momentum")) == "momentum":
            params["momentum_logit"] = trial.suggest_float("momentum_logit", 1.0, 7.0)
        return mixed(params)

    study = new_study(MIXED)
    study.optimize(objective, n_trials=STARTUP + 4)
    expected = new_study(MIXED)
    assert [t.params for t in study.trials] == run(expected, STARTUP + 4, mixed, MIXED)


def test_a_plain_optuna_objective_that_raises_is_infeasible():
    def objective(trial):
        params = {"x": trial.suggest_float("x", -1.0, 1.0), "y": trial.suggest_float("y", 0.01, 1.0, log=True)}
        if params["x"] > 0.2:
            raise FloatingPointError("diverged")
        return bowl(params)

    study, expected = new_study(), new_study()
    study.optimize(objective, n_trials=STARTUP + 3, catch=FloatingPointError)
    asked = run(expected, STARTUP + 3, infeasible=lambda params: params["x"] > 0.2)
    assert [t.params for t in study.trials] == asked
    assert any(t.state == TrialState.FAIL for t in study.trials)


def test_a_trial_that_was_enqueued_keeps_what_it_was_given():
    study, _ = begun(function=mixed, space=MIXED)
    study.enqueue_trial({"optimizer": "momentum", "learning_rate": 0.07})
    (params,) = run(study, 1, mixed, MIXED)
    assert (params["optimizer"], params["learning_rate"]) == ("momentum", 0.07)
    assert 1 <= params["momentum_logit"] <= 7


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optunas_importances_and_plots_take_the_study():
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as plots

    study, _ = begun(function=mixed, space=MIXED)
    run(study, 6, mixed, MIXED)
    importances = optuna.importance.get_param_importances(study)
    assert set(importances) <= set(MIXED)
    assert all(np.isfinite(v) for v in importances.values())
    for plot in (plots.plot_optimization_history, plots.plot_param_importances, plots.plot_slice):
        plot(study)
        plt.close("all")


def test_jax_is_left_as_it_was():
    before = jnp.zeros(1)
    study, _ = begun()
    ask(study)
    assert not jax.config.jax_enable_x64
    after = jnp.zeros(1)
    assert after.dtype == before.dtype == jnp.float32
    assert after.devices() == before.devices()
    assert jax.config.jax_default_device is None


def test_a_default_device_that_was_chosen_stays_chosen():
    device = jax.devices()[1]
    expected = ask(begun()[0]).params
    with jax.default_device(device):
        assert ask(begun()[0]).params == expected
        assert jnp.zeros(1).devices() == {device}


def test_one_of_a_large_batch_is_where_the_mean_is_highest(monkeypatch):
    """Also where a process goes on in the middle of a batch; never in small ones, which would explore nothing."""
    chosen = []
    for name in ("surest", "best"):
        made = getattr(gp_bandit.acquisition, name)
        monkeypatch.setattr(
            gp_bandit.acquisition, name, lambda *args, name=name, made=made: chosen.append(name) or made(*args)
        )
    study, storage = begun()
    for trial in [ask(study) for _ in range(8)]:
        study.tell(trial, bowl(trial.params))
    assert chosen == ["best"] * 8
    trials = [ask(study) for _ in range(2)] + [ask(new_study(storage=storage)) for _ in range(2)]
    assert chosen[8:] == ["surest", "best", "best", "best"]
    for trial in trials:
        study.tell(trial, bowl(trial.params))
    run(study, 3)
    assert chosen[12:] == ["best"] * 3
