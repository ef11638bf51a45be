"""text8: pointers that stay in their part, the next character at every step, and scores that NumPy agrees with."""

import dataclasses
import functools
import math
import random
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from symbols import SYMBOLS

from rnn_capacity.tasks import corpus
from rnn_capacity.tasks.base import SPLITS, Source, scale
from rnn_capacity.tasks.text8 import Text8

SYNTHETIC = Text8(text="synthetic")


def make_source(split, shared):
    return Source(split=jnp.int32(SPLITS.index(split)), shared=shared, hparams={})


@functools.partial(jax.jit, static_argnums=(0, 2))
def _draw(task, key, num_examples, source):
    return task.draw(key, num_examples, source)


def draw(task, split, num_examples, shared, seed=0):
    return _draw(task, jax.random.key(seed), num_examples, make_source(split, shared))


def make_shared(num_characters, bounds, seed=0):
    """A random text, as a string too: its stretches of many characters are all different."""
    text = "".join(random.Random(seed).choices(SYMBOLS, k=num_characters))
    codes = np.array([SYMBOLS.index(symbol) for symbol in text], np.uint8)
    return text, jax.device_put(corpus.Corpus(codes, np.array(bounds, np.int32)))


def shown(batch):
    """The inputs of each example as a string."""
    x_tib = np.asarray(batch.x_tib)
    assert set(np.unique(x_tib)) == {0, 1}
    assert np.all(x_tib.sum(axis=1) == 1)
    return ["".join(SYMBOLS[code] for code in codes) for codes in x_tib.argmax(axis=1).T]


def wanted(batch):
    return ["".join(SYMBOLS[code] for code in codes) for codes in np.asarray(batch.targets).T]


# --- What is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "first", "last"), [("train", 0, 2000), ("valid", 2000, 2300), ("eval", 2300, 2500)])
def test_an_example_is_a_stretch_of_its_part_and_all_of_them_are_drawn_alike(split, first, last):
    task = Text8(unroll=20, warm_up=5)
    text, shared = make_shared(2500, [0, 2000, 2300, 2500])
    num_examples = 20_000
    batch = draw(task, split, num_examples, shared)
    inputs, targets = shown(batch), wanted(batch)
    pointers = np.array([text.find(stretch) for stretch in inputs])
    assert text.count(inputs[0]) == 1
    for pointer, target in zip(pointers, targets, strict=True):
        assert target == text[pointer + 6 : pointer + 21]
    num_pointers = last - first - 20  # the last one's last target is the last character of the part
    counts = np.bincount(pointers - first, minlength=num_pointers)
    assert len(counts) == num_pointers
    expected = num_examples / num_pointers
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - (num_pointers - 1)) < 5 * math.sqrt(2 * (num_pointers - 1))


@pytest.mark.parametrize("split", SPLITS)
def test_the_targets_are_the_inputs_shifted_by_one_after_the_warm_up(split):
    _, shared = make_shared(1000, [0, 700, 850, 1000])
    batch = draw(Text8(), split, 500, shared)
    assert batch.x_tib.shape == (50, 27, 500)
    assert batch.x_tib.dtype == jnp.int8
    assert batch.targets.shape == (37, 500)
    for inputs, targets in zip(shown(batch), wanted(batch), strict=True):
        assert targets[:-1] == inputs[14:]
    np.testing.assert_array_equal(batch.weights_b, np.ones(500))


@pytest.mark.parametrize("split", SPLITS)
def test_a_part_of_one_character_more_than_an_example_has_one_pointer(split):
    text, shared = make_shared(33, [0, 11, 22, 33])
    batch = draw(Text8(unroll=10, warm_up=0), split, 50, shared)
    part = text[11 * SPLITS.index(split) :][:11]
    assert set(shown(batch)) == {part[:10]}
    assert set(wanted(batch)) == {part[1:]}


def test_no_warm_up_and_the_longest():
    text, shared = make_shared(300, [0, 100, 200, 300])
    for warm_up in (0, 9):
        task = Text8(unroll=10, warm_up=warm_up)
        batch = draw(task, "valid", 100, shared)
        assert task.read_steps == 10 - warm_up
        for inputs, targets in zip(shown(batch), wanted(batch), strict=True):
            pointer = text.find(inputs)
            assert targets == text[pointer + warm_up + 1 : pointer + 11]


def test_the_key_and_the_step_decide_the_batch():
    shared = jax.device_put(SYNTHETIC.shared())
    source = make_source("train", shared)
    data = SYNTHETIC.data(jax.random.key(0))
    sample = jax.jit(lambda data, step: SYNTHETIC.sample(data, step, 32, source))
    first, again, other = (shown(sample(data, jnp.int32(step))) for step in (3, 3, 4))
    assert first == again
    assert not set(first) & set(other)
    assert first != shown(sample(SYNTHETIC.data(jax.random.key(1)), jnp.int32(3)))


def test_trials_side_by_side_draw_what_each_draws_alone_and_copy_no_text():
    shared = jax.device_put(SYNTHETIC.shared())
    source = make_source("valid", shared)
    keys = jax.random.split(jax.random.key(0), 8)
    together = jax.jit(jax.vmap(lambda key, source: SYNTHETIC.draw(key, 16, source), in_axes=(0, None)))
    batches = together(keys, source)
    for k, key in enumerate(keys):
        alone = _draw(SYNTHETIC, key, 16, source)
        jax.tree.map(lambda a, b, k=k: np.testing.assert_array_equal(a[k], b), batches, alone)
    memory = together.lower(keys, source).compile().memory_analysis()
    num_bytes = memory.temp_size_in_bytes + memory.output_size_in_bytes
    assert num_bytes < 8 * 16 * 51 * 27 * 8 < shared.codes.size  # of the size of the batches, all trials together


# --- Pointers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 65_535, 65_536, 65_537, 89_999_950, 2**31 - 1])
def test_scaling_is_exact_in_whole_numbers(size):
    rng = np.random.default_rng(size)
    edges = [0, 1, 0xFFFF, 0x10000, 0x1FFFF, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    bits = np.concatenate([rng.integers(0, 2**32, 20_000, dtype=np.uint32), np.array(edges, np.uint32)])
    found = jax.jit(scale)(jnp.asarray(bits), jnp.int32(size))
    assert found.dtype == jnp.int32
    assert found.tolist() == [word * size >> 32 for word in bits.tolist()]


def test_pointers_into_90_million_characters_are_uniform():
    """At whole scale, without the text: over 1000 equal stretches, and in the last digits."""
    size, num_draws = 89_999_950, 1_000_000
    pointers = np.asarray(jax.jit(scale)(jax.random.bits(jax.random.key(0), (num_draws,)), jnp.int32(size)), np.int64)
    assert pointers.min() >= 0
    assert pointers.max() < size
    for counts, cells in ((np.bincount(pointers * 1000 // size), 1000), (np.bincount(pointers % 997), 997)):
        expected = num_draws / cells
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert abs(chi_square - (cells - 1)) < 5 * math.sqrt(2 * (cells - 1))


# --- The loss and the score -------------------------------------------------------------------------------------------


def make_outputs(num_examples=40, sharpness=1.0, seed=0):
    task = Text8(text="synthetic", unroll=9, warm_up=3)
    batch = draw(task, "eval", num_examples, jax.device_put(task.shared()))
    outputs_tob = sharpness * np.random.default_rng(seed).normal(size=(6, 27, num_examples))
    return task, batch, outputs_tob


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 30.0])
def test_the_loss_is_the_mean_cross_entropy_of_each_example(sharpness):
    task, batch, outputs_tob = make_outputs(sharpness=sharpness)
    targets = wanted(batch)
    expected = []
    for b, target in enumerate(targets):
        nats = 0.0
        for t, symbol in enumerate(target):
            logits = [float(x) for x in outputs_tob[t, :, b]]
            largest = max(logits)
            log_sum = largest + math.log(sum(math.exp(x - largest) for x in logits))
            nats += log_sum - logits[SYMBOLS.index(symbol)]
        expected.append(nats / len(target))
    loss_b = task.loss(jnp.float32(outputs_tob), batch)
    assert loss_b.shape == (40,)
    np.testing.assert_allclose(loss_b, expected, rtol=1e-5)


def test_the_gradient_of_the_loss_is_probability_minus_target():
    task, batch, outputs_tob = make_outputs()
    gradient = jax.grad(lambda outputs: task.loss(outputs, batch).sum())(jnp.float32(outputs_tob))
    probability = np.exp(outputs_tob) / np.exp(outputs_tob).sum(axis=1, keepdims=True)
    target = np.zeros_like(probability)
    for b, symbols in enumerate(wanted(batch)):
        for t, symbol in enumerate(symbols):
            target[t, SYMBOLS.index(symbol), b] = 1
    np.testing.assert_allclose(gradient, (probability - target) / 6, atol=1e-6)


def test_uniform_outputs_are_worth_the_logarithm_of_27():
    task, batch, _ = make_outputs()
    score = task.score(jnp.zeros((6, 27, 40)), batch)
    assert set(score) == {"bits_per_char", "accuracy"}
    assert score["bits_per_char"] == pytest.approx(math.log2(27), rel=1e-5)
    assert score["accuracy"] == pytest.approx("".join(wanted(batch)).count(" ") / 240)  # the first of equals


def test_the_score_is_the_weighted_mean_in_bits_and_padding_does_not_count():
    task, batch, outputs_tob = make_outputs()
    weights_b = np.array([0.5, 2.0] + [1.0] * 20 + [0.0] * 18)
    score = task.score(jnp.float32(outputs_tob), batch._replace(weights_b=jnp.float32(weights_b)))
    bits, right = [], []
    for b, symbols in enumerate(wanted(batch)):
        for t, symbol in enumerate(symbols):
            probability = np.exp(outputs_tob[t, :, b]) / np.exp(outputs_tob[t, :, b]).sum()
            bits.append(-math.log2(probability[SYMBOLS.index(symbol)]))
            right.append(SYMBOLS[int(np.argmax(outputs_tob[t, :, b]))] == symbol)
    each = np.repeat(weights_b, 6)
    assert score["bits_per_char"] == pytest.approx(np.average(bits, weights=each), rel=1e-5)
    assert score["accuracy"] == pytest.approx(np.average(right, weights=each), rel=1e-5)
    assert task.score(jnp.float32(outputs_tob), batch)["accuracy"] != pytest.approx(np.average(right, weights=each))


def test_who_knows_the_chain_scores_its_entropy_rate():
    task = Text8(text="synthetic", unroll=30, warm_up=0)
    batch = draw(task, "train", 4000, jax.device_put(task.shared()))
    matrix = corpus.transitions()
    outputs_tob = np.log(matrix)[np.asarray(batch.x_tib).argmax(axis=1)].transpose(0, 2, 1)
    bits = task.score(jnp.float32(outputs_tob), batch)["bits_per_char"]
    assert bits == pytest.approx(corpus.entropy_rate(), abs=0.03)  # 120,000 characters, standard deviation about 2 bits


# --- The task as it is stated -----------------------------------------------------------------------------------------


def test_what_is_stated_is_the_papers():
    task = Text8()
    assert (task.unroll, task.warm_up, task.read_steps, task.num_inputs, task.num_outputs) == (50, 13, 37, 27, 27)
    assert (task.name, task.measure, task.batch_size) == ("text8", "bits_per_char", 64)
    assert (task.text, task.data_dir) == ("text8", None)


def test_tasks_of_equal_fields_are_equal_and_hash_alike():
    assert Text8(data_dir="there") == Text8(data_dir="there")
    assert hash(Text8(data_dir="there")) == hash(Text8(data_dir="there"))
    assert Text8() != SYNTHETIC
    with pytest.raises(dataclasses.FrozenInstanceError):
        Text8().unroll = 3


def test_the_text_is_made_once_for_all_trials():
    assert SYNTHETIC.shared().codes is Text8(text="synthetic", unroll=7, warm_up=2).shared().codes


def test_the_users_file_is_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    text = "".join(random.Random(0).choices(SYMBOLS, k=3000))
    (tmp_path / "text8").write_text(text)
    task = Text8(data_dir=str(tmp_path), unroll=20, warm_up=5)
    shared = jax.device_put(task.shared())
    for split, part in zip(SPLITS, (text[:2700], text[2700:2850], text[2850:]), strict=True):
        assert all(stretch in part[:-1] for stretch in shown(draw(task, split, 200, shared)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unroll": 13}, "unroll: 13 given; it must be above warm_up = 13"),
        ({"unroll": 5, "warm_up": 9}, "unroll: 5 given; it must be above warm_up = 9"),
        ({"unroll": 0}, "unroll: 0 given; it must be a whole number of at least 1"),
        ({"warm_up": -1}, "warm_up: -1 given; it must be a whole number of at least 0"),
        ({"warm_up": 1.5}, "warm_up: 1.5 given; it must be a whole number of at least 0"),
        ({"num_held_out": 0}, "num_held_out: 0 given; it must be a whole number of at least 1"),
        ({"text": "enwik8"}, "text: 'enwik8' given; it must be one of 'text8', 'synthetic'"),
        ({"data_dir": 3}, "data_dir: 3 given; it must be the path of a folder where text is 'text8', or None"),
        (
            {"data_dir": "there", "text": "synthetic"},
            "data_dir: 'there' given; it must be the path of a folder where text is 'text8', or None",
        ),
    ],
)
def test_a_field_out_of_its_range_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Text8(**fields)


def test_a_text_whose_parts_are_shorter_than_an_example_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    (tmp_path / "text8").write_text("abcde " * 100)
    message = (
        "unroll: 50 given; it must be at most 29 with the characters that this text has (train 540, valid 30, eval 30"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Text8(data_dir=str(tmp_path)).shared()
    assert Text8(data_dir=str(tmp_path), unroll=29).shared().codes.size == 600
    with pytest.raises(ValueError, match="unroll: 30 given"):
        Text8(data_dir=str(tmp_path), unroll=30).shared()


def test_what_the_corpus_refuses_the_task_refuses(tmp_path):
    with pytest.raises(ValueError, match="must be a folder that exists"):
        Text8(data_dir=str(tmp_path / "nowhere")).shared()


def test_importing_the_task_does_not_import_tensorflow_datasets():
    program = """
import sys
from rnn_capacity.tasks.text8 import Text8

Text8(text="synthetic").shared()
print(sorted({"tensorflow", "tensorflow_datasets", "array_record", "importlib_resources"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
