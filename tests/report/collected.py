"""Small studies that a report collects, trained by nobody."""

import functools
import json

import optuna
import pytest
from tiny import TINY, TINY_PARENTHESES, TINY_RECALL, FakeTrainer

from rnn_capacity import measure_capacity, measure_recall, measure_trainability
from rnn_capacity.studies import reader, store

CALLS = {
    "capacity": functools.partial(measure_capacity, "gru", **TINY),
    "recall": functools.partial(measure_recall, "rnn", **TINY_RECALL | {"num_units": 2}),
    "trainability": functools.partial(measure_trainability, "rnn", **TINY_PARENTHESES),
}
NAMES = {
    "capacity": "capacity gru depth=1 params=60 T=1",
    "recall": "recall rnn depth=1 units=2 inputs=4 T=2",
    "trainability": "parentheses rnn depth=1 params=60 T=3",
}


class Killed(BaseException):
    """As SIGKILL would end it: nothing of ours handles it."""


def failing_trainer(monkeypatch):
    """A fixture: nothing is trained, and a third of the trials are infeasible."""
    return FakeTrainer(infeasible=lambda hparams: int(1e6 * hparams["learning_rate"]) % 3 == 0).install(monkeypatch)


def measure(name, folder, **options):
    """The row of the result that a call gives."""
    (row,) = CALLS[name](storage=folder, progress=False, **options).rows()
    return row


def killed_before_it_is_kept(name, folder, **options):
    """All is trained, the repeats too, and no result is kept of it."""
    killed(lambda: measure(name, folder, **options))


def killed(call):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "save_result", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            call()


def open_study(folder, title):
    """The study of a title, as Optuna has it."""
    return optuna.load_study(study_name=reader.load_study(folder, title).name, storage=store.open_storage(folder))


def only(collection):
    assert collection.notes == []
    (result,) = collection.results
    return result


def without_times(row):
    return json.dumps({name: value for name, value in row.items() if name != "seconds"}, sort_keys=True)


def row_of(result):
    return json.dumps(result.to_dict())
