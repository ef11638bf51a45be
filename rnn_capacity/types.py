"""Array types, and the shape suffixes that names have.

Lower case: t time, b batch, i inputs, h units, o outputs, k trials. Examples are always the last axis (`h_hb`, not
`h_bh`): a small matrix product then has the long axis contiguous, which is what makes it fast on a CPU.
"""

from collections.abc import Mapping
from typing import Any

import jax

Array = jax.Array
Params = Any  # a pytree of weights
Carry = Any  # a pytree: what a cell hands from one step to the next
Hparams = Mapping[str, Array]  # name -> traced scalar; with a leading axis [K] for K trials
