"""How the capacity task is trained in the quick space: what was measured, as functions of the size and of the steps.

`benchmarks/recipe.py` measures it, and docs/measurements.md has the numbers.
"""

import dataclasses

from rnn_capacity.dimension import Dimension, Range, Space

OF_PARAMS = 1000  # the size for which tables have learning rates
SMALLER, LARGER = 0.6, -0.2  # powers of the size, below OF_PARAMS and above
WIDTH = 1.5  # a scale is searched from the middle divided by this to the middle times it


def learning_rate(at_1000: Dimension, num_params: int) -> Dimension:
    """The range for a network of this size, from that for 1000 parameters, or the same of a number.

    Small networks need smaller rates, and so do large ones, in addition to what `fan_in_power` does.
    """
    size = num_params / OF_PARAMS
    factor = size ** (SMALLER if size < 1 else LARGER)
    if isinstance(at_1000, Range):
        return dataclasses.replace(at_1000, low=_short(at_1000.low * factor), high=_short(at_1000.high * factor))
    return at_1000 * factor


def readout_scale(train_steps: int) -> float:
    """The middle of the range: weights grow with the steps, so they must not start small."""
    return min(3.5 * (train_steps / 3000) ** 0.5, 8.0)


def memorization(train_steps: int) -> Space:
    """What differs from other tasks, but for the learning rate, where a cell has no range of its own."""
    middle = readout_scale(train_steps)
    return {
        "learning_rate_warm_up": 0.1,
        "fan_in_power": 0.5,
        "weight_decay": 0.003,
        "readout_scale": Range(_short(middle / WIDTH), _short(middle * WIDTH), log=True),
    }


def _short(number: float) -> float:
    return float(f"{number:.2g}")
