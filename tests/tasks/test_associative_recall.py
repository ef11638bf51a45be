"""Associative recall: what is drawn and how it is judged, beside NumPy; and bad input by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rnn_capacity.information import mutual_information
from rnn_capacity.tasks.associative_recall import AssociativeRecall
from rnn_capacity.tasks.base import Source

TASK = AssociativeRecall(num_pairs=3, num_keys=5, num_values=4, unroll=8, num_held_out=4000)
GAP = slice(3, 5)


@functools.cache
def drawn():
    run = jax.jit(lambda key: TASK.examples(TASK.data(key), Source(jnp.int32(2), (), {})))
    return jax.device_get(run(jax.random.key(0)))


def codes(one_hot_tib):
    """What a one-hot input says at each step; -1 where it says nothing."""
    assert set(np.unique(one_hot_tib.sum(axis=1))) <= {0, 1}
    return np.where(one_hot_tib.any(axis=1), one_hot_tib.argmax(axis=1), -1)


def test_sizes_follow_from_the_fields():
    task = AssociativeRecall()
    assert (task.num_pairs, task.num_inputs, task.num_outputs, task.unroll, task.read_steps) == (8, 40, 8, 16, 8)
    assert drawn().x_tib.shape == (8, 9, 4000)
    assert drawn().x_tib.dtype == np.int8
    assert drawn().targets.shape == (3, 4000)


def test_the_answers_are_those_of_a_table_of_the_pairs_shown():
    keys_tb, values_tb = codes(drawn().x_tib[:, :5]), codes(drawn().x_tib[:, 5:])
    assert (keys_tb[GAP] == -1).all()
    assert (values_tb[3:] == -1).all()
    for b in range(500):
        table = dict(zip(keys_tb[:3, b], values_tb[:3, b], strict=True))
        assert len(table) == 3
        assert -1 not in {*table, *table.values()}
        assert sorted(keys_tb[5:, b]) == sorted(table)  # each is asked for once
        assert [table[key] for key in keys_tb[5:, b]] == drawn().targets[:, b].tolist()


def test_keys_values_and_the_order_of_questions_are_uniform_and_independent():
    keys_tb, values_tb = codes(drawn().x_tib[:, :5]), codes(drawn().x_tib[:, 5:])
    first, last = keys_tb[:3], keys_tb[5:]
    asked_tb = (last[:, None] == first[None]).argmax(axis=1)  # which of the pairs
    keys = np.ravel_multi_index(first[:2], (5, 5))
    for seen, possible in (
        (np.bincount(keys, minlength=25).reshape(5, 5)[~np.eye(5, dtype=bool)], 20),
        (np.bincount(np.ravel_multi_index(values_tb[:3], (4, 4, 4)), minlength=64), 64),
        (np.unique(asked_tb, axis=1, return_counts=True)[1], 6),
        (np.bincount(np.ravel_multi_index((first[0], values_tb[0], asked_tb[0]), (5, 4, 3)), minlength=60), 60),
    ):
        assert seen.shape == (possible,)
        assert stats.chisquare(seen).pvalue > 1e-4


def test_the_score_is_the_share_of_right_answers_and_the_bits_of_a_channel_of_that_accuracy():
    rng = np.random.default_rng(0)
    batch = drawn()._replace(weights_b=np.arange(4000) % 3.0)
    wrong = rng.random((3, 4000)) < 0.25
    answers = np.where(wrong, (batch.targets + rng.integers(1, 4, wrong.shape)) % 4, batch.targets)
    outputs_tob = rng.random((3, 4, 4000)) + 2 * (answers[:, None] == np.arange(4)[:, None])
    score = TASK.score(jnp.asarray(outputs_tob), batch)
    accuracy = np.average((answers == batch.targets).mean(axis=0), weights=batch.weights_b)
    assert score["accuracy"] == pytest.approx(accuracy, rel=1e-5)
    joint = np.full((4, 4), (1 - accuracy) / 12) + np.eye(4) * (accuracy / 4 - (1 - accuracy) / 12)
    bits = np.sum(joint * np.log2(joint / (1 / 16)))
    assert score["bits"] == pytest.approx(3 * bits, rel=1e-4)


def test_bits_are_none_at_chance_and_below_all_with_every_answer_right_and_of_two_labels_the_papers():
    assert [float(mutual_information(3, p, 4)) for p in (0.0, 0.1, 0.25)] == pytest.approx([0, 0, 0], abs=1e-6)
    assert float(mutual_information(3, 1.0, 4)) == 6
    assert float(mutual_information(7, 0.8, 2)) == float(mutual_information(7, 0.8))


def test_the_loss_is_the_mean_over_questions_of_what_the_right_answer_costs():
    batch = jax.tree.map(lambda a: a[..., :2], drawn())
    outputs_tob = np.random.default_rng(1).normal(size=(3, 4, 2)).astype(np.float32)
    chances = np.exp(outputs_tob) / np.exp(outputs_tob).sum(axis=1, keepdims=True)
    picked = np.take_along_axis(chances, batch.targets[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(TASK.loss(outputs_tob, batch), -np.log(picked).mean(axis=0), rtol=1e-5)


BAD = [
    ({"num_pairs": 0}, "num_pairs: 0 given; it must be a whole number of at least 1"),
    ({"num_values": 1}, "num_values: 1 given; it must be a whole number of at least 2"),
    ({"num_keys": "5"}, "num_keys: '5' given; it must be a whole number of at least 1"),
    ({"num_keys": 7}, "num_keys: 7 given; it must be at least num_pairs, 8"),
    ({"unroll": 15}, "unroll: 15 given; with 8 pairs it must be at least 16, as each is shown and asked for"),
]


@pytest.mark.parametrize(("fields", "line"), BAD, ids=[line.split(";")[0] for _, line in BAD])
def test_a_field_out_of_range_is_refused_by_name(fields, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        AssociativeRecall(**fields)
