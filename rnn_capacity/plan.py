"""What a capacity study is: its search, and how a proposal becomes a trial; nothing here is compiled or trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax

from rnn_capacity import network, study
from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search import space as spaces
from rnn_capacity.tasks import TASKS
from rnn_capacity.tasks.memorization import check_mappings
from rnn_capacity.types import Keys, Outcome, Spec, check_choice, check_int, check_positive_int

MIN_INPUTS = 20  # n_in, where the budget does not ask for more
PAPER_MAPPINGS = 10  # b is at most so many times the parameters (Collins et al. 2017, 3.1)
STATIC = ("depth", "num_inputs", "unroll", "train_steps", "batch_size", "precision")
HPARAM = "hparams."  # before the name of a dimension, in what describes a plan
PAD_TO = 512  # data sets are padded to a multiple of this, the size of a block on a CPU


def find_cell(cell: str | Cell) -> Cell:
    """A cell by name, or the user's own."""
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str):
        raise ValueError(f"cell: {cell!r} given; it must be one of {', '.join(CELLS)}, or a Cell")
    return CELLS[check_choice("cell", cell, tuple(CELLS))]


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
    halving: int | None,
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
        max_params=num_params,
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
        halving=None if halving is None else check_int("halving", halving, 2),
        seed=check_int("seed", seed, 0),
        max_mappings=1,
    )
    plan = dataclasses.replace(plan, max_mappings=plan.mappings(spaces.largest(plan.space["mappings_per_param"])))
    check_mappings(plan.max_mappings, num_inputs)
    first = {name: d.options[0] if isinstance(d, spaces.Choice) else d for name, d in plan.space.items()}
    network.check_cell(cell, plan.spec({name: first[name] for name in spaces.SPEC_DIMENSIONS}))
    return plan


def space_of(described: Mapping[str, Any]) -> spaces.Space:
    """The search space of a study, from what `CapacityPlan.describe` said of it."""
    return {n.removeprefix(HPARAM): spaces.from_json(d) for n, d in described.items() if n.startswith(HPARAM)}


@dataclasses.dataclass(frozen=True)
class CapacityPlan:
    """How a capacity study turns a proposal into a trial, and what a trial gave into what is kept of it."""

    name: str
    cell: Cell
    max_params: int  # the budget
    num_units: int
    num_params: int
    space: spaces.Space
    static: Mapping[str, Any]  # the fields of a Spec that all trials share
    sampler: str
    halving: int | None
    seed: int
    max_mappings: int  # of the search: the repeats are padded alike, and so compile nothing of their own
    again: int | None = None  # the trial whose hparams are trained again

    def describe(self) -> dict[str, Any]:
        """What must be the same for trials to belong to one study, and what it takes to train one of them again."""
        sizes = ("max_params", "num_units", "num_params", "max_mappings")
        known = {"task": "memorization", "cell": self.cell.name} | {name: getattr(self, name) for name in sizes}
        if CELLS.get(self.cell.name) is not self.cell:  # a user's cell may be edited between two runs
            known["cell's program"] = network.fingerprint(self.cell)
        search = {name: getattr(self, name) for name in ("seed", "sampler", "halving", "again")}
        space = {f"{HPARAM}{name}": spaces.to_json(dimension) for name, dimension in self.space.items()}
        return dict(self.static) | known | search | space

    @classmethod
    def of(cls, name: str, described: Mapping[str, Any], cell: Cell | None = None) -> CapacityPlan:
        """The plan of a study, from what `describe` said of it.

        Args:
            cell: the cell, where it is a user's own.

        Raises:
            ValueError: the cell is not the one that was trained.
        """
        cell = find_cell(described["cell"]) if cell is None else cell
        own = {field.name: described[field.name] for field in dataclasses.fields(cls) if field.name in described}
        static = {name: described[name] for name in STATIC}
        plan = cls(**own | {"name": name, "cell": cell, "space": space_of(described), "static": static})
        if plan.describe() != dict(described):
            raise ValueError(
                f"cell: {cell.name!r} given; it must be the cell that {name!r} was measured with, unchanged"
            )
        return plan

    def repeated(self, best: Mapping[str, Any], number: int) -> CapacityPlan:
        """Trial `number` again and again: the same with every hparam fixed."""
        name = f"{self.name} trial {number} again"
        return dataclasses.replace(self, name=name, space=spaces.complete(self.space, best), halving=None, again=number)

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

    def trial(self, number: int, values: Mapping[str, Any]) -> study.Trial:
        """A search has one data set and fresh initial weights, as in the paper; of repeats each has both of its own."""
        task, network = ((0, 0), (1, number)) if self.again is None else ((2, number), (3, number))
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


def padded_size(num_mappings: int) -> int:
    """The size that data sets of up to b mappings are padded to."""
    multiple = PAD_TO if num_mappings > PAD_TO else 64
    return -(-num_mappings // multiple) * multiple
