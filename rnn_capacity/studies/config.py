"""What is asked of a measurement: every option once, with its default, its text and its check.

The fields of a question's config, of `Budget` and of `Runtime` are the arguments of its call (`measure_capacity`), and
the fields of a config of `experiments/`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import jax
import numpy as np
import optuna

from rnn_capacity.cells import Cell
from rnn_capacity.checks import InputError, check_choice, check_int, check_positive_int, check_seed
from rnn_capacity.model import cell_check, layout, task_check
from rnn_capacity.model.spec import PRECISIONS
from rnn_capacity.search import SAMPLERS
from rnn_capacity.search import space as spaces
from rnn_capacity.studies import store
from rnn_capacity.studies.plan import SEARCH, SIZES, STATIC, Plan, find_cell
from rnn_capacity.studies.progress import Reporter
from rnn_capacity.tasks import TASKS, Task
from rnn_capacity.training import sharding

A_CELL = "a name of CELLS, a Cell of your own, or the class of a recurrent cell of Flax"
BUDGET_OF_PARAMS = "parameters; the network is the largest that has no more, readout and initial carry included"

P = TypeVar("P", bound=Plan)


def option(text: str, default: Any = dataclasses.MISSING) -> Any:
    """A field, with the text that documents it."""
    return dataclasses.field(default=default, metadata={"text": text})


def texts(kind: type) -> dict[str, str]:
    """What each field of a class of options is; a default that a subclass changes leaves the text as it was."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for name, field in getattr(base, "__dataclass_fields__", {}).items():
            found[name] = field.metadata.get("text", found.get(name, ""))
    return found


def several(name: str, given: Any) -> tuple:
    """The values of an option that takes one or several.

    Raises:
        InputError: there is none.
    """
    many = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    many = many or (isinstance(given, np.ndarray) and given.ndim > 0)
    values = tuple(given) if many else (given,)
    if not values:
        raise InputError(f"{name}: none given; it must be a number, or several")
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What defines a study, of whatever question: the trials of two that are equal are the same.

    Raises:
        InputError: bad input, by name; some of it when the plan is made. Nothing is compiled.
    """

    cell: str | Cell | Callable[..., Any] = option(A_CELL, "gru")
    depth: int = option("layers", 1)
    train_steps: int = option("gradient steps a trial")
    batch_size: int | None = option("examples a step; None: the task's own", None)
    space: str = option(
        "search space: quick, ranges where minutes suffice, or paper, the whole of its appendix A", "quick"
    )
    hparams: Mapping[str, Any] | None = option(
        "hparams fixed, {'learning_rate': 0.03}, or narrowed, {'learning_rate': (0.01, 0.1)}, by family or by name",
        None,
    )
    sampler: str = option("gp, the paper's bandit (its first 20 trials are quasi-random), quasi-random or random", "gp")
    halving: int | None = option(
        "stop losers early: of trials proposed together one in so many is trained beyond a ninth of the steps for 3, "
        "and one in as many of these beyond a third; None, as in the paper: none is stopped",
        None,
    )
    seed: int = option("of the data, the initial weights and the search", 0)
    precision: str = option(
        "of matrix products: default, high, or highest (full float32); bfloat16: all of training but the weights' own",
        "highest",
    )

    def __post_init__(self):
        find_cell(self.cell)
        check_positive_int("depth", self.depth)
        check_positive_int("train_steps", self.train_steps)
        if self.batch_size is not None:
            check_positive_int("batch_size", self.batch_size)
        check_choice("space", self.space, tuple(spaces.SPACES))
        check_choice("sampler", self.sampler, tuple(SAMPLERS))
        if self.halving is not None:
            check_int("halving", self.halving, 2)
        check_seed(self.seed)
        check_choice("precision", self.precision, PRECISIONS)

    @property
    def network(self) -> str:
        """The cell and the depth, as a title has them."""
        return f"{find_cell(self.cell).name} depth={int(self.depth)}"

    @property
    def title(self) -> str:
        """What people call the study; others may have the same.

        Raises:
            InputError: a field that it names is wrong.
        """
        raise NotImplementedError

    def studies(self) -> list[Self]:
        """A config for each study that is measured, one after the other."""
        return [self]

    def plan(self) -> Plan:
        """How the study turns proposals into trials.

        Raises:
            InputError: what no single field shows to be wrong.
        """
        raise NotImplementedError

    def make_plan(
        self,
        kind: type[P],
        task: Task,
        *,
        num_params: int | None = None,
        num_units: int | None = None,
    ) -> P:
        """The plan of a network of this budget, or of so many units, on a task."""
        cell, depth = find_cell(self.cell), int(self.depth)
        reserved = (*STATIC, *SIZES, *SEARCH, "task", "cell")
        if TASKS.get(task.name) is not type(task):
            inherited = getattr(TASKS.get(task.name), "dimensions", {})
            task_check.check_task(
                task,
                reserved=reserved,
                is_hparam=lambda name: spaces.family_of(name) is not None and name not in inherited,
            )
        sizes = {"num_inputs": task.num_inputs, "num_outputs": task.num_outputs, "depth": depth}
        if num_units is None:
            num_units = layout.units_for_budget(check_positive_int("num_params", num_params), cell, **sizes)
        sizes["num_units"] = num_units
        params, train_steps = layout.num_params(cell, **sizes), int(self.train_steps)
        space = spaces.space_for(
            cell, self.space, self.hparams, task, sizes, num_params=params, train_steps=train_steps
        )
        cell_check.check_cell(cell, spaces.options(space["nonlinearity"]), **sizes)
        own = [name for name in layout.hparam_names(cell, **sizes) if spaces.family_of(name) is None]
        task_check.check_own_hparams(cell.name, own, task, reserved)
        batch_size = task.batch_size if self.batch_size is None else int(self.batch_size)
        task.check_batch_size(batch_size)
        return kind(
            title=self.title,
            cell=cell,
            task=task,
            max_params=num_params,
            num_units=sizes["num_units"],
            num_params=params,
            space=space,
            static={
                "depth": depth,
                "train_steps": train_steps,
                "batch_size": batch_size,
                "precision": self.precision,
            },
            sampler=self.sampler,
            halving=None if self.halving is None else int(self.halving),
            seed=int(self.seed),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained; more of it goes on where less of it ended.

    Raises:
        InputError: bad input, by name.
    """

    num_trials: int = option("networks trained in the search of each study")
    num_repeats: int = option("times the best hparams are trained again on fresh data and weights")

    def __post_init__(self):
        check_positive_int("num_trials", self.num_trials)
        check_int("num_repeats", self.num_repeats, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where trials are trained and kept, which changes none of them.

    Raises:
        InputError: bad input, by name.
    """

    storage: str | os.PathLike | optuna.storages.BaseStorage | None = option(
        "a folder or a database URL, where a stopped measurement goes on; None: memory", None
    )
    devices: int | Sequence[jax.Device] | None = option(
        "how many, or which; None: all. On a CPU every core is one", None
    )
    trials_per_device: int | None = option("trials a device is given at a time; None: what suits the backend", None)
    checkpoints: str | os.PathLike | None = option(
        "folder where batches in training are kept twice a minute and on SIGTERM, so that a stopped measurement goes "
        "on in the middle of one; None: beside the study, where that is a file",
        None,
    )
    progress: bool | Reporter | None = option("whether to show how far it is, or a Reporter that is told", True)

    def __post_init__(self):
        if self.trials_per_device is not None:
            check_positive_int("trials_per_device", self.trials_per_device)
        if self.checkpoints is not None:
            store.check_workdir(self.checkpoints, "checkpoints")
        sharding.choose_devices(self.devices)
        if not isinstance(self.progress, bool | None | Reporter):
            raise InputError(f"progress: {self.progress!r} given; it must be True, False, or a Reporter")
