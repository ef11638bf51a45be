"""The command that draws what was measured: the figures of the paper, all of them, opened in a real browser."""

import importlib
import re
import runpy
import subprocess
import sys
import time
from types import SimpleNamespace

import browser as browsers
import pytest
from helpers import ROOT
from made import make
from page_in_browser import at_rest, hover, opened, wait
from tiny import TINY, FakeTrainer, add_studies

from rnn_capacity import measure_capacity, sweep
from rnn_capacity.measure import overview

SCRIPT = ROOT / "launch" / "report.py"
browser = pytest.fixture(scope="module")(browsers.chromium)


@pytest.fixture
def report(launch, monkeypatch):
    """Draws a folder, and gives what was printed."""

    def run(folder):
        monkeypatch.setenv("COLUMNS", "250")
        code, printed, errors = launch("report", f"--workdir={folder}")
        assert (code, errors) == (0, "")
        return printed

    return run


def figures():
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("experiments.figures")
    finally:
        sys.path.remove(str(ROOT))


# --- Whatever is in the folder ----------------------------------------------------------------------------------------


def test_a_folder_without_a_study_gives_a_page_of_commands(tmp_path, report):
    told = report(tmp_path)
    assert "agrees" not in told
    page = (tmp_path / "report.html").read_text()
    assert "Nothing is measured here yet" in page
    for name in figures().FIGURES:
        command = f"python launch/sweep.py --config=experiments/figures/{name}.py:quick --workdir={tmp_path}"
        assert f"<code>{command}</code>" in page
    assert not list((tmp_path / "figures").iterdir())


def test_of_half_a_study_what_there_is_is_shown_and_the_rest_has_a_command(tmp_path, monkeypatch, report):
    class Killed(BaseException):
        pass

    class Half(FakeTrainer):
        def __call__(self, *given, **more):
            if len(self.trained) >= 4:
                raise Killed
            return super().__call__(*given, **more)

    Half().install(monkeypatch)
    with pytest.raises(Killed):
        measure_capacity("gru", **TINY | {"unroll": 5, "num_trials": 8}, devices=2, storage=tmp_path, progress=False)
    report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "4 of 8" in page
    assert (tmp_path / "figures" / "fig1.png").is_file()
    assert "Nothing is measured here yet" not in page


def test_two_thousand_trials_of_a_database_are_a_page_within_minutes(tmp_path, report):
    """A page of five times as many is among the tests of pages."""
    add_studies(tmp_path, num_studies=5, num_trials=400)
    begun = time.monotonic()
    report(tmp_path)
    assert time.monotonic() - begun < 120  # where tests run side by side; alone it is a fifth of that
    page = (tmp_path / "report.html").read_text()
    assert len(page.encode()) < 5e6
    assert "2,000 trials" in page


@pytest.fixture
def command(drop_flags):
    """The names of the command's script."""
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(
    ("train_steps", "scale", "larger"),
    [
        ((50_000,), "", " --config.sweeps.random.num_trials=2000"),
        ((300,), ":evening", ""),
        ((100,), ":quick", ":evening"),
        ((100, 50_000), ":quick", ":evening"),
        ((7,), ":quick", ":evening"),
    ],
)
def test_a_figure_is_wanted_at_the_smallest_scale_that_was_begun(train_steps, scale, larger, command):
    table1 = command["FIGURES"]["table1"]
    command["_shown"].__globals__["FIGURES"] = {"table1": table1}
    titles = [study.title for s in command["common"].SCALES for study in sweep.configs(table1.get_config(s).to_dict())]
    begun = [(steps, f"{title} 01234567") for steps in train_steps for title in titles]
    plan = {"task": "parentheses"}
    results = [make("trainability", train_steps=steps, study=name, plan=plan) for steps, name in begun]
    (shown,) = command["_shown"](SimpleNamespace(results=results))
    launched = "python launch/sweep.py --config=experiments/figures/table1.py"
    assert (shown.command, shown.beyond) == (launched + scale, launched + larger)
    steps = train_steps[0] if train_steps != (7,) else 100
    assert [wanted.settings["train_steps"] for wanted in shown.wanted] == [steps] * 11
    first = shown.wanted[0].title
    (shown,) = command["_shown"](SimpleNamespace(results=[r for r in results if r.study.startswith(first)]))
    assert {wanted.title for wanted in shown.wanted if wanted.settings is not None} == {first}  # only it is planned


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "error: --workdir must be given"),
        (["--workdir=gone"], "error: workdir: 'gone' given; it must be a folder that is there"),
        (["--workdir=.", "--wordkir=x"], "error: Unknown command line flag 'wordkir'. Did you mean: workdir ?"),
        (["--workdir=.", "results"], "error: unknown arguments: results"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(launch, arguments, told):
    code, _, errors = launch("report", *arguments)
    assert code == 1
    assert errors.startswith(told)
    assert errors.count("\n") == 1


# --- All that the figures need, in a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Every study of every figure's quick scale, of few trials that nobody trained."""
    folder = tmp_path_factory.mktemp("measured")
    figures()
    config = importlib.import_module("experiments.figures.all").get_config("quick").to_dict()
    for one in config["sweeps"].values():
        one |= {"num_trials": 3, "num_repeats": min(2, one["num_repeats"])}
    with pytest.MonkeyPatch.context() as patch:
        FakeTrainer(infeasible=lambda hparams: int(1e6 * hparams["learning_rate"]) % 5 == 0).install(patch)
        for write in ("write_tables", "write_figures"):  # what each sweep writes is not looked at here
            patch.setattr(overview, write, lambda *_: [])
        sweep.run(config | {"workdir": folder})
    return folder


def check(browser, folder):
    """Every figure of the paper is there and alive, on a desk and on a phone, by day and by night."""
    for width, scheme in ((1400, "light"), (390, "dark")):  # the others are in the tests of the page
        opened(browser, folder / "report.html", width, scheme)
        at = f"{width} pixels, {scheme}"
        assert browser.get_log("browser") == [], at
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
        for name, figure in ((name, module.FIGURE) for name, module in figures().OF_THE_PAPER.items()):
            section = f"document.getElementById('{name}')"
            assert browser.execute_script(f"return {section}.querySelector('h2').textContent") == figure.title
            assert browser.execute_script(f"return {section}.querySelector('.missing')") is None, name
            drawn = browser.execute_script(DRAWN % section)
            assert len(drawn) > 0 or figure.charts([]) == [] == drawn, name
            assert all(drawn), f"{name} at {at}: marks {drawn}"
            rows = browser.execute_script(f"return {section}.querySelectorAll('.scroll tbody tr').length")
            assert rows > 0, name
            for kind in ("png", "svg") if drawn else ():
                assert (folder / "figures" / f"{name}.{kind}").stat().st_size > 5000, name
    opened(browser, folder / "report.html")
    assert browser.execute_script(SORTED) == []
    for name in WITH_TRIALS:
        point = f"#{name} .mark-symbol path"
        chart = f"document.querySelector('#{name} .chart')"
        browser.execute_script(f"{chart}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        at_rest(browser)
        hover(browser, TOP_MOST % point)
        wait(browser, "!document.getElementById('tip').hidden")
        told = browser.execute_script("return document.getElementById('tip').innerText")
        assert re.search(r"Trial \d+", told), f"{name}: {told}"
        assert re.search(r"\b(learning_rate|recurrent_scale\w*)\n", told), f"{name}: {told}"
        assert not re.search(r"^_|xOffset", told, re.MULTILINE), f"{name}: {told}"


WITH_TRIALS = ("fig1", "figA1", "fig2a", "fig2b", "fig2c", "fig3", "fig4", "fig5")
# How many marks each chart of a section has; a canvas, which large ones are, counts as many.
DRAWN = """return [...%s.querySelectorAll(".chart")].map((chart) => chart.querySelector("canvas") ? 1000
    : chart.querySelectorAll("svg .mark-symbol path, svg .mark-line path, svg .mark-rect path").length)"""
# The middle of the first mark that is not hidden behind another.
TOP_MOST = """for (const mark of document.querySelectorAll("%s")) {
        const box = mark.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
        if (document.elementFromPoint(x, y) === mark) return [x, y]; }
    throw new Error("no mark can be pointed at")"""
# Every table, sorted by every column, both ways: the columns that are not in order then.
SORTED = """const wrong = [], number = (text) => parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
    for (const table of document.querySelectorAll("table.sortable")) {
        const headings = [...table.tHead.rows[0].cells];
        for (const [i, heading] of headings.entries()) for (const way of [1, -1]) {
            heading.querySelector("button").click();
            const said = [...table.tBodies[0].rows].map((row) => row.cells[i].textContent.trim());
            const values = said.filter((text) => !["", "-", "\u2013"].includes(text));
            const numeric = heading.classList.contains("num");
            const compare = (a, b) => numeric ? number(a) - number(b)
                : a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });
            const ordered = values.every((value, at) => !at || way * compare(values[at - 1], value) <= 0);
            if (!ordered) wrong.push(`${heading.textContent}: ${values}`);
        }
    }
    return wrong"""


def test_every_figure_is_there_and_alive(browser, measured, report):
    told = report(measured)
    check(browser, measured)
    page = (measured / "report.html").read_text()
    assert len(page.encode()) < 5e6
    assert "agrees" in told
    assert "not measured: " not in told  # every cell is there


@pytest.mark.science
def test_what_quick_finds_in_an_hour(browser, report):
    """Measures all of quick into results/figures, or what is missing there, and looks at its report."""
    begun = time.monotonic()
    config = "--config=experiments/figures/all.py:quick"
    subprocess.run([sys.executable, "launch/sweep.py", config, "--workdir=results/figures"], cwd=ROOT, check=True)
    print(f"measured in {(time.monotonic() - begun) / 60:.1f} minutes")
    print(report("results/figures"))
    check(browser, ROOT / "results" / "figures")
