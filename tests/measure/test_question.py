"""Questions: an option is defined once, and is then an argument of a call, documented and checked, and a field."""

import dataclasses
import inspect
import typing

import pytest
from tiny import TINY

import rnn_capacity
from rnn_capacity import sweep
from rnn_capacity.checks import InputError
from rnn_capacity.measure.question import asks
from rnn_capacity.measure.questions import CAPACITY, QUESTIONS
from rnn_capacity.studies.config import Budget, Runtime, StudyConfig, option, texts

every_question = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)


@every_question
def test_every_option_is_an_argument_of_the_call_with_its_default_and_its_text(question):
    parameters = inspect.signature(question.call).parameters
    options = [f for kind in (question.config, Budget, Runtime) for f in dataclasses.fields(kind)]
    assert set(parameters) == {field.name for field in options} == set(question.texts())
    for name, text in question.texts().items():
        default = parameters[name].default
        assert default == question.defaults().get(name, inspect.Parameter.empty)
        assert text
        assert f"\n    {name}: {text[:30]}" in question.call.__doc__
    assert question.call.__doc__.index("\nArgs:\n") < question.call.__doc__.index("\n\nRaises:\n")
    assert question.call is getattr(rnn_capacity, f"measure_{question.name}")


@every_question
def test_all_but_the_first_arguments_are_given_by_name(question):
    kinds = {p.name: p.kind for p in inspect.signature(question.call).parameters.values()}
    first = ["cell", "task"] if question.name == "trainability" else ["cell"]
    assert [name for name, kind in kinds.items() if kind is not inspect.Parameter.KEYWORD_ONLY] == first


@every_question
def test_the_types_of_arguments_and_result_resolve(question):
    hints = typing.get_type_hints(question.call)
    assert list(hints) == [*inspect.signature(question.call).parameters, "return"]
    assert hints["num_trials"] is int
    assert hints.pop("return").__name__ == f"{question.name.capitalize()}Result"
    assert not any(isinstance(hint, str) for hint in hints.values())


def test_an_argument_that_there_is_not_is_refused_as_of_any_function():
    with pytest.raises(TypeError, match="measure_capacity: got an unexpected keyword argument 'num_parms'"):
        rnn_capacity.measure_capacity("rnn", num_parms=3)
    with pytest.raises(TypeError, match="measure_trainability: missing a required argument: 'task'"):
        rnn_capacity.measure_trainability("rnn")


def test_what_is_asked_is_checked_where_it_is_defined():
    for kind, bad in (
        (CAPACITY.config, {"depth": 0}),
        (CAPACITY.config, {"train_steps": 1.5}),
        (CAPACITY.config, {"cell": "elman"}),
        (CAPACITY.config, {"sampler": "vizier"}),
        (CAPACITY.config, {"halving": 1}),
        (CAPACITY.config, {"seed": -1}),
        (CAPACITY.config, {"batch_size": 0}),
        (CAPACITY.config, {"space": "big"}),
        (Budget, {"num_trials": 0, "num_repeats": 0}),
        (Budget, {"num_trials": 1, "num_repeats": -1}),
        (Runtime, {"trials_per_device": 0}),
        (Runtime, {"progress": "bar"}),
        (Runtime, {"devices": 99}),
    ):
        name, *_ = bad if kind is not Budget else [n for n, v in bad.items() if v < 1 - (n == "num_repeats")]
        with pytest.raises(InputError, match=f"^{name}: {bad[name]!r} given; (it must be|there are)"):
            kind(**bad)


def test_a_config_is_a_value(tmp_path):
    """Equal where all options are, and then of one study."""
    one, same, other = (CAPACITY.config(cell="rnn", num_params=60, seed=seed) for seed in (0, 0, 1))
    assert one == same != other
    assert one.plan().name == same.plan().name != other.plan().name
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.seed = 3


def test_an_option_of_a_question_of_ones_own_is_added_in_one_place():
    """It is an argument, documented and checked, without a second line anywhere."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(StudyConfig):
        train_steps: int = 7
        volume: float = option("how loud", 1.0)

        def __post_init__(self):
            super().__post_init__()
            if self.volume > 11:
                raise InputError(f"volume: {self.volume!r} given; it must be at most 11")

    @asks(Config, Budget(num_trials=1, num_repeats=0), "cell")
    def measure_volume(config, budget, runtime):
        """How loud it is."""
        return config.volume, config.train_steps, budget.num_trials, runtime.devices

    assert measure_volume("gru", volume=3.0, num_trials=5, devices=2) == (3.0, 7, 5, 2)
    assert "volume: how loud." in measure_volume.__doc__
    assert texts(Config)["train_steps"] == "gradient steps a trial"
    with pytest.raises(InputError, match=r"^volume: 12 given"):
        measure_volume(volume=12)
    own = CAPACITY._replace(config=Config, budget=Budget(num_trials=1, num_repeats=0), call=measure_volume)
    assert own.defaults()["volume"] == 1.0


def test_a_sweep_has_the_fields_of_its_question_at_their_defaults():
    (point,) = sweep.points(TINY)
    config, budget, runtime = CAPACITY.asked(point)
    assert (config.num_params, budget.num_trials, runtime) == (TINY["num_params"], TINY["num_trials"], Runtime())
