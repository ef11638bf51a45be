"""The questions that the package answers, one call each."""

from __future__ import annotations

import dataclasses
import functools
import html
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optuna
import pandas as pd

from rnn_capacity import information, network, sharding, store, study
from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.progress import Reporter, reporter
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search import space as spaces
from rnn_capacity.tasks import TASKS
from rnn_capacity.tasks.memorization import check_mappings
from rnn_capacity.types import Keys, Outcome, Spec, check_choice, check_int, check_positive_int

MIN_INPUTS = 20  # n_in, where the budget does not ask for more
PAPER_MAPPINGS = 10  # b is at most so many times the parameters (Collins et al. 2017, 3.1)
PAD_TO = 512  # data sets are padded to a multiple of this, the size of a block on a CPU


@dataclasses.dataclass(frozen=True)
class CapacityResult:
    """How many bits a cell stores of what it was shown.

    `bits` and `bits_per_param` are of the best of `num_trials` trials, as in the paper, and so optimistic; beside them
    stand `interval`, the 95 % interval of the mean over `repeats` (the best hparams again, on fresh data and fresh
    initial weights), and `chance_bits_per_param`, what the same selection finds among the same networks untrained.
    """

    cell: str
    depth: int
    num_params: int
    num_units: int
    num_inputs: int
    unroll: int
    bits: float
    bits_per_param: float
    interval: tuple[float, float]
    repeats: tuple[float, ...]  # bits per parameter
    chance_bits_per_param: float
    accuracy: float
    num_mappings: int
    best_hparams: Mapping[str, float | str]
    num_trials: int
    num_infeasible: int
    num_infeasible_repeats: int
    train_steps: int
    seconds: float
    trials: pd.DataFrame = dataclasses.field(repr=False, compare=False)

    @property
    def mean_bits_per_param(self) -> float:
        """Of the repeats."""
        return float(np.mean(self.repeats)) if self.repeats else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Everything but the table of trials, as plain JSON types."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "trials"}
        lists = {"interval": list(self.interval), "repeats": list(self.repeats)}
        return fields | lists | {"best_hparams": dict(self.best_hparams)}

    def plot(self, ax=None):
        """Bits against mappings, a point a trial; returns the matplotlib Axes."""
        from rnn_capacity.report import plots

        return plots.trials(self, ax)

    def _repr_html_(self) -> str:
        from rnn_capacity.report import tables

        title = html.escape(f"{self.cell}, depth {self.depth}: {self.bits_per_param:.2f} bits per parameter")
        return f"<b>{title}</b>{tables.frame([self.to_dict()]).to_html(index=False)}"


def find_cell(cell: str | Cell) -> Cell:
    """A cell by name, or the user's own."""
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str):
        raise ValueError(f"cell: {cell!r} given; it must be one of {', '.join(CELLS)}, or a Cell")
    return CELLS[check_choice("cell", cell, tuple(CELLS))]


def measure_capacity(
    cell: str | Cell = "gru",
    *,
    num_params: int = 1000,
    depth: int = 1,
    unroll: int = 5,
    num_inputs: int | None = None,
    num_trials: int = 24,
    num_repeats: int = 4,
    train_steps: int = 10_000,
    batch_size: int | None = None,
    space: str = "quick",
    hparams: Mapping[str, Any] | None = None,
    sampler: str = "quasi-random",
    seed: int = 0,
    storage: str | os.PathLike | optuna.storages.BaseStorage | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    trials_per_device: int | None = None,
    precision: str = "highest",
    progress: bool | Reporter = True,
) -> CapacityResult:
    """How many bits the cell can store in each of its parameters (Collins et al. 2017, section 3.1).

    Trains `num_trials` networks, each to memorise random labels of random inputs, with hparams and the number of
    mappings b drawn from the search space; the best is trained again `num_repeats` times on fresh draws.

    Args:
        cell: a name of CELLS, or a Cell of your own.
        num_params: the budget; the network is the largest that does not exceed it, readout and initial carry included.
        unroll: T, the steps after which the label is read.
        num_inputs: n_in, bits of an input; by default 20, or more where ten mappings a parameter ask for it.
        train_steps: gradient steps a trial.
        batch_size: mappings a step; by default all of them.
        space: "quick", ranges where minutes suffice, or "paper", the whole of appendix A.
        hparams: hparams fixed, {"learning_rate": 0.03}, or narrowed, {"learning_rate": (0.01, 0.1)}.
        sampler: "quasi-random" or "random".
        seed: of the data, the initial weights and the search.
        storage: a folder or a database URL, where a stopped measurement goes on; by default memory.
        devices: how many, or which; by default all. On a CPU each core is one.
        trials_per_device: how many trials a device is given at a time; by default what suits the backend.
        precision: of matrix products: "highest" is full float32.

    Raises:
        ValueError: bad input, by name, before anything is compiled.
    """
    sharding.use_all_cores()  # before JAX starts
    plan = plan_capacity(
        cell,
        num_params=num_params,
        depth=depth,
        unroll=unroll,
        num_inputs=num_inputs,
        train_steps=train_steps,
        batch_size=batch_size,
        space=space,
        hparams=hparams,
        sampler=sampler,
        seed=seed,
        precision=precision,
    )
    check_run(num_trials=num_trials, num_repeats=num_repeats, trials_per_device=trials_per_device, devices=devices)
    devices = sharding.choose_devices(devices)
    storage = store.open_storage(storage)
    run = functools.partial(
        study.run,
        describe=plan.outcome,
        devices=devices,
        trials_per_device=trials_per_device or sharding.default_trials_per_device(devices),
        reporter=reporter(progress) if isinstance(progress, bool) else progress,
        unit="bits/param",
    )
    searched = store.open_study(storage, plan.name, plan.describe(), SAMPLERS[sampler](plan.space, seed))
    what = f"{plan.cell.name}, depth {depth}, {plan.num_params} params, {plan.num_units} units"
    trials = run(searched, plan.space, plan.search_trial, num_trials=num_trials, what=what)

    best = max((t for t in trials if t.value is not None), key=lambda t: t.value, default=None)
    repeats = []
    if best is not None and num_repeats:
        again = plan.again(best.params)
        name = f"{plan.name} trial {best.number} again"
        repeated = store.open_study(storage, name, again.describe(), SAMPLERS[sampler](again.space, seed))
        repeats = run(repeated, again.space, again.fresh_trial, num_trials=num_repeats, what=f"{what}, best again")
    result = plan.result(trials, best, repeats)
    store.save_result(searched, result.to_dict())
    return result


def check_run(*, num_trials: int, num_repeats: int, trials_per_device: int | None, devices: Any) -> None:
    """Checks the arguments of `measure_capacity` that say how much is run, and where.

    Raises:
        ValueError: bad input, by name.
    """
    check_positive_int("num_trials", num_trials)
    check_int("num_repeats", num_repeats, 0)
    if trials_per_device is not None:
        check_positive_int("trials_per_device", trials_per_device)
    sharding.choose_devices(devices)


def plan_capacity(
    cell: str | Cell,
    *,
    num_params: int,
    depth: int,
    unroll: int,
    num_inputs: int | None,
    train_steps: int,
    batch_size: int | None,
    space: str,
    hparams: Mapping[str, Any] | None,
    sampler: str,
    seed: int,
    precision: str,
) -> CapacityPlan:
    """The arguments of `measure_capacity` that define a study, all checked; nothing is compiled.

    Raises:
        ValueError: bad input, by name.
    """
    cell = find_cell(cell)
    check_choice("sampler", sampler, tuple(SAMPLERS))
    num_params, depth = check_positive_int("num_params", num_params), check_positive_int("depth", depth)
    space = spaces.space_for(cell, space, hparams)
    if num_inputs is None:
        most = math.ceil(max(PAPER_MAPPINGS, spaces.largest(space["mappings_per_param"])) * num_params)
        num_inputs = max(MIN_INPUTS, most.bit_length())
    num_inputs = check_positive_int("num_inputs", num_inputs)
    num_units = network.units_for_budget(num_params, cell, num_inputs=num_inputs, depth=depth)
    plan = CapacityPlan(
        name=f"capacity {cell.name} depth={depth} params={num_params} T={unroll}",
        cell=cell,
        num_units=num_units,
        num_params=network.num_params(cell, num_inputs=num_inputs, num_units=num_units, depth=depth),
        space=space,
        static={
            "depth": depth,
            "num_inputs": num_inputs,
            "unroll": check_positive_int("unroll", unroll),
            "train_steps": check_positive_int("train_steps", train_steps),
            "batch_size": None if batch_size is None else check_positive_int("batch_size", batch_size),
            "precision": precision,
        },
        sampler=sampler,
        seed=check_int("seed", seed, 0),
    )
    plan = dataclasses.replace(plan, max_mappings=plan.mappings(spaces.largest(plan.space["mappings_per_param"])))
    check_mappings(plan.max_mappings, num_inputs)
    first = {name: d.options[0] if isinstance(d, spaces.Choice) else d for name, d in plan.space.items()}
    network.check_cell(cell, plan.spec({name: first[name] for name in spaces.SPEC_DIMENSIONS}))
    return plan


@dataclasses.dataclass(frozen=True)
class CapacityPlan:
    """How a capacity study turns a proposal into a trial, and what a trial gave into what is kept of it."""

    name: str
    cell: Cell
    num_units: int
    num_params: int
    space: spaces.Space
    static: Mapping[str, Any]
    sampler: str
    seed: int
    max_mappings: int = 1  # of the search: the repeats are padded alike, and so compile nothing of their own

    def describe(self) -> dict[str, Any]:
        """What must be the same for trials to belong to one study."""
        sizes = {"cell": self.cell.name, "num_units": self.num_units, "num_params": self.num_params}
        if CELLS.get(self.cell.name) is not self.cell:  # a user's cell may be edited between two runs
            sizes["cell's program"] = network.fingerprint(self.cell)
        space = {f"hparams.{name}": str(dimension) for name, dimension in self.space.items()}
        return dict(self.static) | sizes | {"seed": self.seed, "sampler": self.sampler} | space

    def again(self, best: Mapping[str, Any]) -> CapacityPlan:
        """The same with every hparam fixed."""
        return dataclasses.replace(self, space=spaces.complete(self.space, best))

    def mappings(self, per_param: float) -> int:
        return max(1, round(per_param * self.num_params))

    def spec(self, fields: Mapping[str, str]) -> Spec:
        return Spec(
            cell=self.cell,
            task=TASKS["memorization"],
            num_units=self.num_units,
            max_mappings=padded_size(self.max_mappings),
            **fields,
            **self.static,
        )

    def search_trial(self, number: int, values: Mapping[str, Any]) -> study.Trial:
        """One data set for the whole study, other initial weights for each trial, as in the paper."""
        return self._trial(values, task=(0, 0), network=(1, number))

    def fresh_trial(self, number: int, values: Mapping[str, Any]) -> study.Trial:
        return self._trial(values, task=(2, number), network=(3, number))

    def _trial(self, values, task, network):
        root = jax.random.key(self.seed)
        keys = Keys(*(jax.random.fold_in(jax.random.fold_in(root, use), n) for use, n in (task, network)))
        fields, hparams = spaces.split(values)
        num_mappings = self.mappings(hparams.pop("mappings_per_param"))
        return study.Trial(self.spec(fields), hparams | {"num_mappings": num_mappings}, keys)

    def outcome(self, trial: study.Trial, outcome: Outcome, seconds: float) -> tuple[dict[str, Any], float]:
        feasible = outcome.feasible
        bits = float(outcome.score["bits"]) if feasible else None
        kept = {
            "feasible": feasible,
            "bits": bits,
            "bits_per_param": bits / self.num_params if feasible else None,
            "accuracy": float(outcome.score["accuracy"]) if feasible else None,
            "loss": float(outcome.loss) if feasible else None,
            "untrained_bits_per_param": float(outcome.untrained_score["bits"]) / self.num_params,
            "num_mappings": trial.hparams["num_mappings"],
            "seconds": seconds,
        }
        return kept, kept["bits_per_param"]

    def result(self, trials, best, repeats) -> CapacityResult:
        outcomes = [t.user_attrs[store.OUTCOME] for t in trials]
        found = best.user_attrs[store.OUTCOME] if best is not None else {}
        again = [t.value for t in repeats if t.value is not None]
        return CapacityResult(
            cell=self.cell.name,
            depth=self.static["depth"],
            num_params=self.num_params,
            num_units=self.num_units,
            num_inputs=self.static["num_inputs"],
            unroll=self.static["unroll"],
            bits=found.get("bits", float("nan")),
            bits_per_param=found.get("bits_per_param", float("nan")),
            interval=information.confidence_interval(again),
            repeats=tuple(again),
            chance_bits_per_param=max(o["untrained_bits_per_param"] for o in outcomes),
            accuracy=found.get("accuracy", float("nan")),
            num_mappings=found.get("num_mappings", 0),
            best_hparams=spaces.holding(self.space, {**self.space, **best.params}) if best is not None else {},
            num_trials=len(trials),
            num_infeasible=sum(not o["feasible"] for o in outcomes),
            num_infeasible_repeats=len(repeats) - len(again),
            train_steps=self.static["train_steps"],
            seconds=sum(t.user_attrs[store.OUTCOME]["seconds"] for t in [*trials, *repeats]),
            trials=store.trials_frame(trials),
        )


def padded_size(num_mappings: int) -> int:
    """The size that data sets of up to b mappings are padded to."""
    multiple = PAD_TO if num_mappings > PAD_TO else 64
    return -(-num_mappings // multiple) * multiple
