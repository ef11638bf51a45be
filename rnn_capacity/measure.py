"""The questions that the package answers, one call each."""

from __future__ import annotations

import dataclasses
import functools
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from rnn_capacity import archive, information, sharding, store, study
from rnn_capacity.cells import Cell
from rnn_capacity.plan import CapacityPlan, plan_capacity
from rnn_capacity.progress import Reporter, reporter
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search import space as spaces
from rnn_capacity.types import check_int, check_positive_int


@dataclasses.dataclass(frozen=True)
class CapacityResult:
    """How many bits a cell stores of what it was shown.

    `bits` and `bits_per_param` are of the best of `num_trials` trials, as in the paper, and so optimistic. Beside them
    stand `still_improving`, whether more trials would find more; `interval`, the 95 % interval of the mean over
    `repeats` (the best hparams again, on fresh data and fresh initial weights); and `chance_bits_per_param`, what the
    same selection finds among the same networks untrained.
    """

    cell: str
    depth: int
    num_params: int
    num_units: int
    num_inputs: int
    unroll: int
    bits: float
    bits_per_param: float
    still_improving: bool  # when the trials ended
    interval: tuple[float, float]
    repeats: tuple[float, ...]  # bits per parameter
    chance_bits_per_param: float
    accuracy: float
    num_mappings: int
    best_hparams: Mapping[str, float | str]
    num_trials: int
    num_infeasible: int
    num_stopped_early: int
    num_infeasible_repeats: int
    train_steps: int
    total_steps: int  # of the search
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
    sampler: str = "gp",
    halving: int | None = None,
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
        sampler: "gp", the paper's bandit (its first 20 trials are quasi-random), "quasi-random" or "random".
        halving: stop losers early: of each batch that was proposed together, one in so many trials is trained on at a
            ninth of the steps for 3, and one in as many of these at a third. None, as in the paper: none is stopped.
        seed: of the data, the initial weights and the search.
        storage: a folder or a database URL, where a stopped measurement goes on; by default memory.
        devices: how many, or which; by default all. On a CPU each core is one.
        trials_per_device: how many trials a device is given at a time; by default what suits the backend.
        precision: of matrix products: "highest" is full float32.

    Raises:
        ValueError: bad input, by name, before anything is compiled.
    """
    sharding.use_all_cores()  # before JAX starts
    sharding.keep_compiled()
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
        halving=halving,
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
    what = f"{plan.cell.name}, depth {depth}, {plan.num_params} params, {plan.num_units} units"
    searched = store.open_study(storage, plan.name, plan.describe(), SAMPLERS[sampler](plan.space, seed))
    trials = run(searched, plan.space, plan.trial, num_trials=num_trials, what=what, halving=halving)

    ended = [t for t in trials if t.state == TrialState.COMPLETE] or [t for t in trials if t.value is not None]
    best = max(ended, key=lambda t: t.value, default=None)
    repeats = []
    if best is not None and num_repeats:
        again = plan.repeated(best.params, best.number)
        repeated = store.open_study(storage, again.name, again.describe(), SAMPLERS[sampler](again.space, seed))
        repeats = run(repeated, again.space, again.trial, num_trials=num_repeats, what=f"{what}, best again")
    result = _result(plan, trials, best, repeats)
    store.save_result(searched, result.to_dict())
    return result


def train_again(
    storage: str | os.PathLike | optuna.storages.BaseStorage, study_name: str, number: int, cell: Cell | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains a trial of a storage once more, from what is kept of it alone: (what it gave then, what it gives now).

    On the kind of device that it was trained on, with the same packages, both are the same but for `seconds`.

    Args:
        cell: the cell, where it is a user's own.

    Raises:
        ValueError: there is no such study or trial, or the cell is another.
    """
    sharding.use_all_cores()  # before JAX starts
    kept = archive.load_study(storage, study_name)
    if store.PLAN not in kept.user_attrs:
        raise ValueError(f"study_name: {study_name!r} given; it must be a study that was measured here")
    plan = CapacityPlan.of(study_name, kept.user_attrs[store.PLAN], cell)
    found = {t.number: t for t in store.measured(kept)}
    if number not in found:
        raise ValueError(
            f"number: {number!r} given; {study_name!r} has the measured trials {', '.join(map(str, found))}"
        )
    before = found[number].user_attrs[store.OUTCOME]
    trial = plan.trial(number, spaces.complete(plan.space, found[number].params))
    return before, study.train_alone(trial, before["steps"], plan.outcome)


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


def still_improving(values: Sequence[float | None]) -> bool:
    """Whether the last quarter of the trials raised the best by more than a hundredth; None where one is infeasible."""
    best = lambda some: max((value for value in some if value is not None), default=0.0)
    return best(values) > 1.01 * best(values[: -(-3 * len(values) // 4)])


def _result(plan: CapacityPlan, trials: Sequence[FrozenTrial], best, repeats) -> CapacityResult:
    outcomes = [t.user_attrs[store.OUTCOME] for t in trials]
    found = best.user_attrs[store.OUTCOME] if best is not None else {}
    again = [t.value for t in repeats if t.value is not None]
    return CapacityResult(
        cell=plan.cell.name,
        depth=plan.static["depth"],
        num_params=plan.num_params,
        num_units=plan.num_units,
        num_inputs=plan.static["num_inputs"],
        unroll=plan.static["unroll"],
        bits=found.get("bits", float("nan")),
        bits_per_param=found.get("bits_per_param", float("nan")),
        still_improving=still_improving([t.value if t.state == TrialState.COMPLETE else None for t in trials]),
        interval=information.confidence_interval(again),
        repeats=tuple(again),
        chance_bits_per_param=max(o["untrained_bits_per_param"] for o in outcomes),
        accuracy=found.get("accuracy", float("nan")),
        num_mappings=found.get("num_mappings", 0),
        best_hparams=spaces.holding(plan.space, {**plan.space, **best.params}) if best is not None else {},
        num_trials=len(trials),
        num_infeasible=sum(not o["feasible"] for o in outcomes),
        num_stopped_early=sum(o["stopped_early"] for o in outcomes),
        num_infeasible_repeats=len(repeats) - len(again),
        train_steps=plan.static["train_steps"],
        total_steps=sum(o["steps"] for o in outcomes),
        seconds=sum(t.user_attrs[store.OUTCOME]["seconds"] for t in [*trials, *repeats]),
        trials=store.trials_frame(trials),
    )
