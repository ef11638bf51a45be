"""Blocks: a cell with what its authors have around it, as a cell of its own; results of the two are two tracks.

    x  = W_in x + b_in                         where the sizes differ
    x  = x + conv(x)                           minGRU alone
    u  = norm(x)
    v  = L u, then act(conv(v))                as the block has it
    y  = cell(v)
    y  = gate(W_g u + b_g) * norm(y)           as the block has it; in Mamba-2 the norm is outermost
    x  = x + W_out y + b_out                   LRU: a GLU, half of it times sigma of the other half
    x  = x + W_down mlp(W_up norm'(x) + b_up) + b_down

conv is a causal convolution of width 4 for each channel: the carry is the cell's, and its last 3 inputs. norm is the
root mean square's, z / rms(z) * w, for all, also where the authors have a layer norm or one a head. The MLP is two
matrices around a gelu, or gated: act(a) * b of two halves. All matrices of the block share a scale,
`input_scale_block`, and all biases `bias_scale_block`; the cell inside has its own. There is no norm behind the last
layer.

The convolution stands before the cell, whose own projections make q, k and v of what it gives. Otherwise than the
authors: in DeltaNet, Gated DeltaNet and Mamba-2 it would stand behind these projections; in xLSTM it would feed q and
k alone (sLSTM: i and f), and mLSTM would have a learned path around the cell.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_capacity.cells import (
    deltanet,
    gated_deltanet,
    gla,
    mamba_2,
    matrix_memory,
    mingru,
    mlstm,
    rg_lru,
    s6,
    slstm,
)
from rnn_capacity.cells.base import Cell, Nonlinearity, gelu, sigmoid, silu
from rnn_capacity.cells.lru import lru
from rnn_capacity.checks import InputError, check_choice, check_positive_int
from rnn_capacity.dimension import Range
from rnn_capacity.types import Array

TAPS = 4
ACTIVATIONS: dict[str, Nonlinearity] = {"silu": silu, "gelu": gelu}
CONVOLUTIONS = ("", "plain", "silu", "residual")
NORMS = ("", "before the gate", "after the gate")
OUTPUTS = ("", "glu")
MLPS = ("", "gelu", "gelu gated", "silu gated")


class Switches(NamedTuple):
    """What a block has around its cell."""

    width: int = 1  #: units of the cell, as a multiple of the block's
    project: bool = False  #: a matrix before the convolution, of the cell's width
    convolution: str = ""  #: of CONVOLUTIONS: none, before the cell, with a silu behind, or beside the residual path
    norm: str = ""  #: of NORMS: where the cell's output is normalised
    gate: str = ""  #: of ACTIVATIONS: what the cell's output is multiplied with
    output: str = ""  #: of OUTPUTS
    mlp: str = ""  #: of MLPS
    mlp_width: float = 4.0  #: as a multiple of the block's, rounded up

    def check(self) -> None:
        """Refuses what no block can have.

        Raises:
            InputError: such a field.
        """
        check_positive_int("width", self.width)
        check_choice("convolution", self.convolution, CONVOLUTIONS)
        check_choice("norm", self.norm, NORMS)
        check_choice("gate", self.gate, ("", *ACTIVATIONS))
        check_choice("output", self.output, OUTPUTS)
        check_choice("mlp", self.mlp, MLPS)
        if not self.mlp_width > 0:
            raise InputError(f"mlp_width: {self.mlp_width!r} given; it must be a number above 0")


class BlockCarry(NamedTuple):
    cell: Any
    past: tuple[Array, ...]  # the convolution's last 3 inputs, the oldest first; () without one


def normed(z: Array, w: Array) -> Array:
    return z * jax.lax.rsqrt((z * z).mean() + 1e-6) * w


def convolved(params: Any, past: tuple[Array, ...], u: Array) -> tuple[tuple[Array, ...], Array]:
    """The last inputs after u, and the weighted sum of these and of the oldest."""
    taps = params["W_conv"].reshape(TAPS, -1)
    return (*past[1:], u), sum(taps[k] * seen for k, seen in enumerate((*past, u))) + params["b_conv"]


def init_matrix(key, name, num_inputs, rows, hparams):
    matrix, bias = matrix_memory.init_gate(key, num_inputs, rows, hparams, "block")
    return {f"W_{name}": matrix, f"b_{name}": bias}


def init_block(of, cell, key, num_inputs, num_units, hparams):
    keys = iter(jax.random.split(key, 8))
    width = of.width * num_units
    matrix = lambda name, num_inputs, rows: init_matrix(next(keys), name, num_inputs, rows, hparams)
    params = {"norm": jnp.ones(num_units)}
    params |= matrix("in", num_inputs, num_units) if num_inputs != num_units else {}
    params |= matrix("x", num_units, width) if of.project else {}
    before = width if of.project else num_units  # what the cell is given
    if of.convolution:
        made = matrix("conv", TAPS, before)
        params |= made | {"W_conv": made["W_conv"].T.reshape(-1)}
    params["cell"] = cell.init(next(keys), before, width, hparams)
    params |= {"norm_y": jnp.ones(width)} if of.norm else {}
    params |= matrix("g", num_units, width) if of.gate else {}
    params |= matrix("out", width, 2 * num_units if of.output == "glu" else num_units)
    if of.mlp:
        inside = int(-(-of.mlp_width * num_units // 1))
        params |= matrix("up", num_units, 2 * inside if "gated" in of.mlp else inside)
        params |= matrix("down", inside, num_units) | {"norm_mlp": jnp.ones(num_units)}
    return params


def make(name: str, cell: Cell, switches: Switches, *, nonlinearity: Nonlinearity | None = None) -> Cell:
    """The cell `name`: a block around a cell.

    Args:
        nonlinearity: the cell's, where it is not the searched one.

    Raises:
        InputError: switches that no block can have.
    """
    switches.check()
    of = switches

    def init(key, num_inputs, num_units, hparams):
        return init_block(switches, cell, key, num_inputs, num_units, hparams)

    def initial_carry(params):
        past = (TAPS - 1) * (jnp.zeros_like(params["b_conv"]),) if of.convolution else ()
        return BlockCarry(cell.initial_carry(params["cell"]), past)

    def apply(params, carry, x, s):
        by = lambda name, z: params[f"W_{name}"] @ z + params[f"b_{name}"]
        past = carry.past
        x = by("in", x) if "W_in" in params else x
        if of.convolution == "residual":
            past, added = convolved(params, past, x)
            x = x + added
        u = normed(x, params["norm"])
        v = by("x", u) if of.project else u
        if of.convolution in ("plain", "silu"):
            past, v = convolved(params, past, v)
            v = silu(v) if of.convolution == "silu" else v
        inside, y = cell.apply(params["cell"], carry.cell, v, nonlinearity or s)
        y = normed(y, params["norm_y"]) if of.norm == "before the gate" else y
        y = ACTIVATIONS[of.gate](by("g", u)) * y if of.gate else y
        y = normed(y, params["norm_y"]) if of.norm == "after the gate" else y
        y = by("out", y)
        if of.output == "glu":
            y, gate = jnp.split(y, 2)
            y = y * sigmoid(gate)
        x = x + y
        if of.mlp:
            x = x + by("down", _between(of.mlp, by("up", normed(x, params["norm_mlp"]))))
        return BlockCarry(inside, past), x

    quick = {**cell.ranges.get("quick", {}), "input_scale_block": Range(0.3, 1.2, log=True)}
    names = ("tanh",) if nonlinearity else cell.nonlinearities
    return Cell(name, init, initial_carry, apply, names, {**cell.ranges, "quick": quick}, "block")


def _between(mlp: str, z: Array) -> Array:
    """What lies between the two matrices of the MLP."""
    act = ACTIVATIONS[mlp.split()[0]]
    if "gated" not in mlp:
        return act(z)
    a, b = jnp.split(z, 2)
    return act(a) * b


_GATED = Switches(norm="before the gate", gate="silu", mlp="silu gated", mlp_width=8 / 3)  # as around attention
_DELTA = _GATED._replace(convolution="plain")
_MAMBA = Switches(width=2, convolution="silu", gate="silu")
_HAWK = Switches(project=True, convolution="plain", gate="gelu", mlp="gelu gated", mlp_width=3)
_SLSTM = Switches(convolution="silu", norm="before the gate", mlp="gelu gated", mlp_width=4 / 3)
_MINGRU = Switches(convolution="residual", mlp="gelu")

BLOCKS: dict[str, Cell] = {
    block.name: block
    for block in (
        make("mingru block", mingru.mingru, _MINGRU),
        make("rg-lru block", rg_lru.make(project=False), _HAWK),
        make("lru block", lru, Switches(output="glu"), nonlinearity=gelu),
        make("s6 block", s6.make(project=False), _MAMBA._replace(project=True)),
        make("mamba-2 block", mamba_2.mamba_2, _MAMBA._replace(norm="after the gate")),
        make("slstm block", slstm.slstm, _SLSTM),
        make("mlstm block", mlstm.mlstm, _MAMBA._replace(project=True, norm="before the gate")),
        make("deltanet block", deltanet.deltanet, _DELTA._replace(gate="")),
        make("gated deltanet block", gated_deltanet.gated_deltanet, _DELTA),
        make("gla block", gla.gla, _GATED),
    )
}
