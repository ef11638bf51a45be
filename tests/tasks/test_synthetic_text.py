"""The synthetic text: a chain of known entropy, which it follows, the same forever."""

import collections
import hashlib
import itertools
import math
import sys

import numpy as np
import pytest
from symbols import as_text

from rnn_capacity.tasks import corpus


def test_the_entropy_of_a_chain_of_two_states_by_hand():
    # pi = (2/3, 1/3); H = 2/3 h(1/4) + 1/3 h(1/2) = 2/3 * 0.81127812 + 1/3
    matrix = np.array([[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(corpus.stationary(matrix), [2 / 3, 1 / 3])
    assert corpus.entropy_rate(matrix) == pytest.approx(2 / 3 * 0.8112781245 + 1 / 3, abs=1e-9)


@pytest.mark.parametrize(
    ("matrix", "bits"),
    [
        ([[0, 1], [1, 0]], 0.0),  # it alternates
        (np.full((8, 8), 1 / 8), 3.0),  # independent and uniform
        ([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 1.0),
    ],
)
def test_the_entropy_of_chains_known_without_arithmetic(matrix, bits):
    assert corpus.entropy_rate(np.array(matrix)) == pytest.approx(bits, abs=1e-12)


def test_every_transition_is_possible_and_few_are_likely():
    matrix = corpus.transitions()
    assert matrix.shape == (27, 27)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix.min() > 1e-4
    np.testing.assert_allclose(corpus.stationary(matrix), np.linalg.matrix_power(matrix, 200)[0], atol=1e-10)
    assert np.sort(matrix, axis=1)[:, -6:].sum(axis=1).mean() > 0.9


def test_the_entropy_rate_is_clearly_below_that_of_single_characters():
    counts = collections.Counter(corpus.load("synthetic").codes.tolist())
    single = -sum(n / 2e6 * math.log2(n / 2e6) for n in counts.values())
    assert single == pytest.approx(4.35, abs=0.01)
    assert corpus.entropy_rate() == pytest.approx(2.284, abs=0.001)


def test_the_text_follows_the_chain():
    """Every transition as often as its probability says, by chi-square over all rows, and none by far off."""
    codes = corpus.load("synthetic").codes.tolist()
    counts = np.zeros((27, 27))
    for (before, after), count in collections.Counter(itertools.pairwise(codes)).items():
        counts[before, after] = count
    expected = counts.sum(axis=1, keepdims=True) * corpus.transitions()
    assert expected.min() > 3
    deviations = (counts - expected) ** 2 / expected
    freedom = 27 * 26
    assert abs(deviations.sum() - freedom) < 5 * math.sqrt(2 * freedom)
    assert deviations.max() < 6**2
    np.testing.assert_allclose(counts.sum(axis=1) / len(codes), corpus.stationary(corpus.transitions()), atol=2e-3)


def test_a_character_depends_on_none_but_the_one_before():
    """Given the one before, the next is as likely after either half of what came two before."""
    codes = corpus.load("synthetic").codes.astype(int)
    two_before, before, after = codes[:-2], codes[1:-1], codes[2:]
    matrix = corpus.transitions()
    for half in (two_before % 2 == 0, two_before % 2 == 1):
        counts = np.bincount(27 * before[half] + after[half], minlength=27 * 27).reshape(27, 27)
        expected = counts.sum(axis=1, keepdims=True) * matrix
        common = expected > 5
        deviations = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[common]
        assert abs(deviations.sum() - common.sum()) < 6 * math.sqrt(2 * common.sum())


def test_the_entropy_rate_is_what_a_long_text_is_worth():
    codes = corpus.load("synthetic").codes.astype(int)
    surprise = -np.log2(corpus.transitions()[codes[:-1], codes[1:]])
    error = surprise.std() / math.sqrt(surprise.size)
    assert error < 0.002
    assert abs(surprise.mean() - corpus.entropy_rate()) < 5 * error


def test_the_synthetic_text_is_the_same_forever():
    codes, bounds = corpus.load("synthetic")
    assert bounds.tolist() == [0, 1_800_000, 1_900_000, 2_000_000]
    assert as_text(codes[:20]) == "lywjhywywgq zndhzo z"
    assert hashlib.sha256(codes).hexdigest() == "723de3286a7132e1315f10ccbb239385d025825a27103b122b650e7b75dcc2e6"


def test_the_synthetic_text_needs_no_package_and_no_folder(monkeypatch):
    for name in ("tensorflow_datasets", "importlib_resources", "array_record"):
        monkeypatch.setitem(sys.modules, name, None)
    assert corpus.load("synthetic").codes.size == 2_000_000
