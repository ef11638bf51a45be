"""Spreads a study's trials over the processes of a job; where there is but one, it is that one's trainer.

Trials are independent, so each process trains its share on its own devices; then all exchange their outcomes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rnn_capacity.training import hosts
from rnn_capacity.training.trainer import Trained, Trainer
from rnn_capacity.training.trial import Outcome, Trial


class Crew:
    """The trainers of all processes as one. In process 0 `train`, `told` and `dismiss` are called, in others `follow`.

    Args:
        trainer: this process's.
        study: what defines it, with the code; must be the same in every process.

    Raises:
        JobError: another process trains another study.
    """

    def __init__(self, trainer: Trainer, study: str):
        self._trainer = trainer
        self._told: list[int] = []  # what is stored, and the others do not know of
        hosts.agree(study)

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
        while trials:
            batch, trials = trials[: self.together], trials[self.together :]
            self._order([[trial.number, dict(trial.values)] for trial in batch], until)
            yield self._share(batch, until, on_chunk)

    def wait(self) -> None:
        """Shows the other processes that this one lives, while there is nothing to train."""
        self._order([], 0)

    def told(self, number: int) -> None:
        """Forgets a trial whose outcome is stored."""
        self._trainer.told([number])
        self._told.append(number)

    def dismiss(self, message: Any) -> None:
        """Ends the other processes' `follow`, which returns the message."""
        self._order(None, 0, message)

    def follow(self, make_trial: Callable[[int, Mapping[str, Any]], Trial]) -> Any:
        """Trains what process 0 orders until it dismisses; returns its message.

        Raises:
            OutOfMemoryError, stop.Stopped, hosts.JobError: as of a `Trainer`, here or in another process.
        """
        while True:
            order, *_ = hosts.exchange()
            self._trainer.told(order["told"])
            if order["trials"] is None:
                return order["message"]
            trials = [make_trial(number, values) for number, values in order["trials"]]
            if trials:
                self._share(trials, order["until"], lambda batch, step: None)

    def _order(self, trials: list | None, until: int, message: Any = None) -> None:
        if hosts.count() > 1:
            hosts.exchange({"trials": trials, "until": until, "told": self._told, "message": message})
        self._told = []

    def _share(self, trials: Sequence[Trial], until: int, on_chunk) -> dict[int, Trained]:
        """Trains this process's trials of a batch; returns the outcomes of all.

        A trial is always the same process's, which knows where it stands. One without a trial trains another's: none
        waits much longer than the others, which no collective of JAX's likes.
        """
        ours = [trial for trial in trials if trial.number % hosts.count() == hosts.index()]
        shown = on_chunk if ours else lambda batch, step: None
        found = {n: one for batch in self._trainer.train(ours or trials[-1:], until, shown) for n, one in batch.items()}
        outcomes = {trial.number: found[trial.number] for trial in ours}
        sent = {number: (one.outcome._asdict(), one.seconds) for number, one in outcomes.items()}
        said = hosts.exchange({"outcomes": sent, "trials_per_device": self._trainer.trials_per_device})
        self._trainer.narrow(min(each["trials_per_device"] for each in said))
        if others := [trial for trial in trials if trial.number not in outcomes]:
            on_chunk(others, until)
        known = [item for each in said for item in each["outcomes"].items()]
        return {int(number): Trained(Outcome(**outcome), seconds) for number, (outcome, seconds) in known}
