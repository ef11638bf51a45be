"""A process that trains in PyTorch for `torch_processes.py`: python torch_worker.py [THREADS].

It reads pickled requests from its standard input, (name of a method, arguments), and answers each with a pickled
(error, result) on its standard output.
"""

import os
import pathlib
import pickle
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import torch
from ways.torch_training import Batched, OneTrial


class Worker:
    """What this process is asked to do, for one problem, by the name of a way."""

    def __init__(self):
        self.trainers = {}

    def forget(self):
        self.trainers = {}
        torch._dynamo.reset()

    def begin(self, name, sizes, optimizer, trials):
        if name == "torch_eager":
            self.trainers[name] = OneTrial(sizes, trials[0], optimizer)
        else:
            self.trainers[name] = Batched(sizes, trials, optimizer, compiled=name == "torch_compiled")

    def losses(self, name, num_steps):
        return self.trainers[name].losses(num_steps)

    def rate(self, name, seconds):
        trainer = self.trainers[name]
        return trainer.num_trials * trainer.rate(seconds)


def main():
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    worker = Worker()
    while True:
        try:
            method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:  # whoever asked is gone
            return
        try:
            answer = None, getattr(worker, method)(*arguments)
        except Exception as error:  # told to whoever asked, in whose table it belongs
            answer = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}", None
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # a file that cannot be flushed would complain on the way out


if __name__ == "__main__":
    main()
