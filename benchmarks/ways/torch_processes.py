"""PyTorch in processes of its own: one with as many threads as it likes, or one a core with a thread each.

So neither library's threads wait in the other's way, and what takes too long can be stopped.
"""

import os
import pathlib
import pickle
import select
import signal
import subprocess
import sys
import time

import numpy as np

WORKER = pathlib.Path(__file__).with_name("torch_worker.py")
PATIENCE = 120.0  # seconds for the first step, compilation included
ANSWER = 600.0  # for anything else


class NotMeasuredError(Exception):
    """A way that does not work here; says why."""


class Processes:
    """Those that train at once; they live as long as the run, and are begun again after one was stopped.

    Args:
        count: how many.
        threads: of each; None: PyTorch's default.
    """

    def __init__(self, count, threads=None):
        self.count, self.threads, self.running = count, threads, []

    def ask(self, *request, shares=None, timeout=ANSWER):
        """What each answers to (name of a method, *arguments), asked at one time.

        Args:
            shares: one more argument for each.

        Raises:
            NotMeasuredError: one fails, or takes longer than `timeout` seconds.
        """
        if not self.running:
            threads = [] if self.threads is None else [str(self.threads)]
            command, environment = (
                [sys.executable, str(WORKER), *threads],
                os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"},
            )
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0, "start_new_session": True}
            self.running = [subprocess.Popen(command, env=environment, **pipes) for _ in range(self.count)]
        method, *arguments = request
        for n, process in enumerate(self.running):
            given = arguments if shares is None else [*arguments, shares[n]]
            with open(process.stdin.fileno(), "wb", closefd=False) as pipe:
                pickle.dump((method, given), pipe)
        deadline = time.monotonic() + timeout
        answers = []
        for process in self.running:
            if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.stop()
                raise NotMeasuredError(f"more than {timeout:.0f} s")
            with open(process.stdout.fileno(), "rb", closefd=False) as pipe:
                try:
                    answers.append(pickle.load(pipe))
                except EOFError:
                    self.stop()
                    raise NotMeasuredError("the process died") from None
        if error := next((error for error, _ in answers if error), None):
            raise NotMeasuredError(error)
        return [result for _, result in answers]

    def forget(self):
        """The problem that they trained last."""
        if self.running:
            self.ask("forget")

    def stop(self):
        for process in self.running:  # each leads a group, with the compiler that it may have started
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running = []


class TorchWay:
    """One way of training a problem in processes.

    Args:
        name: torch_eager, torch_batched or torch_compiled.
        trials: dealt to the processes in turn, K / n each; of torch_eager each takes one.
    """

    def __init__(self, name, processes, sizes, trials, optimizer):
        self.name, self.processes = name, processes
        shares = [trials[n :: processes.count] for n in range(processes.count)]
        shares = [share[:1] for share in shares] if name == "torch_eager" else shares
        processes.ask("begin", name, sizes, optimizer, shares=shares)
        processes.ask("losses", name, 1, timeout=PATIENCE)  # compiled, where it is

    def losses(self, num_steps):
        """Before each step, of the first process's first trial."""
        losses, *_ = self.processes.ask("losses", self.name, num_steps)
        return losses.reshape(num_steps, -1)[:, 0]

    def rate(self, seconds):
        """Trials x steps per second, of all processes together."""
        return float(np.sum(self.processes.ask("rate", self.name, seconds)))
