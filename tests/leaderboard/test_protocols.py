"""Protocols never change: what they fix is pinned, and what they stand for shows in their digests."""

import dataclasses

import pytest

from rnn_capacity.checks import InputError
from rnn_capacity.leaderboard import protocols
from rnn_capacity.leaderboard.protocols import PROTOCOLS, protocol_of
from rnn_capacity.search import ranges
from rnn_capacity.studies.plan import ONLY_IF_ASKED

# Another digest is another protocol: give it a new name (-v2) and leave the old one as it was.
DIGESTS = {
    "capacity-500-v1": "d5cc3b73",
    "capacity-1000-v1": "028ce4db",
    "recall-64-v1": "c4436627",
    "association-v1": "9b869923",
    "trainability-parens-v1": "d9ca0fbc",
}


def test_digests_are_as_they_always_were():
    assert {name: protocol.digest for name, protocol in PROTOCOLS.items()} == DIGESTS


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_field_is_spelled_out(protocol):
    """So that no default decides; one that studies keep to themselves unless asked would show in the digest."""
    fields = {field.name for field in dataclasses.fields(protocol.asked.config)}
    assert set(protocol.config) == fields - {"cell", *ONLY_IF_ASKED}
    assert {name for name, value in protocol.config.items() if value is None} == {"hparams", "halving"}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_score_is_what_the_repeats_are_of(protocol):
    """By its name in what is kept of a trial, or as the result calls the evaluation loss."""
    plan = protocol.asked.plan
    assert protocol.score in (
        plan.reported,
        {"eval_loss": {"recall": "error"}.get(protocol.question, "loss")}.get(plan.reported),
    )
    assert protocol.sign == (-1 if plan.reported.endswith("loss") else 1)


@pytest.mark.parametrize("edit", [{"num_trials": 25}, {"num_repeats": 9}, {"config": {"train_steps": 9_999}}])
def test_an_edited_protocol_has_another_digest(edit):
    protocol = PROTOCOLS["capacity-500-v1"]
    edit = {name: {**protocol.config, **value} if name == "config" else value for name, value in edit.items()}
    assert dataclasses.replace(protocol, **edit).digest != protocol.digest


def test_an_edited_search_space_shows_in_the_digest(monkeypatch):
    copy = dataclasses.replace(PROTOCOLS["recall-64-v1"])
    monkeypatch.setitem(ranges.QUICK, "bias_scale", 0.2)
    assert copy.digest != DIGESTS["recall-64-v1"]


def test_a_protocol_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(InputError, match="protocol: 'capacity-501-v1' given; it must be one of 'capacity-500-v1', "):
        protocol_of("capacity-501-v1")


def test_all_protocols_have_one_seed_and_as_many_repeats():
    assert {p.config["seed"] for p in PROTOCOLS.values()} == {0}
    assert {p.num_repeats for p in PROTOCOLS.values()} == {protocols.REPEATS}
