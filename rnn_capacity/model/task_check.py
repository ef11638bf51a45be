"""A user's own task, checked by its shapes before anything is compiled, and told apart from an edited one."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_capacity.checks import InputError, check_positive_int, first_line
from rnn_capacity.dimension import check_range
from rnn_capacity.model.fingerprint import fingerprint
from rnn_capacity.tasks.base import Batch, Source, Task
from rnn_capacity.types import Hparams

EXAMPLES = 7  # of the batch that is traced
# Columns of a table of trials other than hparams and the task's scores.
COLUMNS = (
    *("source", "study", "number", "state", "task", "cell", "depth", "unroll"),
    *("feasible", "steps", "stopped_early", "seconds", "train_loss", "valid_loss", "eval_loss"),
)


def check_task(task: Task, reserved: Sequence[str] = (), is_hparam: Callable[[str], bool] = lambda name: False) -> None:
    """Traces a batch, its loss and its score, so that a wrong shape is reported by name.

    Args:
        reserved: names that its fields must not have, being those of other things that are kept of a study.
        is_hparam: whether a name is that of an hparam of some cell, and so none for a score.

    Raises:
        InputError: a field that is reserved or is not plain; sizes, shapes or names that do not fit together.
    """
    given = f"task: {task.name!r} "
    for field, value in dataclasses.asdict(task).items():
        if field in reserved:
            raise InputError(f"{given}has a field {field!r}; it must have another name, that one is the study's")
        try:
            json.dumps(value)
        except TypeError:
            raise InputError(f"{given}has {field} = {value!r}; a field must be a plain number, name or list") from None
    for name in ("num_inputs", "num_outputs", "read_steps"):
        check_positive_int(f"{name} of the task {task.name!r}", getattr(task, name, None))
    _check_dimensions(task, reserved, is_hparam)
    if task.read_steps > task.unroll:
        raise InputError(f"{given}reads {task.read_steps} steps; it must be at most unroll = {task.unroll}")
    batch, loss_b, score = _traced(task)
    num_examples = batch.weights_b.shape[-1]
    shape = batch.x_tib.shape
    if len(shape) != 3 or shape[0] > task.unroll or shape[1:] != (task.num_inputs, num_examples):
        must = f"({task.unroll} or fewer, {task.num_inputs}, {num_examples})"
        raise InputError(f"{given}gives inputs of shape {shape}; it must be {must}")
    if loss_b.shape != (num_examples,):
        raise InputError(f"{given}gives a loss of shape {loss_b.shape}; it must be ({num_examples},), one an example")
    if not isinstance(score, Mapping) or task.measure not in score:
        raise InputError(f"{given}has the measure {task.measure!r}; it must be one of its score, {list(score)}")
    for name, value in score.items():
        if value.shape != ():
            raise InputError(f"{given}scores {name} of shape {value.shape}; it must be a scalar")
        if name in (*COLUMNS, *task.hparam_names) or name.startswith("untrained_") or is_hparam(name):
            raise InputError(f"{given}scores {name!r}; it must have another name, that one is another column's")


def check_own_hparams(cell: str, names: Sequence[str], task: Task, reserved: Sequence[str] = ()) -> None:
    """Refuses hparams that only this cell has where something else of a study of the task has their name.

    Raises:
        InputError: such a name.
    """
    scores = _traced(task)[2] if names else ()
    fields = [field.name for field in dataclasses.fields(task)]
    for name in names:
        if name in (*COLUMNS, *reserved, *fields, *task.hparam_names, *scores) or name.startswith("untrained_"):
            raise InputError(f"cell: {cell!r} reads hparams[{name!r}]; it must have another name, that one is taken")


def _check_dimensions(task: Task, reserved: Sequence[str], is_hparam: Callable[[str], bool]) -> None:
    given = f"task: {task.name!r} "
    if not isinstance(task.dimensions, Mapping):
        raise InputError(f"{given}has dimensions {task.dimensions!r}; it must be a mapping from names to Ranges")
    if unknown := [name for name in task.hparam_names if name not in task.dimensions]:
        raise InputError(f"{given}reads the hparam {unknown[0]!r}; its dimensions must have a Range or a number for it")
    fields = {field.name for field in dataclasses.fields(task)}
    for name, dimension in task.dimensions.items():
        if name in (*COLUMNS, *reserved, *fields) or is_hparam(name):
            raise InputError(f"{given}has a dimension {name!r}; it must have another name, that one is not the task's")
        check_range(f"{given}has the dimension {name}", dimension)


def program_digest(task: Task, batch_size: int | None) -> str:
    """A digest of all that a task computes, and of its data, which tells an edited task from its former self."""
    shared = task.shared()
    hparams = dict.fromkeys(task.hparam_names, jax.ShapeDtypeStruct((), jnp.float32))
    program = lambda shared, hparams: _run(task, shared, hparams, batch_size)
    text = fingerprint(program, shared, hparams)
    for array in map(np.asarray, jax.tree.leaves(shared)):
        text += f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def examples_a_step(task: Task, batch_size: int | None) -> int:
    """How many examples a training step takes, with None all there are."""
    return batch_size or _traced(task, None)[0].weights_b.shape[-1]


def _traced(task: Task, batch_size: int | None = EXAMPLES) -> Any:
    hparams = dict.fromkeys(task.hparam_names, jax.ShapeDtypeStruct((), jnp.float32))
    try:
        run = lambda shared, hparams: _run(task, shared, hparams, batch_size)[:3]
        return jax.eval_shape(run, task.shared(), hparams)
    except Exception as error:  # of a user's own code
        raise InputError(f"task: {task.name!r} cannot make or judge a batch: {first_line(error)}") from error


def _run(task: Task, shared: Any, hparams: Hparams, batch_size: int | None) -> tuple[Batch, Any, Any, Any]:
    source = Source(jnp.int32(0), shared, hparams)
    data = task.data(jax.random.key(0))
    batch = task.sample(data, jnp.int32(0), batch_size, source)
    outputs_tob = jnp.zeros((task.read_steps, task.num_outputs, batch.weights_b.shape[-1]))
    judged = (task.loss(outputs_tob, batch), task.score(outputs_tob, batch))
    gradient = jax.grad(lambda outputs_tob: jnp.sum(task.loss(outputs_tob, batch)))(outputs_tob)
    return batch, *judged, (gradient, task.examples(data, source))
