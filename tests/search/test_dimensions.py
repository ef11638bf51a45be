"""What a define-by-run study tunes, and when, as its trials show it."""

import itertools

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from rnn_capacity.search.dimensions import Dimensions, observed

UNIT = FloatDistribution(0.0, 1.0)
KIND = CategoricalDistribution((None, True, "deep"))
LAYERS = IntDistribution(1, 4)


def trial(**parameters):
    """One of (value, distribution) by name."""
    params, distributions = ({name: p[i] for name, p in parameters.items()} for i in (0, 1))
    return create_trial(value=0.0, params=params, distributions=distributions)


def kind(option):
    return {"kind": (option, KIND)}


def test_parameters_of_every_trial_are_tuned_whatever_their_order():
    trials = [trial(b=(0.1, UNIT), a=(0.2, UNIT)), trial(a=(0.3, UNIT), b=(0.4, UNIT))]
    assert observed(trials) == Dimensions({"a": UNIT, "b": UNIT}, {})
    assert list(observed(trials).distributions) == ["a", "b"]
    assert observed([]) == Dimensions({}, {})


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (UNIT, FloatDistribution(-1.0, 0.5), FloatDistribution(-1.0, 1.0)),
        (FloatDistribution(1, 2, log=True), FloatDistribution(0.1, 1, log=True), FloatDistribution(0.1, 2, log=True)),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(1, 3, step=0.5), FloatDistribution(0, 3, step=0.5)),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(0, 1, step=0.25), UNIT),
        (IntDistribution(0, 6), IntDistribution(2, 9), IntDistribution(0, 9)),
        (IntDistribution(0, 12, step=4), IntDistribution(2, 14, step=6), IntDistribution(0, 14, step=2)),
        (IntDistribution(1, 6, log=True), IntDistribution(2, 9, log=True), IntDistribution(1, 9, log=True)),
    ],
)
def test_a_range_that_changes_is_the_widest_it_was(one, other, both):
    for pair in ((one, other), (other, one)):
        found = observed([trial(x=(d.low, d)) for d in pair])
        assert found == Dimensions({"x": both}, {})


def test_a_parameter_of_one_value_is_not_tuned_until_it_has_more():
    single = FloatDistribution(0.5, 0.5)
    assert observed([trial(x=(0.5, single), y=(0.1, UNIT))]).distributions == {"y": UNIT}
    assert observed([trial(x=(0.5, single)), trial(x=(0.5, UNIT))]).distributions == {"x": UNIT}


def test_trials_with_a_parameter_of_another_kind_are_left_out():
    """A study refuses it, but not of trials that are added to it in memory."""
    old = [trial(x=(3, IntDistribution(0, 9)), z=(0.5, UNIT)), trial(kind=("a", CategoricalDistribution(("a", "b"))))]
    new = [trial(x=(0.5, UNIT), **kind(None)), trial(x=(0.7, UNIT), **kind(True))]
    assert observed(old + new) == Dimensions({"kind": KIND, "x": UNIT}, {})


def test_the_choice_that_brings_a_parameter_with_it_is_found():
    trials = [
        trial(**kind(None)),
        trial(u=(0.2, UNIT), **kind(True)),
        trial(v=(0.2, UNIT), u=(0.1, UNIT), **kind("deep")),
    ]
    found = observed(3 * trials)
    assert found.conditions == {"u": ("kind", frozenset({1, 2})), "v": ("kind", frozenset({2}))}
    assert found.optional == frozenset()


def test_the_number_that_brings_parameters_with_it_is_found():
    trials = [
        trial(layers=(n, LAYERS), x=(0.1 * n, UNIT), **{f"units{i}": (0.5, UNIT) for i in range(n)})
        for n in (1, 2, 4, 1, 2, 4, 1, 2, 4)
    ]
    assert observed(trials).conditions == {
        "units1": ("layers", frozenset({1, 3})),
        "units2": ("layers", frozenset({3})),
        "units3": ("layers", frozenset({3})),
    }


def test_conditions_may_depend_on_each_other_and_come_in_order():
    inner = CategoricalDistribution((False, True))
    trials = []
    for option, flag in itertools.product(KIND.choices, (False, True)):
        parameters = kind(option)
        if option == "deep":
            parameters |= {"a": (flag, inner)} | ({"z": (0.5, UNIT)} if flag else {})
        trials.append(trial(**parameters))
    found = observed(3 * trials)
    assert list(found.conditions.items()) == [("a", ("kind", frozenset({2}))), ("z", ("a", frozenset({1})))]


def test_parameters_that_always_occur_together_do_not_explain_each_other():
    flag = CategoricalDistribution((False, True))
    together = [trial(p=(b, flag), q=(b, flag), **kind("deep")) for b in (False, True)]
    found = observed(4 * [*together, trial(**kind(None))])
    assert found.conditions == {"p": ("kind", frozenset({2})), "q": ("kind", frozenset({2}))}


def test_what_nothing_explains_is_optional():
    """It depends on two others, or on a number of a continuum; an integer that is never the same explains nothing."""
    trials = []
    for number, (option, u) in enumerate(itertools.product(KIND.choices, (0.2, 0.4, 0.6, 0.8))):
        parameters = {"u": (u, UNIT), "n": (number, IntDistribution(0, 1000)), **kind(option)}
        trials.append(trial(**parameters, **({"v": (0.5, UNIT)} if u > 0.5 and option else {})))
    found = observed(trials)
    assert found.conditions == {}
    assert found.optional == {"v"}
