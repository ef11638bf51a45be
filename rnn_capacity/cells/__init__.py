"""The cells by name: the paper's six, modern ones, classical ones that the paper left out, and blocks."""

from rnn_capacity.cells import (
    deltanet,
    fastgrnn,
    gated_deltanet,
    gla,
    janet,
    lem,
    lru,
    mamba_2,
    mgu,
    mingru,
    mlstm,
    nbrc,
    peephole_lstm,
    rg_lru,
    s6,
    slstm,
)
from rnn_capacity.cells.base import Cell
from rnn_capacity.cells.block import BLOCKS
from rnn_capacity.cells.gru import gru
from rnn_capacity.cells.irnn import irnn
from rnn_capacity.cells.lstm import lstm
from rnn_capacity.cells.plus_rnn import plus_rnn
from rnn_capacity.cells.rnn import rnn
from rnn_capacity.cells.ugrnn import ugrnn


def _by_name(*cells: Cell) -> dict[str, Cell]:
    return {cell.name: cell for cell in cells}


PAPER_CELLS = _by_name(rnn, irnn, ugrnn, gru, lstm, plus_rnn)
MODERN_CELLS = _by_name(
    mingru.mingru,
    rg_lru.rg_lru,
    lru.lru,
    s6.s6,
    mamba_2.mamba_2,
    slstm.slstm,
    mlstm.mlstm,
    deltanet.deltanet,
    gated_deltanet.gated_deltanet,
    gla.gla,
    gla.linear_attention,
    gla.retnet,
)
CLASSICAL_CELLS = _by_name(mgu.mgu, janet.janet, fastgrnn.fastgrnn, lem.lem, nbrc.nbrc, peephole_lstm.peephole_lstm)
CELLS: dict[str, Cell] = PAPER_CELLS | MODERN_CELLS | CLASSICAL_CELLS
NAMED_CELLS: dict[str, Cell] = CELLS | BLOCKS  # all that have a name in calls and configs

__all__ = ["BLOCKS", "CELLS", "CLASSICAL_CELLS", "MODERN_CELLS", "NAMED_CELLS", "PAPER_CELLS", "Cell"]
