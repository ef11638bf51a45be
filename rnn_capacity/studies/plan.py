"""What a study is: its search, and how a proposal becomes a trial; nothing here is compiled or trained."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import jax

from rnn_capacity.cells import NAMED_CELLS, Cell
from rnn_capacity.cells.adapters import from_flax
from rnn_capacity.checks import InputError, check_choice, check_mapping
from rnn_capacity.dimension import Range, options
from rnn_capacity.model import cell_check, task_check
from rnn_capacity.model.spec import Spec
from rnn_capacity.search import space as spaces
from rnn_capacity.search.ranges import CHOICES
from rnn_capacity.tasks import SPLITS, TASKS, Task
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.training import numerics
from rnn_capacity.training.trial import Keys, Outcome, Trial

STATIC = ("depth", "train_steps", "batch_size", "precision")
ONLY_IF_ASKED = ("rounded",)  # static as well; studies that were not asked do not say so
SIZES = ("max_params", "num_units", "num_params")
SEARCH = ("seed", "sampler", "halving", "again")
OF_PROGRAMS = ("cell's program", "task's program", "task's data")
HPARAM = "hparams."  # before the name of a dimension, in what describes a plan
# Without effect at 0; studies that were kept before there were these go on without them.
BEYOND_THE_PAPER = {"learning_rate_warm_up": 0.0, "weight_decay": 0.0, "fan_in_power": 0.0}
DIGITS = 8  # of what tells studies of one title apart


def find_cell(cell: str | Cell | Callable[..., Any]) -> Cell:
    """A cell by name, the user's own, or that of a class of Flax."""
    if isinstance(cell, Cell) and isinstance(cell.name, str) and all(map(callable, cell[1:4])):
        return cell
    if not isinstance(cell, str):
        if (of_flax := from_flax(cell)) is not None:
            return of_flax
        raise InputError(
            f"cell: {cell!r} given; it must be one of {', '.join(NAMED_CELLS)}, a Cell, or a class of Flax"
        )
    return NAMED_CELLS[check_choice("cell", cell, tuple(NAMED_CELLS))]


def find_task(task: str | Task, fields: Mapping[str, Any] | None = None) -> Task:
    """A task by name, with its fields and for text also its source (`text8:synthetic`), or the user's own.

    Raises:
        InputError: no such task, or a field that it has not or refuses.
    """
    fields = {name: value for name, value in check_mapping("task_fields", fields).items() if value is not None}
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


def described_task(described: Mapping[str, Any]) -> Task:
    """The package's task of a study, from what `Plan.describe` said of it.

    Raises:
        InputError: the package has no such task.
    """
    kind = TASKS[check_choice("task", described["task"], tuple(TASKS))]
    return kind(**{field.name: described[field.name] for field in dataclasses.fields(kind)})


def space_of(described: Mapping[str, Any]) -> spaces.Space:
    """The search space of a study, from what `Plan.describe` said of it."""
    return {n.removeprefix(HPARAM): spaces.from_json(d) for n, d in described.items() if n.startswith(HPARAM)}


def title_of(name: str) -> str:
    """The title of a study, from its name."""
    return re.sub(rf" [0-9a-f]{{{DIGITS}}}$", "", name)


def of_the_package(name: str) -> bool:
    """Whether what `Plan.describe` has under a name is none of the task's fields."""
    return name in (*STATIC, *ONLY_IF_ASKED, *SIZES, *SEARCH, "cell", "task", *OF_PROGRAMS) or name.startswith(HPARAM)


def again_name(name: str, number: int) -> str:
    """The name of the study that repeats a trial of a study."""
    return f"{name} trial {number} again"


def is_again(name: str) -> bool:
    """Whether a study repeats a trial of another."""
    return re.search(r" trial \d+ again$", name) is not None


def _defining(described: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """What tells studies apart, of what `Plan.describe` says; plain JSON. The same data may be in another place."""
    return json.loads(json.dumps({name: v for name, v in described.items() if name not in task.located_by}))


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a study turns a proposal into a trial, and what a trial gave into what is kept of it.

    The tuner sees the validation loss; what is reported is of the evaluation split (Collins et al. 2017, appendix A).
    """

    sign: ClassVar[int] = -1  # 1 where a greater objective is better
    unit: ClassVar[str] = "validation loss"  # of the objective, for people
    objective: ClassVar[str] = "valid_loss"  # what is tuned, by its name in what is kept of a trial
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
    # The space of that trial's study, whose program serves here too.
    searched: spaces.Space | None = dataclasses.field(default=None, compare=False)

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Of the search, as Optuna says it."""
        return "maximize" if self.sign > 0 else "minimize"

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
        if NAMED_CELLS.get(self.cell.name) is not self.cell:
            nonlinearities = spaces.options(self.space["nonlinearity"])
            sizes = {"num_units": self.num_units, "depth": self.static["depth"]}
            sizes |= {"num_inputs": self.task.num_inputs, "num_outputs": self.task.num_outputs}
            known["cell's program"] = cell_check.program_digest(self.cell, nonlinearities, **sizes)
        if TASKS.get(self.task.name) is not type(self.task):
            known["task's program"] = task_check.program_digest(self.task, self.static["batch_size"])
        return known

    def settings(self) -> dict[str, Any]:
        """Of what `describe` says all that was chosen: without what is read off programs and files of data."""
        names = {"task": self.task.name, "cell": self.cell.name}
        sizes, search = ({name: getattr(self, name) for name in group} for group in (SIZES, SEARCH))
        space = {f"{HPARAM}{name}": spaces.to_json(dimension) for name, dimension in self.space.items()}
        return dict(self.static) | dataclasses.asdict(self.task) | names | sizes | search | space

    @classmethod
    def of(cls, name: str, described: Mapping[str, Any], cell: Cell | None = None, task: Task | None = None) -> Self:
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
            task = described_task(described)
        plan = cls(
            title=name if described["again"] is not None else title_of(name),
            cell=cell,
            task=task,
            space=space_of(described),
            static={n: described[n] for n in (*STATIC, *ONLY_IF_ASKED) if n in STATIC or n in described},
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
        title = again_name(self.name, number)
        return dataclasses.replace(self, title=title, space=fixed, halving=None, again=number, searched=self.space)

    @functools.cached_property
    def spec(self) -> Spec:
        """What is static of every trial: one program serves all that the space holds."""
        return Spec(
            cell=self.cell,
            task=self.padded_task,
            programs=tuple(self.programs.values()),
            num_units=self.num_units,
            **spaces.branches(self.space if self.searched is None else self.searched),
            **self.static,
        )

    @property
    def padded_task(self) -> Task:
        """The task as it is compiled."""
        return self.task

    def hparams(self, values: dict[str, float]) -> dict[str, float]:
        """What training is given, from the values of the space's dimensions."""
        return BEYOND_THE_PAPER | values

    def trial(self, number: int, values: Mapping[str, Any]) -> Trial:
        """A search has one data set and fresh initial weights, as in the paper; of repeats each has both of its own."""
        task, network = ((0, 0), (1, number)) if self.again is None else ((2, number), (3, number))
        root = numerics.key(self.seed)
        keys = Keys(*(jax.random.fold_in(jax.random.fold_in(root, use), n) for use, n in (task, network)))
        return Trial(number, values, self.spec, self.hparams(spaces.indices(values, self.spec)), keys)

    def example(self, **values: float) -> Trial:
        """A trial from the middle of the space, the first of every choice: it has the program that all have.

        Args:
            values: of dimensions that are tuned, in place of their middle.
        """
        first = {name: options(d)[0] for name, d in self.space.items() if spaces.family_of(name) in CHOICES}
        known = {name: value for name, value in values.items() if isinstance(self.space.get(name), Range)}
        return self.trial(0, spaces.complete(self.space, first | known))

    def outcome(self, trial: Trial, outcome: Outcome, seconds: float) -> tuple[dict[str, Any], float | None]:
        """What is kept of a trial, and its objective, None where it is infeasible."""
        known = lambda value: float(value) if outcome.feasible else None
        kept: dict[str, Any] = {"feasible": outcome.feasible}
        kept |= {f"{split}_loss": known(outcome.loss[split]) for split in SPLITS}
        kept |= {name: known(value) for name, value in outcome.score["eval"].items()}
        kept |= {f"untrained_{name}": float(value) for name, value in outcome.untrained_score.items()}
        return kept | {"seconds": seconds}, kept[self.objective]
