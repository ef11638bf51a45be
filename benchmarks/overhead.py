"""The share of a study's time that is not training: python benchmarks/overhead.py [--trained=12] [--all].

The study of `measure_capacity(cell, num_params=1000, num_trials=1024)`, by the machinery that this call runs: every
trial is asked of the bandit, 16 at a time, told, and stored in SQLite. To train them all takes over an hour, so only
some batches are trained, spread evenly, to their last step; a trial of another batch is given the outcome of that
trained one whose number of mappings is nearest. `--all` trains them all. What a line says, a quarter of the study each,
in seconds:

    asking      the bandit: fits, candidates, climbing; measured on all trials
    storing     Optuna and SQLite: proposals, outcomes, looking trials up; measured on all
    compiling   the bandit's programs, measured; and a spec's programs, the median of those that were trained for each
                spec that is new (where the cache on disk holds a program, it is read from there)
    beginning   data, first weights, evaluation, and Python around them: the median of the trained trials for each trial
    the rest    all else that the study does between batches; measured on all
    training    gradient steps: the median of the trained trials for each trial
    not training    the share of all that is not, without compiling; wanted: below 10 %

So with few batches trained, beginning and training are extrapolated and the others are not.
"""

import argparse
import contextlib
import pathlib
import statistics
import tempfile
import time

import jax
import numpy as np
from machine import machine
from table import markdown

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.search import SAMPLERS
from rnn_capacity.studies import store, study
from rnn_capacity.studies.progress import Silent
from rnn_capacity.training import program, sharding

# What takes the time of whatever it happens in.
EVENTS = {"/jax/core/compile/backend_compile_duration": "compiling", program.LOWERED: "compiling"}
EVENTS[program.TRAINED] = "training"
MEASURED = ("asking", "storing", "compiling", "the rest")


class Stopwatch:
    """Seconds by what they went to; what is begun within another takes its time from that."""

    def __init__(self):
        self.seconds = dict.fromkeys((*MEASURED, "beginning", "training"), 0.0)
        self._running, self._since = ["the rest"], time.perf_counter()
        jax.monitoring.register_event_duration_secs_listener(self._happened)

    def _happened(self, event, seconds, **_):
        if event in EVENTS:
            self.seconds[EVENTS[event]] += seconds
            self.seconds[self._running[-1]] -= seconds

    def lap(self):
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def __call__(self, name):
        self.lap()
        self._running.append(name)
        try:
            yield
        finally:
            self.lap()
            self._running.pop()

    def of(self, name, function):
        """The function, timed."""

        def call(*args, **kwargs):
            with self(name):
                return function(*args, **kwargs)

        return call


class Trainer:
    """Stands in for `program.advance`: trains every so many batches, and for others says what one of these gave."""

    def __init__(self, watch, every):
        self._advance, self._watch, self._every = program.advance, watch, every
        self._known = []  # (mappings, outcome) of trials that were trained
        self._waiting = 0
        self.seen, self.num_trained, self.num_compiled = set(), 0, 0
        self.each = {"beginning": [], "training": [], "compiling": []}  # seconds a trial; of the last, a spec

    def __call__(self, spec, hparams, keys, state, start, until, *, devices, **kwargs):
        count = len(keys.task)
        is_new = spec not in self.seen
        self.seen.add(spec)
        self._waiting -= count
        if self._waiting >= 0:
            return self._given(hparams["num_mappings"]), None
        self._waiting += self._every
        before = dict(self._watch.seconds)
        with self._watch("beginning"):
            outcomes, state = self._advance(spec, hparams, keys, state, start, until, devices=devices, **kwargs)
        took = {name: self._watch.seconds[name] - before[name] for name in self.each}
        self.num_trained += count
        if is_new:
            self.num_compiled += 1
            self.each["compiling"].append(took["compiling"])
        for name in ("beginning", "training"):
            self.each[name] += [took[name] / count] * count
        for k in range(count):
            self._known.append((hparams["num_mappings"][k], jax.tree.map(lambda a, k=k: np.asarray(a)[k], outcomes)))
        return outcomes, state

    def _given(self, num_mappings):
        nearest = [min(self._known, key=lambda known, b=b: abs(known[0] - b))[1] for b in num_mappings]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *nearest)


def timed_storage(storage, watch):
    """The storage with all that Optuna asks of it timed."""
    for name in dir(storage):
        if not name.startswith("_") and callable(getattr(storage, name)):
            setattr(storage, name, watch.of("storing", getattr(storage, name)))
    return storage


@sharding.keep_compiled()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", default="rnn")
    parser.add_argument("--space", default="quick", choices=("quick", "paper"))
    parser.add_argument("--num_params", type=int, default=1000)
    parser.add_argument("--num_trials", type=int, default=1024, help="a multiple of 4")
    parser.add_argument("--train_steps", type=int, default=10_000)
    parser.add_argument("--trained", type=int, default=12, help="batches that are trained")
    parser.add_argument("--all", action="store_true", help="train every batch")
    args = parser.parse_args()

    sharding.use_all_cores()
    devices = jax.local_devices()
    watch = Stopwatch()
    every = 0 if args.all else max(args.num_trials // args.trained, 1)
    program.advance = trainer = Trainer(watch, every)
    plan = CapacityConfig(
        cell=args.cell,
        num_params=args.num_params,
        train_steps=args.train_steps,
        space=args.space,
    ).plan()
    sampler = SAMPLERS["gp"](plan.space, 0)
    sampler.sample_relative = watch.of("asking", sampler.sample_relative)
    print(f"{machine()}\n{plan.name}, {args.space} space, {args.train_steps} steps a trial\n", flush=True)
    quarters = []
    with tempfile.TemporaryDirectory() as folder:
        opened = store.open_study(store.open_storage(pathlib.Path(folder)), plan.name, plan.describe(), sampler)
        timed_storage(opened._storage, watch)
        for quarter in range(1, 5):
            before = dict(watch.seconds)
            study.run(
                opened,
                plan,
                num_trials=quarter * args.num_trials // 4,
                devices=devices,
                trials_per_device=sharding.trials_per_device(None, devices),
                reporter=Silent(),
            )
            watch.lap()
            quarters.append({name: watch.seconds[name] - before[name] for name in watch.seconds})
            measured = ", ".join(f"{name} {quarters[-1][name]:.1f} s" for name in watch.seconds)
            print(f"{quarter} of 4: {measured}", flush=True)

    each = {name: statistics.median(seconds) for name, seconds in trainer.each.items()}
    if not args.all:
        for took in quarters:
            took |= {name: each[name] * args.num_trials / 4 for name in ("beginning", "training")}
        untrained = len(trainer.seen) - trainer.num_compiled
        quarters[-1]["compiling"] += untrained * each["compiling"]
    total = {name: sum(took[name] for took in quarters) for name in watch.seconds}
    rows = []
    for name, took in [*((f"{n} of 4", q) for n, q in enumerate(quarters, 1)), ("all", total)]:
        lost = sum(took[part] for part in ("asking", "storing", "beginning", "the rest"))
        row = {"quarter": name} | {part: f"{seconds:.1f}" for part, seconds in took.items()}
        rows.append(row | {"not training": f"{100 * lost / (lost + took['training']):.1f} %"})
    print(f"\n{markdown(rows)}\n")
    print(
        f"{args.num_trials} trials asked, told and stored; {trainer.num_trained} of them trained"
        + ("." if args.all else ": beginning and training are the median of these for each trial, not measured on all.")
    )


if __name__ == "__main__":
    main()
