"""Spreads a study's trials over the processes of a job; where there is but one, it is that one's trainer.

Trials are independent, so each process trains its share at its own pace, and only outcomes are gathered.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rnn_capacity.training import hosts, stop
from rnn_capacity.training.trainer import Trained, Trainer
from rnn_capacity.training.trial import Outcome, Trial

SECONDS_BETWEEN_LOOKS = 0.1  # while other processes train

_turns = itertools.count()  # of orders, the same in every process, for all run the same program


class Crew:
    """The trainers of all processes as one. In process 0 `train`, `told` and `dismiss` are called, in others `follow`.

    Args:
        trainer: this process's.
        study: what defines it, with the code; must be the same in every process.
    """

    def __init__(self, trainer: Trainer, study: str):
        self._trainer, self._study = trainer, study
        self._process_of: dict[int, int] = {}  # by trial: where it stands is known there alone

    @property
    def together(self) -> int:
        """How many trials are trained at once."""
        return self._trainer.together * hosts.count()

    def train(
        self, trials: Sequence[Trial], until: int, on_chunk: Callable[[Sequence[Trial], int], None]
    ) -> Iterator[dict[int, Trained]]:
        """As of a `Trainer`; `on_chunk` is called for other processes' trials when their outcomes arrive."""
        if hosts.count() == 1:
            yield from self._trainer.train(trials, until, on_chunk)
            return
        turn, shares = next(_turns), self._shares(trials)
        for process, share in enumerate(shares[1:], 1):
            numbered = [[t.number, dict(t.values)] for t in share]
            self._send(turn, process, trials=numbered, until=until, trials_per_device=self._trainer.trials_per_device)
        awaited = dict.fromkeys(range(1, len(shares)), 0)  # process -> how many batches have come from it
        by_number = {trial.number: trial for trial in trials}
        told = lambda numbers: on_chunk([by_number[number] for number in numbers], until)
        arrived = functools.partial(self._arrived, turn, awaited, told)
        try:
            for trained in self._trainer.train(shares[0], until, on_chunk):
                yield trained
                yield from arrived()
            while awaited:
                hosts.check()
                yield from arrived()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except (stop.Stopped, hosts.JobError):
            yield from arrived()
            raise

    def _arrived(self, turn, awaited, told) -> Iterator[dict[int, Trained]]:
        """What other processes have trained meanwhile."""
        for process in list(awaited):
            while (message := hosts.fetch(_result(turn, process, awaited[process]), wait=False)) is not None:
                self._trainer.narrow(message["trials_per_device"])
                if not message["batch"]:
                    del awaited[process]
                    break
                awaited[process] += 1
                batch = message["batch"].items()
                batch = {int(n): Trained(Outcome(**outcome), seconds) for n, (outcome, seconds) in batch}
                told(batch)
                yield batch

    def _send(self, turn: int, process: int, **order: Any) -> None:
        hosts.post(_order(turn, process), {"study": self._study, **order})

    def _shares(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """A share for each process: what it has begun, and of the new as many as the others, of few specs.

        In a race the survivors stay where they were trained, so some processes may have more of them than others.
        """
        known = {t.number: self._process_of[t.number] for t in trials if t.number in self._process_of}
        by_spec = {spec: n for n, spec in enumerate(dict.fromkeys(t.spec for t in trials))}
        new = sorted((t for t in trials if t.number not in known), key=lambda t: by_spec[t.spec])
        known |= {t.number: k * hosts.count() // len(new) for k, t in enumerate(new)}
        self._process_of = known
        return [[t for t in trials if known[t.number] == process] for process in range(hosts.count())]

    def told(self, number: int) -> None:
        """Forgets a trial whose outcome is stored."""
        self._trainer.told([number])

    def dismiss(self, message: Any) -> None:
        """Ends the other processes' `follow`, which returns the message."""
        if hosts.count() == 1:
            return
        turn = next(_turns)
        for process in range(1, hosts.count()):
            self._send(turn, process, over=message)

    def follow(self, make_trial: Callable[[int, Mapping[str, Any]], Trial]) -> Any:
        """Trains what process 0 sends until it dismisses; returns its message.

        Raises:
            OutOfMemoryError, stop.Stopped, hosts.JobError: as of a `Trainer`; and where process 0 runs another study.
        """
        untold: set[int] = set()
        while True:
            turn, process = next(_turns), hosts.index()
            order = hosts.fetch(_order(turn, process))
            if order["study"] != self._study:
                raise hosts.JobError(
                    "process 0 runs another study: every process must be started with the same config, code and data"
                )
            numbers = {number for number, _ in order.get("trials", ())}
            self._trainer.told(
                untold - numbers
            )  # process 0 waits for all of an order to be told before it sends another
            untold = numbers
            if "over" in order:
                return order["over"]
            self._trainer.narrow(order["trials_per_device"])
            trials = [make_trial(number, values) for number, values in order["trials"]]
            batches = self._trainer.train(trials, order["until"], lambda batch, step: None)
            for n, trained in enumerate(itertools.chain(batches, [{}])):  # an empty one is the last
                batch = {number: (outcome._asdict(), seconds) for number, (outcome, seconds) in trained.items()}
                message = {"batch": batch, "trials_per_device": self._trainer.trials_per_device}
                hosts.post(_result(turn, process, n), message)


def _order(turn: int, process: int) -> str:
    return f"{turn}/order/{process}"


def _result(turn: int, process: int, batch: int) -> str:
    return f"{turn}/result/{process}/{batch}"
