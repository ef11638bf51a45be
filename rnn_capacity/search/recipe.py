"""How the capacity task is trained in the quick space: what was measured, as functions of the size and of the steps.

`benchmarks/recipe.py` measures it, and BUILD.md ("Training") has the numbers.
"""

from __future__ import annotations

from rnn_capacity.dimension import Range, Space

LEARNING_RATE, OF_PARAMS = 0.045, 1000
SMALLER, LARGER = 0.6, -0.2  # powers of the size, below OF_PARAMS and above
SLOWER = {"irnn": 0.55, "+rnn": 0.55}  # cells with ReLUs: their rate, in those of the others
WIDTH = 1.5  # a rate is searched from the middle divided by this to the middle times it


def learning_rate(num_params: int) -> float:
    """The middle of the range: small networks want smaller rates, and large ones, beside what `fan_in_power` does."""
    size = num_params / OF_PARAMS
    return LEARNING_RATE * size ** (SMALLER if size < 1 else LARGER)


def learning_rates(cell: str, num_params: int) -> Range:
    """What is searched, by the cell's name."""
    return _around(SLOWER.get(cell, 1.0) * learning_rate(num_params))


def readout_scale(train_steps: int) -> float:
    """The middle of the range: weights grow with the steps, and what they start from must not be small beside it."""
    return min(3.5 * (train_steps / 3000) ** 0.5, 8.0)


def _around(middle: float) -> Range:
    return Range(float(f"{middle / WIDTH:.2g}"), float(f"{middle * WIDTH:.2g}"), log=True)


def memorization(cell: str, num_params: int, train_steps: int) -> Space:
    """What differs from other tasks.

    Args:
        cell: its name.
        num_params: of the network.
        train_steps: of a trial.
    """
    return {
        "learning_rate": learning_rates(cell, num_params),
        "learning_rate_warm_up": 0.1,
        "fan_in_power": 0.5,
        "weight_decay": 0.003,
        "readout_scale": _around(readout_scale(train_steps)),
    }
