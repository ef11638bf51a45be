"""Being asked to stop: noticed while something trains, and nothing else of the process's signals touched."""

import contextlib
import os
import signal
import sys
import threading

import pytest

from rnn_capacity.training import stop


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def handlers():
    return {number: signal.getsignal(number) for number in stop.DEFAULTS}


def test_outside_nothing_is_asked():
    stop.check()
    assert handlers() == stop.DEFAULTS


def work(*steps):
    with stop.noticed():
        for step in steps:
            step()


def test_sigterm_is_told_by_the_next_check_and_by_nothing_before(caplog):
    done = []
    with pytest.raises(stop.Stopped, match="SIGTERM; the same command goes on") as stopped:
        work(terminate, lambda: done.append("chunk"), stop.check, lambda: done.append("never"))
    assert done == ["chunk"]
    assert isinstance(stopped.value, SystemExit)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert "the same command goes on where it was" in caplog.text
    test_outside_nothing_is_asked()


def test_ctrl_c_is_told_by_the_next_check_and_is_a_keyboard_interrupt_to_whoever_called(caplog):
    """Of no class of ours, or Python would not end with its code; and nothing is logged, for its text is shown."""
    done = []
    with pytest.raises(KeyboardInterrupt, match=r"Ctrl-C; the same command goes on") as stopped:
        work(interrupt, lambda: done.append("chunk"), stop.check, lambda: done.append("never"))
    assert done == ["chunk"]
    assert type(stopped.value) is KeyboardInterrupt
    assert caplog.text == ""
    test_outside_nothing_is_asked()


def test_what_ends_before_it_checks_is_stopped_at_its_end():
    with pytest.raises(stop.Stopped):
        work(terminate)


def test_an_error_is_told_as_it_is():
    with pytest.raises(ZeroDivisionError):
        work(terminate, lambda: 1 / 0)
    stop.check()


@pytest.mark.parametrize(("ask", "raised"), [(terminate, stop.Terminated), (interrupt, KeyboardInterrupt)])
@pytest.mark.parametrize("prompt", [False, True])
def test_who_is_asked_twice_ends_at_once_unless_a_person_at_a_prompt_presses_ctrl_c(monkeypatch, ask, raised, prompt):
    monkeypatch.delattr(sys, "ps1", raising=False)
    if prompt:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    seen = {}
    with pytest.raises(raised):
        work(ask, lambda: seen.update(handlers()))
    assert seen[signal.SIGTERM] is signal.SIG_DFL
    assert (seen[signal.SIGINT] is signal.SIG_DFL) != prompt
    if prompt:
        with pytest.raises(raised):
            work(ask, interrupt, interrupt)


@pytest.mark.parametrize(("ask", "number"), [(terminate, signal.SIGTERM), (interrupt, signal.SIGINT)])
def test_a_handler_of_the_users_own_stays(ask, number):
    asked = []
    before = signal.signal(number, lambda *_: asked.append(1))
    try:
        with stop.noticed():
            ask()
            stop.check()
        assert asked == [1]
    finally:
        signal.signal(number, before)


def test_another_thread_may_train_too():
    errors = []

    def train():
        try:
            with stop.noticed():
                stop.check()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert errors == []


@pytest.mark.parametrize(("ask", "raised"), [(terminate, stop.Stopped), (interrupt, KeyboardInterrupt)])
def test_within_itself_the_outer_one_notices(ask, raised):
    def inner():
        with contextlib.suppress(stop.Stopped):
            work(ask, stop.check)

    with pytest.raises(raised):
        work(inner, stop.check)


def test_in_a_job_sigterm_is_jaxs_and_ctrl_c_becomes_one_so_that_all_processes_stop(monkeypatch):
    asked = []
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append(1))  # as JAX's preemption service does
    monkeypatch.setattr(stop, "preempted", lambda: bool(asked))
    try:
        with pytest.raises(stop.Terminated, match="SIGTERM; the same command goes on"):
            work(stop.check, interrupt, stop.check)
        assert asked == [1]
        assert signal.getsignal(signal.SIGTERM) is not before
    finally:
        signal.signal(signal.SIGTERM, before)
