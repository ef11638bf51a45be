"""What trials say together: against examples done by hand, and against SciPy."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rnn_capacity.studies.trials import box, curve, finite, losses, still_improving, welch

NAN = math.nan


def trials_of(*rows):
    """(validation loss, evaluation loss, stopped early) of each trial; None where it diverged."""
    return pd.DataFrame(
        [{"valid_loss": v, "eval_loss": e, "feasible": v is not None, "stopped_early": s} for v, e, s in rows]
    )


# --- Losses -----------------------------------------------------------------------------------------------------------


def test_the_losses_are_the_evaluation_losses_of_trials_that_ended():
    found = losses(trials_of((1.0, 1.5, False), (None, None, False), (0.5, 0.25, True), (3.0, 2.0, False)))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1.5, 2.0])


def test_where_all_diverged_there_are_no_losses():
    assert losses(trials_of((None, None, False), (None, None, False))).shape == (0,)


def test_finite_numbers_are_those_that_are_there():
    assert finite([1.0, NAN, -math.inf, 2.0, math.inf]) == [1.0, 2.0]
    assert finite([NAN]) == []


# --- The curve --------------------------------------------------------------------------------------------------------


def test_the_curve_follows_the_validation_loss_and_shows_the_evaluation_loss():
    """The third trial has the least evaluation loss, and the tuner does not see it."""
    found = curve(trials_of((4.0, 5.0, False), (2.0, 3.0, False), (3.0, 1.0, False), (1.0, 2.0, False)))
    assert list(found["trials"]) == [1, 2, 3, 4]
    assert list(found["best"]) == [5.0, 3.0, 3.0, 2.0]
    assert list(found["median"]) == [5.0, 4.0, 3.0, 2.5]


def test_a_trial_that_diverged_moves_neither_best_nor_median():
    found = curve(trials_of((None, None, False), (4.0, 5.0, False), (None, None, False), (2.0, 1.0, False)))
    np.testing.assert_array_equal(found["best"], [NAN, 5.0, 5.0, 1.0])
    np.testing.assert_array_equal(found["median"], [NAN, 5.0, 5.0, 3.0])


def test_the_curve_of_nothing_but_divergence_is_nan():
    found = curve(trials_of((None, None, False), (None, None, False)))
    assert list(found["trials"]) == [1, 2]
    assert found[["best", "median"]].isna().all(axis=None)


def test_the_curve_does_not_depend_on_the_tables_index():
    shuffled = trials_of((4.0, 5.0, False), (2.0, 3.0, False))
    shuffled.index = [7, 3]
    pd.testing.assert_frame_equal(curve(shuffled), curve(shuffled.reset_index(drop=True)))


# --- The box ----------------------------------------------------------------------------------------------------------


def test_the_box_of_five_values_is_theirs():
    found = box(np.array([5.0, 1.0, 4.0, 2.0, 3.0]))
    assert found == {"low": 1.0, "lower": 2.0, "median": 3.0, "upper": 4.0, "high": 5.0}
    assert all(type(value) is float for value in found.values())


def test_the_whiskers_leave_out_what_is_farther_than_one_and_a_half_boxes():
    """Quartiles 2 and 4: whiskers reach at most from -1 to 7."""
    assert box(np.array([1.0, 2.0, 3.0, 4.0, 7.0]))["high"] == 7.0
    assert box(np.array([1.0, 2.0, 3.0, 4.0, 7.1]))["high"] == 4.0
    assert box(np.array([-1.0, 2.0, 3.0, 4.0, 5.0]))["low"] == -1.0
    assert box(np.array([-1.1, 2.0, 3.0, 4.0, 5.0]))["low"] == 2.0


def test_the_box_is_matplotlibs():
    from matplotlib import cbook

    values = np.random.default_rng(0).lognormal(size=200)
    (theirs,) = cbook.boxplot_stats(values)
    names = {"low": "whislo", "lower": "q1", "median": "med", "upper": "q3", "high": "whishi"}
    assert box(values) == pytest.approx({ours: theirs[name] for ours, name in names.items()})
    assert box(values)["high"] < values.max()


def test_the_box_of_one_value_or_of_none():
    assert set(box(np.array([2.5])).values()) == {2.5}
    empty = box(np.array([]))
    assert set(empty) == {"low", "lower", "median", "upper", "high"}
    assert all(math.isnan(value) for value in empty.values())


# --- Welch's t --------------------------------------------------------------------------------------------------------


def test_welchs_t_by_hand():
    """Means 2 and 6, variances 1 and 16, so t = -4 / sqrt(1/3 + 16/3); Welch and Satterthwaite's degrees of freedom."""
    t, degrees, p = welch([1.0, 2.0, 3.0], [2.0, 6.0, 10.0])
    u, v = 1 / 3, 16 / 3
    assert t == pytest.approx(-4 / (u + v) ** 0.5)
    assert degrees == pytest.approx((u + v) ** 2 / (u**2 / 2 + v**2 / 2))
    assert p == pytest.approx(2 * stats.t.cdf(t, degrees))


def test_welchs_t_is_scipys_and_changes_sign_with_the_order():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1.0, 1.0, 30), rng.normal(2.0, 3.0, 50)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert welch(a, b) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    assert welch(b, a)[0] == -welch(a, b)[0] > 0
    assert welch(a, b)[0] != pytest.approx(stats.ttest_ind(a, b).statistic, rel=0.05)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])])
def test_there_is_no_t_of_fewer_than_two_values(a, b):
    assert all(math.isnan(number) for number in welch(a, b))


# --- Whether a search still improves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 2.0, 1.0, 1.0], False),
        ([3.0, 2.0, 2.0, 1.0], True),
        ([2.0, 2.0, 2.0, 1.985], False),  # not by more than a hundredth
        ([2.0, 2.0, 2.0, 1.975], True),
        ([2.0, 2.0, 2.0, 5.0], False),  # where more is better that would be progress
        ([None, None, None, 0.5], True),
        ([0.5, None, None, None], False),
        ([2.0, 2.0, 2.0, 1.0, 2.0], False),  # of five the last quarter is one
        ([0.0, 0.0, 0.0, 0.0], False),
        ([None, None, None, None], False),
        ([None], False),
        ([], False),
        ([9.0] * 6 + [5.0, 6.0, 7.0] + [1.0, 8.0, 9.0], False),  # from 12 trials on as a whole, too
        ([9.0] * 6 + [5.0, 6.0, None] + [1.0, 2.0, 3.0], True),
    ],
)
def test_a_minimised_search_is_still_improving_where_its_last_quarter_lowered_the_best(values, expected):
    assert still_improving(values, -1) is expected
