"""Arguments of `measure_trainability`: a bad one is refused by name before any work."""

import pytest
from tiny_measures import check_refused
from tiny_measures import trainability as measure

from rnn_capacity.tasks import corpus
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.tasks.parentheses import Parentheses

ANY_TASK = {"task_fields": None, "unroll": None}
BAD = [
    ("task", "measure_capacity", ANY_TASK | {"task": "memorization"}),
    ("task", "measure_capacity", ANY_TASK | {"task": Memorization(max_mappings=4)}),
    ("task", "'tetris'", ANY_TASK | {"task": "tetris"}),
    ("task", "3", ANY_TASK | {"task": 3}),
    ("task", "'recall:x'", ANY_TASK | {"task": "recall:x"}),
    ("text", "'latin'", ANY_TASK | {"task": "text8:latin"}),
    ("unroll", "13", ANY_TASK | {"task": "text8", "unroll": 13}),
    ("unroll", "18", {"task": "arithmetic", "task_fields": {"max_number": 9999}, "unroll": 18}),
    ("data_dir", "3", {"task": "text8", "task_fields": {"data_dir": 3}, "unroll": 20}),
    ("task_fields of parentheses", "'num_kinds'", {"task_fields": {"num_kinds": 2}}),
    ("task_fields", "['num_types']", {"task_fields": ["num_types"]}),
    ("task_fields", "2", {"task_fields": 2}),
    ("task_fields", "beside a task", {"task": Parentheses(), "unroll": None}),
    ("num_types", "0", {"task_fields": {"num_types": 0}}),
    ("num_held_out", "0", {"task_fields": {"num_held_out": 0}}),
    ("unroll", "0", {"unroll": 0}),
    ("unroll", "2.5", {"unroll": 2.5}),
    ("num_params", "5", {"num_params": 5}),
    ("num_params", "None", {"num_params": None}),
    ("num_params", "1000.0", {"num_params": 1000.0}),
    ("cell", "'elman'", {"cell": "elman"}),
    ("depth", "0", {"depth": 0}),
    ("train_steps", "0", {"train_steps": 0}),
    ("batch_size", "0", {"batch_size": 0}),
    ("num_trials", "0", {"num_trials": 0}),
    ("num_repeats", "-1", {"num_repeats": -1}),
    ("trials_per_device", "0", {"trials_per_device": 0}),
    ("devices", "99", {"devices": 99}),
    ("halving", "1", {"halving": 1}),
    ("seed", "-1", {"seed": -1}),
    ("space", "'wide'", {"space": "wide"}),
    ("sampler", "'vizier'", {"sampler": "vizier"}),
    ("precision", "'float64'", {"precision": "float64"}),
    ("hparams", "'mappings_per_param'", {"hparams": {"mappings_per_param": 2}}),
    ("hparams", "'compute_steps'", {"hparams": {"compute_steps": 2}}),
    ("storage", "/proc/nowhere", {"storage": "/proc/nowhere"}),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value", "options"), BAD, ids=[f"{f}={v}-{i}" for i, (f, v, _) in enumerate(BAD)])
def test_bad_input_is_refused_in_a_line_with_field_and_value_before_any_training(field, value, options):
    check_refused(measure, field, value, options)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("compute_steps", [2.5, 7, 0])
def test_compute_steps_that_there_are_not_are_refused_by_name(compute_steps):
    options = {"task": "arithmetic", "task_fields": None, "unroll": None, "num_params": 1000}
    with pytest.raises(ValueError, match=rf"^hparams.compute_steps: {compute_steps} given; it must be a whole number"):
        measure(hparams={"compute_steps": compute_steps}, **options)


@pytest.mark.usefixtures("no_training")
def test_no_text_is_read_to_refuse_what_is_wrong(monkeypatch):
    monkeypatch.setattr(corpus, "load", lambda *_: pytest.fail("the text was read"))
    with pytest.raises(ValueError, match=r"^seed: "):
        measure(task="text8", task_fields=None, unroll=None, num_params=2000, seed=-1)


def test_without_a_batch_size_it_is_the_tasks_own(trainer):
    measure(num_repeats=0)
    measure(num_repeats=0, task="random_functions", task_fields={"num_points": 50}, num_params=300)
    measure(num_repeats=0, batch_size=7)
    sizes = [spec.batch_size for spec, *_ in trainer.trained]
    assert sizes == [64] * 3 + [256] * 3 + [7] * 3
