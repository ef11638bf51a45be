"""Plans: which task and network a study is of, and that what a store keeps of it is enough to have it again."""

import dataclasses
import itertools
import json
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import FRAGILE, TINY, TINY_PARENTHESES

from rnn_capacity import CELLS, TASKS
from rnn_capacity.measure.capacity import CapacityConfig, CapacityPlan
from rnn_capacity.measure.questions import plan_of
from rnn_capacity.measure.recall import RecallConfig
from rnn_capacity.measure.trainability import TrainabilityConfig
from rnn_capacity.search import space as spaces
from rnn_capacity.studies.plan import Plan, find_task, title_of
from rnn_capacity.tasks import SPLITS, Batch, DrawnTask
from rnn_capacity.tasks.memorization import Memorization
from rnn_capacity.tasks.parentheses import Parentheses
from rnn_capacity.tasks.recall import Recall
from rnn_capacity.training.trial import Outcome

STUDY = {"unroll": 3, "train_steps": 20, "space": "quick"}
FIELDS = TINY_PARENTHESES["task_fields"]
SMALL = {  # every task, of networks of few parameters
    "recall": {"task_fields": {"num_inputs": 4}},
    "random_functions": {"task_fields": {"num_points": 100, "num_inputs": 3}},
    "text8": {"task_fields": {"warm_up": 1}},
    "parentheses": {"task_fields": FIELDS},
    "arithmetic": {"task_fields": {"max_number": 9}, "unroll": 20},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(DrawnTask):
    """A user's task: a constant is asked for."""

    name: ClassVar[str] = "own"
    measure: ClassVar[str] = "error"
    num_inputs: ClassVar[int] = 2
    num_outputs: ClassVar[int] = 1

    unroll: int = 2
    wanted: tuple[float, ...] = (1.0, 2.0)

    def draw(self, key, num_examples, source):
        x_ib = jax.random.normal(key, (2, num_examples))
        return Batch(x_ib[None], jnp.full(num_examples, self.wanted[0]), jnp.ones(num_examples))

    def loss(self, outputs_tob, batch):
        return (outputs_tob[-1, 0] - batch.targets) ** 2

    def score(self, outputs_tob, batch):
        return {"error": self.loss(outputs_tob, batch).mean()}


def capacity(cell="rnn", **fields):
    of_plan = STUDY | {"num_params": 60, "num_inputs": 8, "unroll": 1, "hparams": TINY["hparams"]}
    return CapacityConfig(**({"cell": cell} | of_plan | fields)).plan()


def recall(cell="rnn", **fields):
    return RecallConfig(**(STUDY | {"cell": cell, "num_units": 4, "num_inputs": 4} | fields)).plan()


def trainability(task="parentheses", cell="rnn", **fields):
    of_plan = STUDY | {"cell": cell, "task": task, "num_params": 800}
    return TrainabilityConfig(**(of_plan | (SMALL.get(task, {}) if isinstance(task, str) else {}) | fields)).plan()


# --- Which task -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_found_by_name_with_its_own_defaults(name):
    task = find_task(name)
    assert type(task) is TASKS[name]
    for field in dataclasses.fields(task):
        if field.default is not dataclasses.MISSING:
            assert getattr(task, field.name) == field.default


def test_a_tasks_fields_are_set_and_those_that_are_none_are_its_own():
    assert find_task("parentheses", {"num_types": 2, "unroll": 7}) == Parentheses(num_types=2, unroll=7)
    assert find_task("recall", {"num_inputs": None, "unroll": 3}) == Recall(unroll=3)


def test_a_text_has_its_source_behind_a_colon():
    assert find_task("text8:synthetic").text == "synthetic"
    assert find_task("text8", {"text": "synthetic"}) == find_task("text8:synthetic")
    assert find_task("text8").text == "text8"


def test_a_task_of_ones_own_is_itself():
    task = Own(unroll=4)
    assert find_task(task) is task
    assert find_task(task, {"unroll": None}) is task


@pytest.mark.parametrize(
    ("task", "fields", "named"),
    [
        ("tetris", None, "task: 'tetris' given"),
        (3, None, "task: 3 given"),
        (Parentheses, None, "task: "),
        ("recall:x", None, "task: 'recall:x' given; only text8 has a source"),
        ("memorization:x", None, "task: 'memorization:x' given"),
        ("text8:latin", None, "text: 'latin' given"),
        ("parentheses", {"num_kinds": 2}, "task_fields of parentheses: 'num_kinds' given"),
        ("parentheses", {"num_types": 0}, "num_types: 0 given"),
        ("parentheses", {"unroll": 2.5}, "unroll: 2.5 given"),
        ("parentheses", ["num_types"], r"task_fields: \['num_types'\] given"),
        ("parentheses", 2, "task_fields: 2 given"),
        (Own(), {"unroll": 3}, "task_fields: {'unroll': 3} given beside a task"),
    ],
    ids=str,
)
def test_what_is_no_task_is_refused_in_a_line(task, fields, named):
    with pytest.raises(ValueError, match=rf"^{named}") as error:
        find_task(task, fields)
    assert "\n" not in str(error.value)


# --- Which network ----------------------------------------------------------------------------------------------------


def test_the_plan_of_recall_is_of_so_many_units():
    plan = recall("rnn", num_units=3, depth=2)
    first, second, readout = 3 * 3 + 4 * 3 + 3 + 3, 3 * 3 + 3 * 3 + 3 + 3, 3 * 4 + 4
    assert (plan.num_units, plan.max_params, plan.num_params) == (3, None, first + second + readout)
    assert plan.task == Recall(num_inputs=4, unroll=3)
    assert plan.static["batch_size"] == Recall.batch_size == 64
    assert plan.spec.num_units == 3


def test_the_plan_of_a_task_has_the_largest_network_of_the_budget():
    """Parentheses of one type and one noise character: 3 inputs, 4 outputs; h^2 + 3h + h + h + 4h + 4 parameters."""
    count = lambda h: h * h + 9 * h + 4
    plan = trainability(num_params=60)
    assert (plan.max_params, plan.num_units, plan.num_params) == (60, 4, count(4))
    assert count(4) <= 60 < count(5)


@pytest.mark.parametrize("task", SMALL)
def test_the_batch_size_is_the_tasks_own_unless_it_is_given(task):
    plan = trainability(task)
    assert plan.static["batch_size"] == TASKS[task].batch_size
    assert plan.spec.batch_size == (256 if task == "random_functions" else 64)
    assert trainability(task, batch_size=5).spec.batch_size == 5


def test_the_unroll_is_the_tasks_own_unless_it_is_given():
    assert trainability(unroll=None).task.unroll == 175
    assert trainability(unroll=6).task == Parentheses(unroll=6, **FIELDS)
    assert trainability(task_fields=FIELDS | {"unroll": 5}, unroll=None).task.unroll == 5


def test_a_plans_title_tells_apart_what_a_sweep_runs_over():
    grid = itertools.product(("rnn", "gru"), (2, 3), (1, 2), (1, 4))
    plans = [recall(cell, num_units=n, depth=d, unroll=t) for cell, n, d, t in grid]
    plans += [trainability(task, cell, num_params=n) for task in SMALL for cell in ("rnn", "gru") for n in (800, 900)]
    plans += [capacity(cell, num_params=n) for cell in ("rnn", "gru") for n in (60, 90)]
    assert len({plan.title for plan in plans}) == len(plans)


# Each changes what the studies of one title are, but not the title.
VARIANTS = {
    "seed": {"seed": 1},
    "steps": {"train_steps": 99},
    "space": {"space": "paper"},
    "a range": {"hparams": {"learning_rate": (0.01, 0.02)}},
    "a value": {"hparams": {"learning_rate": 0.01}},
    "sampler": {"sampler": "random"},
    "halving": {"halving": 3},
    "batch": {"batch_size": 3},
    "inputs": {"num_inputs": 14},
    "precision": {"precision": "default"},
}


def test_studies_of_one_title_that_differ_in_anything_have_names_of_their_own():
    plans = [capacity(), *(capacity(**changed) for changed in VARIANTS.values())]
    assert {plan.title for plan in plans} == {plans[0].title}
    assert len({plan.name for plan in plans}) == len(plans)
    assert {title_of(plan.name) for plan in plans} == {plans[0].title}
    assert capacity().name == plans[0].name


def test_an_edited_cell_gives_its_study_another_name():
    masked = lambda mask: FRAGILE._replace(apply=lambda p, h, x, s: FRAGILE.apply(p, h * jnp.asarray(mask)[:1], x, s))
    ones, zeros = np.ones(8, np.float32), np.zeros(8, np.float32)
    assert recall(masked(ones)).name == recall(masked(ones.copy())).name
    assert recall(masked(ones)).name != recall(masked(zeros)).name


def test_a_text_has_one_study_wherever_its_file_lies(tmp_path, monkeypatch):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text8").write_text("the cat sat on the mat " * 400)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    places = (tmp_path / "here", str(tmp_path / "here") + "/", "here", "./here", tmp_path / "there")
    fields = {"num_held_out": 8, "warm_up": 2}
    plans = [trainability("text8", task_fields={"data_dir": place, **fields}, unroll=4) for place in places]
    assert len({plan.name for plan in plans}) == 1
    assert [plan.task.label for plan in plans] == ["text8:here"] * 4 + ["text8:there"]
    kept = plans[0].describe()
    assert plan_of(plans[0].name, kept, task=plans[-1].task).name == plans[0].name
    (tmp_path / "there" / "text8").write_text("the cat sat on the hat " * 400)
    assert trainability("text8", task_fields={"data_dir": "there", **fields}, unroll=4).name != plans[0].name


@pytest.mark.parametrize("task", ["memorization", Memorization(max_mappings=4)])
def test_memorization_is_measured_elsewhere(task):
    with pytest.raises(ValueError, match=r"^task: 'memorization' given; it is measured by measure_capacity$"):
        trainability(task, unroll=None)


# --- What is kept of a plan -------------------------------------------------------------------------------------------

PLANS = {
    "capacity": lambda: capacity(halving=2, batch_size=16),
    "recall": lambda: recall("lstm", depth=2, space="paper"),
    "user's cell": lambda: recall(FRAGILE),
    **{task: lambda task=task: trainability(task, "gru", space="paper", seed=3) for task in SMALL if task != "text8"},
    "text8:synthetic": lambda: trainability("text8:synthetic", task_fields={"warm_up": 2}),
    "user's task": lambda: trainability(Own(), "rnn", unroll=None),
}


@pytest.mark.parametrize("kind", PLANS)
def test_a_plan_comes_back_from_what_is_kept_of_it(kind):
    plan = PLANS[kind]()
    kept = json.loads(json.dumps(plan.describe(), allow_nan=False))
    own = {"cell": FRAGILE} if kind == "user's cell" else {"task": Own()} if kind == "user's task" else {}
    again = plan_of(plan.name, kept, **own)
    assert (again, again.name) == (plan, plan.name)
    assert type(again) is (CapacityPlan if kind == "capacity" else Plan)
    assert json.loads(json.dumps(again.describe())) == kept


@pytest.mark.parametrize("kind", ["capacity", "recall", "parentheses"])
def test_the_repeats_of_a_trial_have_a_plan_that_comes_back_too(kind):
    plan = PLANS[kind]()
    best = spaces.from_unit(plan.space, [0.4] * len(spaces.tuned(plan.space)))
    repeated = plan.repeated(best, 7)
    assert (repeated.name, repeated.again, repeated.halving) == (f"{plan.name} trial 7 again", 7, None)
    assert not spaces.tuned(repeated.space)
    assert plan_of(repeated.name, json.loads(json.dumps(repeated.describe()))) == repeated


@pytest.mark.parametrize("kind", ["capacity", "recall", "parentheses"])
def test_a_plan_says_everything_that_an_outcome_depends_on(kind):
    plan = PLANS[kind]()
    known = plan.describe()
    changes = {"seed": 9, "sampler": "random", "num_units": 99, "num_params": 9, "max_params": 1, "halving": 5}
    for name, value in changes.items():
        assert known[name] != value
        assert dataclasses.replace(plan, **{name: value}).describe() == known | {name: value}
    for field in dataclasses.fields(plan.task):
        assert known[field.name] == getattr(plan.task, field.name)
    for name in plan.static:
        assert known[name] == plan.static[name]
    assert (known["task"], known["cell"]) == (plan.task.name, plan.cell.name)


def test_another_cell_or_task_than_was_trained_is_refused_by_name():
    plan = recall()
    with pytest.raises(ValueError, match=r"^cell: 'gru' given"):
        plan_of("s", plan.describe(), cell=CELLS["gru"])
    with pytest.raises(ValueError, match=r"^task: Recall\(unroll=9.*'s' was measured with$"):
        plan_of("s", plan.describe(), task=Recall(num_inputs=4, unroll=9))
    with pytest.raises(ValueError, match=r"^task: Parentheses.*'s' was measured with$"):
        plan_of("s", plan.describe(), task=Parentheses(unroll=3))
    with pytest.raises(ValueError, match=r"^task: 'own' given"):
        plan_of("s", trainability(Own(), unroll=None).describe())


# --- What a trial is, and what is kept of it --------------------------------------------------------------------------


def key_of(key):
    return tuple(jax.random.key_data(key).tolist())


@pytest.mark.parametrize("kind", ["recall", "parentheses"])
def test_a_search_has_one_task_key_and_repeats_have_their_own(kind):
    plan = PLANS[kind]()
    values = spaces.complete(plan.space, spaces.from_unit(plan.space, [0.6] * len(spaces.tuned(plan.space))))
    searched = [plan.trial(number, values) for number in range(3)]
    again = plan.repeated(values, 0)
    repeats = [again.trial(number, again.space) for number in range(3)]
    assert len({key_of(t.keys.task) for t in searched}) == 1
    assert len({key_of(t.keys.task) for t in (*searched, *repeats)}) == 4
    networks = {key_of(t.keys.network) for t in (*searched, *repeats)}
    assert len(networks) == 6
    assert networks.isdisjoint(key_of(t.keys.task) for t in (*searched, *repeats))
    assert all(t.spec == searched[0].spec and t.hparams == searched[0].hparams for t in repeats)


def test_the_tuner_gets_the_validation_loss_and_the_score_kept_is_of_the_evaluation():
    plan = trainability()
    loss = dict(zip(SPLITS, map(np.float32, (1.5, 2.5, 3.5)), strict=True))
    score = {split: {"accuracy": np.float32(i / 4), "sequences": np.float32(i / 8)} for i, split in enumerate(SPLITS)}
    untrained = {"accuracy": np.float32(0.125), "sequences": np.float32(0)}
    expected = {
        "feasible": True,
        "train_loss": 1.5,
        "valid_loss": 2.5,
        "eval_loss": 3.5,
        "accuracy": 0.5,
        "sequences": 0.25,
        "untrained_accuracy": 0.125,
        "untrained_sequences": 0.0,
        "seconds": 7.0,
    }
    kept, value = plan.outcome(None, Outcome(loss, score, untrained, True), 7.0)
    assert (kept, value) == (expected, 2.5)
    assert all(type(number) in (bool, float) for number in kept.values())
    assert (plan.direction, plan.reported) == ("minimize", "eval_loss")
    kept, value = plan.outcome(None, Outcome(loss, score, untrained, False), 7.0)
    assert value is None
    lost = dict.fromkeys(("train_loss", "valid_loss", "eval_loss", "accuracy", "sequences"))
    assert kept == expected | lost | {"feasible": False}
