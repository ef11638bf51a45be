"""Asks a study for trials, trains them together, tells it what they gave; goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optuna

from rnn_capacity import store, train
from rnn_capacity.progress import Reporter
from rnn_capacity.search.space import Space
from rnn_capacity.types import Keys, Outcome, Spec

ASK_AT_ONCE = 16  # trials asked for together at least, so that those of one spec can be trained together


class Trial(NamedTuple):
    """A trial ready to be trained."""

    spec: Spec
    hparams: Mapping[str, float]
    keys: Keys


def run(
    study: optuna.Study,
    space: Space,
    make_trial: Callable[[int, Mapping[str, Any]], Trial],
    describe: Callable[[Trial, Outcome, float], tuple[dict[str, Any], float]],
    *,
    num_trials: int,
    devices: Sequence[jax.Device],
    trials_per_device: int,
    reporter: Reporter,
    what: str,
    unit: str,
) -> list[optuna.trial.FrozenTrial]:
    """Trains until the study holds `num_trials` measured trials, and returns these.

    Trials that an earlier run asked for and never told are trained first. Trials of one spec train together, as many at
    once as the devices take; after each such batch its outcomes are stored, so a killed run loses that batch at most.

    Args:
        space: what is tuned, and what is fixed.
        make_trial: (number, a value for every dimension of the space) -> the trial.
        describe: (trial, outcome, seconds) -> (what is kept of it, the objective).
    """
    together = len(devices) * trials_per_device
    reporter.start(what, len(store.measured(study)), num_trials)
    try:
        while (left := num_trials - len(store.measured(study))) > 0:
            asked = store.interrupted(study)[:left]
            wanted = min(left, max(ASK_AT_ONCE, together)) - len(asked)
            asked += [study.ask() for _ in range(wanted)]
            made = [(trial, make_trial(trial.number, store.propose(trial, space))) for trial in asked]
            for batch in _batches(made, together):
                outcomes, seconds = _train(batch, devices, _on_chunk(study, batch, reporter, unit))
                for (proposal, trial), outcome in zip(batch, outcomes, strict=True):
                    kept, value = describe(trial, outcome, seconds / len(batch))
                    store.tell(study, proposal, kept, value)
    finally:
        reporter.stop()
    return store.measured(study)[:num_trials]


def _batches(made: Sequence[tuple[Any, Trial]], together: int) -> Iterator[list[tuple[Any, Trial]]]:
    """Trials grouped by spec, in the order of their numbers, in batches that the devices take at once."""
    groups: dict[Spec, list] = {}
    for proposal, trial in made:
        groups.setdefault(trial.spec, []).append((proposal, trial))
    for group in groups.values():
        for start in range(0, len(group), together):
            yield group[start : start + together]


def _train(batch, devices, on_chunk) -> tuple[list[Outcome], float]:
    trials = [trial for _, trial in batch]
    hparams = {name: np.array([t.hparams[name] for t in trials], np.float32) for name in trials[0].hparams}
    keys = jax.tree.map(lambda *k: jax.numpy.stack(k), *(t.keys for t in trials))
    start = time.perf_counter()
    outcomes = train.train_trials(trials[0].spec, hparams, keys, devices=devices, on_chunk=on_chunk)
    seconds = time.perf_counter() - start
    return [jax.tree.map(lambda a, k=k: a[k].item(), outcomes) for k in range(len(trials))], seconds


def _on_chunk(study, batch, reporter, unit):
    measured = store.measured(study)
    values = [t.value for t in measured if t.value is not None]
    best = f"best {max(values):.2f} {unit}" if values else "no result yet"
    return lambda fraction: reporter.update(len(measured) + fraction * len(batch), best)
