"""The Gaussian process against NumPy, against tinygp's own conditioning, and on functions whose scales are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tinygp import GaussianProcess, kernels

from rnn_capacity.search import gp

DIMENSION_OF = np.array([0, 1, 1, 2])  # the second dimension has two columns, as a choice of two names has
THREE, MANY = np.arange(3), np.arange(20)  # a column each
THETA = np.array([-1.0, 0.3, -0.4, 0.2, -3.0])  # logarithms of three lengths, amplitude, noise

predict, hallucinate = jax.jit(gp.predict), jax.jit(gp.hallucinate)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def data(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, len(DIMENSION_OF))), rng.normal(size=count)


def covariance(theta, dimension_of, a, b):
    """Matern 5/2 by its definition, a pair at a time."""
    lengths = np.exp(theta[:-2])[dimension_of]
    distance = np.sqrt(5) * np.linalg.norm((a[:, None] - b[None]) / lengths, axis=-1)
    return np.exp(theta[-2]) * (1 + distance + distance**2 / 3) * np.exp(-distance)


def value_by_numpy(theta, x, y, dimension_of):
    """The negative logarithm of likelihood times prior; the prior's constant is left out."""
    K = covariance(theta, dimension_of, x, x) + np.exp(theta[-1]) * np.eye(len(x))
    likelihood = -0.5 * (y @ np.linalg.solve(K, y) + np.linalg.slogdet(K)[1] + len(y) * np.log(2 * np.pi))
    lengths, amplitude, noise = theta[:-2], theta[-2], theta[-1]
    standard = [*(lengths - (-1.6 + 0.5 * np.log(len(lengths)))) / 1.7, amplitude, (noise + 5) / 2]
    return 0.5 * np.sum(np.square(standard)) - likelihood


def objective(theta, x, y, rows=None, dimension_of=DIMENSION_OF):
    """Value and gradient, on rows padded to so many. What a row of padding adds is half the logarithm of 2 pi."""
    rows = rows or gp.bucket(len(x))
    padded = np.pad(y, (0, rows - len(y)))
    found = gp.objective(theta, gp.pad(x, rows), padded, len(x), dimension_of, int(dimension_of[-1]) + 1)
    return float(found[0]) - 0.5 * np.log(2 * np.pi) * (rows - len(x)), np.asarray(found[1])


def posterior(x, y, room=8, theta=THETA, dimension_of=DIMENSION_OF):
    rows = gp.bucket(len(x))
    return gp.condition(theta, gp.pad(x, rows), np.pad(y, (0, rows - len(y))), len(x), dimension_of, room=room)


def drawn(dimension_of, lengths, count, noise, seed, amplitude=1.0):
    """Standardised values at random points of a process with these length scales."""
    rng = np.random.default_rng(seed)
    x = rng.random((count, len(dimension_of)))
    theta = np.log([*lengths, amplitude, noise])
    K = covariance(theta, dimension_of, x, x) + noise * np.eye(count)
    y = np.linalg.cholesky(K) @ rng.normal(size=count)
    return x, (y - y.mean()) / y.std()


# --- The objective ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 17, 64])
def test_the_objective_is_that_of_numpy(count):
    x, y = data(count)
    for shift in (0.0, 0.7, -0.7):
        expected = value_by_numpy(THETA + shift, x, y, DIMENSION_OF)
        assert objective(THETA + shift, x, y)[0] == pytest.approx(expected, rel=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    x, y = data(20)
    _, gradient = objective(THETA, x, y)
    for i, step in enumerate(1e-5 * np.eye(len(THETA))):
        difference = [value_by_numpy(THETA + s, x, y, DIMENSION_OF) for s in (step, -step)]
        assert gradient[i] == pytest.approx((difference[0] - difference[1]) / 2e-5, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("theta", [THETA, [-4, 3.4, -4, 3, -13], [3.4, 3.4, 3.4, -3, 0]], ids=["", "short", "long"])
def test_padding_changes_nothing(theta):
    """Nor at the ends of the bounds, where rounding is at its worst and the padding nearest."""
    x, y = data(20)
    value, gradient = objective(np.array(theta, float), x, y, 64)
    assert value == pytest.approx(value_by_numpy(np.array(theta, float), x, y, DIMENSION_OF), rel=1e-7)
    more = objective(np.array(theta, float), x, y, 128)
    assert more[0] == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(more[1], gradient, rtol=1e-7, atol=1e-9)


def test_a_trial_that_is_there_twice_is_no_trouble():
    x, y = data(12)
    x, y = np.concatenate([x, x]), np.concatenate([y, y + 0.1])
    value, gradient = objective(THETA, x, y)
    assert value == pytest.approx(value_by_numpy(THETA, x, y, DIMENSION_OF), rel=1e-6)
    assert np.isfinite(gradient).all()


# --- Conditioning -----------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_tinygp_and_of_numpy():
    x, y = data(20)
    new, _ = data(50, seed=1)
    mean, variance, _ = predict(posterior(x, y), new)

    lengths, amplitude, noise = np.exp(THETA[:-2])[DIMENSION_OF], np.exp(THETA[-2]), np.exp(THETA[-1])

    @jax.jit
    def by_tinygp(x, y, new):
        kernel = amplitude * kernels.Matern52(distance=kernels.distance.L2Distance())
        process = GaussianProcess(kernel, x / lengths, diag=noise).condition(y, new / lengths, diag=0.0).gp
        return process.loc, process.variance

    expected = by_tinygp(x, y, new)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(variance, expected[1], rtol=1e-7, atol=1e-10)

    K = covariance(THETA, DIMENSION_OF, x, x) + noise * np.eye(len(x))
    k = covariance(THETA, DIMENSION_OF, x, new)
    np.testing.assert_allclose(mean, k.T @ np.linalg.solve(K, y), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(variance, amplitude - np.sum(k * np.linalg.solve(K, k), axis=0), rtol=1e-7, atol=1e-10)


def test_padding_and_room_change_no_prediction():
    x, y = data(20)
    new, _ = data(50, seed=1)
    expected = predict(posterior(x, y, room=1), new)[:2]
    wide = gp.condition(THETA, gp.pad(x, 128), np.pad(y, (0, 108)), 20, DIMENSION_OF, room=64)
    for found, value in zip(predict(wide, new)[:2], expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-11)


def test_far_from_all_trials_the_process_is_its_prior():
    x, y = data(20)
    mean, variance, _ = predict(posterior(x, y), np.full((1, 4), -300.0))
    assert mean[0] == pytest.approx(0, abs=1e-12)
    assert variance[0] == pytest.approx(np.exp(THETA[-2]))


def test_pending_trials_are_trials_that_came_out_at_the_mean():
    x, y = data(20)
    pending, _ = data(5, seed=2)
    new, _ = data(50, seed=1)
    after = before = posterior(x, y)
    for row in pending:
        after = hallucinate(after, row)
    mean, variance, _ = predict(after, new)

    np.testing.assert_array_equal(mean, predict(before, new)[0])
    outcomes = np.concatenate([y, predict(before, pending)[0]])
    whole = predict(posterior(np.concatenate([x, pending]), outcomes), new)
    np.testing.assert_allclose(mean, whole[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(variance, whole[1], rtol=1e-7, atol=1e-10)
    assert (np.asarray(variance) < np.asarray(predict(before, new)[1])).all()


def test_for_gradients_mean_and_variance_are_the_same_with_and_without_pending_trials():
    x, y = data(20)
    new, _ = data(50, seed=1)
    process = posterior(x, y)
    total = lambda predict: lambda process, new: sum(jnp.sum(jnp.sin(a)) for a in predict(process, new)[:2])
    slopes = [jax.jit(jax.grad(total(f), argnums=1)) for f in (gp.moments, gp.predict)]
    for row in data(3, seed=2)[0]:
        for found, expected in zip(jax.jit(gp.moments)(process, new), predict(process, new)[:2], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)
        found, expected = (slope(process, new) for slope in slopes)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
        process = hallucinate(process, row)


def test_a_pending_trial_may_be_where_one_has_ended_or_is_pending():
    x, y = data(20)
    after = posterior(x, y)
    for _ in range(3):
        after = hallucinate(after, x[0])
    x = np.concatenate([x, x[:1], x[:1], x[:1]])
    K = covariance(THETA, DIMENSION_OF, x, x)
    solved = np.linalg.solve(K + np.exp(THETA[-1]) * np.eye(23), K)
    np.testing.assert_allclose(predict(after, x)[1], np.exp(THETA[-2]) - np.sum(K * solved, axis=0), rtol=1e-6)


# --- Fitting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_length_scales_of_a_known_process_are_found(seed):
    x, y = drawn(THREE, [0.25, 30.0, 0.6], 64, 1e-3, seed)
    theta = gp.fit(x, y, THREE, None, 100)
    assert abs(theta[0] - np.log(0.25)) < np.log(2)
    assert abs(theta[2] - np.log(0.6)) < np.log(2)
    assert theta[1] > np.log(3)  # no effect: far longer than the box
    assert abs(theta[-1] - np.log(1e-3)) < np.log(5)


def test_a_fit_is_a_minimum_of_the_objective():
    x, y = drawn(THREE, [0.3, 1.0, 10.0], 40, 1e-2, 0)
    theta = gp.fit(x, y, THREE, None, 200)
    value, gradient = objective(theta, x, y, dimension_of=THREE)
    assert np.abs(gradient).max() < 1e-3
    for step in np.random.default_rng(0).normal(size=(20, 5)) * 0.3:
        assert value_by_numpy(theta + step, x, y, THREE) > value


def test_a_fit_that_starts_from_the_last_arrives_with_fewer_evaluations(monkeypatch):
    x, y = drawn(THREE, [0.3, 1.0, 10.0], 45, 1e-2, 1)
    counted, real = [], gp.objective
    monkeypatch.setattr(gp, "objective", lambda *args: counted.append(1) or real(*args))
    last = gp.fit(x[:-5], y[:-5], THREE, None, 200)
    counted.clear()
    cold, cold_evaluations = gp.fit(x, y, THREE, None, 200), len(counted)
    counted.clear()
    warm, warm_evaluations = gp.fit(x, y, THREE, last, 200), len(counted)
    values = [objective(theta, x, y, dimension_of=THREE)[0] for theta in (cold, warm)]
    assert values[1] == pytest.approx(values[0], abs=1e-3)
    assert warm_evaluations < cold_evaluations


def test_a_step_is_not_explained_by_wiggles_in_what_has_no_effect():
    """Labels of a half that is infeasible: from the prior's mean alone, the fit stops at a second length that is short.

    Nor does it stay there once it has started there.
    """
    for seed in (0, 2):
        x = np.random.default_rng(seed).random((30, 2))
        label = np.where(x[:, 0] < 0.6, 1.0, -1.0)
        y = (label - label.mean()) / label.std()
        for start in (None, np.array([-1.6, -2.8, 0.0, -5.6])):
            theta = gp.fit(x, y, np.arange(2), start, 60)
            assert theta[0] < np.log(0.3)
            assert theta[1] > np.log(3)


def test_a_fit_takes_no_more_evaluations_than_it_is_given(monkeypatch):
    x, y = drawn(THREE, [0.3, 1.0, 10.0], 40, 1e-2, 0)
    counted, real = [], gp.objective
    monkeypatch.setattr(gp, "objective", lambda *args: counted.append(1) or real(*args))
    gp.fit(x, y, THREE, None, 5)
    assert 10 <= len(counted) <= 50  # from two starts; a line search that is under way is finished


def within_bounds(theta):
    bounds = np.array([gp.LENGTH_BOUNDS] * (len(theta) - 2) + [gp.AMPLITUDE_BOUNDS, gp.NOISE_BOUNDS])
    return (bounds[:, 0] <= theta).all() and (theta <= bounds[:, 1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_30_points_in_20_dimensions_predict_a_function_of_two_of_them(seed):
    rng = np.random.default_rng(seed)
    x, new = rng.random((30, 20)), rng.random((300, 20))
    function = lambda x: 3 * x[:, 4] - 2 * (x[:, 11] - 0.2) ** 2
    mean, deviation = function(x).mean(), function(x).std()
    theta = gp.fit(x, (function(x) - mean) / deviation, MANY, None, 60)
    assert within_bounds(theta)
    assert theta[4] < np.median(theta[:20])
    predicted = predict(posterior(x, (function(x) - mean) / deviation, 1, theta, MANY), new)[0]
    error = np.mean((predicted * deviation + mean - function(new)) ** 2)
    assert error < 0.5 * np.var(function(new))


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_explained_by_wiggles(seed):
    """Between 30 points of nothing but noise the predictions stay near the mean."""
    rng = np.random.default_rng(seed)
    x, y, new = rng.random((30, 20)), rng.normal(size=30), rng.random((300, 20))
    theta = gp.fit(x, (y - y.mean()) / y.std(), MANY, None, 60)
    assert within_bounds(theta)
    assert theta[:20].min() > np.log(0.1)
    predicted = predict(posterior(x, (y - y.mean()) / y.std(), 1, theta, MANY), new)[0]
    assert np.mean(np.square(predicted)) < 0.5


@pytest.mark.parametrize("y", [np.zeros(10), np.linspace(-1, 1, 10) * 1e-9], ids=["zero", "tiny"])
def test_outcomes_that_do_not_differ_are_fitted(y):
    x, _ = data(10)
    theta = gp.fit(x, y, DIMENSION_OF, None, 60)
    assert np.isfinite(theta).all()
    assert within_bounds(theta)
    mean, variance, _ = predict(posterior(x, y, 1, theta), data(20, seed=1)[0])
    np.testing.assert_allclose(mean, 0, atol=1e-8)
    assert (np.asarray(variance) > 0).all()


def test_a_covariance_that_is_not_positive_definite_is_stepped_back_from(monkeypatch):
    """Where the likelihood is no number, the fit goes on elsewhere and stays finite."""
    x, y = drawn(THREE, [0.3, 1.0, 10.0], 40, 1e-2, 0)
    real, refused = gp.objective, []

    def objective(theta, *args):
        if theta[0] > -0.9:
            refused.append(theta)
            return np.inf, np.full(len(theta), np.nan)
        return real(theta, *args)

    monkeypatch.setattr(gp, "objective", objective)
    theta = gp.fit(x, y, THREE, np.array([-3.0, 0.0, 0.0, 0.0, -5.0]), 60)
    assert refused
    assert np.isfinite(theta).all()
    assert theta[0] <= -0.9
    start = real(np.array([-3.0, 0.0, 0.0, 0.0, -5.0]), gp.pad(x, 64), np.pad(y, (0, 24)), 40, THREE, 3)[0]
    assert real(theta, gp.pad(x, 64), np.pad(y, (0, 24)), 40, THREE, 3)[0] < start


@pytest.mark.parametrize(("size", "expected"), [(1, 64), (64, 64), (65, 128), (128, 128), (129, 256), (1000, 1024)])
def test_rows_are_padded_to_a_few_sizes(size, expected):
    assert gp.bucket(size) == expected
    assert gp.pad(np.ones((size, 2)), expected).shape == (expected, 2)
