"""The table of 630,880 trials that the paper's authors published, and our trials as rows of it.

https://github.com/jazcollins/cap-n-train-hps (CC BY 4.0): pickled structured NumPy arrays, one a figure, a trial a row:

    architecture   rnn, irnn, ugrnn, gru, lstm, +rnn; a user's own cell by its name
    task_type      per_cap (ours: memorization), mem_thru (recall), rcf (random_functions), text8, parens_counting
                   (parentheses), arithmetic; a user's own task by its name
    hparams        a dict from names to strings and numbers; which names depends on the cell and the task
    n_layers       depth
    hyper_iter     the trial's number in its search
    max_params     the budget, missing where there was none
    num_params     trainable numbers
    train_loss, valid_loss, eval_loss    in the loss's own unit, of ours the task's own; NaN where training diverged
"""

import math
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from rnn_capacity.checks import InputError
from rnn_capacity.paper import unpickle
from rnn_capacity.studies import store
from rnn_capacity.studies.reader import Stored

TEXTS = ("architecture", "task_type")
COUNTS = ("n_layers", "hyper_iter", "max_params", "num_params")
LOSSES = ("train_loss", "valid_loss", "eval_loss")
FIELDS = (*TEXTS, "hparams", *COUNTS, *LOSSES)

# Our family -> their name; a gate is named behind either. What is not here has no name of theirs and keeps ours.
FAMILIES = {
    "recurrent_scale": "recurrent_matrix_scale",
    "recurrent_init": "recurrent_matrix_init_type",
    "input_scale": "input_scale",
    "bias_scale": "recurrent_bias_scale",
    "bias_init": "recurrent_bias_init_type",
}
NAMES = FAMILIES | {
    "forget_bias": "forget_gate_bias_hack",
    "learning_rate": "lr_init",
    "learning_rate_decay": "lr_decay_rate",
    "momentum_logit": "optimizer_logit_momentum",
    "gradient_clip": "gradient_clip_val",
    "l2": "l2_decay",
}
GATES = {("lstm", "f"): "g"}  # the others are called alike, as far as their table has them
NO_GATES = ("readout", "in")  # layers of ours that are not the cell's
VALUES = {"sgd": "SGD", "momentum": "Momentum", "rmsprop": "RMSProp", "adam": "Adam", "constant": "delta"}

# Our task -> their name; a user's own task keeps its own.
TASK_TYPES = {
    "memorization": "per_cap",
    "recall": "mem_thru",
    "random_functions": "rcf",
    "text8": "text8",
    "parentheses": "parens_counting",
    "arithmetic": "arithmetic",
}


def their_hparams(cell: str, hparams: Mapping[str, float | str]) -> dict[str, float | str]:
    """Hparams of a trial under the authors' names, the names of optimizers and initialisations theirs too."""
    return {_their_name(cell, name): VALUES.get(str(value), value) for name, value in hparams.items()}


def _their_name(cell: str, name: str) -> str:
    for family, theirs in FAMILIES.items():
        if name.startswith(family + "_"):
            gate = name.removeprefix(family + "_")
            if gate in NO_GATES:
                return name
            return f"{theirs}_{GATES.get((cell, gate), gate)}"
    return NAMES.get(name, name)


def rows(studies: Iterable[Stored]) -> pd.DataFrame:
    """Our measured trials as rows of the authors' table, FIELDS as columns, hparams as dicts.

    Searches only: a repeat of the best trial is no row of theirs. Memorization has one set of data, so its three losses
    are one. Recall is given its units, not a budget: there max_params is missing. T and the number of inputs have no
    field.
    """
    found = []
    for study in studies:
        plan = study.plan
        if not plan or plan["again"] is not None:
            continue
        for trial in study.measured:
            hparams = study.hparams(trial) | {"train_steps": plan["train_steps"]}
            outcome = trial.user_attrs[store.OUTCOME]
            losses = {field: outcome[field if field in outcome else "loss"] for field in LOSSES}
            found.append(
                {
                    "architecture": plan["cell"],
                    "task_type": TASK_TYPES.get(plan["task"], plan["task"]),
                    "hparams": their_hparams(plan["cell"], hparams),
                    "n_layers": plan["depth"],
                    "hyper_iter": trial.number,
                    "max_params": plan["max_params"],
                    "num_params": plan["num_params"],
                    **{field: math.nan if loss is None else loss for field, loss in losses.items()},
                }
            )
    return _frame({field: [row[field] for row in found] for field in FIELDS})


def read_authors(path: str | os.PathLike) -> pd.DataFrame:
    """A pickle of the authors' table, a row a trial: FIELDS as columns, hparams as dicts. Nothing in it is executed.

    A dict or list of arrays is read as one table. Fields beyond FIELDS are left out.

    Raises:
        InputError: the file is no pickle of arrays, names anything that arrays do not need, lacks a field, or has
            something in a field that does not belong there.
    """
    columns: dict[str, list] = {field: [] for field in FIELDS}
    for array in unpickle.load(path):
        lacking = [field for field in FIELDS if field not in (array.dtype.names or ())]
        if lacking or array.ndim != 1:
            raise InputError(
                f"authors: {str(path)!r} given; it must hold a structured array of one axis with the fields "
                f"{', '.join(FIELDS)}" + (f" ({lacking[0]} is not there)" if lacking else "")
            )
        for field, column in columns.items():
            column += _column(array, field)
    return _frame(columns)


def _frame(columns: Mapping[str, list]) -> pd.DataFrame:
    types = dict.fromkeys(TEXTS, "str") | {"hparams": object} | dict.fromkeys(COUNTS, "Int64")
    types |= dict.fromkeys(LOSSES, "float64")
    return pd.DataFrame({field: pd.Series(columns[field], dtype=types[field]) for field in FIELDS})


def _column(array: np.ndarray, field: str) -> list:
    check = _CHECKS[field]
    values = []
    for i, value in enumerate(array[field].tolist()):
        try:
            values.append(check(value))
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{field}: {reprlib.repr(value)} given in row {i}; it must be {check.__doc__}") from None
    return values


def _text(value: Any) -> str:
    """a string"""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: Any) -> int | None:
    """a whole number"""
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or abs(value) >= 2**63:
        raise TypeError
    return int(value)


def _loss(value: Any) -> float:
    """a number"""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError
    return math.nan if value is None else float(value)


def _hparams(value: Any) -> dict[str, Any]:
    """a dict from names to strings and numbers"""
    if not isinstance(value, dict):
        raise TypeError
    found = {}
    for name, hparam in value.items():
        if not isinstance(hparam, bytes | str | int | float | None):
            raise TypeError
        found[_text(name)] = _text(hparam) if isinstance(hparam, bytes) else hparam
    return found


_CHECKS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(TEXTS, _text),
    "hparams": _hparams,
    **dict.fromkeys(COUNTS, _count),
    **dict.fromkeys(LOSSES, _loss),
}
