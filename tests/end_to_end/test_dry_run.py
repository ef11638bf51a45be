"""What a sweep would cost, said before it: counted from plans, timed for a moment, and nothing stored."""

from typing import ClassVar

import jax.numpy as jnp
import optuna
import pytest
from tiny import TINY, TINY_PARENTHESES

from rnn_capacity import dry_run, measure_capacity, sweep
from rnn_capacity.checks import InputError
from rnn_capacity.measure.trainability import TrainabilityConfig
from rnn_capacity.model import counters
from rnn_capacity.studies.study import steps_of
from rnn_capacity.tasks import Batch, Task

CONFIG = TINY | {"cell": "irnn,gru", "num_params": (60, 90), "train_steps": 40}


def lines(config):
    shown = []
    return dry_run.run(config, shown.append), "\n".join(shown).splitlines()


def test_every_study_is_a_row_with_its_counts_and_nothing_is_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dry_run, "TIMED", 2)
    monkeypatch.setattr(dry_run, "SECONDS", 0.01)
    seconds, shown = lines(CONFIG | {"workdir": str(tmp_path / "results"), "devices": 2})
    assert list(tmp_path.iterdir()) == []
    rows = [line for line in shown if "capacity" in line and not line.startswith("timing")]
    assert [(row.split()[0], row.split()[1]) for row in rows] == [("6", "240")] * 4
    assert [row.split("  ")[-1].startswith("~") for row in rows] == [False, True, True, False]
    assert shown[-2].startswith("4 studies, 24 trials, ")
    assert seconds > 0


def test_operations_are_those_of_a_step_times_all_that_is_shown():
    ((plan, fields),) = sweep.studies(TINY | {"cell": "gru", "hparams": {"mappings_per_param": 2.0}})
    of = dry_run.cost(plan, fields)
    counted = counters.count(plan.cell, num_inputs=8, num_units=plan.num_units).operations
    assert of.operations == counted * 1 * 2 * plan.num_params * 3 * of.steps  # T = 1, forward and twice as much back
    ((drawn, fields),) = sweep.studies(TINY_PARENTHESES | {"cell": "gru"})
    of = dry_run.cost(drawn, fields)
    assert of.operations / of.steps % (drawn.task.unroll * drawn.spec.batch_size * 3) == 0


class Parity(Task):
    """Of three bits, all eight at every step."""

    name: ClassVar[str] = "parity"
    measure: ClassVar[str] = "error"
    num_inputs: ClassVar[int] = 1
    num_outputs: ClassVar[int] = 1

    def data(self, key):
        bits_tb = (jnp.arange(8) >> jnp.arange(3)[:, None]) & 1
        return Batch(2.0 * bits_tb[:, None] - 1, bits_tb.sum(0) % 2, jnp.ones(8))

    def sample(self, data, step, batch_size, source):
        return data

    def examples(self, data, source):
        return data

    def loss(self, outputs_tob, batch):
        return (outputs_tob[-1, 0] - batch.targets) ** 2

    def score(self, outputs_tob, batch):
        return {"error": self.loss(outputs_tob, batch).mean()}


def test_a_task_that_trains_on_all_its_examples_costs_as_much_as_there_are():
    plan = TrainabilityConfig(cell="irnn", task=Parity(unroll=3), num_params=60, train_steps=10).plan()
    of = dry_run.cost(plan, {"num_trials": 2, "num_repeats": 0})
    counted = counters.count(plan.cell, num_inputs=1, num_units=plan.num_units).operations
    assert of.operations == counted * 3 * 8 * 3 * of.steps


@pytest.mark.parametrize("halving", [None, 2, 3])
def test_the_steps_are_those_that_a_study_takes(trainer, halving):
    options = TINY | {"num_trials": 18, "num_repeats": 2, "train_steps": 90, "halving": halving, "sampler": "random"}
    ((plan, _fields),) = sweep.studies(options | {"cell": "irnn"})
    result = measure_capacity("irnn", storage=optuna.storages.InMemoryStorage(), progress=False, **options)
    assert steps_of(plan, 18, 2) == pytest.approx(result.total_steps + 2 * 90, rel=0.15)


def test_what_was_not_timed_costs_as_much_an_operation_as_what_is_most_like_it():
    plans = sweep.studies(TINY | {"cell": "irnn,gru", "num_params": (60, 200)})
    costs = [dry_run.cost(plan, fields) for plan, fields in plans]
    timed = [(costs[0], dry_run.Timed(1.0, 2.0, 100)), (costs[2], dry_run.Timed(3.0, 5.0, 700))]
    found = dry_run.like(costs[3], timed)
    ratio = costs[3].operations / costs[2].operations
    assert found == dry_run.Timed(3.0, pytest.approx(5.0 * ratio), pytest.approx(700 * ratio, abs=1))
    assert dry_run.like(costs[1], timed).compile_seconds == 1.0


def test_a_wrong_config_is_refused_as_by_the_sweep():
    with pytest.raises(InputError, match="depth: 0 given"):
        dry_run.run(CONFIG | {"depths": 0})
