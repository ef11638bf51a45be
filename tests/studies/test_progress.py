"""Progress: what runs, how far, the best so far and the time left, for a log and for a terminal."""

import io
import re
import time

import pytest
from rich.console import Console
from tiny import TINY, FakeTrainer

from rnn_capacity import measure_capacity, sweep
from rnn_capacity.studies import progress, store


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
    return Console(file=io.StringIO(), width=200, force_jupyter=False, **kwargs)


def told(out):
    return out.file.getvalue().splitlines()


class Last(progress.Rows):
    """Keeps the rows as they would be shown."""

    def _show(self, begun=None):
        self.rows = {level: row.state("/", " · ") for (level, _), row in self._rows.items()}


# --- The time left ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed", "done", "total", "left"),
    [
        (10, 1, 2, "0:00:10"),
        (10, 2, 5, "0:00:15"),
        (60, 4, 10, "0:01:30"),
        (30, 0.5, 10, "0:09:30"),
        (59.9, 1, 2, "0:01:00"),
        (100, 1, 100, "2:45:00"),
        (86400, 1, 3.5, "2 days, 12:00:00"),
        (100, 5, 5, "0:00:00"),
    ],
)
def test_the_time_left_follows_from_the_pace_since_the_first_progress(clock, elapsed, done, total, left):
    row = progress.Row("study", "gru", 0, total + 1, "")
    clock.now += 77  # it compiles
    assert row.time_left() == ""
    row.advance(0)
    clock.now += 7
    row.advance(1)
    assert row.time_left() == ""
    clock.now += elapsed
    row.advance(done)
    assert row.time_left() == f"{left} left"


def test_the_time_left_is_counted_down_until_more_is_told(clock):
    row = progress.Row("batch", "tanh, adam", 0, 100, "")
    row.advance(10)
    clock.now += 10
    row.advance(10)
    shown = []
    for seconds in (0, 30, 40, 40):
        clock.now += seconds
        shown.append(row.time_left())
    assert shown == ["0:01:20 left", "0:00:50 left", "0:00:10 left", "0:00:00 left"]
    row.advance(10)
    assert row.time_left() == "0:07:00 left"  # 20 in 120 s, 70 to do


def test_what_was_done_before_counts_as_done_and_not_as_pace(clock):
    rows = Last()
    rows.start("study", "gru", 10, 20, "")
    rows.update("study", 11, "")
    clock.now += 30
    rows.update("study", 13, "best 2.00")
    assert rows.rows == {"study": "13/20 trials · best 2.00 · 0:01:45 left"}  # 2 in 30 s, 7 to do


def test_the_time_left_of_a_sweep_is_of_all_the_trials_that_its_studies_still_have(clock):
    """Three of 12 trials each and 4 repeats; the first is done, and half of the second."""
    rows = Last()
    rows.start("sweep", "sweep", 0, 48, "")
    rows.update("sweep", 0, "study 1 of 3")
    rows.start("study", "one", 12, 12, "")
    rows.start("study", "one, best again", 4, 4, "")
    rows.stop("study")
    clock.now += 500  # in which nothing was trained
    rows.update("sweep", 16, "study 2 of 3")
    rows.start("study", "two", 6, 12, "")
    assert rows.rows["sweep"] == "22/48 trials · study 2 of 3"
    rows.update("study", 7, "")
    clock.now += 10
    rows.update("study", 8, "")
    assert rows.rows["sweep"] == "24/48 trials · study 2 of 3 · 0:04:00 left"
    assert rows.rows["study"] == "8/12 trials · 0:00:40 left"
    clock.now += 40
    rows.update("study", 12, "")
    rows.start("study", "two, best again", 0, 4, "")
    clock.now += 40
    rows.update("study", 4, "")
    rows.stop("study")
    assert rows.rows == {"sweep": "32/48 trials · study 2 of 3 · 0:02:40 left"}  # 9 in 90 s, 16 to do


def test_trials_that_a_sweep_did_not_need_are_no_pace(clock):
    """All are infeasible, so there is nothing to train again."""
    rows = Last()
    rows.start("sweep", "sweep", 0, 40, "study 1 of 2")
    rows.start("study", "one", 0, 10, "")
    rows.update("study", 5, "")
    clock.now += 50
    rows.update("study", 10, "")
    rows.stop("study")
    rows.update("sweep", 20, "study 2 of 2")
    assert rows.rows["sweep"] == "20/40 trials · study 2 of 2 · 0:03:20 left"  # 5 in 50 s, 20 to do


def test_a_level_that_begins_or_ends_takes_with_it_what_ran_within():
    rows = Last()
    for level in progress.LEVELS:
        rows.start(level, level, 0, 4, "")
    rows.start("study", "another", 0, 4, "")
    assert list(rows.rows) == ["sweep", "study"]
    rows.start("batch", "of it", 0, 4, "")
    rows.stop("study")
    assert list(rows.rows) == ["sweep"]
    rows.stop("sweep")
    assert rows.rows == {}


# --- Lines ------------------------------------------------------------------------------------------------------------


def test_a_line_tells_where_the_sweep_is_and_all_that_runs(clock):
    out = console(force_terminal=False)
    lines = progress.Lines(out)
    lines.start("sweep", "sweep", 0, 48, "study 3 of 12")
    lines.start("study", "gru[1], depth 1 :smile:", 1, 4, "best 2.00 bits/param")
    (first,) = told(out)
    assert first == (
        "sweep: 1 of 48 trials, study 3 of 12 | gru[1], depth 1 :smile:: 1 of 4 trials, best 2.00 bits/param"
    )
    lines.start("batch", "tanh, adam, 2 trials on 1 x cpu", 0, 1000, "compiling")
    clock.now += 16
    lines.update("batch", 10, "")
    assert told(out)[1:] == [f"{first} | tanh, adam, 2 trials on 1 x cpu: 10 of 1000 steps"]
    lines.stop("sweep")
    assert len(told(out)) == 2


def test_lines_come_now_and_then_only(clock):
    out = console(force_terminal=False)
    lines = progress.Lines(out)
    lines.start("study", "gru", 0, 100, "no result yet")
    for second in range(1, 61):
        clock.now += 1
        lines.update("study", second, "no result yet")
    assert [line.split()[1] for line in told(out)] == ["0", "15", "30", "45", "60"]
    assert told(out)[-1] == "gru: 60 of 100 trials, no result yet, 0:00:40 left"


def test_a_line_comes_at_once_with_each_study(clock):
    out = console(force_terminal=False)
    lines = progress.Lines(out)
    for name in ("one", "two", "three"):
        lines.start("study", name, 0, 2, "")
        lines.start("batch", "tanh, adam", 0, 10, "compiling")
        lines.stop("study")
    assert told(out) == [f"{name}: 0 of 2 trials" for name in ("one", "two", "three")]


# --- Bars -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def redrawn_when_asked(monkeypatch):
    monkeypatch.setattr(progress, "REDRAWN_PER_SECOND", 1e-3)


def drawn_on(out):
    """All that was ever drawn, without colours and movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.file.getvalue())


def test_three_bars_one_within_the_other_on_a_terminal(clock, redrawn_when_asked):
    out = console(force_terminal=True)
    bars = progress.Bars(out)
    bars.start("sweep", "sweep", 0, 48, "study 3 of 12")
    bars.start("study", "gru, depth 1", 0, 4, "no result yet")
    bars.start("batch", "tanh, adam, 2 trials on 1 x cpu", 0, 1000, "compiling")
    bars._progress.refresh()
    assert "compiling" in out.file.getvalue()
    for step in (100, 200):
        clock.now += 3
        bars.update("batch", step, "")
        bars.update("study", step / 500, "best 3.10 bits/param")
    out.file.seek(0)
    out.file.truncate()
    bars._progress.refresh()
    drawn = drawn_on(out)
    for shown in (
        "sweep ╸━",
        "━ 0.4/48 trials · study 3 of 12 · 0:11:54 left",
        "gru, depth 1 ━━",
        "━ 0.4/4 trials · best 3.10 bits/param · 0:00:54 left",
        "tanh, adam, 2 trials on 1 x cpu ━",
        "200/1000 steps · 0:00:24 left",
    ):
        assert " ".join(shown.split()) in " ".join(drawn.split())
    assert len([line for line in drawn.splitlines() if "━" in line]) == 3
    out.print("a row of the table")
    bars.stop("sweep")
    after = drawn_on(out)
    assert "a row of the table" in after
    assert not bars._progress.live.is_started


def test_a_row_that_is_not_running_is_not_drawn():
    out = console(force_terminal=True)
    bars = progress.Bars(out)
    for what in ("rnn", "rnn, best again"):  # the bars serve a study after the other
        bars.start("study", what, 0, 5, "no result yet")
        bars._progress.refresh()
        bars.stop("study")
        assert not bars._progress.live.is_started
    assert "rnn, best again" in out.file.getvalue()
    assert "steps" not in out.file.getvalue()
    assert "sweep" not in out.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_bars_fit_any_terminal_and_names_give_way_first(width, redrawn_when_asked):
    out = Console(file=io.StringIO(), width=width, force_terminal=True, force_jupyter=False)
    bars = progress.Bars(out)
    bars.start("study", "a cell with a long name, depth 4, 100000 params, 256 units", 5, 24, "best 3.10 bits/param")
    out.file.seek(0)
    out.file.truncate()
    bars._progress.refresh()
    (line,) = [line for line in drawn_on(out).splitlines() if "━" in line]
    bars.stop("study")
    assert len(line) <= width
    assert line.startswith("a")
    assert width < 60 or "5/24 trials · best 3.10 bits/param" in line


# --- Which, and from what runs ----------------------------------------------------------------------------------------


def test_the_reporter_suits_the_console(monkeypatch):
    in_notebook = Console(file=io.StringIO(), force_terminal=False, force_jupyter=True)
    assert isinstance(progress.reporter(True, console(force_terminal=True)), progress.Bars)
    assert isinstance(progress.reporter(True, console(force_terminal=False)), progress.Lines)
    assert isinstance(progress.reporter(False, console(force_terminal=True)), progress.Silent)
    assert isinstance(progress.reporter(False), progress.Silent)
    for installed, kind in ((object(), progress.Bars), (None, progress.Lines)):
        monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name, installed=installed: installed)
        assert isinstance(progress.reporter(True, in_notebook), kind)


class Told:
    """A reporter that a user wrote: the protocol, and nothing else."""

    def __init__(self):
        self.told = []

    def start(self, level, what, done, total, note):
        self.told.append(("start", level, what, done, total, note))

    def update(self, level, done, note):
        self.told.append(("update", level, done, note))

    def stop(self, level):
        self.told.append(("stop", level))


def test_a_measurement_tells_a_reporter_of_ones_own_of_its_studies_and_batches(trainer):
    shown = Told()
    options = TINY | {"num_trials": 2, "num_repeats": 1, "hparams": TINY["hparams"] | {"optimizer": "adam"}}
    result = measure_capacity("irnn", devices=1, progress=shown, **options)
    what = f"irnn, depth 1, {result.num_params} params, {result.num_units} units"
    batch = ("start", "batch", "1 trial on 1 x cpu", 0, 40, "compiling")
    best = f"best {result.bits_per_param:#.3g} bits/param"
    assert shown.told[:6] == [
        ("start", "study", what, 0, 2, "no result yet"),
        batch,
        ("update", "study", 0, "no result yet"),
        ("update", "batch", 20, ""),
        ("update", "study", 0.5, "no result yet"),
        ("update", "batch", 40, ""),
    ]
    assert shown.told.count(batch) == 3
    again = shown.told.index(("start", "study", f"{what}, best again", 0, 1, "no result yet"))
    assert shown.told[again - 1] == shown.told[-1] == ("stop", "study")
    assert shown.told[again - 2] == ("update", "study", 2, shown.told[again - 2][-1])
    assert {level for _, level, *_ in shown.told} == {"study", "batch"}
    shown.told.clear()
    storage = store.open_storage(None)
    measure_capacity("irnn", devices=1, progress=False, storage=storage, **options)
    measure_capacity("irnn", devices=1, progress=shown, storage=storage, **options)
    assert shown.told[0] == ("start", "study", what, 2, 2, best)  # what is known already is told at once


@pytest.mark.usefixtures("no_figures")
def test_a_sweep_shows_all_three_rows_and_the_table_above_them(tmp_path, trainer, monkeypatch):
    show = progress.Bars._show
    redrawn = lambda self, begun=None: (show(self, begun), self._progress.refresh())  # all is over in a moment
    monkeypatch.setattr(progress.Bars, "_show", redrawn)
    out = console(force_terminal=True)
    sweep.run(TINY | {"cell": "irnn,rnn", "workdir": str(tmp_path)}, out)
    drawn = drawn_on(out)
    for shown in (
        "1 of 2 studies done",
        "2 of 2 studies done",
        "/12 trials",
        "best again",
        "/40 steps · compiling",
        "no result yet",
    ):
        assert shown in drawn
    out = console(force_terminal=False)
    sweep.run(TINY | {"cell": "irnn,rnn", "workdir": str(tmp_path), "devices": 1}, out)
    of_studies = [line.split(" | ")[0] for line in told(out) if line.startswith("sweep: ")]
    assert of_studies == [
        f"sweep: {done} of 12 trials, {ended}"
        for done, ended in (
            (4, "2 studies"),
            (6, "2 studies"),
            (10, "1 of 2 studies done"),
            (12, "1 of 2 studies done"),
        )
    ]


def test_a_sweep_that_is_ended_by_an_exception_leaves_no_bar(tmp_path, monkeypatch):
    class Interrupted(BaseException):
        pass

    class Trainer(FakeTrainer):
        def __call__(self, *args, **kwargs):
            raise Interrupted

    Trainer().install(monkeypatch)
    out = console(force_terminal=True)
    with pytest.raises(Interrupted):
        sweep.run(TINY | {"cell": "irnn", "workdir": str(tmp_path)}, out)
    assert out._live_stack == []


def test_progress_false_shows_nothing(trainer, capsys):
    measure_capacity("irnn", progress=False, **TINY)
    assert capsys.readouterr() == ("", "")


def test_what_a_reporter_is_told_costs_microseconds():
    for reporter in (progress.Lines(console(force_terminal=False)), progress.Bars(console(force_terminal=True))):
        reporter.start("sweep", "sweep", 0, 10, "study 1 of 2")
        reporter.start("study", "gru", 0, 10, "no result yet")
        reporter.start("batch", "tanh, adam", 0, 10**6, "compiling")
        begun = time.perf_counter()
        for step in range(200):
            reporter.update("batch", step, "")
            reporter.update("study", step / 100, "no result yet")
        took = (time.perf_counter() - begun) / 200
        reporter.stop("sweep")
        assert took < 0.005  # of the second that lies between two
