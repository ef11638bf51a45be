"""Random functions: points that never change, weights that are the formula's, and draws that follow them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rnn_capacity.tasks.base import SPLITS, Source
from rnn_capacity.tasks.random_functions import RandomFunctions, alias_table, draw_from, weights

DRAW_BY = ("weight", "uniform")


def source(task, split="train"):
    shared = jax.tree.map(jnp.asarray, task.shared())
    return Source(split=jnp.int32(SPLITS.index(split)), shared=shared, hparams={})


@functools.partial(jax.jit, static_argnums=0)
def compiled_examples(task, key, given):
    return task.examples(task.data(key), given)


@functools.partial(jax.jit, static_argnums=(0, 3))
def compiled_sample(task, data, step, batch_size, given):
    return task.sample(data, step, batch_size, given)


def example_batch(task, split="eval", seed=0):
    return jax.tree.map(np.asarray, compiled_examples(task, jax.random.key(seed), source(task, split)))


def sample_batch(task, step, batch_size=64, data=None, seed=0):
    data = data or task.data(jax.random.key(seed))
    return jax.tree.map(np.asarray, compiled_sample(task, data, jnp.int32(step), batch_size, source(task)))


@functools.cache
def all_points(task, seed=0):
    """Inputs (i, N) and targets (N,), made one point at a time."""
    one = jax.jit(lambda i: task.points(task.data(jax.random.key(seed)).points, i[None]))
    x, y = zip(*(one(jnp.int32(i)) for i in range(task.num_points)), strict=True)
    return np.concatenate(x, axis=1), np.concatenate(y, axis=1)[0]


def indices(task, batch, seed=0):
    """Which points a batch holds, found by their inputs."""
    x, y = all_points(task, seed)
    distance = ((batch.x_tib[0][:, :, None] - x[:, None, :]) ** 2).sum(axis=0)
    index = distance.argmin(axis=1)
    np.testing.assert_allclose(batch.x_tib[0], x[:, index], atol=1e-6)
    np.testing.assert_array_equal(batch.targets[0], y[index])
    return index


def chi_square_pvalue(counts, probabilities):
    expected = counts.sum() * probabilities
    assert expected.min() > 5
    return stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)


# --- The weights ------------------------------------------------------------------------------------------------------


def test_weights_are_the_formulas_by_hand():
    np.testing.assert_allclose(weights(3, 0), [6 / 11, 3 / 11, 2 / 11], rtol=1e-15)  # 1, 1/2, 1/3
    np.testing.assert_allclose(weights(2, 1), [3 / 5, 2 / 5], rtol=1e-15)  # 1/2, 1/3
    np.testing.assert_array_equal(weights(1, 7.5), [1])


def test_a_million_weights_sum_to_one_and_fall_as_the_formula_says():
    beta = weights(10**6, 5000)
    assert beta.dtype == np.float64
    assert beta.shape == (10**6,)
    assert beta.sum() == pytest.approx(1, abs=1e-12)
    assert beta[0] / beta[-1] == pytest.approx(1_005_000 / 5001)
    z = np.log(1_005_000.5 / 5000.5)  # the sum of 1/k from 5001, by the midpoint rule
    assert beta[4999] == pytest.approx(1 / (10_000 * z), rel=1e-8)


@pytest.mark.parametrize(
    ("num_points", "tau"), [(1, 0), (2, 0), (2, 1e20), (50, 5), (1000, 0), (999, 1e17), (10**6, 0), (10**6, 5000)]
)
def test_the_alias_table_gives_every_number_its_probability(num_points, tau):
    probabilities = weights(num_points, tau)
    table = alias_table(probabilities)
    assert (table.keep.dtype, table.alias.dtype) == (np.uint32, np.int32)
    assert table.alias.min() >= 0
    assert table.alias.max() < num_points
    kept = table.keep / 2**32
    given_away = np.zeros(num_points)
    np.add.at(given_away, table.alias, 1 - kept)
    np.testing.assert_allclose((kept + given_away) / num_points, probabilities, rtol=1e-7)


def test_draws_from_the_table_of_a_million_follow_the_weights_in_every_tenth():
    table = jax.tree.map(jnp.asarray, RandomFunctions().shared())
    drawn = np.asarray(jax.jit(draw_from, static_argnums=2)(table, jax.random.key(0), 200_000))
    beta = 1 / (np.arange(1, 10**6 + 1) + 5000.0)
    tenths = beta.reshape(10, -1).sum(axis=1) / beta.sum()
    assert chi_square_pvalue(np.bincount(drawn // 10**5, minlength=10), tenths) > 1e-3
    first = beta[: 10**5].reshape(100, -1).sum(axis=1) / beta[: 10**5].sum()  # where most of the weight is, finer
    assert chi_square_pvalue(np.bincount(drawn[drawn < 10**5] // 1000, minlength=100), first) > 1e-3


# --- The points -------------------------------------------------------------------------------------------------------


def test_sizes_are_the_papers():
    task = RandomFunctions()
    assert (task.num_points, task.num_inputs, task.tau, task.unroll) == (10**6, 50, 5000, 50)
    assert (task.num_outputs, task.read_steps, task.batch_size) == (1, 1, 256)
    assert hash(task) == hash(RandomFunctions(tau=5000))


@functools.cache
def first_points(num_points=4000):
    task = RandomFunctions()
    points = jax.jit(lambda key: task.points(task.data(key).points, jnp.arange(num_points)))
    return [np.asarray(a, np.float64) for a in points(jax.random.key(0))]


def test_inputs_are_of_norm_one_in_directions_without_preference():
    x_ib, _ = first_points()
    assert x_ib.shape == (50, 4000)
    np.testing.assert_allclose(np.sqrt((x_ib**2).sum(axis=0)), 1, atol=1e-6)
    scaled = x_ib * np.sqrt(50)  # each component then has variance 1
    assert np.abs(scaled.mean(axis=1)).max() < 5 / np.sqrt(4000)
    moments = scaled @ scaled.T / 4000 - np.eye(50)
    assert np.abs(moments[~np.eye(50, dtype=bool)]).max() < 5 / np.sqrt(4000)
    assert np.abs(np.diag(moments)).max() < 5 * np.sqrt(2 / 4000)
    # A component of a random direction, squared, is distributed as Beta(1/2, (d - 1) / 2).
    assert stats.kstest(x_ib[0] ** 2, stats.beta(0.5, 49 / 2).cdf).pvalue > 1e-3
    assert np.abs((scaled[:, 1:] * scaled[:, :-1]).mean(axis=1)).max() < 5 / np.sqrt(3999)


def test_targets_are_standard_normal_and_tell_nothing_of_the_inputs():
    x_ib, y_ob = first_points()
    assert y_ob.shape == (1, 4000)
    assert stats.kstest(y_ob[0], "norm").pvalue > 1e-3
    assert np.abs(x_ib * np.sqrt(50) @ y_ob[0] / 4000).max() < 5 / np.sqrt(4000)
    assert abs((y_ob[0, 1:] * y_ob[0, :-1]).mean()) < 5 / np.sqrt(3999)


@pytest.mark.parametrize("draw_by", DRAW_BY)
def test_a_point_is_the_same_in_every_batch_split_and_step(draw_by):
    task = RandomFunctions(num_points=12, num_inputs=3, tau=2, draw_by=draw_by, num_held_out=200)
    seen = [indices(task, sample_batch(task, step, size)) for step, size in ((0, 128), (1, 128), (0, 5))]
    seen += [indices(task, example_batch(task, split)) for split in SPLITS]  # each point checked, as it is found
    assert all(set(index) == set(range(12)) for index in (*seen[:2], *seen[3:]))
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[4][:128])
    assert not np.array_equal(seen[4], seen[5])
    np.testing.assert_array_equal(seen[1], indices(task, sample_batch(task, 1, 128)))


def test_the_key_of_the_stream_does_not_change_the_points():
    task = RandomFunctions(num_points=12, num_inputs=3, tau=2)
    data, other = (task.data(jax.random.key(seed)) for seed in (0, 1))
    mixed = sample_batch(task, 0, data=data._replace(train=other.train, held_out=other.held_out))
    stream = indices(task, mixed)
    np.testing.assert_array_equal(stream, indices(task, sample_batch(task, 0, data=other), seed=1))
    assert not np.array_equal(stream, indices(task, sample_batch(task, 0, data=data)))


def test_trials_side_by_side_draw_what_each_draws_alone_from_points_of_their_own():
    task = RandomFunctions(num_points=12, num_inputs=3, tau=2)
    given = source(task)
    keys = jnp.stack([jax.random.key(seed) for seed in (0, 1)])
    draw = jax.jit(jax.vmap(lambda key: task.sample(task.data(key), jnp.int32(7), 64, given)))
    together = jax.tree.map(np.asarray, draw(keys))
    for seed in (0, 1):
        alone = sample_batch(task, 7, seed=seed)
        np.testing.assert_array_equal(together.targets[seed], alone.targets)
        np.testing.assert_allclose(together.x_tib[seed], alone.x_tib, atol=1e-6)
    assert not set(together.targets[0, 0]) & set(together.targets[1, 0])


# --- The draws --------------------------------------------------------------------------------------------------------


def _small(draw_by, num_held_out=20_000):
    return RandomFunctions(num_points=50, num_inputs=4, tau=5, draw_by=draw_by, num_held_out=num_held_out)


def _beta():
    unscaled = [1 / (i + 5) for i in range(1, 51)]
    return np.array(unscaled) / sum(unscaled)


def test_by_weight_a_point_is_drawn_as_often_as_it_weighs_and_counted_once():
    task = _small("weight")
    batch = example_batch(task)
    assert batch.x_tib.shape == (1, 4, 20_000)
    assert batch.targets.shape == (1, 20_000)
    np.testing.assert_array_equal(batch.weights_b, np.ones(20_000))
    index = indices(task, batch)
    assert chi_square_pvalue(np.bincount(index, minlength=50), _beta()) > 1e-3
    pairs = np.bincount(2 * (index[1::2] < 10) + (index[::2] < 10), minlength=4)  # neighbours are independent
    first = _beta()[:10].sum()
    probabilities = np.outer([1 - first, first], [1 - first, first]).ravel()
    assert chi_square_pvalue(pairs, probabilities) > 1e-3


def test_uniformly_a_point_is_drawn_as_often_as_any_and_counted_by_its_weight():
    task = _small("uniform")
    batch = example_batch(task)
    index = indices(task, batch)
    assert chi_square_pvalue(np.bincount(index, minlength=50), np.full(50, 1 / 50)) > 1e-3
    np.testing.assert_allclose(batch.weights_b, 50 * _beta()[index], rtol=1e-6)


def test_training_batches_follow_the_weights_too():
    task = _small("weight")
    given = source(task)
    draw = jax.jit(jax.vmap(lambda data, step: task.sample(data, step, 10, given), (None, 0)))
    batch = jax.tree.map(np.asarray, draw(task.data(jax.random.key(0)), jnp.arange(2000)))
    x_tib = batch.x_tib.transpose(1, 2, 0, 3).reshape(1, 4, 20_000)
    flat = batch._replace(x_tib=x_tib, targets=batch.targets.reshape(1, 20_000))
    assert chi_square_pvalue(np.bincount(indices(task, flat), minlength=50), _beta()) > 1e-3


@pytest.mark.parametrize("draw_by", DRAW_BY)
def test_either_way_of_drawing_estimates_the_weighted_loss_of_all_points(draw_by):
    task = _small(draw_by)
    predict = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    x, y = all_points(task)
    error = ((predict @ x)[0] - y) ** 2
    exact = (_beta() * error).sum()
    times = 1 if draw_by == "weight" else 50 * _beta()  # the variance of the estimate, to first order
    deviation = np.sqrt((_beta() * times * (error - exact) ** 2).sum() / 20_000)
    assert abs(exact - error.mean()) > 6 * deviation  # so an estimate that forgot the weights would be found out
    batch = example_batch(task)
    score = task.score((predict @ batch.x_tib[0])[None], batch)["squared_error"]
    assert score == pytest.approx(exact, abs=5 * deviation)


# --- How it is judged -------------------------------------------------------------------------------------------------


def test_the_loss_is_the_squared_error_and_the_score_its_weighted_mean_as_worked_out_by_hand():
    task = RandomFunctions(num_points=10)
    batch = sample_batch(task, 0, 3)._replace(targets=np.array([[1.0, -1.0, 0.5]]), weights_b=np.array([2.0, 1.0, 0.0]))
    outputs_tob = jnp.array([[[3.0, -1.5, 9.0]]])
    np.testing.assert_allclose(task.loss(outputs_tob, batch), [4.0, 0.25, 72.25], rtol=1e-6)
    np.testing.assert_allclose(task.score(outputs_tob, batch)[task.measure], 8.25 / 3, rtol=1e-6)


@pytest.mark.parametrize("draw_by", DRAW_BY)
def test_who_knows_nothing_has_an_error_of_one(draw_by):
    task = RandomFunctions(num_points=10**5, num_inputs=2, draw_by=draw_by, num_held_out=20_000)
    batch = example_batch(task)
    # A normal number squared has variance 2; uniform draws are as noisy as a seventh of them, at most.
    assert task.score(np.zeros((1, 1, 20_000)), batch)["squared_error"] == pytest.approx(
        1, abs=5 * (2 * 7 / 2e4) ** 0.5
    )


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "must"),
    [
        ("unroll", 0, "a whole number of at least 1"),
        ("num_held_out", 0, "a whole number of at least 1"),
        ("num_points", 0, "a whole number of at least 1"),
        ("num_points", 1e6, "a whole number of at least 1"),
        ("num_inputs", 1, "a whole number of at least 2"),
        ("num_inputs", "50", "a whole number of at least 2"),
        ("tau", -1, "a finite number of at least 0"),
        ("tau", float("nan"), "a finite number of at least 0"),
        ("tau", float("inf"), "a finite number of at least 0"),
        ("tau", "5000", "a finite number of at least 0"),
        ("tau", True, "a finite number of at least 0"),
        ("tau", None, "a finite number of at least 0"),
        ("draw_by", "rank", "one of 'weight', 'uniform'"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(field, value, must):
    with pytest.raises(ValueError, match=f"^{field}: {value!r} given; it must be {must}$"):
        RandomFunctions(**{field: value})
