"""All programs of a config compiled for an accelerator that is not here: what fits, and what it costs at least."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from rnn_capacity import sweep
from rnn_capacity.display import tables
from rnn_capacity.studies.plan import Plan
from rnn_capacity.training import ahead, machines, numerics, sharding

LEAST_TRAINED = 1 / 9  # of the steps, where losers are stopped early
LEGEND = """
trials  at once on a device
fit     trials that a device holds, by what the compiler plans for two widths
GiB     that a device takes for them
kernels launched in a training step of all these trials; in brackets how many of them are copies
Mop     million operations of matrix products in a trial's step
MB      read from and written to main memory in it, were nothing kept in caches
us      that it takes at least by these two (a bound, no time)
code    MB of machine code, where the compiler says
seconds of this machine's processors, to compile both widths"""
_line = functools.partial(tables.fixed, (6, 7, 6, 12, 8, 8, 8, 5, 7))


class Row(NamedTuple):
    """A program of a study, at the number of trials a device that the config asks for."""

    title: str
    figures: ahead.Figures
    fit: int
    bound: float  #: seconds of one trial's step, at least
    seconds: float  #: of this machine's processors, to compile it at two widths

    def __str__(self) -> str:
        trials, memory, code, _, step = self.figures
        each = 1e6 * trials
        return _line(
            trials,
            self.fit,
            f"{memory / 2**30:.2f}",
            f"{step.kernels:.0f} ({step.copies:.0f})",
            f"{step.operations / each:.1f}",
            f"{step.num_bytes / each:.2f}",
            f"{1e6 * self.bound:.2f}",
            f"{code / 1e6:.1f}" if code else "-",
            f"{self.seconds:.0f}",
            self.title,
        )


def run(config: Mapping[str, Any], name: str) -> list[Row]:
    """Compiles every program of a config for a topology; prints a row of each, and what the whole costs at least.

    Raises:
        InputError: what is wrong with the config or the topology, or what does not fit on its devices.
        MissingPackageError: the topology's compiler is not installed; names the extra.
    """
    topology = machines.find(name)
    count = len(topology.devices)
    print(f"Compiled for {name}, {count} x {topology.devices[0].device_kind}: the compiler's figures, no times")
    print(_line("trials", "fit", "GiB", "kernels", "Mop", "MB", "us", "code", "seconds", "study"), flush=True)
    rows, least = [], 0.0
    with numerics.fixed():
        for plan, point in sweep.studies(config):
            asked = sharding.trials_per_device(point.get("trials_per_device"), topology.devices)
            row = _row(topology, plan, asked)
            print(row, flush=True)
            ahead.check_fits(topology, plan.title, row.figures, row.fit)
            trials = point["num_trials"] * (LEAST_TRAINED if plan.halving else 1) + point["num_repeats"]
            least += plan.static["train_steps"] * trials * row.bound / count
            rows.append(row)
    print(LEGEND)
    print(f"\nAll trials of the config take at least {least / 60:.2g} minutes there (a bound, no time).")
    return rows


def _row(topology: machines.Topology, plan: Plan, asked: int) -> Row:
    """Compiles a study's program at the width asked for, and at half of it or, where that is little, at more."""
    trial = plan.example()
    widths = (asked, asked // 2 if asked >= 16 else asked + 16)  # arrays of a TPU are padded to eight
    figures, other = (
        ahead.compile_for(topology, trial.spec, n, tuple(trial.hparams), begins=n == asked) for n in widths
    )
    fit = ahead.that_fit(topology.machine, *sorted((figures, other)))
    bound = ahead.seconds_at_least(topology.machine, figures.step, trial.spec.precision) / asked
    return Row(plan.title, figures, fit, bound, figures.seconds + other.seconds)
