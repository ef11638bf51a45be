"""Every task in training: all arrays move, and any number of devices gives the same bits and measures every split."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import check_two_steps, make_hparams, make_keys, random_network
from small_tasks import ALL, HPARAMS, every_task, shared, spec_of

from rnn_capacity.cells import PAPER_CELLS, Cell
from rnn_capacity.tasks import SPLITS
from rnn_capacity.training import program


def all_hparams(spec, num_trials=None, **overrides):
    """What a trial of this cell and task is given."""
    hparams = make_hparams(spec.cell, num_trials, **overrides)
    largest = np.full(np.shape(hparams["l2"]), HPARAMS["largest"], np.float32)
    return hparams | ({"largest": largest} if "largest" in spec.task.hparam_names else {})


@pytest.mark.parametrize(
    ("cell", "task"), zip(itertools.cycle(PAPER_CELLS.values()), ALL.values(), strict=False), ids=ALL
)
def test_two_steps_of_training_move_every_array_and_leave_it_finite(cell, task):
    """Where all weights are random, no array's gradient is zero as a whole, not that of h_0 before all inputs either.

    Every task has one of the cells here, and every cell one of the tasks in test_contracts.py. Without L2, nothing but
    the gradient moves an array. Units that are ReLUs can all be off at one step, and then nothing before it has a
    gradient; those of positive weights are on.
    """
    spec = spec_of(task, cell)
    hparams, params = all_hparams(spec, l2=0.0), random_network(spec)
    if cell.name == "irnn":
        params["layers"] = jax.tree.map(abs, params["layers"])
    check_two_steps(spec, shared(task), hparams, params)


def _plain() -> Cell:
    """A cell that compiles quickly."""

    def init(key, num_inputs, num_units, hparams):
        W = hparams["input_scale"] * jax.random.normal(key, (num_units, num_inputs))
        return {"W": W, "h_0": jnp.zeros(num_units)}

    def apply(params, h, x, s):
        h = s(params["W"] @ x + 0.9 * h)
        return h, h

    return Cell("plain", init, lambda params: params["h_0"], apply)


PLAIN = _plain()


@every_task
def test_trials_give_the_same_bits_on_any_number_of_devices_and_measure_every_split(task):
    spec = spec_of(task, PLAIN, num_units=2)
    spread = np.linspace(0.5, 1.5, 7, dtype=np.float32)
    hparams, keys = all_hparams(spec, 7, learning_rate=0.03 * spread), make_keys(7)
    run = lambda num_devices: program.advance(spec, hparams, keys, devices=jax.devices()[:num_devices])[0]
    outcomes = run(4)  # two each, of which one is padding; a loop of one is compiled otherwise, with other last bits
    assert outcomes.feasible.all()
    assert {a.shape for a in jax.tree.leaves(outcomes)} == {(7,)}
    chex.assert_tree_all_finite(outcomes)
    assert set(outcomes.loss) == set(outcomes.score) == set(SPLITS)
    assert all(task.measure in score for score in (outcomes.untrained_score, *outcomes.score.values()))
    assert len(set(outcomes.loss["eval"])) == 7
    train_loss, valid_loss, eval_loss = (outcomes.loss[split] for split in SPLITS)
    differ = [(a != b).all() for a, b in ((valid_loss, eval_loss), (train_loss, valid_loss), (train_loss, eval_loss))]
    assert differ == [not task.one_set] * 3
    chex.assert_trees_all_equal(run(1), outcomes)
