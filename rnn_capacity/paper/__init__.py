"""What the paper published, and results in the format of its authors."""

from rnn_capacity.paper import dataset

__all__ = ["dataset"]
