"""Sweeps whose points train at the same time, in one process or in several workers' hands."""

import io
import json
import threading
from types import SimpleNamespace

import jax
import pandas as pd
import pytest
from rich.console import Console
from tiny import TINY, FakeTrainer

from rnn_capacity import sweep
from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store
from rnn_capacity.studies.lease import Lease
from rnn_capacity.training import program, sharding, stop

pytestmark = pytest.mark.usefixtures("no_figures")
CELLS = "irnn,rnn,ugrnn"


def run(workdir, **fields):
    console = Console(file=io.StringIO(), width=400)
    results = sweep.run(TINY | {"cell": CELLS, "workdir": str(workdir)} | fields, console)
    return results, console.file.getvalue()


def trials(workdir):
    """What was kept of all trials but the time that they took, by study and number."""
    rows = pd.read_csv(workdir / "trials.csv").drop(columns=["seconds"])
    return rows.sort_values(["study", "number"]).reset_index(drop=True)


def test_points_at_the_same_time_give_what_one_after_the_other_gives(tmp_path):
    (alone, shown), (together, shown_together) = run(tmp_path / "1", devices=1), run(tmp_path / "2", devices=2)
    assert ("at a time" in shown, "2 at a time" in shown_together) == (False, True)
    assert [r.cell for r in together] == [r.cell for r in alone] == CELLS.split(",")
    pd.testing.assert_frame_equal(trials(tmp_path / "2"), trials(tmp_path / "1"))


def test_on_one_device_the_next_point_compiles_while_one_trains(tmp_path, monkeypatch):
    """Where a core is free for it; nothing is compiled twice."""
    lowered = []
    heard = lambda event, *_, **__: event == program.LOWERED and lowered.append(threading.current_thread())
    jax.monitoring.register_event_duration_secs_listener(heard)
    program.trial_program.cache_clear()
    monkeypatch.setattr(sharding, "num_cores", lambda: 2)
    run(tmp_path, devices=1, train_steps=300)
    main = threading.main_thread()
    assert (len(lowered), lowered.count(main)) == (3, 1)
    monkeypatch.setattr(sharding, "num_cores", lambda: 1)
    program.trial_program.cache_clear()
    lowered.clear()
    run(tmp_path / "alone", cell="irnn,rnn", devices=1)
    assert set(lowered) == {main}


def test_a_sweep_stopped_while_several_points_train_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    class Stops(FakeTrainer):
        def __call__(self, spec, *args, **kwargs):
            if spec.cell.name == "rnn" and len(self.trained) > 3:
                raise stop.Terminated("stopped")
            return super().__call__(spec, *args, **kwargs)

    Stops().install(monkeypatch)
    with pytest.raises(stop.Terminated):
        run(tmp_path / "stopped", devices=2)
    begun = trials(tmp_path / "stopped") if (tmp_path / "stopped" / "trials.csv").exists() else []
    FakeTrainer().install(monkeypatch)
    run(tmp_path / "stopped", devices=2)
    run(tmp_path / "whole", devices=2)
    assert len(begun) < len(trials(tmp_path / "whole"))
    pd.testing.assert_frame_equal(trials(tmp_path / "stopped"), trials(tmp_path / "whole"))


def test_a_worker_starts_at_the_point_that_no_other_trains(tmp_path, trainer, monkeypatch):
    """Another holds a trial of the first; once all else is done that one is waited for."""
    config = TINY | {"cell": CELLS, "workdir": str(tmp_path), "devices": 1}
    storage = store.open_storage(tmp_path)
    plan, _ = sweep.studies(config)[0]
    study = store.open_study(storage, plan.name, plan.describe(), SAMPLERS[plan.sampler](plan.space, plan.seed))
    with Lease(study) as other:
        held = other.new()
        assert storage.workers_of_studies() == {plan.name: 1}
        order = []

        def told(self, level, what, done, total, note, **_):
            if level == "study" and "again" not in what:
                order.append(what.split(",")[0])
                if order == ["rnn", "ugrnn", "irnn"]:  # all else is done
                    other.put_back(held)

        monkeypatch.setattr("rnn_capacity.studies.progress.Rows.start", told)
        monkeypatch.setattr("rnn_capacity.studies.progress.Rows.update", lambda *_, **__: None)
        monkeypatch.setattr("rnn_capacity.studies.progress.Rows.stop", lambda *_, **__: None)
        results, _ = run(tmp_path, devices=1)
    assert order[:3] == ["rnn", "ugrnn", "irnn"]
    assert [(r.cell, r.num_trials) for r in results] == [(cell, TINY["num_trials"]) for cell in CELLS.split(",")]
    assert storage.workers_of_studies() == {}
    assert len({json.dumps(r.best_hparams, sort_keys=True) for r in results}) == 3
    assert jax.local_device_count() > 1


@pytest.mark.parametrize(
    ("read", "grid", "shown"),
    [
        ("abc", "ca", "cab"),  # the grid's own in its order, where the first of them was
        ("xayb", "ba", "xbay"),
        ("xy", "ab", "xy"),  # none of the grid's could be read
        ("", "ab", ""),
    ],
)
def test_no_result_of_the_storage_is_lost_and_the_grids_are_in_its_order(read, grid, shown):
    results = [SimpleNamespace(study=name) for name in read]
    order = {name: n for n, name in enumerate(grid)}
    assert "".join(r.study for r in sweep._in_order(results, order)) == shown
