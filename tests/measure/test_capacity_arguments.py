"""Arguments of `measure_capacity`: a bad one is refused before any work, in a line that says what would be right."""

import jax.numpy as jnp
import pytest
from tiny import FRAGILE
from tiny_measures import capacity as measure
from tiny_measures import check_refused

from rnn_capacity import CELLS, Cell
from rnn_capacity.dimension import Range
from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.studies.plan import find_cell


def _own(name, init=None, initial_carry=None, apply=None):
    return Cell(
        name,
        init or (lambda key, i, h, hparams: {"W": hparams["input_scale"] * jnp.ones((h, i)), "h": jnp.zeros(h)}),
        initial_carry or (lambda params: params["h"]),
        apply or (lambda params, h, x, s: (s(params["W"] @ x + h),) * 2),
    )


GROWS = _own("grows", apply=lambda p, h, x, s: (jnp.concatenate([h, h]), h))
RETYPES = _own("retypes", apply=lambda p, h, x, s: (h.astype(jnp.float16), s(p["W"] @ x + h)))
RENESTS = _own("renests", apply=lambda p, h, x, s: ((h, h), s(p["W"] @ x + h)))
WIDE = _own("wide", apply=lambda p, h, x, s: (h, jnp.concatenate([h, h])))
BREAKS = _own("breaks", apply=lambda p, h, x, s: (h, p["W"] @ h))
WHOLE = _own("whole", init=lambda key, i, h, hparams: {"W": jnp.ones((h, i), int), "h": jnp.zeros(h)})
LEAKY = _own("leaky", init=lambda key, i, h, hparams: {"W": hparams["leak"] * jnp.ones((h, i)), "h": jnp.zeros(h)})

BAD = [
    ("cell", "elman", {"cell": "elman"}),
    ("cell", "3", {"cell": 3}),
    ("cell", "None", {"cell": None}),
    ("cell", "'grows'", {"cell": GROWS}),
    ("cell", "'retypes'", {"cell": RETYPES}),
    ("cell", "'renests'", {"cell": RENESTS}),
    ("cell", "'grows'", {"cell": GROWS, "depth": 2}),
    ("cell", "'wide'", {"cell": WIDE}),
    ("cell", "'breaks' cannot take a step with 8 inputs", {"cell": BREAKS}),
    ("cell", "'whole' has parameters", {"cell": WHOLE}),
    ("cell", "'leak'", {"cell": LEAKY}),
    ("depth", "0", {"depth": 0}),
    ("depth", "-1", {"depth": -1}),
    ("depth", "1.5", {"depth": 1.5}),
    ("num_params", "12", {"num_params": 12}),
    ("num_params", "0", {"num_params": 0}),
    ("num_params", "1000.0", {"num_params": 1000.0}),
    ("num_mappings", "num_inputs = 5", {"num_inputs": 5}),
    ("num_inputs", "0", {"num_inputs": 0}),
    ("unroll", "0", {"unroll": 0}),
    ("unroll", "-5", {"unroll": -5}),
    ("unroll", "2.0", {"unroll": 2.0}),
    ("hparams.learning_rate", "-1", {"hparams": {"learning_rate": -1}}),
    ("hparams.learning_rate", "-0.1", {"hparams": {"learning_rate": (-0.1, 0.1)}}),
    ("hparams", "'learnig_rate'", {"hparams": {"learnig_rate": 0.1}}),
    ("train_steps", "0", {"train_steps": 0}),
    ("train_steps", "-10", {"train_steps": -10}),
    ("train_steps", "1.5", {"train_steps": 1.5}),
    ("train_steps", "'10'", {"train_steps": "10"}),
    ("train_steps", "True", {"train_steps": True}),
    ("train_steps", "None", {"train_steps": None}),
    ("batch_size", "0", {"batch_size": 0}),
    ("num_trials", "0", {"num_trials": 0}),
    ("num_trials", "2.5", {"num_trials": 2.5}),
    ("num_repeats", "-1", {"num_repeats": -1}),
    ("trials_per_device", "0", {"trials_per_device": 0}),
    ("devices", "0", {"devices": 0}),
    ("devices", "5", {"devices": 5}),
    ("space", "'wide'", {"space": "wide"}),
    ("sampler", "'vizier'", {"sampler": "vizier"}),
    ("precision", "'float64'", {"precision": "float64"}),
    ("seed", "-1", {"seed": -1}),
    ("seed", "1.5", {"seed": 1.5}),
    ("seed", "'one'", {"seed": "one"}),
    ("storage", "/proc/nowhere/at/all", {"storage": "/proc/nowhere/at/all"}),
    ("storage", "sqlite:////proc/nowhere.db", {"storage": "sqlite:////proc/nowhere.db"}),
    ("storage", "carrier://pigeon", {"storage": "carrier://pigeon"}),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value", "options"), BAD, ids=[f"{field}={value}" for field, value, _ in BAD])
def test_bad_input_is_refused_in_a_line_with_field_and_value_before_any_training(field, value, options):
    check_refused(measure, field, value, options)


def test_a_cells_own_range_of_mappings_per_parameter_is_all_that_data_are_made_for():
    own = Range(0.5, 4.0, log=True)
    cell = CELLS["gru"]._replace(ranges={"quick": {"mappings_per_param": own}})
    plan = CapacityConfig(cell=cell, num_params=500, train_steps=40).plan()
    assert plan.space["mappings_per_param"] == own
    assert plan.task.max_mappings == 4 * plan.num_params
    for hparams in (None, {"mappings_per_param": None}):  # as a config has it
        few = CapacityConfig(cell=cell, num_params=500, num_inputs=10, train_steps=40, hparams=hparams).plan()
        assert few.task.max_mappings == 1024 == round(few.space["mappings_per_param"].high * few.num_params)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_storage_below_a_regular_file_is_refused_by_name(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=f"^storage: '{tmp_path / 'file' / below}' given.*written"):
        measure(storage=str(tmp_path / "file" / below))
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.usefixtures("no_training")
def test_what_is_right_is_told():
    with pytest.raises(ValueError, match=r"has at least 13 \(1 unit a layer\), so give 13 or more"):
        measure("rnn", num_params=12)
    with pytest.raises(ValueError, match="so give at most that many, or num_inputs of at least 6"):
        measure("rnn", num_inputs=5)
    with pytest.raises(ValueError, match=", ".join(repr(name) for name in CELLS).replace("+", r"\+")):
        measure("elman")


def test_a_cell_is_found_by_name_or_is_itself():
    assert all(find_cell(name) is cell for name, cell in CELLS.items())
    assert find_cell(FRAGILE) is FRAGILE
