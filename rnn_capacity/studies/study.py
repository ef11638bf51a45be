"""Asks a study for trials, trains them together, tells it what they gave; goes on where it was stopped.

Several workers may run one study at a time: each trains trials that no other does (`lease.py`). A worker is a process,
or all the processes of a job, which train as one (`crew.py`).
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import optuna
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity.search import SAMPLERS
from rnn_capacity.search.samplers import PointSampler, sign
from rnn_capacity.search.space import distributions, follows_best
from rnn_capacity.studies import database, store
from rnn_capacity.studies.crew import Crew
from rnn_capacity.studies.lease import Lease
from rnn_capacity.studies.plan import Plan
from rnn_capacity.studies.progress import Reporter
from rnn_capacity.training import sharding, stop
from rnn_capacity.training.checkpoint import Checkpoints
from rnn_capacity.training.share import Share
from rnn_capacity.training.trainer import Trained, Trainer
from rnn_capacity.training.trial import Trial

ASK_AT_ONCE = 16  # trials asked for together at least, so that those of one spec can be trained together
ROUNDS = 8  # at least: a bandit needs outcomes of some trials to propose others
FOLLOWING_ROUNDS = 4  # the same where a range follows the best (`Range.around_best`)
RUNGS = 3  # points of a run where trials may be stopped, the end included

_logger = logging.getLogger(__name__)


class _Entry(NamedTuple):
    """A trial on its way."""

    proposal: optuna.Trial
    trial: Trial
    passed: frozenset[int] = frozenset()  # the rungs, in steps, that it went on after before it was stopped
    trained: Trained | None = None  # what it has given so far


def run(
    study: optuna.Study,
    plan: Plan,
    *,
    num_trials: int,
    devices: Sequence[jax.Device],
    trials_per_device: int,
    reporter: Reporter,
    what: str = "",
    checkpoints: Checkpoints | None = None,
    identity: str = "",
) -> list[FrozenTrial]:
    """Trains until the study holds `num_trials` measured trials, and returns these.

    Trials that a worker asked for and did not live to tell are trained first. As many train together as the devices
    take; after each such batch its outcomes are stored, so a killed run loses that batch at most, and where there are
    checkpoints half a minute of its training.

    With `plan.halving` trials race (successive halving, Jamieson, Talwalkar 2016): of those asked for together, one in
    so many is trained on after each rung, and the others are stopped early.

    Args:
        checkpoints: where batches in training are kept; None: nowhere.
        devices: of this process, or a share of them.
        identity: of the study and the code, which must be the same in all processes of a job.

    Raises:
        OutOfMemoryError: a single trial does not fit on a device.
        StorageLostError: the database was away for too long.
        Stopped: by SIGTERM; what was in training is kept.
        JobError: another process of the job has failed.
    """
    devices = devices if isinstance(devices, Share) else Share(devices)
    width = f"trials per {devices[0].device_kind}"  # less once their memory did not suffice, which the study remembers
    trials_per_device = min(trials_per_device, study.user_attrs.get(width, trials_per_device))
    shown = _Shown(study, reporter, plan.unit, devices)
    reporter.start("study", what, len(store.measured(study)), num_trials, shown.best)
    try:
        with stop.noticed(), Lease(study) as lease:
            remember = functools.partial(study.set_user_attr, width)
            crew = Crew(Trainer(devices, trials_per_device, checkpoints, remember), identity)
            _prune(checkpoints, study.get_trials(deepcopy=False))
            store.add_worker(study, lease.worker)
            while len(store.measured(study)) < num_trials:
                stop.check()
                _next_block(study, plan, num_trials, lease, crew, devices, shown)
            trials = store.measured(study)[:num_trials]
            crew.dismiss([store.to_json(trial) for trial in trials])
            _prune(checkpoints, study.get_trials(deepcopy=False))
            return trials
    finally:
        reporter.stop("study")


def _next_block(
    study: optuna.Study, plan: Plan, num_trials: int, lease: Lease, crew: Crew, devices: Share, shown: _Shown
) -> None:
    """Asks for trials, trains them and stores what they gave; where other workers have the last ones, waits."""
    at_once = _at_once(study.sampler, plan, num_trials, crew.together)
    proposals = _proposals(study, plan.space, lease, num_trials, at_once)
    if not proposals:
        shown.wait(f"waiting for other workers' trials; those of a dead one are taken after {database.GRACE} s")
        devices.idle()
        crew.wait()
        return
    block = [_Entry(p, plan.trial(p.number, values), store.reported(study, p)) for p, values in proposals]
    for entry, steps in _trained(block, plan.halving, crew, shown, plan.outcome):
        store.tell(study, entry.proposal, *_told(entry.trial, entry.trained, steps, plan.outcome))
        lease.release(entry.proposal)
        crew.told(entry.trial.number)


def follow(
    make_trial: Callable[[int, Mapping[str, Any]], Trial],
    *,
    devices: Sequence[jax.Device],
    trials_per_device: int,
    checkpoints: Checkpoints | None = None,
    identity: str = "",
) -> list[FrozenTrial]:
    """The part in `run` of the processes of a job but process 0: they train what it sends them.

    Raises:
        OutOfMemoryError, Stopped, JobError: as of `run`.
    """
    with stop.noticed():
        trials = Crew(Trainer(devices, trials_per_device, checkpoints), identity).follow(make_trial)
        trials = [store.from_json(trial) for trial in trials]
        _prune(checkpoints, trials)
        return trials


def _prune(checkpoints: Checkpoints | None, trials: Sequence[FrozenTrial]) -> None:
    if checkpoints is not None:
        checkpoints.prune({trial.number for trial in trials if trial.state.is_finished()})


def train_alone(trial: Trial, steps: int, describe) -> dict[str, Any]:
    """Outcome of a trial after some steps, as a study would store it."""
    (batch,) = Trainer(sharding.choose_devices(1), 1).train([trial], steps, lambda batch, step: None)
    return _told(trial, batch[trial.number], steps, describe)[0]


def _told(trial: Trial, trained: Trained | None, steps: int, describe) -> tuple[dict[str, Any], float | None]:
    """What is stored of a trial after some steps, and its objective."""
    assert trained is not None
    kept, value = describe(trial, *trained)
    stopped = kept["feasible"] and steps < trial.spec.train_steps
    return kept | {"steps": steps, "stopped_early": stopped}, value


def blocks(plan: Plan, num_trials: int, num_repeats: int, together: int) -> list[int]:
    """How many trials of a study are trained together, block by block, the repeats at the end.

    Args:
        together: trials that all devices train at once.
    """
    sampler = SAMPLERS[plan.sampler](plan.space, plan.seed)
    each = min(_at_once(sampler, plan, num_trials, together), num_trials)
    return [min(each, num_trials - begun) for begun in range(0, num_trials, each)] + [num_repeats] * (num_repeats > 0)


def steps_of(plan: Plan, num_trials: int, num_repeats: int) -> int:
    """Gradient steps of all trials of a study, those that are stopped early counted as they end."""
    rungs = _rungs(plan.spec.train_steps, plan.halving)
    return round(num_trials * _steps_each(rungs, plan.halving or 1) + num_repeats * plan.spec.train_steps)


def _steps_each(rungs: Sequence[int], halving: int) -> float:
    """Gradient steps that a trial is given on average, of which one in so many goes on after each rung."""
    return sum((after - before) / halving**k for k, (before, after) in enumerate(itertools.pairwise([0, *rungs])))


def _rungs(train_steps: int, halving: int | None) -> list[int]:
    """The steps at which trials may be stopped, the end included."""
    return sorted({max(1, train_steps // (halving or 1) ** k) for k in range(RUNGS)})


def _at_once(sampler: optuna.samplers.BaseSampler, plan: Plan, num_trials: int, together: int) -> int:
    """How many trials are asked for together: as many as train at once, unless proposals depend on outcomes."""
    if follows_best(plan.space):  # a round is worth more than full devices
        return max(min(together, max(num_trials // FOLLOWING_ROUNDS, 2)), (plan.halving or 0) ** (RUNGS - 1))
    learns = not isinstance(sampler, PointSampler) and distributions(plan.space)
    return max(ASK_AT_ONCE, min(together, num_trials // ROUNDS) if learns else together)


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
    block: list[_Entry], halving: int | None, crew: Crew, shown: _Shown, describe
) -> Iterator[tuple[_Entry, int]]:
    """Each trial of a block as it ends, with the steps that it was trained for."""
    train_steps = block[0].trial.spec.train_steps
    rungs = _rungs(train_steps, halving)
    shown.begin(len(block), rungs, halving or 1)

    def objective(entry: _Entry) -> float:
        value = _told(entry.trial, entry.trained, train_steps, describe)[1]
        assert value is not None  # as it is feasible
        return value

    for before, until in itertools.pairwise([0, *rungs]):
        entries, reached = {entry.trial.number: entry for entry in block}, list[_Entry]()
        for batch in crew.train([entry.trial for entry in block], until, shown.between(before, until)):
            for number, trained in batch.items():
                entry = entries[number]._replace(trained=trained)
                if until < train_steps and trained.outcome.feasible:
                    reached.append(entry)
                else:
                    yield entry, until
        # Those that went on before a worker was stopped go on again, and first of all it is kept which do.
        reached.sort(key=lambda entry: (-shown.sign * objective(entry), entry.trial.number))
        gone_on = [entry for entry in reached if until in entry.passed]
        reached = gone_on + [entry for entry in reached if until not in entry.passed]
        block = reached[: max(-(-len(reached) // (halving or 1)), len(gone_on))]
        for entry in block:
            if until < train_steps and until not in entry.passed:
                store.report(entry.proposal, objective(entry), until)
        yield from ((entry, until) for entry in reached[len(block) :])


class _Shown:
    """How far the study is, and what trains, as batches train."""

    def __init__(self, study: optuna.Study, reporter: Reporter, unit: str, devices: Share):
        self._study, self._reporter, self._unit, self._devices = study, reporter, unit, devices
        self.sign = sign(study)

    def wait(self, note: str) -> None:
        """While nothing trains here."""
        self._reporter.update("study", len(store.measured(self._study)), note)

    def begin(self, num_trials: int, rungs: Sequence[int], halving: int) -> None:
        """Of a block."""
        self._before, self._num_trials = len(store.measured(self._study)), num_trials
        self._total = num_trials * _steps_each(rungs, halving)
        self._done = 0.0  # of these steps, in batches that have ended

    def between(self, before: int, until: int) -> Callable[[Sequence[Trial], int], None]:
        """The callback for a batch that is at a step between two rungs."""
        training, begun = None, before

        def on_chunk(batch, step):
            nonlocal training, begun
            if batch is not training and step < until:  # else it was trained elsewhere
                training, begun = batch, step
                self._total = max(self._total - len(batch) * (step - before), 1)  # those are of a run before this one
                self._reporter.start("batch", self._describe(batch), step, until, "compiling")
            elif batch is training:
                self._reporter.update("batch", step, "")
            done = self._done + len(batch) * (step - (begun if batch is training else before))
            share = min(done / self._total, 1.0)  # where trials diverge, rungs are shorter than was foreseen
            self._reporter.update("study", self._before + share * self._num_trials, self.best)
            if step == until:
                self._done = done
                self.__dict__.pop("best", None)  # the batch is told now

        return on_chunk

    def _describe(self, batch: Sequence[Trial]) -> str:
        trials = f"{len(batch)} {'trial' if len(batch) == 1 else 'trials'}"
        return f"{trials} on {len(self._devices)} x {self._devices[0].device_kind}"

    @functools.cached_property
    def best(self) -> str:
        values = [self.sign * t.value for t in store.measured(self._study) if t.value is not None]
        return f"best {self.sign * max(values):#.3g} {self._unit}" if values else "no result yet"
