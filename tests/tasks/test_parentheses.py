"""Parentheses: counts that a plain counter finds too, fair and independent characters, and an honest loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_capacity.tasks.base import Source
from rnn_capacity.tasks.parentheses import Parentheses, count_open

SOURCE = Source(split=0, shared=(), hparams={})
PAPER = Parentheses()
TASKS = {  # each with enough examples that the cap is met
    "the paper's": (PAPER, 800),
    "one type": (Parentheses(num_types=1, num_noise=3, max_count=1, unroll=20), 2000),
    "no noise": (Parentheses(num_types=2, num_noise=0, noise_fraction=0, max_count=3, unroll=64), 1000),
    "long": (Parentheses(num_types=1, num_noise=1, noise_fraction=0.1, max_count=9, unroll=400), 1000),
    "odd": (Parentheses(num_types=3, num_noise=2, noise_fraction=0.3, max_count=3, unroll=33), 1000),
    "ten types, low cap": (Parentheses(num_types=10, num_noise=5, noise_fraction=0.2, max_count=1, unroll=50), 500),
}


@functools.cache
def _draw(task, num_examples, seed=0):
    """A batch, and its characters (T, streams, b) as decoded from the inputs."""
    batch = jax.jit(lambda key: task.draw(key, num_examples, SOURCE))(jax.random.key(seed))
    batch = jax.tree.map(np.asarray, batch)
    one_hot = batch.x_tib.reshape(task.unroll, task.num_types, -1, num_examples)
    assert one_hot.dtype == np.int8
    assert one_hot.min() == 0
    assert (one_hot.sum(axis=2) == 1).all()
    return batch, one_hot.argmax(axis=2)


def _chi_square_is_small(observed, probabilities):
    expected = observed.sum() * probabilities
    degrees = observed.size - 1
    assert ((observed - expected) ** 2 / expected).sum() < degrees + 5 * (2 * degrees) ** 0.5


# --- Counting ---------------------------------------------------------------------------------------------------------


def _plain_count(characters, opening, closing, max_count):
    """How many are open, with a stack; and whether it was ever too full, or empty on closing."""
    stack, too_full, too_empty = [], False, False
    for character in characters:
        if character == opening:
            if len(stack) < max_count:
                stack.append(character)
            else:
                too_full = True
        elif character == closing:
            if stack:
                stack.pop()
            else:
                too_empty = True
    return len(stack), too_full, too_empty


@pytest.mark.parametrize("name", TASKS)
def test_a_plain_counter_finds_the_same_counts(name):
    task, num_examples = TASKS[name]
    batch, characters_tsb = _draw(task, num_examples)
    assert batch.targets.shape == (task.num_types, num_examples)
    streams = characters_tsb.transpose(1, 2, 0).tolist()
    found = [[_plain_count(x, 2 * s, 2 * s + 1, task.max_count) for x in streams[s]] for s in range(task.num_types)]
    np.testing.assert_array_equal(batch.targets, [[count for count, _, _ in stream] for stream in found])
    assert any(too_full for stream in found for _, too_full, _ in stream)
    assert any(too_empty for stream in found for _, _, too_empty in stream)
    assert set(np.unique(batch.targets)) == set(range(task.max_count + 1))


@pytest.mark.parametrize(
    ("streams", "max_count", "counts"),
    [
        (["a([b)(c]", "][a[(bb["], 9, [1, 3]),  # the module's own example
        (["(", "["], 9, [1, 1]),
        ([")", "("], 9, [0, 0]),
        (["(((((", "]]]]["], 3, [3, 1]),
        (["(((((()", "[[[]]]["], 3, [2, 1]),  # what exceeded the cap is forgotten
        ([")))(()", "[]]][["], 1, [0, 1]),
        (["abc[[[]", "abc((()"], 2, [0, 0]),
        (["((((((((((((", "[[[[[[[[[[[]"], 9, [9, 8]),
    ],
)
def test_counts_by_hand(streams, max_count, counts):
    characters_tsb = jnp.array([["()[]abc".index(c) for c in stream] for stream in streams]).T[..., None]
    np.testing.assert_array_equal(count_open(characters_tsb, max_count)[:, 0], counts)


# --- Characters -------------------------------------------------------------------------------------------------------


def _probabilities(task):
    fraction, num_types, num_noise = task.noise_fraction, task.num_types, task.num_noise
    return np.array([(1 - fraction) / (2 * num_types)] * 2 * num_types + [fraction / max(num_noise, 1)] * num_noise)


@pytest.mark.parametrize(
    "task",
    [task for task, _ in TASKS.values()]
    + [Parentheses(noise_fraction=0.999), Parentheses(num_types=100, num_noise=7, noise_fraction=1 / 3)],
)
def test_the_values_of_16_bits_are_spread_evenly_over_the_characters(task):
    characters = np.asarray(task.characters(jnp.arange(2**16, dtype=jnp.uint32)))
    counts = np.bincount(characters, minlength=task.num_characters)
    assert len(counts) == task.num_characters
    assert np.abs(counts / 2**16 - _probabilities(task)).max() < 2**-15


@pytest.mark.parametrize("name", TASKS)
def test_characters_are_drawn_as_often_as_they_should_be_in_every_stream(name):
    task, num_examples = TASKS[name]
    _, characters_tsb = _draw(task, num_examples)
    for s in range(task.num_types):
        counts = np.bincount(characters_tsb[:, s].ravel(), minlength=task.num_characters)
        _chi_square_is_small(counts, _probabilities(task))
    noise = (characters_tsb >= 2 * task.num_types).mean()
    error = (task.noise_fraction * (1 - task.noise_fraction) / characters_tsb.size) ** 0.5
    assert noise == pytest.approx(task.noise_fraction, abs=5 * error + 2**-16)


@pytest.mark.parametrize(
    ("steps", "streams", "examples"),
    [(0, 1, 0), (0, 5, 0), (0, 0, 1), (1, 0, 0), (2, 0, 0), (87, 0, 0), (88, 0, 0), (88, 1, 0), (1, 1, 1)],
)
def test_characters_are_independent(steps, streams, examples):
    """Of the paper's task; 88 steps apart are the two characters of one random word."""
    task, num_examples = TASKS["the paper's"]
    _, characters_tsb = _draw(task, num_examples)
    later = characters_tsb[steps:, streams:, examples:]
    earlier = characters_tsb[: later.shape[0], : later.shape[1], : later.shape[2]]
    pairs = np.bincount((earlier * task.num_characters + later).ravel(), minlength=task.num_characters**2)
    _chi_square_is_small(pairs, np.outer(_probabilities(task), _probabilities(task)).ravel())


def test_the_key_decides_and_trials_side_by_side_draw_what_each_draws_alone():
    task = Parentheses(unroll=9, num_types=2)
    keys = jax.random.split(jax.random.key(3), 3)
    draw = jax.jit(lambda key: task.draw(key, 5, SOURCE))
    together = jax.jit(jax.vmap(draw))(keys)
    for k, key in enumerate(keys):
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda a, k=k: a[k], together), draw(key))
    assert not np.array_equal(together.x_tib[0], together.x_tib[1])


# --- Loss and score ---------------------------------------------------------------------------------------------------


def test_sizes():
    assert (PAPER.num_inputs, PAPER.num_outputs, PAPER.read_steps, PAPER.unroll) == (300, 100, 1, 175)
    assert (PAPER.batch_size, PAPER.measure) == (64, "accuracy")
    batch, _ = _draw(*TASKS["the paper's"])
    assert batch.x_tib.shape == (175, 300, 800)
    np.testing.assert_array_equal(batch.weights_b, np.ones(800))


def _outputs(task, num_examples, seed=0):
    size = (1, task.num_outputs, num_examples)
    return np.random.default_rng(seed).normal(scale=3, size=size).astype(np.float32)


@pytest.mark.parametrize("name", ["the paper's", "odd"])
def test_the_loss_is_the_sum_of_the_streams_cross_entropies(name):
    task, num_examples = TASKS[name]
    batch, _ = _draw(task, num_examples)
    outputs_tob = _outputs(task, num_examples)
    expected = np.zeros(num_examples)
    for s in range(task.num_types):
        logits_cb = outputs_tob[0].astype(float)[s * (task.max_count + 1) : (s + 1) * (task.max_count + 1)]
        p_cb = np.exp(logits_cb) / np.exp(logits_cb).sum(axis=0)
        expected -= np.log(p_cb[batch.targets[s], np.arange(num_examples)])
    np.testing.assert_allclose(task.loss(jnp.asarray(outputs_tob), batch), expected, rtol=1e-5)


def test_the_loss_of_a_network_that_knows_nothing():
    batch, _ = _draw(*TASKS["the paper's"])
    np.testing.assert_allclose(PAPER.loss(jnp.ones((1, 100, 800)), batch), 10 * np.log(10), rtol=1e-6)


def test_a_small_loss_is_not_lost_in_rounding():
    """The paper's best are at 1e-4, the sum of ten."""
    batch, _ = _draw(*TASKS["the paper's"])
    outputs_scb = np.where(np.arange(10)[:, None] == batch.targets[:, None], 107.3, 94.1).astype(np.float32)
    margin = float(np.float32(107.3)) - float(np.float32(94.1))
    loss_b = PAPER.loss(jnp.asarray(outputs_scb.reshape(1, 100, -1)), batch)
    np.testing.assert_allclose(loss_b, 10 * np.log1p(9 * np.exp(-margin)), rtol=0.02)


def test_the_score_counts_counts_and_whole_sequences_and_leaves_padding_out():
    task, num_examples = TASKS["odd"]
    batch, _ = _draw(task, num_examples)
    weights_b = np.arange(num_examples) < 700
    hot_scb = np.arange(task.max_count + 1)[:, None] == batch.targets[:, None]
    outputs_scb = _outputs(task, num_examples).reshape(hot_scb.shape) + 8 * hot_scb
    right = [
        [max(range(task.max_count + 1), key=lambda c: outputs_scb[s, c, b]) == batch.targets[s, b] for b in range(700)]
        for s in range(task.num_types)
    ]
    outputs_tob = jnp.asarray(outputs_scb.reshape(1, task.num_outputs, -1))
    score = task.score(outputs_tob, batch._replace(weights_b=weights_b.astype(np.float32)))
    assert set(score) == {"accuracy", "sequences"}
    assert 0.5 < score["sequences"] < score["accuracy"] < 1
    assert score["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
    assert score["sequences"] == pytest.approx(np.mean([all(column) for column in zip(*right, strict=True)]), abs=1e-6)


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_types": 0}, r"^num_types: 0 given; .* at least 1$"),
        ({"num_types": 2.5}, r"^num_types: 2.5 given"),
        ({"num_noise": -1}, r"^num_noise: -1 given; .* at least 0$"),
        ({"max_count": 0}, r"^max_count: 0 given; .* at least 1$"),
        ({"unroll": 0}, r"^unroll: 0 given"),
        ({"num_held_out": 0}, r"^num_held_out: 0 given"),
        ({"noise_fraction": 1.0}, r"^noise_fraction: 1.0 given; it must be a number of at least 0 and below 1$"),
        ({"noise_fraction": -0.1}, r"^noise_fraction: -0.1 given; it must be a number of at least 0 and below 1$"),
        ({"noise_fraction": float("nan")}, r"^noise_fraction: nan given"),
        ({"noise_fraction": "half"}, r"^noise_fraction: 'half' given"),
        ({"num_noise": 0}, r"^noise_fraction: 0.5 given; it must be 0 where num_noise is 0$"),
        ({"noise_fraction": 0.99999}, r"^noise_fraction: 0.99999 given; it must be from 0.000153 to 0.999695 \(or 0\)"),
        ({"noise_fraction": 1e-5}, r"^noise_fraction: 1e-05 given; it must be from 0.000153 to 0.999695 \(or 0\)"),
    ],
)
def test_a_bad_field_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        Parentheses(**fields)


@pytest.mark.parametrize("noise_fraction", [0.000153, 0.999694])
def test_at_the_ends_of_the_range_every_character_is_drawn(noise_fraction):
    task = Parentheses(noise_fraction=noise_fraction)
    characters = np.asarray(task.characters(jnp.arange(2**16, dtype=jnp.uint32)))
    np.testing.assert_array_equal(np.unique(characters), np.arange(30))
