"""Bits that are left of rounded weights: what is kept of a trial, what a result says, and training in bfloat16."""

import json

import jax
import numpy as np
import pytest
from helpers import make_hparams, make_keys, make_spec
from tiny import TINY

from rnn_capacity import CELLS, measure_capacity, measure_precision
from rnn_capacity.checks import InputError
from rnn_capacity.measure.precision import left, per_bit, trained_in
from rnn_capacity.measure.questions import results_in
from rnn_capacity.model import formats, network
from rnn_capacity.training import program, steps

OPTIONS = TINY | {"num_repeats": 2, "progress": False}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    return measure_precision("rnn", storage=folder, devices=2, **OPTIONS), folder


def test_a_trial_is_scored_by_its_rounded_weights_and_trained_as_without():
    spec = make_spec(CELLS["rnn"], train_steps=20, max_mappings=16)
    asked = make_spec(CELLS["rnn"], train_steps=20, max_mappings=16, rounded=True)
    hparams, keys = make_hparams(CELLS["rnn"], 2), make_keys(2)
    run = lambda spec: program.advance(spec, hparams, keys, devices=jax.devices()[:2])
    (plain, _), (rounded, state) = run(spec), run(asked)
    np.testing.assert_array_equal(plain.score["eval"]["bits"], rounded.score["eval"]["bits"])
    assert (plain.rounded, set(rounded.rounded)) == ({}, set(formats.ROUNDED))
    for k, name in [(0, "int4"), (1, "int8")]:
        params = formats.stored(jax.tree.map(lambda a, k=k: a[k], state.params), name)
        alone = {n: values[k] for n, values in hparams.items()}
        _, score = steps.evaluate(spec, (), spec.task.data(keys.task[k]), np.int32(2), alone, params)
        np.testing.assert_allclose(rounded.rounded[name]["bits"][k], score["bits"], rtol=1e-5)


def test_training_in_bfloat16_computes_in_it_and_keeps_its_weights_in_float32():
    spec = make_spec(CELLS["lstm"], precision="bfloat16", train_steps=5, max_mappings=16)
    hparams, keys = make_hparams(CELLS["lstm"], 1), make_keys(1)
    _, state = program.advance(spec, hparams, keys, devices=jax.devices()[:1])
    assert {a.dtype for a in jax.tree.leaves(state.params)} == {np.dtype(np.float32)}
    params = jax.tree.map(lambda a: a[0], state.params)
    alone, x_tib = {n: v[0] for n, v in hparams.items()}, np.ones((1, spec.task.num_inputs, 3), np.float32)
    found = network.apply(params, spec, alone, x_tib)
    exact = network.apply(params, make_spec(CELLS["lstm"], train_steps=5, max_mappings=16), alone, x_tib)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=0.05, atol=0.02)
    assert not np.allclose(found, exact, rtol=1e-5)


def test_a_result_has_a_row_for_each_training_and_the_fractions_of_the_best_and_its_repeats(measured):
    result, folder = measured
    assert [trained_in(part) for part in result.parts] == ["float32", "bfloat16"]
    for part in result.parts:
        assert {name: len(kept) for name, kept in part.rounded.items()} == dict.fromkeys(formats.ROUNDED, 3)
        assert left(part, "float32") == 1.0
        assert left(part, "bfloat16") == pytest.approx(1.0, abs=0.2)
        assert left(part, "int4") < left(part, "int8") + 1e-9
        assert per_bit(part, "int8") == pytest.approx(part.bits_per_param * left(part, "int8") / 8)
    for shown in ("trained in", "bits/memory bit", "int6"):
        assert shown in repr(result)
        assert shown in result._repr_html_()
    assert result.plot().get_ylabel() == "bits per parameter"
    read, notes = results_in(folder)
    assert notes == []
    assert [json.dumps(part.to_dict(), sort_keys=True) for part in read] == [
        json.dumps(part.to_dict(), sort_keys=True) for part in result.parts
    ]
    assert measure_precision("rnn", storage=folder, devices=2, **OPTIONS) == result  # nothing is trained again


def test_a_study_that_is_not_asked_is_another_and_says_nothing(measured):
    _, folder = measured
    plain = measure_capacity("rnn", storage=folder, devices=2, **OPTIONS)
    assert plain.rounded == {}
    assert plain.study not in {part.study for part in measured[0].parts}
    assert "rounded" not in plain.record.plan
    assert plain.bits == measured[0].parts[0].bits


def test_a_wrong_precision_is_refused():
    with pytest.raises(InputError, match=r"precision: 'float8' given.*bfloat16"):
        measure_capacity("rnn", precision="float8", **TINY)
