"""The Gaussian-process bandit's proposals are the same again, in whatever batches, processes and order trials run."""

import numpy as np
import optuna
import pytest
from bandit_studies import FLAT, STARTUP, add, ask, begun, bowl, features, fits_made, new_study, run
from optuna.trial import TrialState

from rnn_capacity.search import GPBanditSampler, gp_bandit
from rnn_capacity.studies import store

fitted = pytest.fixture(fits_made)


# --- The same seed and history, the same proposals --------------------------------------------------------------------


def test_the_same_seed_and_history_give_the_same_proposals():
    one, other = (run(begun()[0], 3) for _ in range(2))
    assert one == other
    assert one[0] != run(begun(seed=1)[0], 1)[0]


def test_another_seed_gives_other_proposals_from_the_same_history():
    proposals = []
    for seed in (0, 1):
        _, storage = begun()
        proposals.append(ask(new_study(seed=seed, storage=storage)).params)
    assert proposals[0] != proposals[1]


def test_a_new_sampler_for_every_trial_proposes_the_same():
    expected = run(begun()[0], 4)
    _, storage = begun()
    assert [run(new_study(storage=storage), 1)[0] for _ in range(4)] == expected


def test_a_new_sampler_in_the_middle_of_a_batch_proposes_the_same_without_a_fit(fitted):
    study, _ = begun()
    expected = [ask(study).params for _ in range(5)]
    assert len(fitted) == 1
    study, storage = begun()
    asked = [ask(study).params for _ in range(2)]
    assert len(fitted) == 2
    workers = [new_study(storage=storage) for _ in range(2)]
    asked += [ask(workers[i]).params for i in (0, 1, 0)]
    assert asked == expected
    assert len(fitted) == 2


def test_a_database_keeps_all_that_the_proposals_depend_on(tmp_path):
    expected = run(begun()[0], 3)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study, _ = begun(storage=optuna.storages.RDBStorage(url))
    asked = run(study, 1)
    for _ in range(2):
        asked += run(new_study(storage=optuna.storages.RDBStorage(url)), 1)
    assert asked == expected


def test_one_fit_serves_a_batch_and_the_next_starts_from_it(fitted):
    study, _ = begun()
    for number in range(1, 4):
        for trial in [ask(study) for _ in range(3)]:
            study.tell(trial, bowl(trial.params))
        assert len(fitted) == number
    starts = [t.number for t in study.trials if gp_bandit.FIT in t.system_attrs]
    assert starts == [6, 9, 12]


def test_a_batch_that_ends_out_of_order_changes_no_bit(fitted):
    """What a proposal depends on is the trials that have ended, not the order in which they did."""
    proposals = []
    for order in ((0, 1, 2), (2, 0, 1)):
        study, _ = begun()
        batch = [ask(study) for _ in range(3)]
        for i in order:
            study.tell(batch[i], bowl(batch[i].params))
        proposals.append(ask(study).params)
    assert proposals[0] == proposals[1]


def test_a_sampler_serves_two_studies_as_two_would():
    expected = run(begun()[0], 2)
    sampler = GPBanditSampler(FLAT, 0, num_startup=STARTUP)
    run(new_study(sampler=sampler), STARTUP + 2, lambda params: -params["x"])
    assert run(new_study(sampler=sampler), STARTUP + 2)[STARTUP:] == expected


# --- Pending trials ---------------------------------------------------------------------------------------------------


def test_the_proposals_of_a_batch_are_apart():
    study, _ = begun()
    x = features([ask(study).params for _ in range(8)])
    apart = np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(8, 1)]
    assert apart.min() > 0.005
    assert np.median(apart) > 0.1


def test_a_pending_trial_of_another_worker_is_kept_away_from():
    _, storage = begun()
    first = ask(new_study(storage=storage)).params
    second = ask(new_study(storage=storage)).params
    assert np.linalg.norm(np.subtract(*features([first, second]))) > 0.02

    study, _ = begun()
    add(study, state=TrialState.RUNNING, **first)
    assert ask(study).params == second


def test_a_trial_that_ended_without_an_outcome_is_pending_no_more():
    study, _ = begun()
    batch = [ask(study) for _ in range(2)]
    for trial in batch:
        study.tell(trial, state=TrialState.PRUNED)
    assert ask(study).params == batch[0].params


@pytest.mark.parametrize("space", [FLAT, None])
def test_a_pending_trial_without_values_is_kept_away_from_where_it_will_be(space):
    """As with several workers or threads, of which one asks while another has yet to read its proposal."""
    study, _ = begun()
    expected = [ask(study).params for _ in range(3)]
    study, storage = begun()
    trials = [study.ask() for _ in range(3)]
    trials[1].suggest_float("x", -1.0, 1.0)
    for number in (2, 0, 1):
        worker = new_study(storage=storage, sampler=GPBanditSampler(space, num_startup=STARTUP))
        store.propose(optuna.Trial(worker, trials[number]._trial_id), FLAT)
    asked = [study.trials[t.number].params for t in trials]
    assert asked[2] == expected[2]
    x = features(asked)
    assert np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(3, 1)].min() > 0.02


def test_a_trial_that_was_stopped_between_its_values_is_asked_for_the_rest():
    study, storage = begun()
    expected = ask(study).params
    study, storage = begun()
    stopped = study.ask()
    stopped.suggest_float("x", -1.0, 1.0)
    again = optuna.Trial(new_study(storage=storage), stopped._trial_id)
    store.propose(again, FLAT)
    assert again.params == expected


def test_one_of_a_large_batch_is_where_the_mean_is_highest(monkeypatch):
    """Also where a process goes on in the middle of a batch; never in small ones, which would explore nothing."""
    chosen = []
    for name in ("surest", "best"):
        made = getattr(gp_bandit.acquisition, name)
        monkeypatch.setattr(
            gp_bandit.acquisition, name, lambda *args, name=name, made=made: chosen.append(name) or made(*args)
        )
    study, storage = begun()
    for trial in [ask(study) for _ in range(8)]:
        study.tell(trial, bowl(trial.params))
    assert chosen == ["best"] * 8
    trials = [ask(study) for _ in range(2)] + [ask(new_study(storage=storage)) for _ in range(2)]
    assert chosen[8:] == ["surest", "best", "best", "best"]
    for trial in trials:
        study.tell(trial, bowl(trial.params))
    run(study, 3)
    assert chosen[12:] == ["best"] * 3
