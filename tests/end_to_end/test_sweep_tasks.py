"""Sweeps of other tasks: over their own fields, together in a folder, and checked before any training."""

import io
import json

import pytest
from rich.console import Console
from small_sweep import line, read_csv, run
from tiny import TINY_PARENTHESES, TINY_RECALL, FakeTrainer

from rnn_capacity import sweep
from rnn_capacity.display import tables
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.measure.recall import RECALL
from rnn_capacity.measure.trainability import TRAINABILITY

OF_RECALL = TINY_RECALL | {"task": "recall", "cell": "irnn,gru"}
OF_PARENTHESES = TINY_PARENTHESES | {"cell": "irnn,gru"}
OF_ASSOCIATION = {"task": "association", "cell": "gru", "num_pairs": (1, 2), "num_units": 2, "num_keys": 3}
OF_ASSOCIATION |= {"num_values": 2, "num_trials": 3, "train_steps": 20}


def run_task(workdir, fields):
    console = Console(file=io.StringIO(), width=400)
    return sweep.run(fields | {"workdir": str(workdir)}, console), console.file.getvalue()


def test_a_sweep_of_recall_runs_over_units(tmp_path, trainer):
    results, shown = run_task(tmp_path, OF_RECALL)
    assert [(r.measure, r.cell, r.num_units) for r in results] == [
        ("recall", cell, n) for cell in ("irnn", "gru") for n in (2, 4)
    ]
    assert len(trainer.trained) == len(set(trainer.trained)) == 2 * 2 * (3 + 2)
    lines = shown.splitlines()
    assert lines[0].startswith("4 studies on 4 x cpu")
    assert lines[2] == tables.header(RECALL.columns)
    assert all(lines.count(line(result)) == 2 for result in results)
    files = ["recall.png", "recall.svg", "results.csv", "results.json", "study.db", "trials.csv"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files
    assert [float(row["error"]) for row in read_csv(tmp_path / "results.csv")] == [r.error for r in results]


def test_a_sweep_of_a_task_runs_over_sizes_and_depths_with_the_tasks_fields(tmp_path, trainer):
    results, shown = run_task(tmp_path, OF_PARENTHESES | {"depths": (1, 2), "num_params": (80, 120)})
    found = [(r.task, r.cell, r.depth, r.unroll) for r in results]
    assert found == [("parentheses", c, d, 3) for c in ("irnn", "gru") for d in (1, 2) for _ in (80, 120)]
    assert {r.task_fields["max_count"] for r in results} == {3}
    assert {spec.task.num_held_out for spec, *_ in trainer.trained} == {64}
    assert shown.splitlines()[2] == tables.header(TRAINABILITY.columns)
    assert (tmp_path / "trainability-parentheses.png").read_bytes().startswith(b"\x89PNG")


def test_sweeps_of_several_tasks_share_a_workdir(tmp_path, trainer):
    run(tmp_path)
    run_task(tmp_path, OF_RECALL)
    run_task(tmp_path, OF_ASSOCIATION)
    before = len(trainer.trained)
    results, shown = run_task(tmp_path, OF_PARENTHESES)
    assert [r.measure for r in results] == ["capacity", *["recall"] * 4, *["association"] * 2, *["trainability"] * 2]
    names = ("capacity", "recall", "association", "trainability-parentheses", "trainability-parentheses-losses")
    figures = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert figures < {p.name for p in tmp_path.iterdir()}
    for question in QUESTIONS.values():
        assert tables.header(question.columns) in shown.splitlines()
        assert question.caption in shown
    assert len(read_csv(tmp_path / "trials.csv")) == 4 + 4 * 3 + 2 * 3 + 2 * 3
    assert len(trainer.trained) == before + 2 * (3 + 2)
    run_task(tmp_path, OF_PARENTHESES)
    assert len(trainer.trained) == before + 2 * (3 + 2)  # nothing again


def test_a_sweep_of_nothing_but_divergence_is_written_for_every_task(tmp_path, monkeypatch):
    FakeTrainer(infeasible=lambda hparams: True).install(monkeypatch)
    for fields in (OF_RECALL, OF_PARENTHESES, OF_ASSOCIATION):
        run_task(tmp_path, fields)
    written = json.loads((tmp_path / "results.json").read_text())
    assert [r.get("error", r.get("loss", r.get("bits", 0))) for r in written] == [None] * 8
    assert [r["num_infeasible"] for r in written] == [3] * 8


@pytest.mark.usefixtures("no_training")
def test_a_text_that_is_not_there_is_told_before_any_training(tmp_path):
    fields = {"task": "text8", "task_fields": {"data_dir": str(tmp_path / "none")}, "cell": "irnn", "num_trials": 2}
    assert len(sweep.points(fields | {"num_params": 2000})) == 1
    with pytest.raises(ValueError, match=r"^data_dir: ") as error:
        run_task(tmp_path / "out", fields | {"num_params": 2000})
    assert "none" in str(error.value)


TASK_BAD = [
    ("num_units", "0", OF_RECALL | {"num_units": (4, 0)}),
    ("unroll", "0", OF_RECALL | {"unroll": (2, 0)}),
    ("num_inputs", "-1", OF_RECALL | {"num_inputs": -1}),
    ("config", "num_units", OF_RECALL | {"num_units": ()}),
    ("num_params", "60", OF_RECALL | {"num_params": 60}),
    ("task", "'recall:x'", OF_RECALL | {"task": "recall:x"}),
    ("text", "'latin'", {"task": "text8:latin"}),
    ("unroll", "13", {"task": "text8", "unroll": (50, 13)}),
    ("num_units", "4", OF_PARENTHESES | {"num_units": 4}),
    ("num_inputs", "8", OF_PARENTHESES | {"num_inputs": 8}),
    ("task_fields of parentheses", "'num_kinds'", OF_PARENTHESES | {"task_fields": {"num_kinds": 2}}),
    ("num_types", "0", OF_PARENTHESES | {"task_fields": {"num_types": 0}}),
    ("hparams", "'compute_steps'", OF_PARENTHESES | {"hparams": {"compute_steps": 2}}),
    ("hparams.compute_steps", "2.5", {"task": "arithmetic", "num_params": 2000, "hparams": {"compute_steps": 2.5}}),
    ("batch_size", "0", OF_PARENTHESES | {"per_cell": {"gru": {"batch_size": 0}}}),
    ("per_cell.gru", "'num_units'", OF_PARENTHESES | {"per_cell": {"gru": {"num_units": 3}}}),
]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("field", "value", "fields"), TASK_BAD, ids=[f"{f}={v}" for f, v, _ in TASK_BAD])
def test_what_another_task_cannot_be_is_told_before_any_training(tmp_path, field, value, fields):
    with pytest.raises(ValueError, match=r"^[\w. ]+: ") as error:
        run_task(tmp_path, fields)
    message = str(error.value)
    assert message.startswith(f"{field}: ")
    assert value in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []
