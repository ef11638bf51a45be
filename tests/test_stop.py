"""Being asked to stop: noticed while something trains, and nothing else of the process's signals touched."""

import contextlib
import os
import signal
import threading

import pytest

from rnn_capacity import stop


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_outside_nothing_is_asked():
    stop.check()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


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
    stop.check()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_ends_before_it_checks_is_stopped_at_its_end():
    with pytest.raises(stop.Stopped):
        work(terminate)


def test_an_error_is_told_as_it_is():
    with pytest.raises(ZeroDivisionError):
        work(terminate, lambda: 1 / 0)
    stop.check()


def test_who_is_asked_twice_ends_at_once():
    seen = []
    with pytest.raises(stop.Stopped):
        work(terminate, lambda: seen.append(signal.getsignal(signal.SIGTERM)))
    assert seen == [signal.SIG_DFL]


def test_a_handler_of_the_users_own_stays():
    asked = []
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    try:
        with stop.noticed():
            terminate()
            stop.check()
        assert asked == [1]
    finally:
        signal.signal(signal.SIGTERM, before)


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


def test_within_itself_the_outer_one_notices():
    def inner():
        with contextlib.suppress(stop.Stopped):
            work(terminate, stop.check)

    with pytest.raises(stop.Stopped):
        work(inner, stop.check)
