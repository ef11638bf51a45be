"""Results that nobody measured."""

import dataclasses
import html
import pathlib
import re

import pandas as pd

from rnn_capacity.measure.association import AssociationPoint
from rnn_capacity.measure.capacity import CapacityResult
from rnn_capacity.measure.recall import RecallPoint
from rnn_capacity.measure.result import Record, Result
from rnn_capacity.measure.trainability import TrainabilityResult
from rnn_capacity.studies.plan import HPARAM

NAN = float("nan")
KINDS = {kind.measure: kind for kind in (CapacityResult, RecallPoint, TrainabilityResult, AssociationPoint)}
RECORD = {
    "source": ".",
    "plan": {},
    "best_number": None,
    "finished": True,
    "measured": True,
    "wanted_trials": None,
    "workers": [],
}
OF_ALL = {
    "study": "a study",
    "cell": "rnn",
    "depth": 1,
    "max_params": 1000,
    "num_params": 981,
    "num_units": 21,
    "state_floats": 21,
    "operations": 1785,
    "num_inputs": 20,
    "unroll": 5,
    "still_improving": False,
    "interval": (NAN, NAN),
    "repeats": (),
    "best_hparams": {},
    "wider": {},
    "num_trials": 2,
    "num_infeasible": 0,
    "num_stopped_early": 0,
    "num_infeasible_repeats": 0,
    "train_steps": 100,
    "total_steps": 200,
    "seconds": 12.4,
    "trials": pd.DataFrame(),
}
OF_EACH = {
    "capacity": dict.fromkeys(("bits", "bits_per_param", "chance_bits_per_param", "accuracy"), NAN)
    | {"num_mappings": 0, "rounded": {}},
    "association": dict.fromkeys(("accuracy", "bits", "chance_accuracy"), NAN)
    | {"num_pairs": 4, "num_keys": 32, "num_values": 8},
    "recall": dict.fromkeys(("error", "line", "chance_error"), NAN),
    "trainability": dict.fromkeys(("loss", "score", "chance", "median_loss"), NAN)
    | {"task": "parentheses", "task_fields": {}, "sampler": "gp", "score_name": "accuracy", "box": {}},
}


def make(measure: str, **fields) -> Result:
    """A result; a space, by the ranges of the dimensions, is put into the plan."""
    record = RECORD | {name: fields.pop(name) for name in (*RECORD, "space") if name in fields}
    space = {f"{HPARAM}{name}": dimension for name, dimension in record.pop("space", {}).items()}
    record["plan"] = record["plan"] | space
    return KINDS[measure](**OF_ALL | OF_EACH[measure] | fields, record=Record(**record))


def changed(result: Result, **fields) -> Result:
    """A result with other fields, of its record too; those that it does not have are left out."""
    of_record = {f.name: getattr(result.record, f.name) for f in dataclasses.fields(Record)}
    known = {f.name: getattr(result, f.name) for f in dataclasses.fields(result) if f.name != "record"}
    fields = {name: value for name, value in fields.items() if name in (*of_record, *known, "space")}
    return make(result.measure, **of_record | known | fields)


def words_of(svg: pathlib.Path) -> str:
    """What is to be read in a drawing."""
    words = " ".join(re.findall(r">([^<>]+)<", svg.read_text(encoding="utf-8")))
    return html.unescape(words).replace("\u00a0", " ")
