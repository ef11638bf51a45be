"""The Gaussian-process bandit in any Optuna study, told a space or none, beside the rest of Optuna and of JAX."""

import copy
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from bandit_studies import FLAT, MIXED, STARTUP, add, ask, begun, bowl, features, fits_made, mixed, new_study, run
from helpers import ROOT
from optuna.trial import TrialState, create_trial

from rnn_capacity.checks import InputError
from rnn_capacity.search import SAMPLERS, GPBanditSampler, gp_bandit
from rnn_capacity.search.samplers import quasi_random_sampler
from rnn_capacity.search.space import distributions

fitted = pytest.fixture(fits_made)


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
