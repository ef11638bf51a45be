"""The Gaussian process of the bandit: Matern 5/2, a length scale for each dimension, fitted and conditioned by tinygp.

All arrays are float64 and padded to a few sizes, so that little is compiled: rows that hold no trial lie so far from
everything that their covariance is exactly zero.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from tinygp import GaussianProcess, kernels

from rnn_capacity.types import Array

FAR = 1e4
NOISELESS = 1e-4  # noise, of standardised outcomes, that is rather what a smooth process misses
FEW = 256  # trials for which the likelihood is cheap
# Of log length scales, log amplitude, log noise: (mean, standard deviation). Length scales grow with the square root of
# the dimensions, as distances do, which keeps few points in many dimensions from being explained by wiggles in each
# (Hvarfner, Hellsten, Nardi 2024). Outputs are standardised, so the amplitude is about 1.
LENGTH_PRIOR, AMPLITUDE_PRIOR, NOISE_PRIOR = (-1.6, 1.7), (0.0, 1.0), (-5.0, 2.0)
LENGTH_BOUNDS, AMPLITUDE_BOUNDS, NOISE_BOUNDS = (-4.0, 3.4), (-3.0, 5.0), (-15.0, 0.0)  # of the logarithms


class Product(kernels.distance.Distance):
    """The Euclidean distance, expanded so that for all pairs at once it is one matrix product."""

    def squared_distance(self, a: Array, b: Array) -> Array:
        return jnp.maximum(a @ a - 2 * (a @ b) + b @ b, 1e-12)  # rounding may take it below 0

    def distance(self, a: Array, b: Array) -> Array:
        return jnp.sqrt(self.squared_distance(a, b))


class Posterior(NamedTuple):
    """A Gaussian process given n trials and those that are pending; rows beyond them are padding.

    With W the inverse of the covariance's Cholesky factor, the mean at x is k(x) . alpha and the variance
    k(x, x) - |W k(x)|^2. With W^T W in place of W that is less exact, and its gradient needs no product of its own.
    """

    kernel: kernels.Kernel
    lengths: Array  # (C,) by which features are divided
    noise: Array
    x: Array  # (rows, C) divided
    W: Array  # (rows, rows)
    inverse: Array  # (rows, rows) of the covariance, W^T W
    alpha: Array  # (rows,)
    used: Array  # how many rows are taken


def bucket(size: int) -> int:
    """The size that rows are padded to."""
    return max(64, 1 << (size - 1).bit_length())


def pad(x: np.ndarray, rows: int) -> np.ndarray:
    """x (n, C) with rows that are far from it and from each other."""
    padding = np.zeros((rows - len(x), x.shape[1]))
    padding[:, 0] = FAR * (1 + np.arange(len(padding)))
    return np.concatenate([x, padding])


def _process(theta, x, used, dimension_of):
    """The kernel, and the process at padded rows x, for the logarithms theta of (lengths, amplitude, noise)."""
    lengths, amplitude, noise = jnp.exp(theta[:-2])[dimension_of], jnp.exp(theta[-2]), jnp.exp(theta[-1])
    kernel = amplitude * kernels.Matern52(distance=Product())
    diagonal = jnp.where(jnp.arange(len(x)) < used, noise, 1 - amplitude)  # a padding row then adds nothing
    return lengths, kernel, GaussianProcess(kernel, x / lengths, diag=diagonal)


def _prior(num_dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = LENGTH_PRIOR
    means = [mean + 0.5 * np.log(num_dimensions)] * num_dimensions + [AMPLITUDE_PRIOR[0], NOISE_PRIOR[0]]
    return np.array(means), np.array([deviation] * num_dimensions + [AMPLITUDE_PRIOR[1], NOISE_PRIOR[1]])


def _surprise_and_slope(covariance: Array, y: Array) -> tuple[Array, Array]:
    """The negative logarithm of the likelihood of outcomes y, and its gradient (K^-1 - alpha alpha^T) / 2."""
    factor = jnp.linalg.cholesky(covariance)
    W = jax.scipy.linalg.solve_triangular(factor, jnp.eye(len(y)), lower=True)
    standard = W @ y
    alpha = standard @ W
    value = 0.5 * (standard @ standard + len(y) * np.log(2 * np.pi)) + jnp.sum(jnp.log(jnp.diagonal(factor)))
    return value, 0.5 * (W.T @ W - jnp.outer(alpha, alpha))


@jax.custom_jvp
def _surprise(covariance: Array, y: Array) -> Array:
    return _surprise_and_slope(covariance, y)[0]


@_surprise.defjvp
def _(primals, tangents):
    """Less work than back through the factor. With respect to y none is asked for."""
    value, slope = _surprise_and_slope(*primals)
    return value, jnp.sum(slope * tangents[0])


@functools.partial(jax.jit, static_argnames="num_dimensions")
def objective(theta: Array, x: Array, y: Array, used: Array, dimension_of: Array, num_dimensions: int):
    """The negative logarithm of likelihood times prior, and its gradient; what `fit` minimises."""
    mean, deviation = _prior(num_dimensions)

    def value(theta):
        *_, process = _process(theta, x, used, dimension_of)
        return 0.5 * jnp.sum(((theta - mean) / deviation) ** 2) + _surprise(process.solver.covariance(), y)

    return jax.value_and_grad(value)(theta)


def fit(
    x: np.ndarray, y: np.ndarray, dimension_of: np.ndarray, start: np.ndarray | None, max_evaluations: int
) -> np.ndarray:
    """The most probable logarithms of (length scales, amplitude, noise), by L-BFGS from two starts.

    There are two kinds of explanation, signal that wiggles and noise about what is smooth, and each may be a local
    optimum: one start is on the side of noise. Many trials tell the two apart, and are started once.

    Args:
        x: features (n, C).
        y: outcomes (n,), standardised.
        dimension_of: (C,) which dimension's length scale a column takes.
        start: where else to start; None: at the prior's mean.
        max_evaluations: of the objective, from each start.
    """
    num_dimensions = int(dimension_of[-1]) + 1
    rows = bucket(len(x))
    x, y, used = pad(x, rows), np.pad(y, (0, rows - len(y))), len(x)
    mean, _ = _prior(num_dimensions)
    bounds = [LENGTH_BOUNDS] * num_dimensions + [AMPLITUDE_BOUNDS, NOISE_BOUNDS]

    def evaluate(theta):
        value, gradient = objective(theta, x, y, used, dimension_of, num_dimensions)
        if not np.isfinite(value):  # the covariance was not positive definite: L-BFGS steps back
            return 1e10, np.zeros_like(theta)
        return float(value), np.asarray(gradient)

    options = {"maxfun": max_evaluations}
    starts = [mean if start is None else start]
    if used <= FEW:
        starts.append(np.concatenate([mean[:-2] + 1, mean[-2:-1], [-1.0]]))
    found = [
        scipy.optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    return min(found, key=lambda f: f.fun).x


@functools.partial(jax.jit, static_argnames="room")
def condition(theta: Array, x: Array, y: Array, used: Array, dimension_of: Array, *, room: int) -> Posterior:
    """The process given padded rows x and outcomes y, with room for pending trials."""
    lengths, kernel, process = _process(theta, x, used, dimension_of)
    W = process.solver.solve_triangular(jnp.eye(len(x)))
    inverse = W.T @ W
    more = jnp.zeros((room, x.shape[1])).at[:, 0].set(-FAR * (1 + jnp.arange(room)))
    return Posterior(
        kernel,
        lengths,
        jnp.exp(theta[-1]),
        jnp.concatenate([x / lengths, more]),
        jnp.pad(W, (0, room)),
        jnp.pad(inverse, (0, room)),
        jnp.pad(W.T @ (W @ y), (0, room)),
        jnp.int32(len(x)),
    )


def predict(posterior: Posterior, x: Array) -> tuple[Array, Array, Array]:
    """Mean (m,) and variance (m,) of the noiseless function at features x (m, C), and W k(x) (rows, m)."""
    k = posterior.kernel(posterior.x, x / posterior.lengths)
    projected = posterior.W @ k
    amplitude = posterior.kernel(x[:1])[0]
    return posterior.alpha @ k, jnp.maximum(amplitude - jnp.sum(projected**2, axis=0), 1e-12), projected


@jax.custom_jvp
def _quadratic(A: Array, k: Array) -> Array:
    """k . A k of each column of k (rows, m), for a symmetric A."""
    return jnp.sum(k * (A @ k), axis=0)


@_quadratic.defjvp
def _(primals, tangents):
    """The gradient with respect to k is 2 A k, which is known; of A none is asked."""
    A, k = primals
    product = A @ k
    return jnp.sum(k * product, axis=0), 2 * jnp.sum(tangents[1] * product, axis=0)


def moments(posterior: Posterior, x: Array) -> tuple[Array, Array]:
    """Mean and variance as `predict` has them, for gradients: several times as fast."""
    k = posterior.kernel(posterior.x, x / posterior.lengths)
    amplitude = posterior.kernel(x[:1])[0]
    return posterior.alpha @ k, jnp.maximum(amplitude - _quadratic(posterior.inverse, k), 1e-12)


def hallucinate(posterior: Posterior, x: Array) -> Posterior:
    """With one trial more, at features x (C,), that came out at the mean (GP-BUCB, Desautels, Krause, Burdick 2014).

    The mean is what it was everywhere, and the variance shrinks: W gets a row and alpha a zero.
    """
    _, variance, projected = predict(posterior, x[None])
    projected, row = projected[:, 0], posterior.used
    deviation = jnp.sqrt(variance[0] + posterior.noise)
    new = (-(projected @ posterior.W) / deviation).at[row].set(1 / deviation)
    return posterior._replace(
        x=posterior.x.at[row].set(x / posterior.lengths),
        W=posterior.W.at[row].set(new),
        inverse=posterior.inverse + jnp.outer(new, new),
        used=row + 1,
    )
