"""Trains what an entry claims once more: its best trial as it was, and its hparams on draws that nobody chose."""

import dataclasses
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_capacity.checks import InputError, check_seed
from rnn_capacity.dimension import Choice, Range
from rnn_capacity.display import tables
from rnn_capacity.leaderboard.entry import Entry
from rnn_capacity.leaderboard.source import Agree
from rnn_capacity.leaderboard.submit import machine_here, program_of
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import session, study
from rnn_capacity.studies.plan import Plan
from rnn_capacity.training import sharding
from rnn_capacity.training.trainer import Trainer

LEVEL = 0.99  # so that a sound entry is doubted once in a hundred times
ROUNDING = 1e-5  # relative: of the best trial, on the same machine


class Verified(NamedTuple):
    """What came of an entry's claims."""

    entry: Entry
    seed: int  #: of the fresh draws
    repeats: tuple[float, ...]  #: scores on these, those left out that diverged
    num_infeasible: int  #: of them, how many diverged
    expected: tuple[float, float]  #: where the claim puts their mean
    chance: float  #: how often means of runs that are all alike would be as far apart as theirs is from the claim
    best: float | None  #: the score of the best trial, trained as it was; None where it diverged
    differs: str  #: what is other here than where it was measured, and may part the last digits; empty: nothing

    @property
    def mean(self) -> float:
        """Of the repeats; NaN where all diverged."""
        return float(np.mean(self.repeats)) if self.repeats else math.nan

    @property
    def inside(self) -> bool:
        """Whether the mean lies where the claim puts it."""
        return self.expected[0] <= self.mean <= self.expected[1]

    @property
    def unlike(self) -> bool:
        """Whether the mean lies outside, and were both of one distribution, seldom would."""
        return not self.inside and self.chance < 1 - LEVEL

    @property
    def reproduced(self) -> bool:
        """Whether the best trial gives what is claimed of it."""
        return self.best is not None and math.isclose(self.best, self.entry.score, rel_tol=ROUNDING, abs_tol=1e-7)

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the entry. A best that another machine does not give again does not."""
        return not self.unlike and (self.reproduced or bool(self.differs))

    def __str__(self) -> str:
        low, high = self.expected
        claimed, now = f"{self.entry.mean:.4g}", f"{self.mean:.4g}"
        where = "inside" if self.inside else "OUTSIDE" if self.unlike else "by chance outside"
        lost = f", {self.num_infeasible} diverged" if self.num_infeasible else ""
        best = "diverged" if self.best is None else f"{self.best:.6g}"
        again = "the same" if self.reproduced else "NOT the same"
        if not self.reproduced and self.differs:
            again = f"not the same, which decides nothing: measured with {self.differs}"
        return (
            f"{self.entry.cell}, {self.entry.of_protocol.version}: {'VERIFIED' if self.sound else 'REFUTED'}\n"
            f"  mean of {len(self.repeats)} fresh draws (seed {self.seed}{lost}): {now}, claimed {claimed}; "
            f"{where} {low:.4g} to {high:.4g}\n"
            f"  best trial again: {best}, claimed {self.entry.score:.6g}; {again}"
        )


def prediction_interval(
    claimed: Sequence[float], count: int, level: float = LEVEL, resolution: float = 0.0
) -> tuple[float, float]:
    """Where the mean of `count` new runs lies, of runs like the n claimed ones.

    All are taken to be independent draws of one normal distribution, of which s is the claimed ones' standard
    deviation: the interval is mean ± t s sqrt(1/n + 1/count), by Student's t of n - 1 degrees of freedom. That of the
    mean alone, which tables show, leaves out the chance of the new runs and is narrower.

    Args:
        resolution: added on either side, for scores that have no spread.

    >>> low, high = prediction_interval([3.1, 3.3, 3.2], 3, 0.95)
    >>> round(low, 2), round(high, 2)
    (2.85, 3.55)
    """
    from scipy import stats

    n = len(claimed)
    half = stats.t.ppf(0.5 + level / 2, n - 1) * np.std(claimed, ddof=1) * math.sqrt(1 / n + 1 / count) + resolution
    return float(np.mean(claimed) - half), float(np.mean(claimed) + half)


def chance(claimed: Sequence[float], fresh: Sequence[float]) -> float:
    """How often the means of runs that are all alike would be as far apart, however their scores are spread.

    Of all ways to deal the scores to two groups of these sizes the share whose means are as far apart (Fisher's exact
    permutation test, two-sided). 0 where there are too few for it to be seldom.

    >>> round(chance([3.1, 3.3, 3.2, 3.2, 3.1], [2.9, 2.8, 2.9, 2.7, 2.9]), 4)
    0.0079
    """
    from scipy import stats

    if math.comb(len(claimed) + len(fresh), len(fresh)) * (1 - LEVEL) < 2:
        return 0.0
    apart = lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis)
    return float(stats.permutation_test((claimed, fresh), apart, vectorized=True, n_resamples=math.inf).pvalue)


def verify(path: str | os.PathLike, agree: Agree, seed: int | None = None) -> Verified:
    """Trains an entry's best hparams on fresh draws, as often as the protocol does, and its best trial as it was.

    Args:
        path: of the entry, its files beside it.
        agree: asked before the file of a cell is run.
        seed: of the draws; None: one that nobody could know.

    Raises:
        InputError: the entry is of another protocol or edited, or its cell is; by name, before anything is trained.
    """
    entry = Entry.read(path)
    protocol = entry.of_protocol
    seed = secrets.randbits(32) if seed is None else check_seed(seed)
    if seed == protocol.config["seed"]:
        raise InputError(f"seed: {seed} given; it must be another than the protocol's, whose draws are no fresh ones")
    with session.measuring("nothing is kept"):
        plan = protocol.plan(entry.load_source(path).load(agree))
        _check_cell(entry, plan)
        values = _values(entry, plan)
        best = study.train_alone(plan.trial(entry.best_number, values), plan.spec.train_steps, plan.outcome)
        fresh = dataclasses.replace(plan.repeated(values, entry.best_number), seed=seed)
        scores = _scores(fresh, protocol.num_repeats)
        repeats = tuple(score for score in scores if score is not None)
        return Verified(
            entry=entry,
            seed=seed,
            repeats=repeats,
            num_infeasible=scores.count(None),
            expected=prediction_interval(entry.repeats, max(len(repeats), 1), LEVEL, protocol.resolution),
            chance=chance(entry.repeats, repeats),
            best=best[plan.reported],
            differs=_differs(entry.machine),
        )


def _scores(plan: Plan, count: int) -> list[float | None]:
    """Of so many repeats; None of those that diverge."""
    devices = sharding.choose_devices(None)
    trainer = Trainer(devices, sharding.trials_per_device(None, devices))
    trials = {n: plan.trial(n, plan.space) for n in range(count)}
    found: dict[int, float | None] = {}
    for batch in trainer.train(list(trials.values()), plan.spec.train_steps, lambda batch, step: None):
        found |= {n: plan.outcome(trials[n], *trained)[0][plan.reported] for n, trained in batch.items()}
    return [found[n] for n in range(count)]


def _check_cell(entry: Entry, plan: Plan) -> None:
    """The cell is the one that was measured.

    Raises:
        InputError: its program is another, or what it has the search tune.
    """
    edited = f"cell: {entry.cell!r} given; it was edited after its submission"
    claimed = {"track": entry.track, "num_params": entry.result["num_params"], "num_units": entry.result["num_units"]}
    found = {"track": plan.cell.track, "num_params": plan.num_params, "num_units": plan.num_units}
    for name, value in claimed.items():
        if found[name] != value:
            raise InputError(f"{edited}: its {name} is {found[name]!r}, not {value!r}; submit it anew")
    space = {name: tables.plain(spaces.to_json(dimension), finite=True) for name, dimension in plan.space.items()}
    if space != entry.space:
        (name, *_) = (n for n in {**space, **entry.space} if space.get(n) != entry.space.get(n))
        raise InputError(f"{edited}: it is searched for {name} in {space.get(name)!r}, not {entry.space.get(name)!r}")
    same_jax = entry.machine.get("packages", {}).get("jax") == jax.__version__
    if same_jax and (program := program_of(plan)) != entry.program:
        raise InputError(f"{edited}: the digest of its program is {program}, not {entry.program}; submit it anew")


def _values(entry: Entry, plan: Plan) -> dict[str, Any]:
    """The best hparams, with a value for what has no effect beside them.

    Raises:
        InputError: one is not of the search space.
    """
    given = entry.result["best_hparams"]
    for name, value in given.items():
        dimension = plan.space.get(name)
        if isinstance(dimension, Range):
            right = isinstance(value, int | float) and dimension.low <= value <= dimension.high
        else:
            right = value in dimension.options if isinstance(dimension, Choice) else value == dimension
        if dimension is None or not right:
            must = (
                f"it must be of the search space, {dimension}" if name in plan.space else "the cell has no such hparam"
            )
            raise InputError(f"result.best_hparams.{name}: {value!r} given; {must}")
    held = spaces.holding(plan.space, {**plan.space, **given})
    missing = [name for name in spaces.tuned(plan.space) if name in held and name not in given]
    if missing:
        raise InputError(f"result.best_hparams.{missing[0]}: none given; it must be there")
    return spaces.complete(plan.space, given)


def _differs(machine: Mapping[str, Any]) -> str:
    """What is other here than where an entry was measured, in words."""
    here = machine_here()
    packages = machine.get("packages") or {}
    found = [f"{name} {version}" for name, version in packages.items() if here["packages"].get(name) != version]
    found += [f"a {machine.get('device')}"] * (machine.get("device") != here["device"])
    found += ["another kind of CPU"] * (machine.get("cpu") != here["cpu"])
    found += ["other code of model/, tasks/ or training/"] * (machine.get("code") != here["code"])
    return ", ".join(found)
