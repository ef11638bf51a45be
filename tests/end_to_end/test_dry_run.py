"""What a sweep would cost, said before it: counted from plans, timed for a moment, and nothing stored."""

import optuna
import pytest
from tiny import TINY, TINY_PARENTHESES

from rnn_capacity import dry_run, measure_capacity, sweep
from rnn_capacity.checks import InputError
from rnn_capacity.model import counters
from rnn_capacity.studies.study import steps_of

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
