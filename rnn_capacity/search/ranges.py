"""What is tuned, and in what range, as plain data: the paper's tables, and the part of them for minutes on a laptop.

A dimension is named by its family, with a gate behind it where a cell has several (`recurrent_scale_f` is of the family
`recurrent_scale`).
"""

import math
from collections.abc import Mapping

from rnn_capacity.cells.initializers import BIAS_INITS, RECURRENT_INITS
from rnn_capacity.dimension import Choice, Range, Space
from rnn_capacity.model.spec import BRANCHES, INPUT_STEPS, OPTIMIZERS

# What a cell's initialisation branches on; training and the cell branch on the others.
INITS = {"recurrent_init": RECURRENT_INITS, "bias_init": BIAS_INITS}
CHOICES = BRANCHES | INITS

# Where a family makes sense at all: (lowest, highest, whether the lowest itself is allowed).
LIMITS = {
    "learning_rate": (0, math.inf, False),
    "learning_rate_decay": (0, 1, False),
    "gradient_clip": (0, math.inf, False),
    "l2": (0, math.inf, True),
    "squared_gradient_decay": (0, 0.9999, True),
    "mappings_per_param": (0, math.inf, False),
    "momentum_logit": (-math.inf, math.inf, False),
    "compute_steps": (1, 6, True),
    "recurrent_scale": (0, math.inf, True),
    "input_scale": (0, math.inf, True),
    "readout_scale": (0, math.inf, True),
    "learning_rate_warm_up": (0, 1, True),
    "weight_decay": (0, math.inf, True),
    "fan_in_power": (0, 1, True),
    "radius": (0, 0.9999, True),
    "phase": (0, 2 * math.pi, False),
}
UNLIMITED = (-math.inf, math.inf, False)

# Collins et al. 2017, appendix A. b is searched as mappings per parameter; the readout's scale is a rectangular
# matrix's. RMSProp's average is the TensorFlow default of the time. The last three are not of
# the paper, and do nothing here.
PAPER: Space = {
    "nonlinearity": Choice(("tanh", "relu")),
    "optimizer": Choice(OPTIMIZERS),
    "schedule": "exponential",
    "input_steps": Choice(INPUT_STEPS),
    "recurrent_init": Choice(RECURRENT_INITS),
    "bias_init": Choice(BIAS_INITS),
    "recurrent_scale": Range(0.01, 2.0, log=True),
    "input_scale": Range(0.001, 2.0, log=True),
    "readout_scale": Range(0.001, 2.0, log=True),
    "bias_scale": Range(-2.0, 2.0),
    "forget_bias": Range(0.0, 6.0),
    "learning_rate": Range(1e-4, 1e-1, log=True),
    "learning_rate_decay": Range(1e-3, 1.0, log=True),
    "momentum_logit": Range(1.0, 7.0),
    "squared_gradient_decay": 0.9,
    "gradient_clip": Range(1.0, 100.0, log=True),
    "l2": Range(1e-8, 1e-3, log=True),
    "mappings_per_param": Range(0.1, 10.0, log=True),
    "compute_steps": Range(1, 6, whole=True),
    "learning_rate_warm_up": 0.0,
    "weight_decay": 0.0,
    "fan_in_power": 0.0,
}

# What is tuned only on tasks that say so (`Task.tunes`, `Task.dimensions`).
OF_SOME_TASKS = ("mappings_per_param", "input_steps", "compute_steps")

# The part of it where minutes on a laptop find good networks, with a cosine in place of the exponential decay
# (docs/measurements.md says what was measured). A cell and a task say where they differ (`Cell.ranges`, `Task.quick`).
# The learning rate is that at 1000 parameters: `recipe.py` has it, and some others, by size and steps.
QUICK: Space = {
    "nonlinearity": "tanh",
    "optimizer": "rmsprop",
    "schedule": "cosine",
    "input_steps": "first",
    "recurrent_init": "normal",
    "bias_init": "normal",
    "recurrent_scale": Range(0.4, 0.9),
    "input_scale": Range(0.15, 0.8, log=True),
    "readout_scale": Range(1.0, 2.5),
    "bias_scale": 0.15,
    "forget_bias": Range(0.0, 1.0),
    "learning_rate": Range(0.03, 0.0675, log=True),
    "learning_rate_decay": 1.0,
    "momentum_logit": 2.2,
    "squared_gradient_decay": 0.97,
    "gradient_clip": 1.0,
    "l2": 0.0,
    "mappings_per_param": Range(0.1, 10.0, log=True, around_best=(1.0, 1.5, 2.5)),
    "compute_steps": 6.0,
    "learning_rate_warm_up": 0.0,
    "weight_decay": 0.0,
    "fan_in_power": 0.0,
}

# What has an effect only under some names of a choice: it is not tuned where it has none.
CONDITIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "momentum_logit": ("optimizer", ("momentum",)),
    "squared_gradient_decay": ("optimizer", ("rmsprop",)),
    "learning_rate_decay": ("schedule", ("exponential",)),
    "recurrent_scale": ("recurrent_init", ("orthogonal", "normal")),
}

# What a cell's init reads, alone or with a gate behind it; the rest of a table is of training.
INIT_FAMILIES = (
    "recurrent_init",
    "recurrent_scale",
    "input_scale",
    "readout_scale",
    "bias_init",
    "bias_scale",
    "forget_bias",
)
