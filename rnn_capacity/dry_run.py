"""What a sweep would cost here, before it: points, trials, steps, operations, memory, and about how long it takes."""

import datetime
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity import sweep
from rnn_capacity.display import tables
from rnn_capacity.model import counters, task_check
from rnn_capacity.studies import session
from rnn_capacity.studies.plan import Plan
from rnn_capacity.studies.study import steps_of
from rnn_capacity.training import memory, sharding
from rnn_capacity.training.program import TrialProgram

TIMED = 12  # studies at most that are compiled and timed; the others are taken to cost as much an operation
SECONDS = 0.5  # that a study is timed for
PASSES = 3  # forward, and backward by the weights and by what they see
# Labels shown to a parameter, as a search that stores 2 to 4 bits shows them: what a step costs depends on it.
TYPICAL = {"mappings_per_param": 4.0}
_line = functools.partial(tables.fixed, (6, 10, 9, 6, 9, 9, 9))


class Cost(NamedTuple):
    """What all trials of a study cost."""

    plan: Plan
    trials: int  #: repeats included
    steps: int  #: of all trials
    operations: float  #: of all trials


class Timed(NamedTuple):
    """What a study was found to take here, of one device."""

    compile_seconds: float
    step_seconds: float  #: of a trial's step
    memory: int  #: bytes that training takes, at the number of trials that the device is given


def run(config: Mapping[str, Any], show: Callable[[str], None] = print) -> float:
    """Prints what a config's sweep would cost; returns the seconds that it would take. Nothing is stored.

    Some studies, spread over all of them, are compiled and trained for a moment. Compiled programs are kept, and the
    sweep itself then finds them.

    Raises:
        InputError: what is wrong with the config.
    """
    with session.measuring("the dry run stores nothing"):
        found = [(cost(plan, fields), fields) for plan, fields in sweep.studies(config)]
        of_all = sharding.choose_devices(None)
        chosen = sorted({round(n) for n in np.linspace(0, len(found) - 1, min(TIMED, len(found)))})
        timed = {}
        for n in chosen:
            show(f"timing {found[n][0].plan.title}")
            timed[n] = measure(found[n][0].plan, of_all, found[n][1])
        show("\n" + _line("trials", "steps", "Gop", "MiB", "ms a step", "compiling", "time", "study"))
        total = 0.0
        for n, (of, fields) in enumerate(found):
            known = timed.get(n) or like(of, [(found[m][0], known) for m, known in timed.items()])
            used = len(sharding.choose_devices(fields.get("devices")))
            seconds = known.compile_seconds / min(used, len(found)) + known.step_seconds * of.steps / used
            total += seconds
            show(_row(of, known, seconds, "" if n in timed else "~"))
        trials, operations = sum(of.trials for of, _ in found), sum(of.operations for of, _ in found)
        show(
            f"\n{len(found)} studies, {trials} trials, {operations:.2g} operations: about {_duration(total)} on "
            f"{sharding.describe(of_all)}\n~: not timed; taken to cost as much an operation as the study most like it"
        )
        return total


def cost(plan: Plan, fields: Mapping[str, Any]) -> Cost:
    """Trials, steps and operations of a study, from its plan alone."""
    steps = steps_of(plan, fields["num_trials"], fields["num_repeats"])
    sizes = {name: size for name, size in plan.spec.sizes.items() if name != "num_outputs"}
    shown = plan.example(**TYPICAL).hparams.get("num_mappings", math.inf)  # of memorization
    examples = min(task_check.examples_a_step(plan.task, plan.spec.batch_size), shown)
    operations = counters.count(plan.cell, **sizes).operations * plan.task.unroll * examples * PASSES
    return Cost(plan, fields["num_trials"] + fields["num_repeats"], steps, operations * steps)


def measure(plan: Plan, devices: Sequence[jax.Device], fields: Mapping[str, Any]) -> Timed:
    """Compiles a study for one device, and trains it for a moment."""
    device, trial = devices[:1], plan.example(**TYPICAL)
    each = sharding.trials_per_device(fields.get("trials_per_device"), devices)
    each = sharding.padded_count(min(each, fields["num_trials"]), device, each)
    hparams: dict[str, Any] = {name: np.full(each, value, np.float32) for name, value in trial.hparams.items()}
    keys = jax.tree.map(lambda key: jax.numpy.stack([key] * each), trial.keys)
    begun = time.perf_counter()
    program = TrialProgram(trial.spec, device)
    compiled = program.compile(each, tuple(hparams))
    data, state = jax.block_until_ready((program.data(keys.task), program.begin(hparams, keys.network)))
    compile_seconds, shared = time.perf_counter() - begun, program.shared()

    def took(steps):
        begun = time.perf_counter()
        jax.block_until_ready(compiled.advance((shared, np.int32(0), np.int32(steps)), data, hparams, state))
        return time.perf_counter() - begun

    took(1)
    steps = min(max(1, int(SECONDS / took(2) * 2)), plan.spec.train_steps)
    return Timed(compile_seconds, took(steps) / steps / each, memory.needed(compiled.advance, device))


def like(of: Cost, timed: Sequence[tuple[Cost, Timed]]) -> Timed:
    """What a study is taken to cost that was not timed: as much an operation as one of its cell, task and size."""

    def unlike(other: Cost) -> tuple:
        same = [other.plan.cell.name != of.plan.cell.name, other.plan.task.name != of.plan.task.name]
        return (*same, abs(math.log(other.operations / other.steps * of.steps / of.operations)))

    nearest, known = min(timed, key=lambda pair: unlike(pair[0]))
    ratio = of.operations / of.steps / (nearest.operations / nearest.steps)
    return Timed(known.compile_seconds, known.step_seconds * ratio, round(known.memory * ratio))


def _row(of: Cost, known: Timed, seconds: float, mark: str) -> str:
    numbers = f"{known.memory / 2**20:.0f}", f"{1e3 * known.step_seconds:.3g}", f"{known.compile_seconds:.0f} s"
    return _line(of.trials, of.steps, f"{of.operations / 1e9:.3g}", *numbers, _duration(seconds), mark + of.plan.title)


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
