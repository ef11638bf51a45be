"""From a fraction of right answers to bits, and from repeated draws to an interval."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy

from rnn_capacity.types import Array


def mutual_information(num_mappings: Array | float, accuracy: Array | float, num_labels: int = 2) -> Array:
    """Bits that a network stores of b random labels, each one of V, of which it gets a fraction p right.

    I = b (log2 V + p log2 p + (1 - p) log2((1 - p) / (V - 1))) for p > 1/V: for V = 2 that of Collins et al. 2017,
    section 3.1, for more the least that is consistent with p (Fano's inequality). The formula is 0 at 1/V, which is
    chance, and rises again below; there an honest score is 0. I(1) = b log2 V.

    >>> float(mutual_information(1000, 1.0)), round(float(mutual_information(1000, 0.9)))
    (1000.0, 531)
    >>> float(mutual_information(10, 1.0, 8)), round(float(mutual_information(10, 0.9, 8)), 2)
    (30.0, 22.5)
    """
    p = jnp.asarray(accuracy)
    bits = num_mappings * (np.log2(num_labels) + (xlogy(p, p) + xlogy(1 - p, (1 - p) / (num_labels - 1))) / np.log(2))
    return jnp.where(p > 1 / num_labels, bits, 0.0)


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
