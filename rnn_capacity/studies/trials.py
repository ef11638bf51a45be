"""What the trials of a study say together: their losses, how these spread, and how the best came down."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def losses(trials: pd.DataFrame) -> np.ndarray:
    """The evaluation losses (n,) of the n trials that ran to their end and did not diverge, in the task's unit."""
    return trials.loc[trials["feasible"] & ~trials["stopped_early"], "eval_loss"].to_numpy(float)


def curve(trials: pd.DataFrame) -> pd.DataFrame:
    """Against the number of trials: the evaluation loss of the least validation loss so far, and the median so far.

    Columns are trials (1, 2, ...), best and median, NaN until a trial has not diverged.
    """
    ended = ~trials["stopped_early"]
    valid, found = (trials[name].astype(float).where(ended) for name in ("valid_loss", "eval_loss"))
    leads = valid == valid.cummin()
    return pd.DataFrame(
        {
            "trials": np.arange(1, len(trials) + 1),
            "best": found.where(leads).ffill().to_numpy(),
            "median": found.expanding().median().to_numpy(),
        }
    )


def box(values: np.ndarray) -> dict[str, float]:
    """What a box plot shows: quartiles, and the last values within 1.5 times their distance (Tukey 1977)."""
    from matplotlib import cbook

    (found,) = cbook.boxplot_stats(values)
    names = {"low": "whislo", "lower": "q1", "median": "med", "upper": "q3", "high": "whishi"}
    return {name: float(found[theirs]) for name, theirs in names.items()}


def finite(values: Sequence[float]) -> list[float]:
    """Those that are numbers: an untrained network may diverge too."""
    return [value for value in values if np.isfinite(value)]


def welch(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Welch's t of the means of two samples, negative where a's is lower, its degrees of freedom, and two-sided p.

    (nan, nan, nan) where either has fewer than two values.
    """
    from scipy import stats

    if min(len(a), len(b)) < 2:
        return (float("nan"), float("nan"), float("nan"))
    found = stats.ttest_ind(np.asarray(a, float), np.asarray(b, float), equal_var=False)
    return (float(found.statistic), float(found.df), float(found.pvalue))


def still_improving(values: Sequence[float | None], sign: int = 1) -> bool:
    """Whether more trials would find more: the last quarter bettered the best by over a hundredth, and not by luck.

    Were all trials alike, the best would be in the last quarter one time in four. So that quarter must also be better
    than the one before it, by the rank test of Mann and Whitney (1947), one-sided at 5 %. With fewer than 12 trials
    that test can never say so, and the best alone decides.

    Args:
        values: objectives, in the order of the trials; None where one is infeasible.
        sign: 1 where more is better, and what nothing has is 0; -1 where less is.
    """
    from scipy import stats

    worst = 0.0 if sign > 0 else np.finfo(float).max
    found = sign * np.array([worst if value is None else value for value in values], float)
    quarter = len(found) // 4
    early, before, last = found[: len(found) - quarter], found[-2 * quarter : -quarter], found[-quarter:]
    if not quarter or not last.max() > early.max() + 0.01 * abs(early.max()):
        return False
    return quarter < 3 or bool(stats.mannwhitneyu(last, before, alternative="greater").pvalue <= 0.05)
