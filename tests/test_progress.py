"""Progress: what runs, how far, the best so far and the time left, for a log and for a terminal."""

import io

import pytest
from rich.console import Console

from rnn_capacity import progress


class Clock:
    """Stands in for the time module; moves when told."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def console(**kwargs):
    return Console(file=io.StringIO(), width=200, **kwargs)


@pytest.mark.parametrize(
    ("elapsed", "done", "to_do", "left"),
    [
        (10, 1, 1, "0:10"),
        (10, 2, 3, "0:15"),
        (60, 4, 6, "1:30"),
        (30, 0.5, 9.5, "9:30"),
        (59.9, 1, 1, "1:00"),
        (1.2, 3, 2, "0:01"),
        (100, 1, 99, "165:00"),
        (100, 5, 0, "0:00"),
        (5, 0, 10, "?"),
        (5, -1, 10, "?"),
    ],
)
def test_the_time_left_follows_from_the_pace_so_far(clock, elapsed, done, to_do, left):
    begun = clock.now
    clock.now += elapsed
    assert progress.time_left(begun, done, to_do) == left


def test_lines_tell_what_how_far_the_best_and_the_time_left(clock):
    out = console()
    lines = progress.Lines(out)
    lines.start("rnn, depth 1", 0, 12)
    assert out.file.getvalue() == "rnn, depth 1: 12 trials\n"
    clock.now += 20
    lines.update(2.5, "best 3.10 bits/param")
    lines.stop()
    assert out.file.getvalue().splitlines()[1:] == ["rnn, depth 1: 2.5 of 12 trials, best 3.10 bits/param, 1:16 left"]


def test_lines_come_now_and_then_only(clock):
    out = console()
    lines = progress.Lines(out)
    lines.start("gru", 0, 100)
    for second in range(1, 61):
        clock.now += 1
        lines.update(second, "no result yet")
    told = out.file.getvalue().splitlines()[1:]
    assert [line.split()[1] for line in told] == ["15.0", "30.0", "45.0", "60.0"]
    assert told[-1] == "gru: 60.0 of 100 trials, no result yet, 0:40 left"


def test_what_was_done_before_counts_as_done_and_not_as_pace(clock):
    out = console()
    lines = progress.Lines(out)
    lines.start("gru", 10, 20)
    clock.now += 30
    lines.update(12, "best 2.00 bits/param")
    first, second = out.file.getvalue().splitlines()
    assert first == "gru: 20 trials, 10 done before"
    assert second.endswith("12.0 of 20 trials, best 2.00 bits/param, 2:00 left")  # 2 in 30 s, 8 to do


def test_lines_start_afresh_with_each_study(clock):
    out = console()
    lines = progress.Lines(out)
    lines.start("one", 0, 2)
    clock.now += 1000
    lines.update(2, "best 1.00")
    lines.stop()
    lines.start("two", 0, 4)
    clock.now += 16
    lines.update(1, "best 2.00")
    assert out.file.getvalue().splitlines()[-1] == "two: 1.0 of 4 trials, best 2.00, 0:48 left"


def test_a_bar_shows_the_same_on_a_terminal(clock):
    out = console(force_terminal=True, force_jupyter=False)
    bar = progress.Bar(out)
    for what in ("rnn, depth 1", "rnn, depth 1, best again"):  # one bar serves a study after the other
        bar.start(what, 1, 5)
        clock.now += 20
        bar.update(3.0, "best 3.10 bits/param")
        bar._progress.refresh()
        bar.update(5, "best 3.20 bits/param")
        bar._progress.refresh()
        bar.stop()
    shown = out.file.getvalue()
    assert "rnn, depth 1, best again" in shown
    assert "3.0/5 trials · best 3.10 bits/param · 0:20 left" in shown
    assert "5.0/5 trials · best 3.20 bits/param · 0:00 left" in shown


def test_a_bar_that_is_stopped_at_once_raises_nothing():
    bar = progress.Bar(console(force_terminal=True, force_jupyter=False))
    bar.start("rnn", 0, 5)
    bar.stop()


def test_the_reporter_suits_the_console():
    assert isinstance(progress.reporter(True, console(force_terminal=True)), progress.Bar)
    assert isinstance(progress.reporter(True, console(force_terminal=False, force_jupyter=True)), progress.Bar)
    assert isinstance(progress.reporter(True, console(force_terminal=False, force_jupyter=False)), progress.Lines)
    assert isinstance(progress.reporter(False, console(force_terminal=True)), progress.Silent)
    assert isinstance(progress.reporter(False), progress.Silent)


def test_silence_takes_everything_and_says_nothing(capsys):
    silent = progress.Silent()
    silent.start("rnn", 0, 5)
    silent.update(1, "best 1.00")
    silent.stop()
    assert capsys.readouterr() == ("", "")
