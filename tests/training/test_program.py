"""The program that trains: compiled once, after all is checked, run in chunks, and safe from trials that diverge."""

import dataclasses
import functools
import subprocess
import sys
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    ROOT,
    SMALL_TASKS,
    begin,
    count_compilations,
    flatten,
    make_hparams,
    make_keys,
    make_spec,
    train_step,
    train_trial,
    trial,
)
from small_trials import RNN, four_trials, small_spec, train_on

from rnn_capacity.cells import Cell
from rnn_capacity.tasks import Batch, DrawnTask
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.training import optimizers, program, steps

# --- Compiled, and run in chunks --------------------------------------------------------------------------------------


def test_on_a_cpu_blocks_are_smaller_where_examples_leave_much_for_the_gradient():
    size = lambda **fields: program.in_blocks(small_spec(**fields), jax.devices()).block_size
    long = Memorization(num_inputs=5, unroll=50, max_mappings=512)
    assert [size(), size(num_units=40), size(num_units=40, task=long), size(num_units=80, task=long, depth=4)] == [
        512,
        512,
        512,
        128,
    ]
    assert size(num_units=80, task=long, depth=4, block_size=512) == 512


def _plain_cell(name, apply):
    """A cell of one matrix of ones: quick to compile."""
    init = lambda key, num_inputs, num_units, hparams: {
        "W": jnp.ones((num_units, num_inputs)),
        "h_0": jnp.zeros(num_units),
    }
    return Cell(name, init, lambda params: params["h_0"], apply)


def test_new_values_of_the_hparams_compile_nothing():
    traced = []

    class Counted(Memorization):
        def data(self, key):
            traced.append(1)
            return super().data(key)

    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = small_spec(cell, task=Counted(num_inputs=5, unroll=1, max_mappings=14))
    hparams, keys = make_hparams(cell, 4), make_keys(4)
    with count_compilations() as compiled:
        first = train_on(2, spec, hparams, keys)
    num_traced = len(traced)
    assert num_traced >= 1
    assert compiled[0] >= 1
    other = {name: (0.9 * value).astype(np.float32) for name, value in hparams.items()}
    other["bias_init"] = np.float32([0, 1, 0, 1])
    keys = make_keys(4, seed=1)
    with count_compilations() as compiled:
        second = train_on(2, spec, other, keys)
    assert compiled == [0]
    assert len(traced) == num_traced
    assert not np.allclose(first.loss["eval"], second.loss["eval"])


@pytest.mark.parametrize(
    ("seconds", "ends"),  # of a step
    [(5.0, [1, 2, 3, 4]), (0.3, [1, 5, 9, 13]), (0.06, [1, 9, 26, 43]), (0.001, [1, 9, 73, 120])],
)
def test_chunks_take_a_second_however_long_a_step_is_and_the_first_is_one_step(monkeypatch, seconds, ends):
    now, told, compiled = [0.0], [], program.TrialProgram.compile

    def compile_timed(*given):
        found = compiled(*given)

        def run(given, *trials):
            now[0] += seconds * int(given[2] - given[1])
            return found.advance(given, *trials)

        run.memory_analysis = found.advance.memory_analysis
        return found._replace(advance=run)

    monkeypatch.setattr(program.TrialProgram, "compile", compile_timed)
    monkeypatch.setattr(program, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    train_on(2, small_spec(), *four_trials(), on_chunk=lambda step, _: told.append(step))
    assert told[: len(ends)] == ends
    assert told[-1] == 120


def test_what_is_lowered_and_trained_is_told_to_whoever_measures():
    """So that a benchmark replaces nothing to time it."""
    told, spec = [], small_spec(num_units=11)
    listen = lambda event, seconds, **_: told.append((event, seconds))
    jax.monitoring.register_event_duration_secs_listener(listen)
    for _ in range(2):
        chunks = []
        train_on(2, spec, *four_trials(), on_chunk=lambda step, _, chunks=chunks: chunks.append(step))
    jax.monitoring.unregister_event_duration_listener(listen)
    seconds = lambda event: [taken for name, taken in told if name == event]
    assert len(seconds(program.LOWERED)) == 1  # compiled once
    assert len(seconds(program.TRAINED)) >= 2 * len(chunks) - 2
    assert min(seconds(program.TRAINED) + seconds(program.LOWERED)) > 0


def test_beside_the_chunks_no_copy_of_the_states_stays_in_memory():
    spec, count = small_spec(num_units=9, optimizer="sgd"), []
    held = lambda: sum(a.shape == (4, 9, 9) for a in jax.live_arrays())  # one of these to a state
    train_on(2, spec, *four_trials(), on_chunk=lambda *_: count.append(held()))
    assert len(count) >= 2
    assert set(count) == {1}


def test_after_each_chunk_the_step_is_told_with_where_the_trials_stand():
    seen = []
    train_on(2, small_spec(), *four_trials(), on_chunk=lambda *told: seen.append(told))
    steps = [step for step, _ in seen]
    assert len(steps) >= 2
    assert steps[0] == program.FIRST_CHUNK
    assert (np.diff(steps) > 0).all()
    assert steps[-1] == 120
    norms = [np.linalg.norm(flatten(state.params)) for _, state in seen]
    assert len(set(norms)) == len(norms)


# --- Trials that diverge ----------------------------------------------------------------------------------------------


def test_a_trial_that_diverged_stands_still():
    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = small_spec(cell, optimizer="momentum", unroll=1)
    hparams, key = make_hparams(cell, learning_rate=1e10, gradient_clip=1e10), make_keys()
    data, state = begin(spec, hparams, key)
    step = jax.jit(functools.partial(train_step, spec, (), data))
    states = [state]
    while states[-1].feasible and len(states) < 20:
        states.append(step(len(states) - 1, hparams, states[-1]))
    assert 2 < len(states) < 20  # some steps were taken before it diverged
    good, last = states[-2], states[-1]
    assert good.feasible
    assert not last.feasible
    chex.assert_trees_all_equal((last.params, last.optimizer_state), (good.params, good.optimizer_state))
    chunk = jax.jit(functools.partial(steps.train_chunk, spec, (), data))
    later = chunk(jnp.int32(len(states) - 1), jnp.int32(50), make_hparams(cell, learning_rate=0.0), last)
    assert not later.feasible
    chex.assert_trees_all_equal((later.params, later.optimizer_state), (good.params, good.optimizer_state))
    beside = jax.jit(functools.partial(steps.train_chunk, spec, (), data, alone=False))
    later = beside(jnp.int32(len(states) - 1), jnp.int32(50), make_hparams(cell, learning_rate=0.0), last)
    chex.assert_trees_all_equal((later.params, later.optimizer_state), (good.params, good.optimizer_state))
    running = chunk(jnp.int32(0), jnp.int32(50), make_hparams(cell), state)  # while a trial that has not goes on
    assert running.feasible
    assert not np.allclose(flatten(running.params), flatten(state.params))


def test_a_trial_whose_last_step_overflows_is_infeasible():
    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = small_spec(cell, optimizer="sgd", train_steps=1, unroll=1)
    hparams = make_hparams(cell, 2, gradient_clip=1e30, learning_rate=np.float32([0.01, 1e30]))
    outcomes = train_on(2, spec, hparams, make_keys(2))
    np.testing.assert_array_equal(outcomes.feasible, [True, False])


def test_a_cell_that_returns_nan_is_infeasible_and_no_crash():
    cell = _plain_cell("nan", lambda params, h, x, s: (h, params["W"] @ x * jnp.nan))
    outcomes = train_on(2, small_spec(cell), make_hparams(cell, 3), make_keys(3))
    np.testing.assert_array_equal(outcomes.feasible, [False, False, False])


# --- What is refused, and what is shared ------------------------------------------------------------------------------


def test_a_cell_that_breaks_its_contract_is_refused_before_anything_is_compiled():
    apply = lambda params, h, x, s: (jnp.concatenate([h, h]), h)
    spec = small_spec(_plain_cell("grows", apply))
    hparams, keys = make_hparams(spec.cell, 2), make_keys(2)
    with count_compilations() as compiled, pytest.raises(ValueError, match=r"^cell: 'grows' changes its carry"):
        train_on(2, spec, hparams, keys)
    assert compiled == [0]


@pytest.mark.parametrize(
    ("name", "reads"), [("memorization", ["num_mappings"]), ("arithmetic", ["compute_steps"]), ("recall", [])]
)
def test_hparams_that_are_missing_are_told_by_name_the_tasks_own_too(name, reads):
    task = SMALL_TASKS[name]
    spec = make_spec(RNN, task=task, batch_size=task.batch_size)
    given = {name: value for name, value in make_hparams(RNN, 2).items() if name not in ("l2", *reads)}
    missing = ", ".join(["l2", *reads])
    known = ", ".join([*optimizers.HPARAM_NAMES, *reads])
    keys = make_keys(2)
    with count_compilations() as compiled, pytest.raises(ValueError, match=r"^hparams: ") as error:
        train_on(2, spec, given, keys)
    assert str(error.value) == f"hparams: {missing} not given; training reads {known}"
    assert compiled == [0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table(DrawnTask):
    """Asks for the number at a random place of a table that all trials share; its score is the table's sum."""

    name = "table"
    measure = "sum"
    num_inputs = 1
    num_outputs = 1

    first: int = 100  # number of the table

    def shared(self):
        return {"table": self.first + np.arange(6, dtype=np.float32)}

    def draw(self, key, num_examples, source):
        table = source.shared["table"]
        index_b = jax.random.randint(key, (num_examples,), 0, len(table))
        x_tib, sum_b = index_b[None, None].astype(float), jnp.full(num_examples, table.sum())
        return Batch(x_tib, (table[index_b], sum_b), jnp.ones(num_examples))

    def loss(self, outputs_tob, batch):
        return 0 * outputs_tob[-1, 0] + batch.targets[0]

    def score(self, outputs_tob, batch):
        return {"sum": batch.targets[1].max(), "least": batch.targets[0].min(), "most": batch.targets[0].max()}


@pytest.mark.parametrize("first", [100, 200])  # a task of other fields shares other data
def test_what_a_task_shares_is_seen_by_every_trial_on_every_device(first):
    cell = _plain_cell("linear", lambda params, h, x, s: (h, params["W"] @ x))
    spec = make_spec(cell, task=Table(unroll=1, num_held_out=200, first=first), batch_size=4, train_steps=1)
    outcomes = train_on(4, spec, make_hparams(cell, 7), make_keys(7))
    assert outcomes.feasible.all()
    for score in (outcomes.untrained_score, *outcomes.score.values()):
        np.testing.assert_array_equal(score["sum"], np.full(7, 6 * first + 15))
        np.testing.assert_array_equal(score["least"], np.full(7, first))
        np.testing.assert_array_equal(score["most"], np.full(7, first + 5))
    alone = jax.jit(functools.partial(train_trial, spec))(trial(make_hparams(cell, 7), 3), trial(make_keys(7), 3))
    chex.assert_trees_all_equal(alone.score, trial(outcomes.score, 3))


def test_large_orthogonal_matrices_of_several_gates_are_made_on_two_devices():
    """Their decomposition once waited forever; so it runs in a process of its own."""
    program = (
        "import sys; sys.path.insert(0, 'tests'); import jax; jax.config.update('jax_num_cpu_devices', 2);"
        "from helpers import make_hparams, make_keys, make_spec; "
        "from rnn_capacity import CELLS; from rnn_capacity.training.program import TrialProgram;"
        "spec = make_spec(CELLS['gru'], num_units=96);"
        "program = TrialProgram(spec, jax.devices());"
        "print(program.begin(make_hparams(spec.cell, 4), make_keys(4).network).params['layers'][0]['W_h'].shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "(4, 192, 96)", done.stderr
