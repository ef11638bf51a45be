"""What the tests of studies, measures and sweeps share: a measurement of moments, and a trainer that takes none."""

import json
import random

import jax
import numpy as np
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json

from rnn_capacity import Cell, sweep
from rnn_capacity.measure.recall import RecallConfig
from rnn_capacity.private import models
from rnn_capacity.studies import store
from rnn_capacity.tasks import SPLITS
from rnn_capacity.training import program, steps
from rnn_capacity.training.trial import Outcome

# Arguments of `measure_capacity`. All data sets are padded to one size, so the repeats compile nothing of their own.
TINY = {
    "num_params": 60,
    "num_inputs": 8,
    "unroll": 1,
    "num_trials": 4,
    "num_repeats": 2,
    "train_steps": 40,
    "hparams": {"mappings_per_param": (0.5, 1.0)},
}


def _init(key, num_inputs, num_units, hparams):
    scale = hparams["input_scale"]
    poison = jax.numpy.where(scale > 0.5, jax.numpy.nan, 0.0)  # a cell that diverges where its inputs are scaled so
    W_x = scale * jax.random.normal(key, (num_units, num_inputs)) / num_inputs**0.5
    return {"W_x": W_x, "poison": poison, "h_0": jax.numpy.zeros(num_units)}


def _apply(params, h, x, s):
    h = s(params["W_x"] @ x + h) + 0 * params["poison"]
    return h, h


# Written as a user would; gives NaN where its input scale is above a half.
FRAGILE = Cell("fragile", _init, lambda params: params["h_0"], _apply)


class FakeTrainer:
    """Stands in for `program.advance`: what a trial gives is a number made from its steps, hparams and key.

    Of a task that has one set of data these are bits and accuracy; of another a loss and a score for each split.

    `trained` holds all the trials that it was given, in order, so that a trial given twice is seen; `batches` how many
    it was given at a time.
    """

    def __init__(self, infeasible=lambda hparams: False):
        self.trained, self.batches = [], []
        self._infeasible = infeasible

    def __call__(self, spec, hparams, keys, state, start, until, *, devices, on_chunk=lambda step, state: None, **_):
        outcomes = []
        bits_of_keys = zip(*(np.asarray(jax.random.key_data(k)).tolist() for k in keys), strict=True)
        for k, key in enumerate(bits_of_keys):
            trial = {name: float(values[k]) for name, values in hparams.items()}
            identity = (spec, tuple(trial.items()), repr(key))
            self.trained.append(identity)
            drawn = lambda *more, trial=trial, key=key: (
                hash((until, tuple(trial.values()), *map(tuple, key), *more)) % 10007 / 10007
            )
            feasible = np.bool_(not self._infeasible(trial))
            if spec.task.one_set:
                accuracy = 0.5 + 0.5 * drawn()
                score = {"bits": np.float32(trial["num_mappings"] * accuracy), "accuracy": np.float32(accuracy)}
                untrained = {"bits": np.float32(0.01), "accuracy": np.float32(0.5)}
                loss = dict.fromkeys(SPLITS, np.float32(1 - accuracy))
                outcomes.append(Outcome(loss, dict.fromkeys(SPLITS, score), untrained, feasible))
            else:  # the three losses have nothing to do with each other
                loss = {split: np.float32(0.1 + drawn(i)) for i, split in enumerate(SPLITS)}
                score = {split: {spec.task.measure: np.float32(drawn(3, i))} for i, split in enumerate(SPLITS)}
                outcomes.append(Outcome(loss, score, {spec.task.measure: np.float32(0.5 + drawn(4))}, feasible))
        self.batches.append(len(outcomes))
        for step in ((start + until) // 2, until):
            on_chunk(step, self.state(len(outcomes)))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *outcomes), self.state(len(outcomes))

    @staticmethod
    def state(count):
        return steps.TrialState(np.zeros(count), np.zeros(count), np.ones(count, bool))

    def install(self, monkeypatch):
        monkeypatch.setattr(program, "advance", self)
        monkeypatch.setattr(sweep, "_compile_ahead", lambda *_: None)  # what nobody runs
        return self


# Arguments of `measure_recall` and of `measure_trainability`: networks of moments.
TINY_RECALL = {"num_units": (2, 4), "num_inputs": 4, "unroll": 2, "num_trials": 3, "num_repeats": 2, "train_steps": 20}
TINY_PARENTHESES = {
    "task": "parentheses",
    "task_fields": {"num_types": 1, "num_noise": 1, "max_count": 3, "num_held_out": 64},
    "num_params": 60,
    "unroll": 3,
    "num_trials": 3,
    "num_repeats": 2,
    "train_steps": 20,
    "space": "quick",
}


def without_seconds(frame):
    """A table of trials less its times, the only thing that may differ from run to run."""
    return frame.drop(columns="seconds")


def numbers(result):
    """All of a result but its times, to the last bit."""
    return json.dumps([row | {"seconds": 0} for row in result.rows()]), without_seconds(result.trials).to_csv()


def add_studies(folder, num_studies, num_trials):
    """Studies of recall at the paper's size with made-up trials of 20 hparams and more, of which nothing was asked."""
    storage = store.open_storage(folder)
    fixed = {"cell": "rnn", "train_steps": 10, "space": "paper", "sampler": "random"}
    for units in range(1, num_studies + 1):
        plan = RecallConfig(num_units=units, **fixed).plan()
        study = store.open_study(storage, plan.name, plan.describe(), None, plan.direction)
        _add_trials(storage, study, num_trials)


def _add_trials(storage, study, num_trials):
    """By the tables: a trial at a time takes Optuna minutes."""
    rng = random.Random(study.study_name)
    texts = {f"number {i}": distribution_to_json(FloatDistribution(0.0, 1.0)) for i in range(17)}
    texts |= {f"choice {i}": distribution_to_json(CategoricalDistribution(("a", "b"))) for i in range(3)}
    rows = {model: [] for model in ("Trial", "TrialUserAttribute", "TrialParam", "TrialValue")}
    for number in range(num_trials):
        key = {"trial_id": 10**4 * study._study_id + number}
        losses = {name: rng.random() for name in ("train_loss", "valid_loss", "eval_loss", "untrained_squared_error")}
        outcome = {"feasible": True, **losses, "seconds": 1.0, "steps": 10, "stopped_early": False}
        rows["Trial"].append(key | {"number": number, "study_id": study._study_id, "state": "COMPLETE"})
        rows["TrialUserAttribute"].append(key | {"key": store.OUTCOME, "value_json": json.dumps(outcome)})
        rows["TrialValue"].append(key | {"objective": 0, "value": losses["valid_loss"], "value_type": "FINITE"})
        rows["TrialParam"] += [
            key | {"param_name": name, "param_value": float(rng.randrange(2)), "distribution_json": text}
            for name, text in texts.items()
        ]
    with storage.engine.begin() as connection:
        for model, values in rows.items():
            connection.execute(sqlalchemy.insert(getattr(models, f"{model}Model").__table__), values)
