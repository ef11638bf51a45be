"""The paper's tuner: a batched Gaussian-process bandit (Collins et al. 2017, appendix A), as an Optuna sampler.

Expected improvement under a Matern 5/2 process with a length scale for each dimension (Snoek, Larochelle, Adams 2012).
A trial that is still running, in any worker, counts as if it had come out at the mean (GP-BUCB, Desautels, Krause,
Burdick 2014), so a whole batch is proposed from one fit. What is particular:

- Outcomes below the median count by their rank alone, as in Vizier's bandit (Song et al. 2024): how bad a bad trial was
  says nothing about where the good ones are.
- Infeasible trials (state FAIL) have no outcome. A second process learns from them where trials fail, and expected
  improvement is multiplied by the probability that they do not.
- Choices, and dimensions that have an effect only under some choice: see `encoding.py`.
- The first proposals are quasi-random.
- In large batches the first trial after a fit is where the mean is highest: expected improvement alone rarely spends
  one on a little more of what is known to be good.

The same seed and history give the same proposals, in one process or in many: each fit starts from the one before, which
is kept with the trial that asked for it.
"""

import functools
import threading
import zlib
from typing import Any, NamedTuple

import jax
import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri

from rnn_capacity import private
from rnn_capacity.checks import InputError, check_int, check_seed
from rnn_capacity.dimension import Space
from rnn_capacity.search import acquisition, gp, units
from rnn_capacity.search.dimensions import Dimensions, observed
from rnn_capacity.search.encoding import Encoding
from rnn_capacity.search.samplers import at_present, sign, sobol_point, without_effect
from rnn_capacity.search.space import check_space, dimensions, distributions

NUM_STARTUP = 20  # trials that have ended before the first fit
NUM_CANDIDATES = 2048
MAX_FITTED, MAX_CONDITIONED = 512, 4096  # trials that length scales are fitted on, that the process is given
FIRST_EVALUATIONS, EVALUATIONS = 25, 20  # of the likelihood, for a first fit and for one that starts from the last
LATE_EVALUATIONS = 8  # the same of many trials, where each takes long and the last fit, or one of few, was close
SUREST_EVERY = 8  # trials, at least, of which one is where the mean is highest
FIT = "gp_bandit"  # the system attribute that a fit is kept in


class _Model(NamedTuple):
    """What was learnt of a history, and which trials are pending in it."""

    history: tuple  # the study, and its trials that have ended
    surest: int | None  # the number of the trial that is to be where the mean is highest
    room: int  # for pending trials
    pending: tuple[int, ...]
    acquisition: acquisition.Acquisition
    pool: acquisition.Pool


class GPBanditSampler(optuna.samplers.BaseSampler):
    """Proposes where a Gaussian process expects the most improvement on the best.

    It serves any Optuna study of one objective. Without a space, what is tuned is read off the trials that have ended.
    A parameter that only some of them have is proposed where these show that it occurs (beside certain values of
    another), and counts as in the middle elsewhere. What no trial had before is drawn at random. Trials that failed, or
    that violate a constraint, are infeasible.

    Args:
        space: what is tuned, if that is known beforehand; fixed dimensions are left alone.
        seed: of the proposals; the same seed and history give the same.
        num_startup: trials that must have ended before the first fit; until then proposals are quasi-random.
    """

    def __init__(self, space: Space | None = None, seed: int = 0, *, num_startup: int = NUM_STARTUP):
        self._space, self._seed = None if space is None else check_space(space), check_seed(seed)
        self._num_startup = check_int("num_startup", num_startup, 0)
        self._lock = threading.RLock()  # several threads may ask (`study.optimize(n_jobs=...)`)
        self._storage: optuna.storages.BaseStorage | None = None  # whose trials the rest is of
        self._seen: tuple = ()  # the history that the encoding was read off
        self._use(Encoding(Dimensions({}, {}) if space is None else dimensions(space)))

    def _use(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._features: dict[tuple[int, int], np.ndarray] = {}  # by trial id and number of values, once it has all
        self._model: _Model | None = None

    def __reduce__(self):
        """Copies learn from the trials again: all that a proposal depends on is kept with them."""
        return functools.partial(GPBanditSampler, num_startup=self._num_startup), (self._space, self._seed)

    def infer_relative_search_space(self, study, trial) -> dict[str, Any]:
        if len(study.directions) > 1:
            raise InputError(f"directions: {len(study.directions)} given; GPBanditSampler must have 1")
        with self._lock:
            self._look_at(study, study.get_trials(deepcopy=False))
            return dict(self._encoding.dimensions.distributions if self._space is None else distributions(self._space))

    def sample_independent(self, study, trial, param_name, param_distribution):
        if self._space is not None:
            return without_effect(self._space, param_name)
        rng = np.random.default_rng((self._seed, trial.number, zlib.crc32(param_name.encode())))
        return units.from_unit(param_distribution, rng.random())

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space) -> dict[str, Any]:
        with self._lock:
            trials = study.get_trials(deepcopy=False)  # once: other workers tell theirs meanwhile
            self._look_at(study, trials)
            if not search_space or self._is_proposed(trial):
                return {}
            proposed = self._propose(study, trial, trials)
        return {name: value for name, value in proposed.items() if name in search_space}

    def _look_at(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        """Forgets what was of another storage, where ids mean other trials, and reads off what this study tunes."""
        if self._storage is not private.storage_of(study):
            self._storage, self._seen = private.storage_of(study), ()
            self._use(self._encoding)
        if self._space is not None:
            found = dimensions(at_present(self._space, study, trials))
            if found != self._encoding.dimensions:
                self._use(Encoding(found))
        else:
            trials = [t for t in trials if t.params]
            ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
            seen = (study.study_name, tuple(t.number for t in ended))
            if seen != self._seen or not ended:
                self._seen = seen
                found = observed(ended or trials)
                if found != self._encoding.dimensions:
                    self._use(Encoding(found))

    def _propose(self, study: optuna.Study, trial: FrozenTrial, trials: list[FrozenTrial]) -> dict[str, Any]:
        ended = [t for t in trials if t.state.is_finished() and self._is_proposed(t) and _outcome(t) is not None]
        if len(ended) < self._num_startup or not np.isfinite(np.array([_outcome(t) for t in ended], float)).any():
            return self._encoding.from_unit(sobol_point(self._seed, trial.number, self._encoding.num_dimensions))
        # One that was asked for before and has no values yet will get those that it would have got now.
        running = [t for t in trials if t.state == TrialState.RUNNING and t.number != trial.number]
        pending = [t for t in running if self._is_proposed(t) or t.number < trial.number]
        with jax.enable_x64(True), jax.default_device(_processor()):
            model = self._learnt(study, trial, ended, pending)
            for other in pending:
                if other.number not in model.pending:
                    if self._is_proposed(other):
                        features = self._encoded(other)
                    else:
                        features = self._encoding.encode(self._best(model, other) | other.params)
                    after = acquisition.hallucinate(model.acquisition, model.pool, features)
                    model = model._replace(pending=(*model.pending, other.number), acquisition=after[0], pool=after[1])
            self._model = model
            return self._best(model, trial)

    def _best(self, model: _Model, trial: FrozenTrial) -> dict[str, Any]:
        choose = acquisition.surest if trial.number == model.surest else acquisition.best
        return self._encoding.decode(np.asarray(choose(model.acquisition, model.pool)))

    def _is_proposed(self, trial: FrozenTrial) -> bool:
        """Whether a trial has all its values."""
        return (private.trial_id(trial), len(trial.params)) in self._features or (
            bool(trial.params) and self._encoding.is_complete(trial.params)
        )

    def _encoded(self, trial: FrozenTrial) -> np.ndarray:
        key = private.trial_id(trial), len(trial.params)
        if key not in self._features:
            self._features[key] = self._encoding.encode(trial.params)
        return self._features[key]

    def _learnt(self, study, trial, ended, pending) -> _Model:
        """The model of what has ended: the last one if it still holds, or a new one, in which nothing is pending."""
        history = (study.study_name, tuple(t.number for t in ended))
        room = gp.bucket(len(pending) + 1)
        running = {t.number for t in pending}
        last = self._model
        if last and last.history == history and last.room >= room and running.issuperset(last.pending):
            return last

        values = sign(study) * np.array([_outcome(t) for t in ended])
        counted = _thinned(np.where(np.isfinite(values), values, -np.inf), MAX_CONDITIONED)
        ended, num_ended = [ended[i] for i in counted], len(ended)
        x, values = np.array([self._encoded(t) for t in ended]), values[counted]
        feasible = np.isfinite(values)
        y = _standardised(_ranked_below_median(values[feasible]))
        label = _standardised(np.where(feasible, 1.0, -1.0))
        fit = self._fits(study, trial, num_ended, x, feasible, y, label)
        rows = gp.bucket(len(x))  # of both processes, so that what uses both is compiled once a size
        value = self._condition(fit["value"], x[feasible], y, rows, room)
        highest, which = map(np.asarray, acquisition.incumbents(value, len(y)))
        incumbents = [ended[i] for i in np.flatnonzero(feasible)[which[np.isfinite(highest)]]]
        judged = acquisition.Acquisition(
            value,
            feasibility=None if feasible.all() else self._condition(fit["feasibility"], x, label, rows, 1),
            threshold=(label.max() + label.min()) / 2,
            best=highest[0],
            grid=self._encoding.grid,
        )
        points = self._candidates(np.random.default_rng((self._seed, num_ended)), incumbents)
        return _Model(
            history, fit["surest"], room, (), judged, acquisition.make_pool(judged, *self._encoding.features(points))
        )

    def _fits(self, study, trial, num_ended, x, feasible, y, label) -> dict[str, Any]:
        """The fitted parameters of both processes, kept with the trial that they are made for."""
        before = [t for t in study.get_trials(deepcopy=False) if FIT in t.system_attrs]
        last = before[-1].system_attrs[FIT] if before else {}
        if len(last.get("value", ())) != self._encoding.num_dimensions + 2:  # of other dimensions
            last = {}
        if last.get("trials") == num_ended and (feasible.all() or "feasibility" in last):
            return last  # another worker has fitted this history, or this one before it was stopped
        is_batch = before and trial.number - before[-1].number >= SUREST_EVERY
        fit = {
            "trials": num_ended,
            "surest": trial.number if is_batch else None,
            "value": self._fit(x[feasible], y, last.get("value")),
        }
        if not feasible.all():
            fit["feasibility"] = self._fit(x, label, last.get("feasibility"))
        private.storage_of(study).set_trial_system_attr(private.trial_id(trial), FIT, fit)
        return fit

    def _fit(self, x, y, start) -> list[float]:
        """Rounded, so that what is kept is what was used."""
        if start is None and len(x) > gp.FEW:
            few = _thinned(y, gp.FEW)
            start = self._fit(x[few], y[few], None)
        kept = _thinned(y, MAX_FITTED)
        x, y = x[kept], y[kept]
        evaluations = FIRST_EVALUATIONS if start is None else EVALUATIONS if len(x) <= gp.FEW else LATE_EVALUATIONS
        return np.round(gp.fit(x, y, self._encoding.dimension_of, start, evaluations), 6).tolist()

    def _condition(self, fit, x, y, rows, room) -> gp.Posterior:
        y = np.pad(y, (0, rows - len(y)))
        return gp.condition(np.array(fit), gp.pad(x, rows), y, len(x), self._encoding.dimension_of, room=room)

    def _candidates(self, rng, incumbents) -> np.ndarray:
        """Points of the unit cube: half anywhere, half near the best trials, at several distances."""
        size = self._encoding.num_dimensions
        anywhere = rng.random((NUM_CANDIDATES // 2, size))
        centres = np.array([self._encoding.to_unit(t.params) for t in incumbents])
        near = centres[rng.integers(len(centres), size=NUM_CANDIDATES // 2)]
        distance = rng.choice([0.2, 0.05, 0.01], size=(len(near), 1))
        moved = rng.random(near.shape) < np.maximum(rng.random((len(near), 1)), 1 / size)
        moved[np.arange(len(near)), rng.integers(size, size=len(near))] = True  # or it would be a copy
        distance = np.maximum(distance, self._encoding.spacing)  # or it would be a copy once it is on the grid
        drawn = np.where(
            self._encoding.is_choice, rng.random(near.shape), near + distance * rng.normal(size=near.shape)
        )
        return np.concatenate([anywhere, np.clip(np.where(moved, drawn, near), 0, 1)])


def _processor() -> jax.Device:
    """The CPU, unless JAX runs without one (JAX_PLATFORMS=cuda)."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def _outcome(trial: FrozenTrial) -> float | None:
    """What a trial that has ended says: its value, NaN where it is infeasible, None where nothing."""
    if trial.state == TrialState.COMPLETE:
        return trial.value if all(violation <= 0 for violation in trial.constraints.values()) else np.nan
    if trial.state == TrialState.PRUNED:
        return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
    return np.nan


def _thinned(y: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most `most` trials, in order: the best, and others at even distances in rank."""
    if len(y) <= most:
        return np.arange(len(y))
    best, others = np.split(np.argsort(-y, kind="stable"), [most // 2])
    return np.sort(np.concatenate([best, others[np.linspace(0, len(others) - 1, most - len(best)).astype(int)]]))


def _ranked_below_median(values: np.ndarray) -> np.ndarray:
    """Values above the median as they are; those below spread as a normal distribution would, by rank."""
    median = np.sort(values)[len(values) // 2]  # one of the values: half way to a bad one depends on how bad it was
    good = values >= median
    if good.all():
        return values
    spread = np.sqrt(np.mean((values[good] - median) ** 2)) or 1.0  # of the upper half, about the median
    unique, rank = np.unique(values[~good], return_inverse=True)
    quantiles = ndtri(0.5 * (rank + 0.5) / len(unique))
    warped = values.copy()
    warped[~good] = median + spread * quantiles
    return warped


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() or 1.0)
