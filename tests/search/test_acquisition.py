"""What a proposal is worth: expected improvement in every range of its argument, feasibility, and the climb."""

import functools

import jax
import numpy as np
import pytest
import scipy.special

from rnn_capacity.search import acquisition, gp
from rnn_capacity.search.acquisition import Acquisition

DIMENSION_OF = np.array([0, 1, 2])
THETA = np.log([0.3, 0.5, 1.0, 1.0, 1e-3])
FREE = np.array([True, True, False])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


predict = jax.jit(gp.predict)
log_h = jax.jit(acquisition._log_h)
slope_of_log_h = jax.jit(jax.vmap(jax.grad(acquisition._log_h)))
log_acquisition = jax.jit(acquisition.log_acquisition)
log_feasible = jax.jit(acquisition.log_feasible)
climb = jax.jit(functools.partial(acquisition._climb, acquisition.log_acquisition), static_argnums=3)


def condition(x, y, room=8, theta=THETA):
    rows = gp.bucket(len(x))
    return gp.condition(theta, gp.pad(x, rows), np.pad(y, (0, rows - len(y))), len(x), DIMENSION_OF, room=room)


def problem(seed=0, infeasible=True):
    """A process of 20 trials, of which those with a high first feature are infeasible."""
    rng = np.random.default_rng(seed)
    x = rng.random((30, 3))
    feasible = x[:, 0] < 0.6
    if not infeasible:
        feasible[:] = True
    y = np.sin(5 * x[feasible, 0]) + x[feasible, 1]
    value = condition(x[feasible], (y - y.mean()) / y.std())
    label = np.where(feasible, 1.0, -1.0)
    label = (label - label.mean()) / (label.std() or 1)
    highest, _ = acquisition.incumbents(value, feasible.sum())
    feasibility = condition(x, label, 1) if infeasible else None
    return x, feasible, Acquisition(value, feasibility, (label.max() + label.min()) / 2, highest[0])


def candidates(count=300, seed=1):
    x = np.random.default_rng(seed).random((count, 3))
    return x, np.broadcast_to(FREE, x.shape)


# --- Expected improvement ---------------------------------------------------------------------------------------------


def exact_log_h(z):
    """From the scaled complementary error function, and far out from the asymptotic series."""
    if z > -1:
        normal = scipy.special.ndtr(z), np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return np.log(z * normal[0] + normal[1])
    if z > -50:
        factor = 1 + z * np.sqrt(np.pi / 2) * scipy.special.erfcx(-z / np.sqrt(2))
    else:
        factor = z**-2 - 3 * z**-4 + 15 * z**-6 - 105 * z**-8
    return -(z**2) / 2 - 0.5 * np.log(2 * np.pi) + np.log(factor)


def exact_slope(z):
    """Phi / (z Phi + phi)."""
    return np.exp(scipy.special.log_ndtr(z) - exact_log_h(z)) if z > -50 else -z - 2 / z


RANGES = {
    "above the first join": np.linspace(-0.999, 10, 200),
    "below the first join": np.linspace(-50, -1.001, 400),
    "before the second join": -np.geomspace(51, 999, 200),
    "beyond the second join": -np.geomspace(1001, 1e5, 200),
}


@pytest.mark.parametrize("z", RANGES.values(), ids=RANGES)
def test_the_logarithm_of_improvement_is_right_in_every_range(z):
    expected = [exact_log_h(v) for v in z]
    np.testing.assert_allclose(log_h(z), expected, rtol=1e-9, atol=1e-5)


@pytest.mark.parametrize("z", RANGES.values(), ids=RANGES)
def test_its_slope_is_right_in_every_range(z):
    np.testing.assert_allclose(slope_of_log_h(z), [exact_slope(v) for v in z], rtol=1e-4)


@pytest.mark.parametrize("join", [-1.0, -1e3])
def test_value_and_slope_are_continuous_across_the_joins(join):
    z = join * (1 + 1e-9 * np.array([-3, -2, -1, 1, 2, 3]))
    values, slopes = np.asarray(log_h(z)), np.asarray(slope_of_log_h(z))
    np.testing.assert_allclose(values, exact_log_h(join) + exact_slope(join) * (z - join), rtol=0, atol=1e-4)
    np.testing.assert_allclose(slopes, exact_slope(join), rtol=1e-4)


def test_improvement_grows_with_z_from_far_below():
    z = np.concatenate([-np.geomspace(1e6, 1e-3, 4000), np.linspace(0, 10, 100)])
    assert (np.diff(log_h(z)) > 0).all()
    assert np.isfinite(slope_of_log_h(z)).all()


def test_the_log_improvement_is_that_of_draws():
    rng = np.random.default_rng(0)
    mean, deviation, best = np.array([0.3, -1.0, 2.0]), np.array([0.5, 0.8, 0.1]), 0.6
    improvement = np.maximum(mean + deviation * rng.normal(size=(400_000, 3)) - best, 0).mean(axis=0)
    found = acquisition._log_improvement(mean, deviation**2, best)
    np.testing.assert_allclose(np.exp(found), improvement, rtol=0.02)


# --- Feasibility ------------------------------------------------------------------------------------------------------


def test_the_probability_of_being_feasible_is_high_far_from_failures_and_low_at_them():
    x, feasible, judged = problem()
    probability = np.exp(log_feasible(judged, x))
    assert probability[feasible].min() > 0.5 > probability[~feasible].max()
    sides = np.full((2, 3), 0.5)
    sides[:, 0] = 0.1, 0.95
    safe, unsafe = np.exp(log_feasible(judged, sides))
    assert safe > 0.9
    assert unsafe < 0.1


def test_without_a_failure_everything_is_feasible():
    x, _, judged = problem(infeasible=False)
    np.testing.assert_array_equal(acquisition.log_feasible(judged, x), 0)


def test_what_a_proposal_is_worth_is_improvement_times_probability():
    x, _ = candidates()
    _, _, judged = problem()
    mean, variance, _ = predict(judged.value, x)
    expected = acquisition._log_improvement(mean, variance, judged.target) + log_feasible(judged, x)
    np.testing.assert_allclose(log_acquisition(judged, x), expected)


def test_the_incumbents_are_the_trials_with_the_highest_means():
    x, feasible, judged = problem()
    mean = np.asarray(predict(judged.value, x[feasible])[0])
    highest, which = acquisition.incumbents(judged.value, feasible.sum())
    np.testing.assert_array_equal(which, np.argsort(-mean)[: acquisition.NUM_INCUMBENTS])
    np.testing.assert_allclose(highest, np.sort(mean)[::-1][: acquisition.NUM_INCUMBENTS])


def test_where_there_are_fewer_trials_than_incumbents_the_rest_are_none():
    x, y = np.random.default_rng(0).random((3, 3)), np.array([-1.0, 0.0, 1.0])
    highest, which = acquisition.incumbents(condition(x, y), 3)
    assert np.isfinite(highest).tolist() == [True] * 3 + [False] * 5
    assert which[:3].tolist() == [2, 1, 0]


# --- The pool, and the climb ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("infeasible", [True, False])
def test_the_pools_books_agree_with_the_process_after_pending_trials(infeasible):
    _, _, judged = problem(infeasible=infeasible)
    before = pool = acquisition.make_pool(judged, *candidates())
    for row in np.random.default_rng(2).random((5, 3)):
        judged, pool = acquisition.hallucinate(judged, pool, row)
    mean, variance, projected = predict(judged.value, pool.x)
    np.testing.assert_allclose(pool.mean, mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(pool.variance, variance, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(pool.projected, projected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(pool.log_feasible, acquisition.log_feasible(judged, pool.x), rtol=1e-8, atol=1e-12)
    assert (np.asarray(pool.variance) < np.asarray(before.variance)).all()


def test_a_pending_trial_with_the_highest_mean_is_the_best_to_improve_on():
    _, _, judged = problem()
    pool = acquisition.make_pool(judged, *candidates())
    row = pool.x[np.argmax(pool.mean)]
    after, _ = acquisition.hallucinate(judged, pool, row)
    assert float(after.best) == pytest.approx(max(float(judged.best), float(pool.mean.max())))
    low = pool.x[np.argmin(pool.mean)]
    assert float(acquisition.hallucinate(judged, pool, low)[0].best) == float(judged.best)


def test_the_pool_is_the_candidates_and_the_best_of_them_improved():
    _, _, judged = problem()
    x, free = candidates()
    pool = acquisition.make_pool(judged, x, free)
    assert pool.x.shape == (300 + acquisition.NUM_CLIMBED, 3)
    np.testing.assert_array_equal(pool.x[:300], x)
    worth = np.asarray(log_acquisition(judged, pool.x))
    assert worth[300:].max() >= worth[:300].max()
    assert np.median(worth[300:]) > np.sort(worth[:300])[-64:].mean()


@pytest.mark.parametrize("infeasible", [True, False])
def test_a_climb_stays_in_the_box_moves_only_what_is_free_and_goes_up(infeasible):
    _, _, judged = problem(infeasible=infeasible)
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.random((60, 3)), rng.integers(0, 2, (20, 3))])  # corners, too
    free = rng.random(x.shape) < 0.7
    climbed = np.asarray(climb(judged, x, free, 40))
    assert climbed.min() >= 0
    assert climbed.max() <= 1
    np.testing.assert_array_equal(climbed[~free], x[~free])
    before, after = (np.asarray(log_acquisition(judged, a)) for a in (x, climbed))
    assert np.mean(after >= before - 1e-9) > 0.9
    able = free.any(axis=1)
    assert np.median(after[able] - before[able]) > 0.1


def test_a_climb_ends_at_the_top_of_the_hill_that_it_starts_on():
    """Two dimensions are free; in the third it stays where it was put."""
    _, _, judged = problem(infeasible=False)
    start = np.array([[0.5, 0.8, 0.5]])
    end = climb(judged, start, FREE[None], 80)
    grid = np.stack([*map(np.ravel, np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))), np.full(101**2, 0.5)])
    top = np.asarray(log_acquisition(judged, grid.T)).max()
    assert float(log_acquisition(judged, start)[0]) < top - 0.5
    assert float(log_acquisition(judged, end)[0]) > top - 0.02


def test_the_next_proposal_is_worth_no_less_than_any_candidate():
    _, _, judged = problem()
    pool = acquisition.make_pool(judged, *candidates())
    for _ in range(4):
        x = acquisition.best(judged, pool)
        worth = np.asarray(log_acquisition(judged, pool.x))
        assert float(log_acquisition(judged, x[None])[0]) >= worth.max() - 1e-6
        judged, pool = acquisition.hallucinate(judged, pool, x)


def test_a_proposal_that_is_pending_is_worth_less_and_the_next_is_elsewhere():
    _, _, judged = problem()
    pool = acquisition.make_pool(judged, *candidates())
    first = acquisition.best(judged, pool)
    after, pool_after = acquisition.hallucinate(judged, pool, first)
    assert float(log_acquisition(after, first[None])[0]) < float(log_acquisition(judged, first[None])[0]) - 0.5
    assert np.linalg.norm(acquisition.best(after, pool_after) - first) > 0.02


def test_the_surest_proposal_has_the_highest_mean_of_all_that_was_looked_at():
    _, _, judged = problem(infeasible=False)
    pool = acquisition.make_pool(judged, *candidates())
    found, other = acquisition.surest(judged, pool), acquisition.best(judged, pool)
    mean = lambda x: np.asarray(predict(judged.value, x)[0])
    assert mean(found[None])[0] >= mean(pool.x).max()
    assert mean(found[None])[0] > mean(other[None])[0]
