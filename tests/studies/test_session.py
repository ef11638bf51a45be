"""What a measurement sets for the whole process, where several run in threads of it."""

import io
import sys
import threading

import jax
import pytest

from rnn_capacity.studies import session

NAMES = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


def found():
    return sys.stdout.errors, *(jax.config.values[name] for name in NAMES)


@pytest.fixture
def ascii_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict"))


def test_what_is_set_for_the_process_stays_until_the_last_measurement_ends(ascii_output):
    before, begun, end = found(), threading.Event(), threading.Event()

    def measure():
        with session.measuring():
            begun.set()
            end.wait()

    thread = threading.Thread(target=measure)
    with session.measuring():
        within = found()
        thread.start()
        begun.wait()
    assert within[0] == "backslashreplace"
    assert found() == within
    end.set()
    thread.join()
    assert found() == before


def test_many_threads_may_begin_and_end_at_once(ascii_output):
    before, errors, together = found(), [], threading.Barrier(8)

    def measure():
        together.wait()
        for _ in range(200):
            with session.measuring():
                errors.append(sys.stdout.errors)

    threads = [threading.Thread(target=measure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(errors) == {"backslashreplace"}
    assert len(errors) == 1600
    assert found() == before
