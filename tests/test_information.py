"""Bits from a fraction of right answers, and intervals from repeated draws."""

import math

import numpy as np
import pytest

from rnn_capacity.information import confidence_interval, mutual_information


@pytest.mark.parametrize("b", [1, 100, 5000])
def test_knowing_nothing_is_0_bits_and_knowing_all_is_b_bits(b):
    assert mutual_information(b, 0.5) == 0.0
    assert mutual_information(b, 1.0) == b


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3, 0.499])
def test_worse_than_chance_is_0_bits_although_the_formula_is_symmetric(p):
    assert mutual_information(1000, p) == 0.0
    assert mutual_information(1000, 1 - p) > 0.0


def test_nine_tenths_right_is_0_531_bits_a_mapping():
    # 1 + 0.9 log2 0.9 + 0.1 log2 0.1 = 1 - 0.1368028 - 0.3321928
    assert float(mutual_information(100, 0.9)) == pytest.approx(53.10044, abs=1e-3)


@pytest.mark.parametrize("p", [0.51, 0.6, 0.75, 0.9, 0.999])
@pytest.mark.parametrize("b", [10, 4800])
def test_bits_equal_the_formula_in_plain_python(b, p):
    expected = b + b * (p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert float(mutual_information(b, p)) == pytest.approx(expected, rel=1e-4, abs=1e-5 * b)


def test_bits_grow_with_the_fraction_that_is_right():
    bits = np.asarray(mutual_information(1000, np.linspace(0.5, 1, 201)))
    assert (np.diff(bits) > 0).all()
    assert np.isfinite(bits).all()


def test_the_interval_is_students_t():
    # mean 3, standard deviation sqrt(2.5), 5 samples: 2.776445 * sqrt(2.5 / 5) = 1.963243
    low, high = confidence_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == pytest.approx((3 - 1.963243, 3 + 1.963243), abs=1e-5)


def test_the_interval_narrows_with_a_lower_level():
    # 4 degrees of freedom, 80 %: 1.533206 * sqrt(2.5 / 5)
    low, high = confidence_interval([1.0, 2.0, 3.0, 4.0, 5.0], level=0.8)
    assert (low, high) == pytest.approx((3 - 1.084141, 3 + 1.084141), abs=1e-5)


@pytest.mark.parametrize("samples", [[], [1.0]])
def test_fewer_than_two_samples_have_no_interval(samples):
    assert np.isnan(confidence_interval(samples)).all()


@pytest.mark.parametrize("size", [3, 10])
def test_the_interval_covers_the_mean_in_95_draws_of_100(size):
    draws = np.random.default_rng(0).normal(loc=7.0, scale=2.0, size=(1000, size))
    intervals = np.array([confidence_interval(samples) for samples in draws])
    covered = np.mean((intervals[:, 0] < 7.0) & (intervals[:, 1] > 7.0))
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / 1000) ** 0.5
