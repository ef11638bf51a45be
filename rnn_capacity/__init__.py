"""How many bits a recurrent cell can store, how much it can remember, and how hard it is to train."""

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.measure import CapacityResult, measure_capacity, train_again
from rnn_capacity.tasks import TASKS, Task

__all__ = ["CELLS", "TASKS", "CapacityResult", "Cell", "Task", "measure_capacity", "train_again"]
