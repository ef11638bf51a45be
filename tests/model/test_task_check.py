"""A user's own task is checked by its shapes before anything is compiled, and known by its program."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_capacity import measure_capacity, measure_recall, measure_trainability
from rnn_capacity.cells import CELLS
from rnn_capacity.dimension import Range
from rnn_capacity.measure.questions import results_in
from rnn_capacity.measure.trainability import TrainabilityConfig
from rnn_capacity.model.task_check import check_task, program_digest
from rnn_capacity.studies import reader, store
from rnn_capacity.tasks import TASKS, Batch, DrawnTask
from rnn_capacity.training import program


@dataclasses.dataclass(frozen=True, kw_only=True)
class Echo(DrawnTask):
    """The input given back at once."""

    name: ClassVar[str] = "echo"
    measure: ClassVar[str] = "error"
    num_inputs: ClassVar[int] = 2
    num_outputs: ClassVar[int] = 2

    unroll: int = 2

    def draw(self, key, num_examples, source):
        x_ib = jax.random.normal(key, (2, num_examples))
        return Batch(jnp.stack([x_ib, x_ib]), x_ib, jnp.ones(num_examples))

    def loss(self, outputs_tob, batch):
        return jnp.mean((outputs_tob[-1] - batch.targets) ** 2, axis=0)

    def score(self, outputs_tob, batch):
        return {"error": jnp.average(self.loss(outputs_tob, batch), weights=batch.weights_b)}


def variant(**members):
    """The same with something else in it; what is annotated is a field."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(
        type("Echo", (Echo,), {**members, "__module__": __name__})
    )()


def of_field(name, kind, value):
    return variant(**{"__annotations__": {name: kind}, name: value})


WRONG = {
    "has a field 'depth'": of_field("depth", int, 3),
    "has a field 'seed'": of_field("seed", int, 3),
    "a field must be a plain number": of_field("table", object, object()),
    "num_inputs of the task 'echo': 0 given": variant(num_inputs=0),
    "read_steps of the task 'echo': 1.5 given": variant(read_steps=1.5),
    "reads 3 steps; it must be at most unroll = 2": variant(read_steps=3),
    r"gives inputs of shape \(2, 2, 7\); it must be \(2 or fewer, 3, 7\)": variant(num_inputs=3),
    r"gives a loss of shape \(2, 7\)": variant(
        loss=lambda self, outputs_tob, batch: outputs_tob[-1], score=lambda *_: {"error": jnp.ones(())}
    ),
    "cannot make or judge a batch: ": variant(num_outputs=5),
    "has the measure 'typo'": variant(measure="typo"),
    "reads the hparam 'delay'; its dimensions must have a Range": variant(hparam_names=("delay",)),
    "has dimensions 3; it must be a mapping": variant(dimensions=3, hparam_names=()),
    "has a dimension 'l2'; it must have another name": variant(dimensions={"l2": 1.0}),
    "has a dimension 'seed'; it must have another name": variant(dimensions={"seed": 1.0}),
    "has a dimension 'unroll'; it must have another name": variant(dimensions={"unroll": 1.0}),
    "has the dimension delay = 'long'; it must be a number": variant(dimensions={"delay": "long"}),
    r"has the dimension delay = Range\(low=0.5, high=3": variant(dimensions={"delay": Range(0.5, 3, whole=True)}),
    r"delay = Range\(low=1, high=9, log=True, whole": variant(dimensions={"delay": Range(1, 9, log=True, whole=True)}),
    "around_best=": variant(dimensions={"delay": Range(1, 9, around_best=(1.0, 1.5, 2.5))}),
    r"has the dimension delay = Range\(low=2, high=1": variant(dimensions={"delay": Range(2, 1)}),
    r"has the dimension delay = Range\(low=0, high=1, log=True": variant(dimensions={"delay": Range(0, 1, log=True)}),
    "has a quick range of 'leek'; it must be of an hparam of training or a cell": variant(quick={"leek": 1.0}),
    "has the quick ranges 3; it must be a mapping": variant(quick=3),
    "has the quick range learning_rate = 'fast'; it must be a number": variant(quick={"learning_rate": "fast"}),
    "has the quick range learning_rate: -1 given; it must be a number above 0": variant(
        quick={"learning_rate": Range(-1, 1)}
    ),
    "has the quick range recurrent_init = 'foo'; it must be one of identity": variant(quick={"recurrent_init": "foo"}),
    r"has tunes \('leek',\); it must be a tuple of some of": variant(tunes=("leek",)),
    "has the quick range delay = nan; it must be a number": variant(
        dimensions={"delay": 1.0}, quick={"delay": float("nan")}
    ),
    r"scores error of shape \(4,\)": variant(score=lambda *_: {"error": jnp.ones(4)}),
}


@pytest.mark.parametrize(("told", "task"), WRONG.items(), ids=range(len(WRONG)))
def test_what_is_wrong_with_a_task_is_told_before_anything_is_trained(monkeypatch, told, task):
    monkeypatch.setattr(program, "advance", lambda *_, **__: pytest.fail("a trial was trained"))
    with pytest.raises(ValueError, match=told):
        measure_trainability("rnn", task, num_params=60, num_trials=2, progress=False)


TAKEN = ["valid_loss", "steps", "number", "study", "state", "cell", "untrained_error"]
TAKEN += ["l2", "learning_rate", "optimizer", "recurrent_scale", "recurrent_scale_u", "forget_bias_own", "own_hparam"]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", TAKEN)
def test_a_score_has_no_name_of_another_column(name):
    """Else a table of trials would have one of the two, and another table the other."""
    score = lambda *_: {"error": jnp.ones(()), name: jnp.ones(())}
    with pytest.raises(ValueError, match=f"^task: 'echo' scores '{name}'; it must have another name, that one is"):
        measure_trainability("rnn", variant(score=score, dimensions={"own_hparam": 1.0}), num_params=60, progress=False)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", ["valid_loss", "seed", "unroll", "error", "untrained_error", "own_hparam"])
def test_an_hparam_of_a_cells_own_has_no_name_of_another_column(name):
    rnn = CELLS["rnn"]
    init = lambda key, i, h, hparams: rnn.init(key, i, h, hparams) | {"h_0": hparams[name] * jnp.ones(h)}
    cell = rnn._replace(name="mine", init=init, ranges={"quick": {name: Range(0, 1)}})
    with pytest.raises(ValueError, match=rf"^cell: 'mine' reads hparams\['{name}'\]; it must have another name"):
        measure_trainability(
            cell, variant(dimensions={"own_hparam": 1.0}), num_params=60, space="quick", progress=False
        )


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_no_two_columns_of_a_table_of_trials_have_one_name(tmp_path, trainer, cell):
    options = {"num_trials": 2, "num_repeats": 0, "train_steps": 3, "space": "paper", "sampler": "random"}
    options |= {"storage": tmp_path, "progress": False}
    measure_capacity(cell, num_params=300, **options)
    measure_recall(cell, num_units=2, **options)
    for task in (Echo(), "parentheses", "arithmetic", "random_functions", "text8:synthetic"):
        measure_trainability(cell, task, num_params=2_000, **options)
    studies = reader.load_studies(tmp_path)
    assert len(studies) == 7
    for study in studies:
        for trial in study.trials:
            hparams, outcome = study.hparams(trial), trial.user_attrs[store.OUTCOME]
            assert len(outcome) > 6
            assert len({"study", "number", "state", *hparams, *outcome}) == 3 + len(hparams) + len(outcome)


@pytest.mark.parametrize("task", ["recall", "random_functions", "parentheses", "arithmetic"])
def test_our_own_tasks_pass_the_check(task):
    check_task(TASKS[task]())


def digest(task):
    return program_digest(task, 64)


def test_a_tasks_program_tells_it_from_its_edited_self_and_from_no_other():
    twice = lambda self, outputs_tob, batch: 2 * Echo.loss(self, outputs_tob, batch)
    assert digest(Echo()) == digest(Echo()) == digest(variant())
    assert len({digest(task) for task in (Echo(), variant(loss=twice), Echo(num_held_out=9))}) == 3


def looking_up(table):
    """A task whose targets are captured in one of its functions."""
    draw = lambda self, key, num_examples, source: Echo.draw(self, key, num_examples, source)._replace(
        targets=jnp.broadcast_to(jnp.asarray(table)[:, None], (2, num_examples))
    )
    return variant(draw=draw)


def sharing(table):
    """A task whose targets are among the arrays that all trials share."""
    draw = lambda self, key, num_examples, source: Echo.draw(self, key, num_examples, source)._replace(
        targets=jnp.broadcast_to(source.shared[:, None], (2, num_examples))
    )
    return variant(draw=draw, shared=lambda self: np.asarray(table))


def steeper(slope):
    """A task whose loss has a gradient of its own, which its value does not show."""

    @jax.custom_vjp
    def itself(x):
        return x

    itself.defvjp(lambda x: (x, None), lambda _, cotangent: (slope * cotangent,))
    return variant(loss=lambda self, outputs_tob, batch: Echo.loss(self, itself(outputs_tob), batch))


@pytest.mark.parametrize("kind", [looking_up, sharing])
def test_the_arrays_of_a_task_are_part_of_its_program(kind):
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    assert digest(kind(ones)) == digest(kind(ones.copy()))
    assert digest(kind(ones)) != digest(kind(zeros))


def test_the_gradient_of_a_task_is_part_of_its_program():
    assert digest(steeper(2.0)) == digest(steeper(2.0))
    assert digest(steeper(2.0)) != digest(steeper(3.0))


@pytest.mark.parametrize("kind", [looking_up, sharing])
def test_an_edited_task_is_measured_again_on_the_same_storage(tmp_path, kind):
    options = {"num_params": 60, "num_trials": 2, "train_steps": 3, "space": "quick", "progress": False}
    measure = lambda table: measure_trainability("rnn", kind(np.float32(table)), storage=tmp_path, **options).loss
    alone = measure_trainability("rnn", kind(np.float32([500, 0])), **options).loss
    first = measure([1, 0])
    assert measure([500, 0]) == alone != first
    assert measure([1, 0]) == first  # and what was measured before is still there
    assert len(results_in(tmp_path)[0]) == 2


class Louder(Echo):
    """The input many times as large, how many is an hparam."""

    dimensions: ClassVar = {"gain": Range(1, 4, whole=True), "offset": 0.5}

    def draw(self, key, num_examples, source):
        batch = super().draw(key, num_examples, source)
        return batch._replace(targets=source.hparams["gain"] * batch.targets + source.hparams["offset"])


@pytest.mark.parametrize(("given", "expected"), [({}, {1, 2, 3, 4}), ({"gain": (2, 3)}, {2, 3}), ({"gain": 3}, {3})])
def test_a_task_says_the_ranges_of_its_own_hparams(tmp_path, given, expected):
    options = {"num_params": 60, "num_trials": 6, "num_repeats": 1, "train_steps": 2, "storage": tmp_path}
    options |= {"hparams": given, "sampler": "random", "progress": False}
    result = measure_trainability("rnn", Louder(), **options)
    assert set(result.best_hparams) >= {"gain", "offset"}
    found = measure_trainability("rnn", Louder(), **options)
    assert found == result
    gains = result.trials["gain"] if expected != {3} else [result.best_hparams["gain"]]
    assert set(gains) <= expected
    assert len(set(gains)) > 1 or len(expected) == 1
    (study,) = (study for study in reader.load_studies(tmp_path) if not study.name.endswith("again"))
    trial = study.trials[0]
    assert study.hparams(trial)["offset"] == 0.5


def test_a_task_like_a_built_in_one_keeps_its_hparams():
    mine = type("Mine", (TASKS["arithmetic"],), {})()
    check = TrainabilityConfig(cell="rnn", task=mine, num_params=500, train_steps=3, space="quick").plan()
    assert check.space["compute_steps"] == 6


@pytest.mark.parametrize("given", [{"gain": 2.5}, {"gain": (1, 2.5)}, {"gain": "loud"}, {"volume": 2}])
def test_what_is_no_value_of_a_tasks_own_hparam_is_refused(given):
    with pytest.raises(ValueError, match=r"^hparams(\.gain)?: .* (it must be a whole number|there are .*gain)"):
        measure_trainability("rnn", Louder(), num_params=60, hparams=given, progress=False)
