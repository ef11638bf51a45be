"""The six cells of the paper, by name."""

from rnn_capacity.cells.base import Cell
from rnn_capacity.cells.gru import gru
from rnn_capacity.cells.irnn import irnn
from rnn_capacity.cells.lstm import lstm
from rnn_capacity.cells.plus_rnn import plus_rnn
from rnn_capacity.cells.rnn import rnn
from rnn_capacity.cells.ugrnn import ugrnn

CELLS: dict[str, Cell] = {cell.name: cell for cell in (rnn, irnn, ugrnn, gru, lstm, plus_rnn)}

__all__ = ["CELLS", "Cell"]
