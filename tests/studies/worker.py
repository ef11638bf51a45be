"""A worker in a process of its own: `worker.py URL NUM_TRIALS OUT MOST` trains a study's trials with others.

At its end it says in the file OUT what it trained, by learning rates; after MOST batches it never ends. All have one
host's name, as containers may. A dead one is known as such sooner than a user's.
"""

import json
import os
import pathlib
import socket
import sys
import time

import forked
from helpers import PATHS
from tiny import FakeTrainer
from watched_study import run

from rnn_capacity.studies import database
from rnn_capacity.training import program, share


class Slow(FakeTrainer):
    """Training that takes a moment, and from some batch on never ends."""

    def __init__(self, most):
        super().__init__()
        self._most = most

    def __call__(self, *args, **kwargs):
        time.sleep(0.05 if len(self.batches) < self._most else 600)
        return super().__call__(*args, **kwargs)


def start(url, num_trials, out, most=1000):
    """Such a worker, as a process."""
    return forked.Process([sys.executable, __file__, url, num_trials, out, most], os.environ | {"PYTHONPATH": PATHS})


def work(url, num_trials, out, most):
    socket.gethostname = lambda: "container"
    database.HEARTBEAT, database.GRACE = 1, 5
    share.SECONDS_BETWEEN_LOOKS = 0.1
    program.advance = trainer = Slow(int(most))
    run(url if "://" in url else pathlib.Path(url), int(num_trials))
    trained = [dict(hparams)["learning_rate"] for _, hparams, _ in trainer.trained]
    pathlib.Path(out).write_text(json.dumps(trained))


if __name__ == "__main__":
    work(*sys.argv[1:])
