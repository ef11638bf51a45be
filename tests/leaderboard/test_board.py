"""The leaderboard's page: what it shows of entries that nobody measured, as a file and in a real browser."""

import json
import re
import shutil

import browser as browsers
import numpy as np
import pytest
from helpers import ROOT
from small import CELL, edit

from rnn_capacity.cells import NAMED_CELLS
from rnn_capacity.display import tables
from rnn_capacity.information import confidence_interval
from rnn_capacity.leaderboard import entry, page, source, submit
from rnn_capacity.leaderboard.protocols import PROTOCOLS
from rnn_capacity.search import space as spaces

ROWS = {
    "capacity-500-v1": ("rnn", "gru", "gated deltanet", "mlstm block", "leaky"),
    "recall-64-v1": ("rnn", "lstm"),
}
COUNTS = {"num_params": 481, "num_units": 8, "num_infeasible": 1, "num_infeasible_repeats": 0, "seconds": 93.4}


def add(folder, protocol, cell, place):
    """An entry as it would be, of numbers that rise with its place."""
    repeats = [float(value) for value in np.linspace(2, 3, protocol.num_repeats) / 3 + place]
    trials = "\n".join(
        ["number," + protocol.asked.plan.reported, *(f"{n},{place + 1}" for n in range(protocol.num_trials))]
    )
    result = {name: protocol.fields[name] for name in ("num_trials", "depth", "unroll", "train_steps")} | COUNTS
    result |= {
        "measure": protocol.question,
        "cell": cell,
        "state_floats": 10 * place + 8,
        "operations": 1000 * place + 90,
    }
    result |= {protocol.score: place + 1, "repeats": repeats, "interval": confidence_interval(repeats)}
    result |= {"best_hparams": {}, "bits_per_state": 12.3456 if protocol.question == "capacity" else None}
    of_file = cell == "leaky"
    known = {
        "protocol": protocol.name,
        "digest": protocol.digest,
        "config": protocol.fields,
        "cell": cell,
        "source": "cell" if of_file else "package",
        "file_digest": source.Source("cell", CELL.encode()).digest if of_file else None,
        "program": "0",
        "track": "block" if cell.endswith("block") else "bare",
        "result": tables.plain(result, finite=True),
        "best_number": 3,
        "space": {},
        "trials_digest": submit.hashlib.sha256(trials.encode()).hexdigest(),
        "machine": {"packages": {}},
        "date": "2026-11-30",
    }
    entry = submit.Entry(format=submit.entries.FORMAT, **known)
    return entry.write(folder, trials.encode(), CELL.encode() if of_file else None)


def filled(folder):
    for name, cells in ROWS.items():
        for place, cell in enumerate(cells):
            add(folder, PROTOCOLS[name], cell, place)
    return folder


@pytest.fixture
def board(tmp_path):
    return filled(tmp_path)


def cells_of(text, protocol):
    section = re.search(rf'<section id="{protocol}".*?</section>', text, re.DOTALL)[0]
    return re.findall(r'<th scope="row"><a href="[^"]*"[^>]*>(.*?)</a>', section)


def test_rows_are_ranked_by_the_mean_again_and_link_to_their_files(board):
    built = page.build(board)
    text = built.path.read_text(encoding="utf-8")
    assert (built.path, built.left_out) == (board / "index.html", [])
    assert cells_of(text, "capacity-500-v1") == list(ROWS["capacity-500-v1"])[::-1]
    assert cells_of(text, "recall-64-v1") == list(ROWS["recall-64-v1"])  # less is better
    assert cells_of(text, "association-v1") == []
    assert text.count("Nothing is measured yet.") == 3
    links = [link for link in re.findall(r'href="([^"#][^"]*)"', text) if not link.startswith("data:")]
    assert len(links) == 8
    assert all((board / link).is_file() for link in links)
    assert "12.35" in text


def test_no_cell_is_run(board, monkeypatch):
    """Whatever its file holds, and whether it is the one that was submitted or not."""
    monkeypatch.chdir(board)
    page.build(board)
    assert not (board / "RAN").exists()
    file = next(board.glob("*/leaky.py"))
    file.write_text("import pathlib\npathlib.Path('RAN').touch()\nraise SystemExit\n")
    (reason,) = page.build(board).left_out
    assert "leaky.py' given; it was edited after its submission" in reason
    assert not (board / "RAN").exists()


def test_what_is_not_as_it_should_be_is_left_out_and_named(board):
    old, edited, moved = (
        board / PROTOCOLS["capacity-500-v1"].version / f"{name}.json" for name in ("rnn", "gru", "leaky")
    )
    edit(old, digest="00000000")
    edit(edited, config__num_trials=48)
    for path in moved.parent.glob("leaky.*"):
        (board / "else").mkdir(exist_ok=True)
        path.rename(board / "else" / path.name)
    built = page.build(board)
    text = built.path.read_text(encoding="utf-8")
    assert cells_of(text, "capacity-500-v1") == ["mlstm block", "gated deltanet"]
    named = (
        "config.num_trials: 48 given",
        "digest: '00000000' given, of another version",
        "it must be in a folder capa",
    )
    assert [any(name in reason for reason in built.left_out) for name in named] == [True] * 3
    assert text.count("<li>entry:") == 3


def test_whatever_an_entry_holds_is_text(board):
    evil = "<img src=x onerror='window.evil = 1'>"
    (path,) = board.glob("*/leaky.json")
    edit(path, machine={"packages": {}, "device": evil}, date=evil, cell=evil)
    text = page.build(board).path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "&lt;img" in text  # in the reason that it is left out


def test_the_page_of_the_repository_is_of_its_entries(tmp_path):
    """After a new row: `python launch/leaderboard.py build`."""
    folder = ROOT / "results" / "leaderboard"
    for protocol in folder.glob("*-v*"):
        shutil.copytree(protocol, tmp_path / protocol.name)
    built = page.build(tmp_path)
    assert built.left_out == []
    assert built.path.read_text() == (folder / "index.html").read_text()


ROWS_OF_THE_PACKAGE = [p for p in sorted((ROOT / entry.FOLDER).glob("*/*.json")) if not p.with_suffix(".py").exists()]


@pytest.mark.parametrize("path", ROWS_OF_THE_PACKAGE, ids=lambda path: path.stem)
def test_a_row_of_the_repository_is_of_the_ranges_that_its_cell_has(path):
    """After an edit of these: `git rm` the row, and `submit` again."""
    found = entry.Entry.read(path)
    plan = found.of_protocol.plan(NAMED_CELLS[found.cell])
    assert found.space == {
        name: tables.plain(spaces.to_json(dimension), finite=True) for name, dimension in plan.space.items()
    }


def test_an_empty_board_is_a_page(tmp_path):
    assert page.build(tmp_path).path.read_text().count("Nothing is measured yet.") == len(PROTOCOLS)


# --- The browser ------------------------------------------------------------------------------------------------------

browser = pytest.fixture(scope="module")(browsers.chromium)


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Opens the page anew; the log before it is dropped."""
    address = page.build(filled(tmp_path_factory.mktemp("board"))).path.as_uri()

    def go(width=1400, scheme="light", place=""):
        browser.get_log("browser")
        browser.get_log("performance")
        browsers.size(browser, width)
        browsers.media(browser, scheme)
        browser.get("about:blank")
        browser.get(address + place)
        return address

    return go


VISIBLE = "[...document.querySelectorAll('.board:not([hidden]) tbody tr:not([hidden]) th')].map((th) => th.innerText)"


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_the_page_opens_without_a_message_and_asks_for_nothing(browser, opened, width, scheme):
    address = opened(width, scheme)
    assert browser.execute_script(f"return {VISIBLE}") == list(ROWS["capacity-500-v1"])[::-1]
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith(("data:", "about:", "chrome:"))} == {address}
    color = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, re.findall(r"\d+", color)[:3]))
    assert (bright > 700) if scheme == "light" else (bright < 100)


def test_tabs_filters_and_sorting(browser, opened):
    opened()
    set_to = "const e = document.getElementById('%s'); e.value = '%s'; e.dispatchEvent(new Event('input'))"
    visible = lambda: browser.execute_script(f"return {VISIBLE}")
    for name, value, expected in [
        ("state", "30", ["gated deltanet", "gru", "rnn"]),
        ("operations", "1500", ["gru", "rnn"]),
        ("track", "block", []),
        ("state", "", []),
        ("operations", "", ["mlstm block"]),
        ("track", "bare", ["leaky", "gated deltanet", "gru", "rnn"]),
    ]:
        browser.execute_script(set_to % (name, value))
        assert visible() == expected
        assert (
            browser.execute_script("return document.getElementById('shown').textContent")
            == f"{len(expected)} of 5 cells"
        )
        assert browser.execute_script("return document.querySelector('.nothing').hidden") == bool(expected)
    heads = "document.querySelectorAll('.board:not([hidden]) thead button')"
    browser.execute_script(f"[...{heads}].find((b) => b.textContent === 'ops/step').click()")
    assert visible() == ["rnn", "gru", "gated deltanet", "leaky"]
    browser.execute_script("document.querySelectorAll('.tabs a')[2].click()")
    browsers_wait = "return new Promise((done) => setTimeout(done, 50))"
    browser.execute_script(browsers_wait)
    assert visible() == ["rnn", "lstm"]
    assert browser.execute_script("return document.querySelector('.tabs [aria-current]').hash") == "#recall-64-v1"
    opened(place="#association-v1")
    assert visible() == []
    assert browser.execute_script("return document.querySelector('.board:not([hidden])').id") == "association-v1"
    assert browser.get_log("browser") == []
