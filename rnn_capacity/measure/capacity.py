"""How many bits a cell can store in each of its parameters (Collins et al. 2017, section 3.1)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import optuna
from optuna.trial import FrozenTrial

from rnn_capacity.cells import Cell
from rnn_capacity.measure.result import Result
from rnn_capacity.measure.search import outcome_of, save, search, summary
from rnn_capacity.studies import session, store
from rnn_capacity.studies.plan import plan_capacity
from rnn_capacity.studies.progress import Reporter


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CapacityResult(Result):
    """How many bits a cell stores of what it was shown.

    `bits` and `bits_per_param` are of the best trial; `repeats` and `interval` are bits per parameter.
    `chance_bits_per_param` is what the same selection finds among the same networks untrained.
    """

    measure: ClassVar[str] = "capacity"

    bits: float  #: mutual information between labels and answers, over all mappings
    bits_per_param: float  #: over everything that is trained
    chance_bits_per_param: float
    accuracy: float  #: the fraction of labels right
    num_mappings: int  #: b, labels shown to the best trial

    @property
    def mean_bits_per_param(self) -> float:
        """The mean of the repeats; NaN without any."""
        return self.mean

    @property
    def answer(self) -> str:
        return f"{self.bits_per_param:.2f} bits per parameter"


def scores(trials: Sequence[FrozenTrial], best: FrozenTrial | None) -> dict[str, Any]:
    """The fields of a CapacityResult that are of capacity alone, from the trials of a search."""
    found, nan = outcome_of(best), float("nan")
    untrained = [t.user_attrs[store.OUTCOME]["untrained_bits_per_param"] for t in trials]
    return {
        "bits": found.get("bits", nan),
        "bits_per_param": found.get("bits_per_param", nan),
        "chance_bits_per_param": max(untrained, default=nan),
        "accuracy": found.get("accuracy", nan),
        "num_mappings": found.get("num_mappings", 0),
    }


@session.measuring()
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
    checkpoints: str | os.PathLike | None = None,
    precision: str = "highest",
    progress: bool | Reporter | None = True,
) -> CapacityResult:
    """How many bits the cell can store in each of its parameters (Collins et al. 2017, section 3.1).

    Trains `num_trials` networks, each to memorise random labels of random inputs, with hparams and the number of
    mappings b drawn from the search space; the best is trained again `num_repeats` times on fresh draws.

    Args:
        cell: a name of CELLS, or a Cell of your own.
        num_params: the budget; the network is the largest that does not exceed it, readout and initial carry included.
        depth: layers.
        unroll: T, the steps after which the label is read.
        num_inputs: n_in, bits of an input; by default 20, or more where ten mappings a parameter ask for it.
        train_steps: gradient steps a trial.
        batch_size: mappings a step; by default 4096, or all where there are fewer.
        space: "quick", ranges where minutes suffice, or "paper", the whole of appendix A.
        hparams: hparams fixed, {"learning_rate": 0.03}, or narrowed, {"learning_rate": (0.01, 0.1)}.
        sampler: "gp", the paper's bandit (its first 20 trials are quasi-random), "quasi-random" or "random".
        halving: stop losers early: of each batch that was proposed together, one in so many trials is trained on at a
            ninth of the steps for 3, and one in as many of these at a third. None, as in the paper: none is stopped.
        seed: of the data, the initial weights and the search.
        storage: a folder or a database URL, where a stopped measurement goes on; by default memory.
        devices: how many, or which; by default all. On a CPU each core is one.
        trials_per_device: how many trials a device is given at a time; by default what suits the backend.
        checkpoints: a folder, where a batch in training is kept twice a minute and on SIGTERM, so that a stopped
            measurement goes on in the middle of it; by default beside the study, where that is a file.
        precision: of matrix products: "highest" is full float32.
        progress: whether to show how far it is, or a `Reporter` that is told.

    Raises:
        InputError: bad input, by name, before anything is compiled.
    """
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
    searched = search(
        plan,
        num_trials=num_trials,
        num_repeats=num_repeats,
        storage=storage,
        devices=devices,
        trials_per_device=trials_per_device,
        checkpoints=checkpoints,
        progress=progress,
    )
    result = CapacityResult(**scores(searched.trials, searched.best), **summary(plan, searched))
    save(searched, result.to_dict())
    return result
