"""A study of trials that train in a moment, and what was kept of them."""

import jax
import optuna

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent

STUDY = {
    "cell": "irnn",
    "num_params": 60,
    "depth": 1,
    "unroll": 1,
    "num_inputs": 8,
    "train_steps": 10,
    "batch_size": None,
    "space": "quick",
    # Trials that branch, and little else to tune.
    "hparams": {
        "mappings_per_param": (0.5, 1.0),
        "optimizer": ["sgd", "adam"],
        "input_scale": 0.5,
        "readout_scale": 1.0,
        "learning_rate": (0.01, 0.1),
    },
    "sampler": "quasi-random",
    "halving": None,
    "seed": 0,
    "precision": "highest",
}


def in_memory():
    return optuna.storages.InMemoryStorage()


def run(storage, num_trials, *, reporter=None, num_devices=1, trials_per_device=2, **fields):
    plan = CapacityConfig(**(STUDY | fields)).plan()
    searched = store.open_study(storage, plan.name, plan.describe(), SAMPLERS[plan.sampler](plan.space, plan.seed))
    return study.run(
        searched,
        plan,
        num_trials=num_trials,
        devices=jax.devices()[:num_devices],
        trials_per_device=trials_per_device,
        reporter=reporter or Silent(),
        what="a study",
    )


def contents(trials):
    """All that was kept of trials but the time that they took."""
    without_seconds = lambda outcome: {k: v for k, v in outcome.items() if k != "seconds"}
    return [(t.number, t.state, t.params, t.value, without_seconds(t.user_attrs[store.OUTCOME])) for t in trials]
