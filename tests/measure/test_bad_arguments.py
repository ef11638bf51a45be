"""Whatever is passed to a call is taken, or refused in one line, before anything is trained."""

import dataclasses
import inspect
import io

import numpy as np
import optuna
import pytest
from rich.console import Console
from tiny import TINY, TINY_PARENTHESES, TINY_RECALL

import rnn_capacity
from rnn_capacity import Cell, compare, sweep, train_again
from rnn_capacity.checks import InputError
from rnn_capacity.studies import progress, store
from rnn_capacity.studies.config import Budget, Runtime
from rnn_capacity.training import program

CALLS = {
    "measure_capacity": {"cell": "rnn", **TINY},
    "measure_recall": {"cell": "rnn", **TINY_RECALL},
    "measure_trainability": {"cell": "rnn", **TINY_PARENTHESES},
}
# All three check these by the same classes, so of two measurements they are left out.
SHARED = {field.name for kind in (Budget, Runtime) for field in dataclasses.fields(kind)}
SHARED |= {"seed", "sampler", "halving", "precision", "train_steps"}
ARGUMENTS = [
    (name, argument)
    for name in CALLS
    for argument in inspect.signature(getattr(rnn_capacity, name)).parameters
    if name == "measure_capacity" or argument not in SHARED
]


class Odd:
    """What breaks messages and comparisons."""

    def __repr__(self):
        return "<odd\nobject>"

    def __eq__(self, other):
        raise RuntimeError("compared")

    __hash__ = object.__hash__


VALUES = [
    *(None, True, False, 0, -1, 3, 1.5, float("nan"), float("inf"), 2**64, -(2**64), 10**400, 1j),
    *("", "x", "3", "gru\n", "\0", "://", "sqlite:////nowhere/x.db", b"x"),
    *((), [], {}, (1,), [1, 2], {"a": 1}, {1: 2}, {"learning_rate": "x"}, {"optimizer": [3]}, {"num_types": None}, {3}),
    *(np.array([1, 2]), np.array(3), np.float32(2.5), np.int64(3), np.array("x"), range(3), iter([1])),
    *(object, len, Odd(), Exception("x"), ..., Cell, Cell("x", None, None, None), ("rnn", None, None, None)),
]


class Trained(Exception):
    pass


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """Whether a call refuses its arguments by an InputError of one line; it may also go as far as training."""

    def advance(*_, **__):
        raise Trained

    monkeypatch.setattr(program, "advance", advance)
    monkeypatch.chdir(tmp_path)  # "x" is a folder, to a storage

    def call(fn, *args, **kwargs):
        try:
            fn(*args, **kwargs)
        except Trained:
            return False
        except InputError as error:
            if len(str(error).splitlines()) != 1:
                pytest.fail(f"not a line: {error}")
            return True
        return False

    return call


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=str)
def test_an_argument_of_any_kind_is_taken_or_refused_in_a_line(refused, name, argument):
    call, arguments = getattr(rnn_capacity, name), CALLS[name] | {"progress": False, "devices": 1}
    assert not refused(call, **arguments)
    found = [refused(call, **arguments | {argument: value}) for value in VALUES]
    assert sum(found) > len(VALUES) / 2


def test_progress_may_be_none_and_is_else_a_bool_or_a_reporter(refused, capsys):
    for taken in (None, False, progress.Silent()):
        assert not refused(rnn_capacity.measure_capacity, progress=taken, **CALLS["measure_capacity"])
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"^progress: 'bar' given; it must be True, False, or a Reporter$"):
        rnn_capacity.measure_capacity(progress="bar", **CALLS["measure_capacity"])


def test_what_is_compared_or_trained_again_is_refused_in_a_line(refused, trainer, tmp_path):
    rnn_capacity.measure_capacity(storage=tmp_path, progress=False, **CALLS["measure_capacity"])
    name = optuna.get_all_study_names(store.open_storage(tmp_path))[0]
    known = {"storage": tmp_path, "study_name": name, "number": 0}
    train_again(**known)
    for value in VALUES:
        assert refused(compare, value)
        assert refused(compare, [value])
        for argument in ("storage", "study_name", "number", "cell", "task"):
            refused(train_again, **known | {argument: value})


@pytest.mark.parametrize("field", sweep.FIELDS)
def test_a_field_of_a_config_is_taken_or_refused_in_a_line(refused, field):
    config = TINY | {"cell": "irnn", "workdir": "out"}
    opens = field in ("workdir", "storage", "checkpoints")
    for value in VALUES:
        fields = config | {field: value}
        refused(sweep.run, fields, Console(file=io.StringIO())) if opens else refused(sweep.sweeps_of, fields)


def test_what_is_within_a_config_is_taken_or_refused_in_a_line(refused):
    config = TINY | {"cell": "irnn", "workdir": "out"}
    for value in VALUES:
        for fields in (
            config | {"per_cell": {"irnn": value}},
            config | {"per_cell": {"irnn": {"hparams": value}}},
            config | {"hparams": {"learning_rate": value}},
            config | {"hparams": {"optimizer": value}},
            {"workdir": "out", "sweeps": value},
            {"workdir": "out", "sweeps": {"a": value}},
            {"workdir": value, "sweeps": {"a": TINY | {"cell": "irnn"}}},
        ):
            refused(sweep.sweeps_of, fields)
