"""From a fraction of right answers to bits, and from repeated draws to an interval."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy

from rnn_capacity.types import Array


def mutual_information(num_mappings: Array | float, accuracy: Array | float) -> Array:
    """Bits that a network stores of b random binary labels of which it gets a fraction p right.

    I = b + b (p log2 p + (1 - p) log2(1 - p)) for p > 1/2 (Collins et al. 2017, section 3.1). The formula is symmetric
    about 1/2, which is chance; at and below 1/2 an honest score is 0. I(1/2) = 0 and I(1) = b.

    >>> float(mutual_information(1000, 1.0)), round(float(mutual_information(1000, 0.9)))
    (1000.0, 531)
    """
    p = jnp.asarray(accuracy)
    bits = num_mappings * (1 + (xlogy(p, p) + xlogy(1 - p, 1 - p)) / np.log(2))
    return jnp.where(p > 0.5, bits, 0.0)


def confidence_interval(samples: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The two-sided Student-t interval of the mean; (nan, nan) for fewer than two samples.

    >>> low, high = confidence_interval([3.1, 3.3, 3.2])
    >>> round(low, 2), round(high, 2)
    (2.95, 3.45)
    """
    from scipy import stats  # 0.3 s to import, and needed once a study

    values = np.asarray(samples, float)
    if len(values) < 2:
        return (float("nan"), float("nan"))
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values)
    return (float(values.mean() - half), float(values.mean() + half))
