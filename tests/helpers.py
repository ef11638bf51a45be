"""What the tests share: small specs, hparams and keys."""

import contextlib
import functools
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from rnn_capacity.model import cell_check, formats, layout, network
from rnn_capacity.model.spec import Spec
from rnn_capacity.tasks.arithmetic import Arithmetic
from rnn_capacity.tasks.associative_recall import AssociativeRecall
from rnn_capacity.tasks.base import SPLITS
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.tasks.parentheses import Parentheses
from rnn_capacity.tasks.random_functions import RandomFunctions
from rnn_capacity.tasks.recall import Recall
from rnn_capacity.tasks.text8 import Text8
from rnn_capacity.training import optimizers, steps
from rnn_capacity.training.trial import Keys

ROOT = pathlib.Path(__file__).parents[1]
# For a process that imports the package, and what is here.
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "tests", *sorted((ROOT / "tests").glob("*/")))))

FAMILIES = {  # values of the cells' hparams, by family, the longest name that fits first
    "recurrent_init": 1,  # orthogonal
    "recurrent_scale": 0.7,
    "input_scale": 0.8,
    "readout_scale": 1.2,
    "bias_init": 1,  # normal
    "bias_scale": 0.3,
    "forget_bias": 1.0,
    "radius": 0.6,
    "phase": 1.5,
    "zeta": 1.0,
    "nu": -2.0,
}
TRAINING = {
    "learning_rate": 0.02,
    "learning_rate_decay": 0.1,
    "momentum_logit": 2.0,
    "squared_gradient_decay": 0.97,
    "gradient_clip": 1.0,
    "l2": 1e-6,
    "learning_rate_warm_up": 0.0,
    "weight_decay": 0.0,
    "fan_in_power": 0.0,
}
TASK_HPARAMS = {"num_mappings": 12.0, "compute_steps": 2.0}
MEMORIZATION = {"num_inputs": 6, "max_mappings": 16, "unroll": 5}
SMALL_TASKS = {
    task.name: task
    for task in (
        Memorization(num_inputs=5, max_mappings=14, unroll=3),
        Recall(num_inputs=4, unroll=3, num_held_out=8),
        RandomFunctions(num_points=50, num_inputs=3, tau=5, unroll=3, num_held_out=8),
        Text8(text="synthetic", unroll=6, warm_up=2, num_held_out=8),
        Parentheses(num_types=2, num_noise=2, max_count=3, unroll=5, num_held_out=8),
        Arithmetic(max_number=9, unroll=15, num_held_out=8),
        AssociativeRecall(num_pairs=2, num_keys=5, num_values=3, unroll=5, num_held_out=8),
    )
}


def hparam_names(cell):
    """Every name that a trial of this cell reads, whatever its task."""
    return (*layout.hparam_names(cell), *optimizers.HPARAM_NAMES, *TASK_HPARAMS)


def make_hparams(cell, num_trials=None, **overrides):
    """A sensible value for every hparam of a trial of any task: scalars, or arrays [num_trials]."""
    names = hparam_names(cell)
    if unknown := set(overrides) - set(names):
        raise KeyError(f"{cell.name} does not read {unknown}")
    values = {name: overrides.get(name, (TRAINING | TASK_HPARAMS).get(name, _of_family(name))) for name in names}
    shape = () if num_trials is None else (num_trials,)
    dtype = float if jax.config.jax_enable_x64 else np.float32
    return {name: np.broadcast_to(np.asarray(value, dtype), shape).copy() for name, value in values.items()}


def _of_family(name):
    return next((value for family, value in FAMILIES.items() if name.startswith(family)), None)


def make_keys(num_trials=None, seed=0):
    """Keys of a trial, or of several: each its own data and its own network."""
    task, net = jax.random.split(jax.random.key(seed))
    if num_trials is None:
        return Keys(task, net)
    return Keys(jax.random.split(task, num_trials), jax.random.split(net, num_trials))


def check_cell(spec):
    cell_check.check_cell(spec.cell, spec.branches("nonlinearity"), **spec.sizes)


def make_spec(cell, **overrides):
    """A small spec; the task is memorization, of small sizes unless overrides name them, or one that is given."""
    sizes = {name: overrides.pop(name, size) for name, size in MEMORIZATION.items()}
    defaults = {"task": Memorization(**sizes), "num_units": 4, "train_steps": 20}
    return Spec(cell=cell, **(defaults | overrides))


def evaluate(spec, data, params, hparams=TASK_HPARAMS):
    """Loss and score of a task that has one set of examples."""
    return steps.evaluate(spec, (), data, 0, {name: jnp.asarray(value) for name, value in hparams.items()}, params)


def begin(spec, hparams, key):
    """A trial's data, and its state before the first step."""
    return spec.task.data(key.task), steps.init_trial(spec, hparams, key.network)


def train_step(spec, shared, data, step, hparams, state):
    """One gradient step."""
    return steps.train_chunk(spec, shared, data, step, step + 1, hparams, state)


def check_two_steps(spec, shared, hparams, params):
    """Two steps of training move every array, and leave it finite."""
    step = jax.jit(functools.partial(train_step, spec, shared, spec.task.data(make_keys().task)))
    before = steps.before_training(spec, hparams, params)
    once = step(0, hparams, before)
    twice = step(1, hparams, once)
    assert bool(twice.feasible)
    arrays = (jax.tree.leaves(state.params) for state in (before, once, twice))
    for first, second, third in zip(*arrays, strict=True):
        assert np.isfinite(third).all()
        assert not np.array_equal(first, second)
        assert not np.array_equal(second, third)


def train_trial(spec, hparams, key):
    """A trial from beginning to end: the pure function that all else runs many of."""
    shared = jax.tree.map(jnp.asarray, spec.task.shared())
    data, state = begin(spec, hparams, key)
    measure = lambda split, params: steps.evaluate(spec, shared, data, split, hparams, params)
    _, untrained_score = measure(jnp.int32(SPLITS.index("valid")), state.params)
    state = steps.train_chunk(spec, shared, data, jnp.int32(0), jnp.int32(spec.train_steps), hparams, state)
    stored = functools.partial(formats.stored, state.params)
    return steps.outcome(spec, untrained_score, measure, state, stored)


def noisy(params, seed=0, scale=0.3):
    """The same weights with noise on each, so that nothing is hidden behind a zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: a + (scale * rng.normal(size=a.shape)).astype(a.dtype), params)


def random_like(init, scale):
    """Weights that are all random, of the shapes that `init` of a key gives: to trace it is quick, to run it is not."""
    shapes = jax.eval_shape(init, jax.random.key(0))
    return noisy(jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes), scale=scale)


def random_network(spec, scale=0.6):
    """All the weights of a network at random."""
    return random_like(lambda key: network.init(key, spec, make_hparams(spec.cell)), scale)


def random_cell(cell, num_inputs, num_units):
    """All the weights of a cell at random."""
    return random_like(lambda key: cell.init(key, num_inputs, num_units, make_hparams(cell)), 0.6)


def equations(program):
    """The operations of a traced program at any depth; those of a part that is called again, again."""
    for eqn in program.jaxpr.eqns if isinstance(program, ClosedJaxpr) else program.eqns:
        yield eqn
        for part in jax.tree.leaves(eqn.params):
            if isinstance(part, ClosedJaxpr | Jaxpr):
                yield from equations(part)


def flatten(tree):
    """All numbers of a tree in one vector."""
    return np.concatenate([np.ravel(np.asarray(a)) for a in jax.tree.leaves(tree)])


def trial(tree, k):
    """Trial k of a tree with a leading trial axis."""
    return jax.tree.map(lambda a: a[k], tree)


def count_compilations():
    """Counts the programs that XLA compiles inside the block, in a list of one number."""
    return count_events("/jax/core/compile/backend_compile_duration")


@contextlib.contextmanager
def count_events(name):
    """Counts the durations that are recorded under a name inside the block, in a list of one number."""
    counted = [0]

    def listen(event, duration, **_):
        counted[0] += event == name

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield counted
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
