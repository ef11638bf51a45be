"""Memorization: distinct inputs, fair labels, a mask that hides padding, and an honest score."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import evaluate, flatten, make_hparams, make_spec, noisy

from rnn_capacity.cells import CELLS
from rnn_capacity.model import network
from rnn_capacity.tasks.base import Source
from rnn_capacity.tasks.memorization import Mappings, Memorization, check_mappings, distinct_bits, multiply_modulo
from rnn_capacity.training import steps

_compiled_vectors = jax.jit(distinct_bits, static_argnums=(1, 2))


@functools.cache
def _vectors(num_vectors, num_bits, seed=0):
    return np.asarray(_compiled_vectors(jax.random.key(seed), num_vectors, num_bits)).T


_compiled_data = jax.jit(lambda key, task: task.data(key), static_argnums=1)


def make_data(seed=0, **fields):
    spec = make_spec(CELLS["rnn"], **fields)
    plain = Memorization(max_mappings=spec.task.max_mappings, num_inputs=spec.task.num_inputs)  # compiled once a size
    return spec, _compiled_data(jax.random.key(seed), plain)


def make_batch(num_mappings=12, **fields):
    """All mappings, of which so many are real."""
    spec, data = make_data(**fields)
    return spec, spec.task.examples(data, Source(None, (), {"num_mappings": np.float32(num_mappings)}))


# --- Inputs and labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_bits", [1, 2, 5, 10, 16, 20, 33, 64, 70])
def test_vectors_are_distinct(num_bits):
    num_vectors = min(2**num_bits, 3000)
    vectors = _vectors(num_vectors, num_bits)
    assert vectors.shape == (num_vectors, num_bits)
    assert vectors.dtype == bool
    assert len(np.unique(vectors, axis=0)) == num_vectors


@pytest.mark.parametrize("num_bits", range(1, 11))
def test_as_many_vectors_as_there_are_give_each_exactly_once(num_bits):
    numbers = _vectors(2**num_bits, num_bits) @ (1 << np.arange(num_bits))
    np.testing.assert_array_equal(np.sort(numbers), np.arange(2**num_bits))


@pytest.mark.parametrize("num_bits", [5, 16, 70])
def test_the_key_decides_the_vectors(num_bits):
    num_vectors = min(2**num_bits, 3000)
    vectors = _vectors(num_vectors, num_bits)
    np.testing.assert_array_equal(vectors, _vectors.__wrapped__(num_vectors, num_bits))
    assert not np.array_equal(vectors, _vectors(num_vectors, num_bits, seed=1))


@pytest.mark.parametrize("num_bits", [5, 70])
def test_the_first_vectors_do_not_depend_on_how_many_are_made(num_bits):
    many = _vectors(min(2**num_bits, 3000), num_bits)
    np.testing.assert_array_equal(_vectors(17, num_bits), many[:17])


def test_the_first_mappings_do_not_depend_on_the_padded_maximum():
    (_, small), (_, large) = (make_data(max_mappings=max_mappings) for max_mappings in (16, 30))
    np.testing.assert_array_equal(small.x_ib, large.x_ib[:, :16])
    np.testing.assert_array_equal(small.labels_b, large.labels_b[:16])


def test_every_vector_is_equally_likely_to_come_first():
    draw = jax.jit(jax.vmap(lambda key: distinct_bits(key, 2, 3)))
    first, second = np.moveaxis(np.asarray(draw(jax.random.split(jax.random.key(1), 4000))), -1, 0) @ [1, 2, 4]
    pairs = np.bincount(8 * first + second, minlength=64).reshape(8, 8)
    np.testing.assert_array_equal(np.diag(pairs), 0)
    expected = 4000 / 56
    chi_square = ((pairs[~np.eye(8, dtype=bool)] - expected) ** 2 / expected).sum()
    assert chi_square < 55 + 5 * (2 * 55) ** 0.5


@pytest.mark.parametrize("num_bits", [20, 40])
def test_bits_and_labels_are_fair_and_uncorrelated(num_bits):
    num_vectors = 4000
    _, data = make_data(max_mappings=num_vectors, num_inputs=num_bits)
    signs = np.vstack([data.x_ib, 2 * data.labels_b - 1]).astype(float)
    assert set(np.unique(signs)) == {-1, 1}
    standard_error = num_vectors**-0.5
    assert np.abs(signs.mean(axis=1)).max() < 5 * standard_error
    products = (signs @ signs.T / num_vectors)[~np.eye(num_bits + 1, dtype=bool)]
    assert np.abs(products).max() < 5 * standard_error
    assert np.sqrt((products**2).mean()) == pytest.approx(standard_error, rel=0.25)  # and no more regular than chance
    assert np.abs((signs[:, 1:] * signs[:, :-1]).mean(axis=1)).max() < 5 * standard_error


def test_the_key_decides_inputs_and_labels():
    _, data = make_data(seed=0, max_mappings=30)
    _, other = make_data(seed=1, max_mappings=30)
    assert not np.array_equal(data.labels_b, other.labels_b)
    assert not np.array_equal(data.x_ib, other.x_ib)


def test_an_input_is_shown_once_as_plus_and_minus_one():
    _, batch = make_batch(max_mappings=30)
    assert batch.x_tib.shape == (1, 6, 30)
    assert batch.targets.shape == (30,)
    assert set(np.unique(batch.x_tib)) == {-1, 1}
    assert set(np.unique(batch.targets)) == {0, 1}


def test_what_is_kept_of_a_mapping_is_a_byte_a_bit():
    _, data = make_data(max_mappings=30)
    assert sum(a.nbytes for a in data) == 30 * (6 + 1)


@pytest.mark.parametrize(("num_mappings", "num_inputs"), [(17, 4), (3, 1), (2**20 + 1, 20)])
def test_more_mappings_than_distinct_inputs_are_refused_by_name_with_both_remedies(num_mappings, num_inputs):
    expected = rf"^num_mappings: {num_mappings} given; with num_inputs = {num_inputs} .*\b{2**num_inputs} distinct"
    with pytest.raises(ValueError, match=expected) as error:
        check_mappings(num_mappings, num_inputs)
    assert str(error.value).endswith(f"num_inputs of at least {num_inputs + 1}")


@pytest.mark.parametrize(("num_mappings", "num_inputs"), [(16, 4), (2, 1), (2**20, 20), (5000, 70)])
def test_as_many_mappings_as_distinct_inputs_are_accepted(num_mappings, num_inputs):
    assert check_mappings(num_mappings, num_inputs) is None


# --- The mask ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_mappings", [1, 12])
def test_the_mask_holds_the_first_b_mappings(num_mappings):
    _, batch = make_batch(num_mappings=num_mappings, max_mappings=16)
    np.testing.assert_array_equal(batch.weights_b, np.arange(16) < num_mappings)


@functools.cache
def _measure(spec):
    """Loss and gradient, and the loss and score of the evaluation, at some weights."""
    params = noisy(network.init(jax.random.key(1), spec, make_hparams(spec.cell)))

    def both(data, num_mappings):
        hparams = {"num_mappings": num_mappings}
        batch = spec.task.examples(data, Source(None, (), hparams))
        return steps.loss_and_gradient(spec, hparams, params, batch), evaluate(spec, data, params, hparams)

    return jax.jit(both)


def test_padding_changes_neither_loss_nor_score_nor_gradient():
    results = [_measure(spec)(data, 12) for spec, data in (make_data(max_mappings=size, unroll=2) for size in (12, 30))]
    np.testing.assert_allclose(flatten(results[0]), flatten(results[1]), rtol=1e-5, atol=1e-7)
    (loss, gradient), (final_loss, _) = results[0]
    np.testing.assert_allclose(final_loss, loss, rtol=1e-6)
    assert np.abs(flatten(gradient)).max() > 1e-2


def test_what_stands_in_the_padding_changes_nothing():
    spec, data = make_data(max_mappings=30, unroll=2)
    real = np.arange(30) < 12
    other = Mappings(np.where(real, data.x_ib, -data.x_ib), np.where(real, data.labels_b, 1 - data.labels_b))
    np.testing.assert_array_equal(flatten(_measure(spec)(data, 12)), flatten(_measure(spec)(other, 12)))
    assert not np.allclose(flatten(_measure(spec)(data, 30)), flatten(_measure(spec)(other, 30)))


# --- Minibatches ------------------------------------------------------------------------------------------------------


def _sampled(num_mappings, max_mappings, batch_size, num_steps, first_step=0):
    """The index of each mapping in each batch, found by the input's own bits."""
    spec, data = make_data(max_mappings=max_mappings, batch_size=batch_size, num_inputs=12)
    index = {tuple(x_i): j for j, x_i in enumerate(np.asarray(data.x_ib).T)}
    source = Source(None, None, {"num_mappings": jnp.float32(num_mappings)})
    sample = jax.jit(lambda step: spec.task.sample(data, step, spec.batch_size, source))
    batches = []
    for step in range(first_step, first_step + num_steps):
        batch = sample(jnp.int32(step))
        assert batch.x_tib.shape == (1, 12, min(batch_size, max_mappings))
        drawn = [index[tuple(x_i)] for x_i in np.asarray(batch.x_tib[0]).T]
        np.testing.assert_array_equal(batch.targets, np.asarray(data.labels_b)[drawn])
        counted = np.asarray(batch.weights_b) > 0
        np.testing.assert_array_equal(counted, np.arange(batch_size) < num_mappings)  # padding comes last
        batches.append(np.array(drawn)[counted])
    return np.array(batches)


def test_minibatches_show_every_mapping_equally_often_and_no_padding():
    drawn = _sampled(num_mappings=20, max_mappings=32, batch_size=7, num_steps=20)
    np.testing.assert_array_equal(np.bincount(drawn.ravel()), np.full(20, 7))
    assert all(len(set(batch)) == 7 for batch in drawn)
    assert set(drawn[:3].ravel()) == set(range(20))


def test_minibatches_go_on_in_turn_after_more_examples_than_an_int32_counts():
    first = 2**31 // 7 - 1
    drawn = _sampled(num_mappings=20, max_mappings=32, batch_size=7, num_steps=3, first_step=first)
    turn = np.array([[((first + step) * 7 + j) % 20 for j in range(7)] for step in range(3)])
    np.testing.assert_array_equal(drawn, turn)


def test_minibatches_take_their_turns_where_a_product_needs_64_bits():
    rng = np.random.default_rng(0)
    multiply = jax.jit(multiply_modulo, static_argnums=(1, 3))
    for most in (14, 9_910, 4 * 10**7, 2**31 - 1):
        for _ in range(5):
            step, y, modulus = int(rng.integers(2**31)), int(rng.integers(1, most)), int(rng.integers(1, most + 1))
            found = multiply(jnp.uint32(step), y, jnp.uint32(modulus), most)
            assert int(found) == step * y % modulus


def test_a_minibatch_larger_than_b_counts_every_mapping_once():
    drawn = _sampled(num_mappings=5, max_mappings=32, batch_size=12, num_steps=5)
    assert all(sorted(batch) == list(range(5)) for batch in drawn)


@pytest.mark.parametrize("batch_size", [None, 16, 100])
def test_a_batch_as_large_as_the_data_set_is_the_data_set(batch_size):
    spec, data = make_data(max_mappings=16, batch_size=batch_size)
    given = Source(None, (), {"num_mappings": np.float32(12)})
    for step in (0, 3):
        batch = spec.task.sample(data, jnp.int32(step), spec.batch_size, given)
        chex.assert_trees_all_equal(batch, spec.task.examples(data, given))
        np.testing.assert_array_equal(batch.targets, data.labels_b)


# --- The score --------------------------------------------------------------------------------------------------------


def _score(num_right, margin=3.0):
    """The score of outputs of which the first num_right of 12 are right, and all of the padding."""
    spec, data = make_batch(max_mappings=30)
    right = (np.arange(30) < num_right) | (np.arange(30) >= 12)
    outputs_b = margin * np.where(right, 1, -1) * (2 * np.asarray(data.targets) - 1)
    return {name: float(value) for name, value in spec.task.score(outputs_b[None, None], data).items()}


@pytest.mark.parametrize(
    ("num_right", "bits"), [(12, 12.0), (9, 2.264663), (6, 0.0), (3, 0.0), (0, 0.0)], ids=lambda value: str(value)
)
def test_bits_follow_from_how_many_labels_are_right(num_right, bits):
    # 9 of 12: 12 (1 + 0.75 log2 0.75 + 0.25 log2 0.25) = 12 * 0.18872188
    score = _score(num_right)
    assert score["accuracy"] == pytest.approx(num_right / 12)
    assert score["bits"] == pytest.approx(bits, abs=1e-4)


def test_the_loss_of_an_example_is_its_cross_entropy_in_nats():
    spec, data = make_batch(max_mappings=16)
    outputs_b = np.linspace(-3, 3, 16)
    probability = 1 / (1 + np.exp(-outputs_b))
    targets = np.asarray(data.targets)
    expected = -(targets * np.log(probability) + (1 - targets) * np.log(1 - probability))
    np.testing.assert_allclose(spec.task.loss(jnp.float32(outputs_b)[None, None], data), expected, rtol=1e-5)
