"""Asks a study for trials, trains them together, tells it what they gave; goes on where it was stopped.

Several workers may run one study at a time: each trains trials that no other does (`lease.py`).
"""

from __future__ import annotations

import collections
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optuna
from optuna.trial import TrialState

from rnn_capacity import sharding, store, train
from rnn_capacity.lease import Lease
from rnn_capacity.memory import NotEnoughMemoryError
from rnn_capacity.progress import Reporter
from rnn_capacity.search.space import Space
from rnn_capacity.types import Keys, Outcome, Spec

ASK_AT_ONCE = 16  # trials asked for together at least, so that those of one spec can be trained together
RUNGS = 3  # where trials are stopped early: at so many points of the run, the last of which is its end
SECONDS_BETWEEN_LOOKS = 1.0  # while other workers have the last trials

_logger = logging.getLogger(__name__)


class Trial(NamedTuple):
    """A trial ready to be trained."""

    spec: Spec
    hparams: Mapping[str, float]
    keys: Keys


class _Entry(NamedTuple):
    """A trial on its way."""

    proposal: optuna.Trial
    trial: Trial
    passed: frozenset[int] = frozenset()  # the rungs, in steps, that it went on after before it was stopped
    state: train.TrialState | None = None  # where it stands, if it has begun
    outcome: Outcome | None = None
    seconds: float = 0.0


class OutOfMemoryError(RuntimeError):
    """A single trial does not fit on a device."""


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
    halving: int | None = None,
) -> list[optuna.trial.FrozenTrial]:
    """Trains until the study holds `num_trials` measured trials, and returns these.

    Trials that a worker asked for and did not live to tell are trained first. Trials of one spec train together, as
    many at once as the devices take; after each such batch its outcomes are stored, so a killed run loses that batch at
    most.

    Args:
        space: what is tuned, and what is fixed.
        make_trial: (number, a value for every dimension of the space) -> the trial.
        describe: (trial, outcome, seconds) -> (what is kept of it, the objective; None where it is infeasible).
        halving: successive halving (Jamieson, Talwalkar 2016): of the trials asked for together, one in so many is
            trained on after each rung, and the others are stopped early. None: all are trained to the end.

    Raises:
        OutOfMemoryError: a single trial does not fit on a device.
        StorageLostError: the database was away for too long.
    """
    width, sign = _Width(study, devices, trials_per_device), store.sign(study)
    reporter.start(what, len(store.measured(study)), num_trials)
    try:
        with Lease(study) as lease:
            store.add_worker(study, lease.worker)
            while len(store.measured(study)) < num_trials:
                proposals = _proposals(study, space, lease, num_trials, max(ASK_AT_ONCE, width.together))
                if not proposals:
                    reporter.update(len(store.measured(study)), "the last trials are other workers'")
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                    continue
                block = [_Entry(p, make_trial(p.number, values), store.reported(study, p)) for p, values in proposals]
                for entry, steps in _trained(block, halving, width, _Shown(study, reporter, unit), describe, sign):
                    store.tell(study, entry.proposal, *_kept(entry, steps, describe))
                    lease.release(entry.proposal)
    finally:
        reporter.stop()
    return store.measured(study)[:num_trials]


def train_alone(trial: Trial, steps: int, describe) -> dict[str, Any]:
    """What a trial gives, trained for so many steps, as a study would keep it."""
    (entry,) = _train([_Entry(None, trial)], steps, sharding.choose_devices(1), lambda fraction: None)
    return _kept(entry, steps, describe)[0]


def _kept(entry: _Entry, steps: int, describe) -> tuple[dict[str, Any], float | None]:
    kept, value = describe(entry.trial, entry.outcome, entry.seconds)
    stopped = kept["feasible"] and steps < entry.trial.spec.train_steps
    return kept | {"steps": steps, "stopped_early": stopped}, value


def _proposals(study, space, lease, num_trials, at_once) -> list[tuple[optuna.Trial, dict[str, Any]]]:
    """What to train next, with a value for every dimension: what nobody trains any more, then new trials.

    New ones come in blocks of `at_once`, which begin where they would have begun had nothing been stopped: a sampler
    that learns from outcomes then proposes the same.
    """
    left = num_trials - len(store.measured(study))
    found = [proposed for trial in lease.adopt(left) for proposed in _proposed(trial, space, lease)]
    trials = study.get_trials(deepcopy=False)
    room = left - sum(t.state == TrialState.RUNNING for t in trials)
    wanted = -len(trials) % at_once or (0 if found else at_once)
    for _ in range(min(wanted, room)):
        found += _proposed(lease.new(), space, lease)
    # Two workers may have seen the same room: the trials that are too many wait until more are wanted.
    trials = study.get_trials(deepcopy=False)
    counted = [t.number for t in trials if t.state == TrialState.RUNNING or store.is_measured(t)]
    surplus = set(counted[num_trials:])
    for trial, _ in found:
        if trial.number in surplus:
            lease.put_back(trial)
    return [(trial, values) for trial, values in found if trial.number not in surplus]


def _proposed(trial, space, lease) -> list[tuple[optuna.Trial, dict[str, Any]]]:
    """A trial with a value for every dimension; none where another worker has told it, or where it is of no use."""
    try:
        return [(trial, store.propose(trial, space))]
    except optuna.exceptions.UpdateFinishedTrialError:
        pass
    except ValueError as error:  # one that was enqueued by hand
        _logger.warning("trial %d is not of this study's search space, and left out: %s", trial.number, error)
        trial.study.tell(trial.number, state=TrialState.FAIL)
    lease.release(trial)
    return []


def _trained(
    block: list[_Entry], halving, width: _Width, shown: _Shown, describe, sign: int
) -> Iterator[tuple[_Entry, int]]:
    """Each trial of a block as it ends, with the steps that it was trained for."""
    train_steps = block[0].trial.spec.train_steps
    rungs = sorted({max(1, train_steps // (halving or 1) ** k) for k in range(RUNGS)})
    shown.begin(len(block), rungs, halving or 1)
    objective = lambda entry: describe(entry.trial, entry.outcome, entry.seconds)[1]
    for until in rungs:
        reached = []
        for batch in _batches(block, until, width, shown):
            for entry in batch:
                if until < train_steps and entry.outcome.feasible:
                    reached.append(entry)
                else:
                    yield entry, until
        # Those that went on before a worker was stopped go on again, and first of all it is kept which do.
        reached.sort(key=lambda entry: (until in entry.passed, sign * objective(entry)), reverse=True)
        block = reached[: max(-(-len(reached) // (halving or 1)), sum(until in entry.passed for entry in reached))]
        for entry in block:
            if until < train_steps and until not in entry.passed:
                store.report(entry.proposal, objective(entry), until)
        yield from ((entry, until) for entry in reached[len(block) :])


def _batches(entries: Sequence[_Entry], until: int, width: _Width, shown: _Shown) -> Iterator[list[_Entry]]:
    """The trials grouped by spec, in the order that they are given, trained up to a step as many at once as fit."""
    groups: dict[Spec, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.trial.spec, []).append(entry)
    waiting = collections.deque(groups.values())
    while waiting:
        group = waiting.popleft()
        batch, rest = group[: width.together], group[width.together :]
        try:
            trained = _train(batch, until, width.devices, shown.batch(batch, until))
        except (jax.errors.JaxRuntimeError, NotEnoughMemoryError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            width.reduce(batch, error)
            waiting.appendleft(group)
            continue
        if rest:
            waiting.appendleft(rest)
        yield trained


def _train(batch: list[_Entry], until: int, devices, on_chunk) -> list[_Entry]:
    trials = [entry.trial for entry in batch]
    hparams = {name: np.array([t.hparams[name] for t in trials], np.float32) for name in trials[0].hparams}
    keys = jax.tree.map(lambda *k: jax.numpy.stack(k), *(t.keys for t in trials))
    state = None if batch[0].state is None else jax.tree.map(lambda *a: np.stack(a), *(e.state for e in batch))
    start = time.perf_counter()
    outcomes, state = train.advance(trials[0].spec, hparams, keys, state, until, devices=devices, on_chunk=on_chunk)
    seconds = (time.perf_counter() - start) / len(batch)
    ended = until == trials[0].spec.train_steps
    state = None if ended else jax.tree.map(np.asarray, state)  # off the devices: the next batch needs their memory
    return [
        entry._replace(
            state=jax.tree.map(lambda a, k=k: a[k], state),
            outcome=jax.tree.map(lambda a, k=k: a[k].item(), outcomes),
            seconds=entry.seconds + seconds,
        )
        for k, entry in enumerate(batch)
    ]


class _Width:
    """How many trials the devices take at once: less once their memory did not suffice, which the study remembers."""

    def __init__(self, study: optuna.Study, devices: Sequence[jax.Device], trials_per_device: int):
        self.devices, self._study = devices, study
        self._name = f"trials per {devices[0].device_kind}"
        self._per_device = min(trials_per_device, study.user_attrs.get(self._name, trials_per_device))

    @property
    def together(self) -> int:
        return len(self.devices) * self._per_device

    def reduce(self, batch: list[_Entry], error: Exception) -> None:
        """To a half of a batch that did not fit, or at once to what fits where that is known."""
        each = lambda num_trials: sharding.padded_count(num_trials, self.devices) // len(self.devices)
        spec, held = batch[0].trial.spec, each(len(batch))
        if held == 1:
            known = f" ({error})" if isinstance(error, NotEnoughMemoryError) else ""
            raise OutOfMemoryError(
                f"a single trial of {spec.cell.name}, {spec.num_units} units, depth {spec.depth}, on {spec.task} "
                f"does not fit on a {self.devices[0].device_kind}{known}; give a smaller network or batch_size, or "
                "fewer devices"
            ) from error
        fits = held // 2
        if isinstance(error, NotEnoughMemoryError):
            fits = min(held - 1, held * max(error.available, 0) // error.needed)
        sizes = range(max(fits, 1), 0, -1)
        self._per_device = next(size for size in sizes if each(size * len(self.devices)) == size)  # with the padding
        _logger.warning("out of memory: %d trials a device from now on", self._per_device)
        self._study.set_user_attr(self._name, self._per_device)


class _Shown:
    """How far a block of trials is, as its batches train."""

    def __init__(self, study: optuna.Study, reporter: Reporter, unit: str):
        self._study, self._reporter, self._unit = study, reporter, unit

    def begin(self, num_trials: int, rungs: Sequence[int], halving: int) -> None:
        self._before, self._num_trials = len(store.measured(self._study)), num_trials
        lengths = [after - before for before, after in itertools.pairwise([0, *rungs])]
        self._total = sum(num_trials / halving**k * length for k, length in enumerate(lengths))
        self._done = 0.0  # of these steps

    def batch(self, batch: list[_Entry], until: int) -> Callable[[float], None]:
        values = [t.value for t in store.measured(self._study) if t.value is not None]
        best = max if store.sign(self._study) > 0 else min
        best = f"best {best(values):#.3g} {self._unit}" if values else "no result yet"
        steps = len(batch) * (until - (0 if batch[0].state is None else int(batch[0].state.step)))
        before = self._done

        def on_chunk(fraction):
            self._done = before + fraction * steps
            share = min(self._done / self._total, 1.0)  # where trials diverge, rungs are shorter than was foreseen
            self._reporter.update(self._before + share * self._num_trials, best)

        return on_chunk
