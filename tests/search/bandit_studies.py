"""Studies of a few trials that a Gaussian-process bandit proposes, and what they are asked."""

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from rnn_capacity.dimension import Choice, Range
from rnn_capacity.search import GPBanditSampler, gp
from rnn_capacity.search.encoding import Encoding
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


def fits_made(monkeypatch):
    """A fixture: the features and outcomes of each fit that is made."""
    fits, real = [], gp.fit

    def fit(x, y, *args):
        fits.append((x, y))
        return real(x, y, *args)

    monkeypatch.setattr(gp, "fit", fit)
    return fits
