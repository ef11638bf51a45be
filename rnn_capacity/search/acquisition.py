"""What a proposal is worth: expected improvement times the probability of being feasible, and where it is highest."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from rnn_capacity.search import gp
from rnn_capacity.types import Array

NUM_INCUMBENTS = 8  # the best trials, which candidates are drawn near
NUM_CLIMBED = 64  # candidates that are improved by gradient, once a fit
NUM_STARTS = 4  # candidates that are improved by gradient, at each proposal
CLIMB_STEPS, START_STEPS = 40, 20
FIRST_STEP, LAST_STEP = 0.05, 3e-5  # of the unit cube


class Grid(NamedTuple):
    """Which features stand for numbers with steps, so that they have few values: see `units.ends`."""

    stepped: Array  # (C,)
    low: Array  # (C,)
    high: Array  # (C,)
    log: Array  # (C,)


class Acquisition(NamedTuple):
    """All that says how good a proposal is."""

    value: gp.Posterior
    feasibility: gp.Posterior | None
    threshold: Array  # of the second process, between feasible and not
    best: Array  # the highest mean of the trials, pending ones included
    grid: Grid | None = None

    @property
    def target(self) -> Array:
        """What improves: beyond the best by the noise's standard deviation, where there is noise.

        Less is not told from chance, and a search for it settles where its first good trials were: on training runs it
        found less.
        """
        return self.best + jnp.where(self.value.noise > gp.NOISELESS, jnp.sqrt(self.value.noise), 0.0)


class Pool(NamedTuple):
    """Candidates, with what is known of each so that a pending trial costs a row and not a product of matrices."""

    x: Array  # (m, C)
    free: Array  # (m, C), which features a gradient may move
    mean: Array  # (m,)
    variance: Array  # (m,)
    projected: Array  # (rows, m), W k(x)
    log_feasible: Array  # (m,)


@jax.jit
def incumbents(value: gp.Posterior, num_trials: Array) -> tuple[Array, Array]:
    """The highest means of the trials, (NUM_INCUMBENTS,), and which trials have them; -inf where there are fewer."""
    mean, *_ = gp.predict(value, value.x * value.lengths)
    return jax.lax.top_k(jnp.where(jnp.arange(len(mean)) < num_trials, mean, -jnp.inf), NUM_INCUMBENTS)


def _log_h(z: Array) -> Array:
    """log(z Phi(z) + phi(z)), of which expected improvement is a multiple, without underflow (Ament et al. 2023)."""
    near, far = jnp.maximum(z, -1.0), jnp.clip(z, -1e6, -1.0)
    ratio = jnp.exp(jnp.log(-far) + norm.logcdf(far) - norm.logpdf(far))  # -> 1 - 1 / z^2
    tail = norm.logpdf(far) + jnp.where(far > -1e3, jnp.log1p(-jnp.minimum(ratio, 1 - 1e-12)), -2 * jnp.log(-far))
    return jnp.where(z > -1, jnp.log(near * norm.cdf(near) + norm.pdf(near)), tail)


def _log_improvement(mean: Array, variance: Array, target: Array) -> Array:
    deviation = jnp.sqrt(variance)
    return _log_h((mean - target) / deviation) + jnp.log(deviation)


def log_feasible(acquisition: Acquisition, x: Array, predict=gp.predict) -> Array:
    """The log probability of being feasible at x (m, C), by least-squares classification (Rasmussen, Williams 2006)."""
    if acquisition.feasibility is None:
        return jnp.zeros(len(x))
    mean, variance, *_ = predict(acquisition.feasibility, x)
    return norm.logcdf((mean - acquisition.threshold) / jnp.sqrt(variance + acquisition.feasibility.noise))


def log_acquisition(acquisition: Acquisition, x: Array, predict=gp.predict) -> Array:
    mean, variance, *_ = predict(acquisition.value, x)
    return _log_improvement(mean, variance, acquisition.target) + log_feasible(acquisition, x, predict)


def _mean(acquisition: Acquisition, x: Array, predict=gp.predict) -> Array:
    """What a trial at x (m, C) is expected to come to, less where it may be infeasible."""
    return predict(acquisition.value, x)[0] + log_feasible(acquisition, x, predict)


def _on_grid(grid: Grid, x: Array) -> Array:
    """Rows x (m, C) as the nearest values are: what lies between two of them is never proposed."""
    scale = lambda number: jnp.where(grid.log, jnp.log(number), number)
    start, stop = scale(grid.low), scale(grid.high)
    at = start + x * (stop - start)
    number = jnp.clip(jnp.round(jnp.where(grid.log, jnp.exp(at), at)), grid.low + 0.5, grid.high - 0.5)
    return jnp.where(grid.stepped, (scale(number) - start) / (stop - start), x)


def _climb(score, acquisition: Acquisition, x: Array, free: Array, num_steps: int) -> Array:
    """Rows x (m, C) after steps of Adam up a score, on their free features, inside the box and then on the grid."""
    gradient = jax.grad(lambda x: jnp.sum(score(acquisition, x, gp.moments)))

    def step(i, state):
        x, first, second = state
        g = jnp.where(free, gradient(x), 0.0)
        g = jnp.where(jnp.isfinite(g), g, 0.0)
        first, second = 0.8 * first + 0.2 * g, 0.95 * second + 0.05 * g**2
        size = FIRST_STEP * (LAST_STEP / FIRST_STEP) ** (i / num_steps)
        direction = first / (1 - 0.8 ** (i + 1)) / jnp.sqrt(second / (1 - 0.95 ** (i + 1)) + 1e-16)
        return jnp.where(free, jnp.clip(x + size * direction, 0, 1), x), first, second

    zero = jnp.zeros_like(x)
    x = jax.lax.fori_loop(0, num_steps, step, (x, zero, zero))[0]
    return x if acquisition.grid is None else jnp.where(free, _on_grid(acquisition.grid, x), x)


@jax.jit
def make_pool(acquisition: Acquisition, x: Array, free: Array) -> Pool:
    """The candidates, and the best of them improved."""
    known = lambda x, free: Pool(x, free, *gp.predict(acquisition.value, x), log_feasible(acquisition, x))
    drawn = known(x, free)
    start = jax.lax.top_k(_worth(acquisition, drawn), NUM_CLIMBED)[1]
    climbed = known(_climb(log_acquisition, acquisition, x[start], free[start], CLIMB_STEPS), free[start])
    candidates_last = Pool._fields.index("projected")
    return Pool(
        *(jnp.concatenate(a, axis=int(i == candidates_last)) for i, a in enumerate(zip(drawn, climbed, strict=True)))
    )


def _worth(acquisition: Acquisition, pool: Pool) -> Array:
    """The same as `log_acquisition` at the candidates (m,)."""
    return _log_improvement(pool.mean, pool.variance, acquisition.target) + pool.log_feasible


@jax.jit
def hallucinate(acquisition: Acquisition, pool: Pool, x: Array) -> tuple[Acquisition, Pool]:
    """Both, with one pending trial more."""
    value = acquisition.value
    mean, variance, projected = gp.predict(value, x[None])
    across = value.kernel((x / value.lengths)[None], pool.x / value.lengths)[0]
    new = (across - projected[:, 0] @ pool.projected) / jnp.sqrt(variance[0] + value.noise)
    pool = pool._replace(
        variance=jnp.maximum(pool.variance - new**2, 1e-12), projected=pool.projected.at[value.used].set(new)
    )
    best = jnp.maximum(acquisition.best, mean[0])
    return acquisition._replace(value=gp.hallucinate(value, x), best=best), pool


@jax.jit
def best(acquisition: Acquisition, pool: Pool) -> Array:
    """The features (C,) of the next proposal."""
    return _highest(log_acquisition, acquisition, pool, _worth(acquisition, pool), START_STEPS)


@jax.jit
def surest(acquisition: Acquisition, pool: Pool) -> Array:
    """The features (C,) where the mean is highest."""
    return _highest(_mean, acquisition, pool, pool.mean + pool.log_feasible, CLIMB_STEPS)


def _highest(score, acquisition: Acquisition, pool: Pool, scores: Array, num_steps: int) -> Array:
    start = jax.lax.top_k(scores, NUM_STARTS)[1]
    climbed = _climb(score, acquisition, pool.x[start], pool.free[start], num_steps)
    x = jnp.concatenate([pool.x[start], climbed])
    return x[jnp.argmax(score(acquisition, x))]
