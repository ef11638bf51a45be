"""What the figures' claims are made of: means, intervals and verdicts, and how they say what was asked."""

import math

import numpy as np
import pytest
from made import NAN, make
from made_trainability import searched
from scipy import stats

from rnn_capacity.report import claims
from rnn_capacity.report.figure import AGREES, DISAGREES, NOT_REACHED, UNDECIDED

# --- What numbers say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "allowed", "more_is_better", "expected"),
    [
        ((3.5, 4.0), (3, 6), True, AGREES),
        ((2.0, 2.5), (3, 6), True, NOT_REACHED),
        ((7.0, 7.5), (3, 6), True, DISAGREES),
        ((2.5, 3.5), (3, 6), True, UNDECIDED),
        ((0.2, 0.3), (0.0, 0.1), False, NOT_REACHED),
        ((-0.3, -0.2), (0.0, 0.1), False, DISAGREES),
        ((NAN, NAN), (3, 6), True, UNDECIDED),
    ],
)
def test_the_best_of_a_search_confirms_or_passes_and_never_falls_short(interval, allowed, more_is_better, expected):
    assert claims.of_best(interval, allowed, more_is_better=more_is_better) == expected


def test_a_geometric_mean_and_logarithms():
    assert claims.geometric([math.log(2), math.log(8)])[0] == pytest.approx(4)
    assert claims.log(math.e) == pytest.approx(1)
    assert all(math.isnan(claims.log(value)) for value in (0.0, -1.0, NAN))


@pytest.mark.parametrize(("a", "b"), [((1.0, 2.0, 4.0), (3.0, 3.5, 5.0, 9.0)), ((2.0, 2.1), (1.0, 1.5))])
def test_welchs_interval_is_scipys(a, b):
    difference, interval = claims.welch(a, b)
    assert difference == pytest.approx(np.mean(a) - np.mean(b))
    assert interval == pytest.approx(tuple(stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)))


def test_welchs_interval_of_what_does_not_vary_and_of_too_little():
    assert claims.welch((3.0, 3.0), (2.0, 2.0)) == (1.0, (1.0, 1.0))
    for a, b in (((1.0,), (2.0, 3.0)), ((), (1.0, 2.0)), ((), ())):
        assert all(map(math.isnan, claims.welch(a, b)[1]))


def test_what_was_searched_is_a_range_a_number_or_unknown():
    space = {"range": {"low": 1, "high": 2.5, "log": True}, "number": 3, "names": ["a", "b"]}
    result = make("capacity", space=space)
    assert claims.searched(result, "range") == (1.0, 2.5)
    assert claims.searched(result, "number") == (3.0, 3.0)
    assert all(math.isnan(bound) for name in ("names", "none") for bound in claims.searched(result, name))


def test_counts_are_told_in_words():
    assert [claims.counted(n, "points") for n in (0, 1, 2)] == ["0 points", "1 point", "2 points"]
    assert claims.counted(1, "studies", "study") == "1 study"


@pytest.mark.parametrize(
    ("count", "number", "low", "high"),
    # By the closed form where none is counted; the paper's 48 of 100 from tables.
    [(0, 20, 0.0, 1 - 0.025 ** (1 / 20)), (20, 20, 0.025 ** (1 / 20), 1.0), (48, 100, 0.3790, 0.5822)],
)
def test_exact_intervals(count, number, low, high):
    assert claims.proportion(count, number) == pytest.approx((low, high), abs=1e-4)


# --- What was asked ---------------------------------------------------------------------------------------------------


def test_a_setting_tells_what_is_not_the_papers():
    quick = searched(unroll=175)
    assert claims.setting(quick) == "parentheses, num types 2, num noise 2, T = 175, 1,000 parameters"
    paper = searched(task_fields={"num_types": 10, "num_noise": 10, "noise_fraction": 0.5, "unroll": 175}, unroll=175)
    assert claims.setting(paper, sized=False) == "parentheses, T = 175"
    english = {"text": "text8", "data_dir": "a folder of ones own", "warm_up": 7}
    told = claims.setting(searched(task="text8:english", task_fields=english), sized=False)
    assert told == "text8:english, warm up 7, T = 50"
    assert claims.setting(searched(task="ones_own")) == "ones_own, size 3, T = 50, 1,000 parameters"


def test_the_largest_setting_is_that_of_the_longest_t_then_of_the_most_parameters():
    sizes = [(20, 9000), (175, 1000), (175, 2000)]
    known = claims.trained([searched(unroll=t, max_params=size) for t, size in sizes], "parentheses")
    assert [(r.unroll, r.max_params) for r in claims.largest(known)] == [(175, 2000)]
