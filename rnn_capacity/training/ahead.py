"""Programs compiled for accelerators that are not here, by the vendors' compilers: what these count, and no times."""

import os
from collections.abc import Collection
from typing import Any, NamedTuple

import jax

from rnn_capacity.checks import InputError
from rnn_capacity.model.spec import Spec
from rnn_capacity.training import hlo
from rnn_capacity.training.machines import Machine, Topology
from rnn_capacity.training.program import TrialProgram


class Figures(NamedTuple):
    """What a compiler says of a trial's programs at one width; of one device."""

    trials: int  #: at once on the device
    memory: float  #: bytes, of the program that takes most, with its arguments
    code: float  #: bytes, of all programs; 0: not known
    seconds: float  #: of this machine's processors, to compile them
    step: hlo.Work  #: of a training step of all these trials


def compile_for(
    topology: Topology, spec: Spec, trials: int, hparam_names: Collection[str], *, begins: bool = True
) -> Figures:
    """Compiles the programs that train and evaluate so many trials a device, and the one that begins them.

    Raises:
        InputError: they do not fit, by the compiler itself.
    """
    program, count = TrialProgram(spec, topology.devices), trials * len(topology.devices)
    begun = sum(os.times()[:4])
    lowered = [*program.lower(count, hparam_names)]
    lowered += [program.lower_begin(count, hparam_names)] if begins else []
    try:
        compiled = [one.compile(compiler_options=dict(topology.options)) for one in lowered]
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise InputError(f"trials_per_device: {trials} given; {topology.name} cannot hold them ({reason})") from error
    seconds = sum(os.times()[:4]) - begun
    plans: list[Any] = [one.memory_analysis() for one in compiled]  # of the compilers of TPUs and GPUs, never None
    memory = max(
        p.argument_size_in_bytes + p.temp_size_in_bytes + p.output_size_in_bytes - p.alias_size_in_bytes for p in plans
    )
    code = sum(plan.generated_code_size_in_bytes for plan in plans)
    return Figures(trials, memory, code, seconds, hlo.of_step(compiled[0].as_text() or ""))


def that_fit(machine: Machine, some: Figures, more: Figures) -> int:
    """How many trials a device holds, if memory grows with their number as between these two."""
    each = (more.memory - some.memory) / (more.trials - some.trials)
    if each <= 0:
        return more.trials if more.memory <= machine.memory else 0
    return max(int((machine.memory - more.memory) // each) + more.trials, 0)


def seconds_at_least(machine: Machine, step: hlo.Work, precision: str) -> float:
    """A bound of a step from below (a roofline): its products, or what it moves, at the rates of the data sheet."""
    return max(step.operations / machine.rates[precision], step.num_bytes / machine.bandwidth)


def check_fits(topology: Topology, what: str, asked: Figures, fit: int) -> None:
    """Refuses what the compiler accepts and the device does not hold.

    Raises:
        InputError: says how many trials would fit.
    """
    if asked.memory > topology.machine.memory:
        needed, there = asked.memory / 2**30, topology.machine.memory / 2**30
        remedy = f"give {fit} or fewer" if fit else "give a smaller network or batch_size"
        raise InputError(
            f"trials_per_device: {asked.trials} given; {what} needs {needed:.1f} GiB of the {there:.1f} that programs "
            f"have on each device of {topology.name}: {remedy}"
        )
