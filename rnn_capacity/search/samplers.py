"""Samplers that look at no result: random, and quasi-random, which fills the space more evenly.

Both propose by the trial's number alone, so a study that was stopped goes on with the very proposals it would have had,
however its trials are batched. Only what lies around the best objective (`Range.around_best`) waits for results.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from rnn_capacity.checks import InputError
from rnn_capacity.dimension import Space
from rnn_capacity.search.space import around_best, complete, distributions, follows_best, from_unit


def without_effect(space: Space, name: str) -> float | str:
    """The value of a dimension that was not proposed, as it has no effect there.

    Raises:
        InputError: it is no dimension.
    """
    if name not in space:
        raise InputError(f"{name}: not a dimension of this study's search space, {', '.join(space)}")
    return complete(space, {})[name]


def sign(study: optuna.Study) -> int:
    """1 where a greater objective is better, -1 where a smaller one is."""
    return 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1


def at_present(space: Space, study: optuna.Study, trials: Sequence[FrozenTrial]) -> Space:
    """What is proposed from, after those of a study's trials that have ended: see `Range.around_best`."""
    if not follows_best(space):
        return space
    ended = [t for t in trials if t.state.is_finished()]
    objectives = [sign(study) * t.value for t in ended if t.value is not None]
    return around_best(space, objectives, [t.params for t in ended])


class PointSampler(optuna.samplers.BaseSampler):
    """An Optuna sampler of a fixed sequence of points in the unit cube, mapped to a Space.

    Args:
        space: what is tuned; fixed dimensions are left alone.
        point: (trial number, dimensions) -> coordinates (dimensions,) in [0, 1).
    """

    def __init__(self, space: Space, point: Callable[[int, int], np.ndarray]):
        self._space = space
        self._point = point

    def infer_relative_search_space(self, study, trial) -> dict[str, Any]:
        return distributions(self._space)

    def sample_relative(self, study, trial, search_space) -> dict[str, Any]:
        if not search_space:
            return {}
        trials = study.get_trials(deepcopy=False) if follows_best(self._space) else []
        return from_unit(at_present(self._space, study, trials), self._point(trial.number, len(search_space)))

    def sample_independent(self, study, trial, param_name, param_distribution):
        return without_effect(self._space, param_name)


def random_point(seed: int, number: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, number)).random(size)


def sobol_point(seed: int, number: int, size: int) -> np.ndarray:
    from scipy.stats import qmc  # 0.6 s to import

    sequence = qmc.Sobol(size, rng=np.random.default_rng(seed))
    return sequence.fast_forward(number).random(1)[0] if number else sequence.random(1)[0]


def random_sampler(space: Space, seed: int) -> PointSampler:
    """Independent uniform draws, the paper's baseline (Collins et al. 2017, Table 1)."""
    return PointSampler(space, functools.partial(random_point, seed))


def quasi_random_sampler(space: Space, seed: int) -> PointSampler:
    """A scrambled Sobol sequence (Owen 1998), which leaves no part of a space empty for long."""
    return PointSampler(space, functools.partial(sobol_point, seed))
