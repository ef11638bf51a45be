"""What a study is: its search, and how a proposal becomes a trial; nothing here is compiled or trained."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import jax

from rnn_capacity.cells import CELLS, Cell
from rnn_capacity.checks import InputError, check_choice, check_int, check_positive_int, check_seed
from rnn_capacity.model import network, task_check
from rnn_capacity.model.spec import Spec
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search import space as spaces
from rnn_capacity.tasks import SPLITS, TASKS, Task
from rnn_capacity.tasks.memorization import Memorization, check_mappings
from rnn_capacity.tasks.recall import Recall
from rnn_capacity.training import numerics
from rnn_capacity.training.trial import Keys, Outcome, Trial

MIN_INPUTS = 20  # n_in, where the budget does not ask for more
PAPER_MAPPINGS = 10  # b is at most so many times the parameters (Collins et al. 2017, 3.1)
STATIC = ("depth", "train_steps", "batch_size", "precision")
SIZES = ("max_params", "num_units", "num_params")
SEARCH = ("seed", "sampler", "halving", "again")
HPARAM = "hparams."  # before the name of a dimension, in what describes a plan
# Without effect at 0; studies that were kept before there were these go on without them.
BEYOND_THE_PAPER = {"learning_rate_warm_up": 0.0, "weight_decay": 0.0, "fan_in_power": 0.0}
DIGITS = 8  # of what tells studies of one title apart
# Data sets are padded to a multiple of the largest that is smaller: of a block on a CPU, of a batch.
PAD_TO = (64, 512, Memorization.batch_size)


def find_cell(cell: str | Cell) -> Cell:
    """A cell by name, or the user's own."""
    if isinstance(cell, Cell) and isinstance(cell.name, str) and all(map(callable, cell[1:4])):
        return cell
    if not isinstance(cell, str):
        raise InputError(f"cell: {cell!r} given; it must be one of {', '.join(CELLS)}, or a Cell")
    return CELLS[check_choice("cell", cell, tuple(CELLS))]


def find_task(task: str | Task, fields: Mapping[str, Any] | None = None) -> Task:
    """A task by name, with its fields and for text also its source (`text8:synthetic`), or the user's own.

    Raises:
        InputError: no such task, or a field that it has not or refuses.
    """
    if not isinstance(fields, Mapping | None):
        raise InputError(f"task_fields: {fields!r} given; it must be a mapping from names of fields to values")
    fields = {name: value for name, value in (fields or {}).items() if value is not None}
    if isinstance(task, Task):
        if fields:
            raise InputError(f"task_fields: {fields!r} given beside a task that has its fields; give one of the two")
        return task
    if not isinstance(task, str):
        raise InputError(f"task: {task!r} given; it must be one of {', '.join(TASKS)}, or a Task")
    name, _, source = task.partition(":")
    kind = TASKS[check_choice("task", name, tuple(TASKS))]
    known = [field.name for field in dataclasses.fields(kind)]
    if source:
        if "text" not in known:
            raise InputError(f"task: {task!r} given; only text8 has a source behind a colon")
        if fields.get("text", source) != source:
            raise InputError(f"task_fields.text: {fields['text']!r} given; the task {task!r} says {source!r}")
        fields = fields | {"text": source}
    for field in fields:
        check_choice(f"task_fields of {name}", field, tuple(known))
    if kind is Memorization:  # how many mappings it holds at most is of a study, not of the task
        fields = {"max_mappings": 1} | fields
    return kind(**fields)


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
        InputError: bad input, by name.
    """
    cell = find_cell(cell)
    num_params = check_positive_int("num_params", num_params)
    most = spaces.largest(spaces.searched("mappings_per_param", space, hparams))
    if num_inputs is not None:
        num_inputs = check_positive_int("num_inputs", num_inputs)
    else:
        num_inputs = max(MIN_INPUTS, math.ceil(max(PAPER_MAPPINGS, most) * num_params).bit_length())
    plan = _plan(
        CapacityPlan,
        cell,
        Memorization(unroll=unroll, num_inputs=num_inputs, max_mappings=1),
        title=f"capacity {cell.name} depth={depth} params={num_params} T={unroll}",
        num_params=num_params,
        depth=depth,
        train_steps=train_steps,
        batch_size=Memorization.batch_size if batch_size is None else batch_size,
        space=space,
        hparams=hparams,
        sampler=sampler,
        halving=halving,
        seed=seed,
        precision=precision,
    )
    shown, distinct = plan.space["mappings_per_param"], 2 ** min(num_inputs, 64) / plan.num_params
    if spaces.follows_best(plan.space) and shown.low < distinct < shown.high:  # more need not be shown
        most = distinct
        space = {**plan.space, "mappings_per_param": dataclasses.replace(shown, high=distinct)}
        plan = dataclasses.replace(plan, space=space)
    max_mappings = plan.mappings(most)
    check_mappings(max_mappings, num_inputs)
    return _checked(dataclasses.replace(plan, task=dataclasses.replace(plan.task, max_mappings=max_mappings)))


def plan_recall(
    cell: str | Cell,
    *,
    num_units: int,
    num_inputs: int,
    depth: int,
    unroll: int,
    train_steps: int,
    batch_size: int | None,
    space: str,
    hparams: Mapping[str, Any] | None,
    sampler: str,
    halving: int | None,
    seed: int,
    precision: str,
) -> Plan:
    """The arguments of `measure_recall` that define a study of one number of units, all checked; nothing is compiled.

    Raises:
        InputError: bad input, by name.
    """
    cell, task = find_cell(cell), Recall(num_inputs=num_inputs, unroll=unroll)
    plan = _plan(
        Plan,
        cell,
        task,
        title=f"recall {cell.name} depth={depth} units={num_units} inputs={num_inputs} T={unroll}",
        num_units=check_positive_int("num_units", num_units),
        depth=depth,
        train_steps=train_steps,
        batch_size=task.batch_size if batch_size is None else batch_size,
        space=space,
        hparams=hparams,
        sampler=sampler,
        halving=halving,
        seed=seed,
        precision=precision,
    )
    return _checked(plan)


def plan_trainability(
    cell: str | Cell,
    task: str | Task,
    *,
    task_fields: Mapping[str, Any] | None,
    num_params: int,
    depth: int,
    unroll: int | None,
    train_steps: int,
    batch_size: int | None,
    space: str,
    hparams: Mapping[str, Any] | None,
    sampler: str,
    halving: int | None,
    seed: int,
    precision: str,
) -> Plan:
    """The arguments of `measure_trainability` that define a study, all checked; nothing is compiled.

    Raises:
        InputError: bad input, by name.
    """
    cell = find_cell(cell)
    if unroll is not None and isinstance(task_fields, Mapping | None):
        unroll, fields = check_positive_int("unroll", unroll), dict(task_fields or {})
        if check_positive_int("task_fields.unroll", fields.get("unroll", unroll)) != unroll:
            raise InputError(f"unroll: {unroll!r} given; task_fields says {fields['unroll']!r}")
        task_fields = fields | {"unroll": unroll}
    task = find_task(task, task_fields)
    if isinstance(task, Memorization):
        raise InputError("task: 'memorization' given; it is measured by measure_capacity")
    plan = _plan(
        Plan,
        cell,
        task,
        title=f"{task.kind} {cell.name} depth={depth} params={num_params} T={task.unroll}",
        num_params=check_positive_int("num_params", num_params),
        depth=depth,
        train_steps=train_steps,
        batch_size=task.batch_size if batch_size is None else batch_size,
        space=space,
        hparams=hparams,
        sampler=sampler,
        halving=halving,
        seed=seed,
        precision=precision,
    )
    return _checked(plan)


def _plan(
    kind,
    cell,
    task,
    *,
    title,
    space,
    hparams,
    depth,
    train_steps,
    batch_size,
    precision,
    sampler,
    halving,
    seed,
    num_params=None,
    num_units=None,
) -> Plan:
    reserved = (*STATIC, *SIZES, *SEARCH, "task", "cell")
    if TASKS.get(task.name) is not type(task):
        inherited = getattr(TASKS.get(task.name), "dimensions", {})
        task_check.check_task(
            task,
            reserved=reserved,
            is_hparam=lambda name: spaces.family_of(name) is not None and name not in inherited,
        )
    check_choice("sampler", sampler, tuple(SAMPLERS))
    depth = check_positive_int("depth", depth)
    sizes = {"num_inputs": task.num_inputs, "num_outputs": task.num_outputs, "depth": depth}
    if num_units is None:
        num_units = network.units_for_budget(num_params, cell, **sizes)
    sizes["num_units"] = check_positive_int("num_units", num_units)
    params, train_steps = network.num_params(cell, **sizes), check_positive_int("train_steps", train_steps)
    space = spaces.space_for(cell, space, hparams, task, sizes, num_params=params, train_steps=train_steps)
    own = [name for name in space if spaces.family_of(name) is None and name not in task.dimensions]
    task_check.check_own_hparams(cell.name, own, task, reserved)
    return kind(
        title=title,
        cell=cell,
        task=task,
        max_params=num_params,
        num_units=sizes["num_units"],
        num_params=params,
        space=space,
        static={
            "depth": depth,
            "train_steps": train_steps,
            "batch_size": None if batch_size is None else check_positive_int("batch_size", batch_size),
            "precision": precision,
        },
        sampler=sampler,
        halving=None if halving is None else check_int("halving", halving, 2),
        seed=check_seed(seed),
    )


def _checked(plan: Plan) -> Plan:
    first = {name: d.options[0] if isinstance(d, spaces.Choice) else d for name, d in plan.space.items()}
    network.check_cell(plan.cell, plan.spec({name: first[name] for name in spaces.SPEC_DIMENSIONS if name in first}))
    return plan


def space_of(described: Mapping[str, Any]) -> spaces.Space:
    """The search space of a study, from what `Plan.describe` said of it."""
    return {n.removeprefix(HPARAM): spaces.from_json(d) for n, d in described.items() if n.startswith(HPARAM)}


def title_of(name: str) -> str:
    """The title of a study, from its name."""
    return re.sub(rf" [0-9a-f]{{{DIGITS}}}$", "", name)


def _defining(described: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """What tells studies apart, of what `Plan.describe` says; plain JSON. The same data may be in another place."""
    return json.loads(json.dumps({name: v for name, v in described.items() if name not in task.located_by}))


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a study turns a proposal into a trial, and what a trial gave into what is kept of it.

    The tuner sees the validation loss; what is reported is of the evaluation split (Collins et al. 2017, appendix A).
    """

    direction: ClassVar[str] = "minimize"
    unit: ClassVar[str] = "validation loss"  # of the objective, as people are told
    reported: ClassVar[str] = "eval_loss"  # what a result is of

    title: str  # of the study: what people call it, which several may share
    cell: Cell
    task: Task
    max_params: int | None  # None where the units were given
    num_units: int
    num_params: int
    space: spaces.Space
    static: Mapping[str, Any]  # the fields of Spec that the search does not touch
    sampler: str
    halving: int | None
    seed: int
    again: int | None = None  # the trial that this plan repeats

    @property
    def sign(self) -> int:
        """1 where a greater objective is better, -1 where a smaller one is."""
        return 1 if self.direction == "maximize" else -1

    @functools.cached_property
    def name(self) -> str:
        """Of the study in its storage: two of one title that differ in anything else are two studies."""
        if self.again is not None:
            return self.title
        defining = json.dumps(_defining(self.describe(), self.task), sort_keys=True)
        return f"{self.title} {hashlib.sha256(defining.encode()).hexdigest()[:DIGITS]}"

    def describe(self) -> dict[str, Any]:
        """Everything that a trial's outcome depends on, for the store; plain JSON."""
        digest = self.task.digest()
        return self.settings() | self.programs | ({} if digest is None else {"task's data": digest})

    @functools.cached_property
    def programs(self) -> dict[str, str]:
        """Digests of a user's own cell and task, which may be edited between two runs."""
        known = {}
        if CELLS.get(self.cell.name) is not self.cell:
            nonlinearities = spaces.options(self.space["nonlinearity"])
            sizes = {"num_units": self.num_units, "depth": self.static["depth"]}
            sizes |= {"num_inputs": self.task.num_inputs, "num_outputs": self.task.num_outputs}
            known["cell's program"] = network.program_digest(self.cell, nonlinearities, **sizes)
        if TASKS.get(self.task.name) is not type(self.task):
            known["task's program"] = task_check.program_digest(self.task, self.static["batch_size"])
        return known

    def settings(self) -> dict[str, Any]:
        """Of what `describe` says all that was chosen: without what is read off programs and files of data."""
        names = {"task": self.task.name, "cell": self.cell.name}
        sizes, search = ({name: getattr(self, name) for name in group} for group in (SIZES, SEARCH))
        space = {f"{HPARAM}{name}": spaces.to_json(dimension) for name, dimension in self.space.items()}
        return dict(self.static) | dataclasses.asdict(self.task) | names | sizes | search | space

    @staticmethod
    def of(name: str, described: Mapping[str, Any], cell: Cell | None = None, task: Task | None = None) -> Plan:
        """The plan of a study, from what `describe` said of it.

        Args:
            cell, task: where they are a user's own.

        Raises:
            InputError: the cell or the task is not the one that was trained.
        """
        cell = find_cell(described["cell"] if cell is None else cell)
        if not isinstance(task, Task | None):
            raise InputError(f"task: {task!r} given; it must be a Task, or None for one of {', '.join(TASKS)}")
        if task is None:
            kind = TASKS[check_choice("task", described["task"], tuple(TASKS))]
            task = kind(**{field.name: described[field.name] for field in dataclasses.fields(kind)})
        plan = (CapacityPlan if isinstance(task, Memorization) else Plan)(
            title=name if described["again"] is not None else title_of(name),
            cell=cell,
            task=task,
            space=space_of(described),
            static={name: described[name] for name in STATIC},
            **{name: described[name] for name in (*SIZES, *SEARCH)},
        )
        found, described = (_defining(known, task) for known in (plan.describe(), described))
        if found != described:
            of_task = ("task", *(field.name for field in dataclasses.fields(task)))
            if any(found.get(name) != described.get(name) for name in of_task):
                raise InputError(f"task: {task!r} given; it must be the task that {name!r} was measured with")
            raise InputError(
                f"cell: {cell.name!r} given; it must be the cell that {name!r} was measured with, unchanged"
            )
        return plan

    def repeated(self, best: Mapping[str, Any], number: int) -> Plan:
        """Trial `number` again and again: the same with every hparam fixed."""
        fixed = spaces.complete(self.space, best)
        title = f"{self.name} trial {number} again"
        return dataclasses.replace(self, title=title, space=fixed, halving=None, again=number)

    def spec(self, fields: Mapping[str, str]) -> Spec:
        return self._spec(self.task, fields)

    def _spec(self, task: Task, fields: Mapping[str, str]) -> Spec:
        programs = tuple(self.programs.values())
        return Spec(cell=self.cell, task=task, programs=programs, num_units=self.num_units, **fields, **self.static)

    def hparams(self, values: dict[str, float]) -> dict[str, float]:
        """What training is given, from the values of the space's dimensions."""
        return BEYOND_THE_PAPER | values

    def trial(self, number: int, values: Mapping[str, Any]) -> Trial:
        """A search has one data set and fresh initial weights, as in the paper; of repeats each has both of its own."""
        task, network = ((0, 0), (1, number)) if self.again is None else ((2, number), (3, number))
        root = numerics.key(self.seed)
        keys = Keys(*(jax.random.fold_in(jax.random.fold_in(root, use), n) for use, n in (task, network)))
        fields, hparams = spaces.split(values)
        return Trial(number, values, self.spec(fields), self.hparams(hparams), keys)

    def outcome(self, trial: Trial, outcome: Outcome, seconds: float) -> tuple[dict[str, Any], float | None]:
        """What is kept of a trial, and its objective, None where it is infeasible."""
        known = lambda value: float(value) if outcome.feasible else None
        kept = {"feasible": outcome.feasible}
        kept |= {f"{split}_loss": known(outcome.loss[split]) for split in SPLITS}
        kept |= {name: known(value) for name, value in outcome.score["eval"].items()}
        kept |= {f"untrained_{name}": float(value) for name, value in outcome.untrained_score.items()}
        return kept | {"seconds": seconds}, kept["valid_loss"]


@dataclasses.dataclass(frozen=True)
class CapacityPlan(Plan):
    """A study of memorization: what is tuned is the bits stored in a parameter, and b belongs to the search."""

    direction: ClassVar[str] = "maximize"
    unit: ClassVar[str] = "bits/param"
    reported: ClassVar[str] = "bits_per_param"

    def mappings(self, per_param: float) -> int:
        return max(1, round(per_param * self.num_params))

    def spec(self, fields: Mapping[str, str]) -> Spec:
        padded = dataclasses.replace(self.task, max_mappings=padded_size(self.task.max_mappings))
        return self._spec(padded, fields)

    def hparams(self, values: dict[str, float]) -> dict[str, float]:
        rest = {name: value for name, value in values.items() if name != "mappings_per_param"}
        return BEYOND_THE_PAPER | rest | {"num_mappings": self.mappings(values["mappings_per_param"])}

    def outcome(self, trial: Trial, outcome: Outcome, seconds: float) -> tuple[dict[str, Any], float | None]:
        known = lambda value: float(value) if outcome.feasible else None
        score = outcome.score["eval"]
        kept = {
            "feasible": outcome.feasible,
            "bits": known(score["bits"]),
            "bits_per_param": known(score["bits"] / self.num_params),
            "accuracy": known(score["accuracy"]),
            "loss": known(outcome.loss["eval"]),
            "untrained_bits_per_param": float(outcome.untrained_score["bits"]) / self.num_params,
            "num_mappings": trial.hparams["num_mappings"],
            "seconds": seconds,
        }
        return kept, kept["bits_per_param"]


def padded_size(num_mappings: int) -> int:
    """The size that data sets of up to b mappings are padded to."""
    multiple = max(size for size in PAD_TO if size == PAD_TO[0] or size < num_mappings)
    return -(-num_mappings // multiple) * multiple
