"""The report's page in a real browser: it is drawn without an error, and tells of what is pointed at."""

import json
import math
import re

import browser as browsers
import pytest
from made import changed
from made_page import EVIL, collection, evil_page, result, shown, ten_thousand_trials, written
from page_in_browser import at_rest, hover, opened, wait

browser = pytest.fixture(scope="module")(browsers.chromium)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of several studies, one of them half done."""
    folder = tmp_path_factory.mktemp("report")
    studies = [result(cell, size) for cell in ("gru", "rnn", "lstm") for size in (250, 2000)]
    studies.append(result("ugrnn", num_trials=12, wanted_trials=24, finished=False))
    studies.append(result("gru", measure="trainability"))
    figures = [shown(wanted=studies), shown("table1", measure="trainability")]
    written(folder, collection(*studies, notes=["old: cannot be read"]), [*figures, shown("fig2", measure="recall")])
    return folder / "report.html"


def middle(selector):
    return f"""const found = document.querySelector("{selector}");
        found.scrollIntoView({{block: "center", behavior: "instant"}});
        const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]"""


DRAWN = """return [...document.querySelectorAll(".chart")].map((chart) =>
    chart.querySelectorAll("svg .mark-symbol path, svg .mark-line path").length)"""


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_every_chart_is_drawn_without_an_error_and_nothing_is_asked_for(browser, report, width, scheme):
    browser.get_log("performance")
    opened(browser, report, width, scheme)
    drawn = browser.execute_script(DRAWN)
    assert len(drawn) == 6  # two figures of two charts, and the two of the explorer
    assert min(drawn) > 0
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}


def test_dark_mode_turns_the_page_dark_and_the_charts_with_it(browser, report):
    look = "return [document.body, document.querySelector('.chart svg text')].map((e) => getComputedStyle(e))"
    look += ".map((style, i) => i ? style.fill : style.backgroundColor)"
    paper, ink = opened(browser, report).execute_script(look)
    browsers.media(browser, "dark")
    wait(browser, "document.documentElement.dataset.drawn === 'yes'")
    dark_paper, dark_ink = browser.execute_script(look)
    brightness = lambda color: sum(map(float, re.findall(r"[\d.]+", color)[:3]))
    assert brightness(paper) > 700 > brightness(ink)
    assert brightness(dark_paper) < 100 < brightness(dark_ink)
    assert browser.get_log("browser") == []


def test_tables_sort_numbers_as_numbers(browser, report):
    opened(browser, report)
    table = "document.querySelector('#studies table')"
    column = f"return [...{table}.tBodies[0].rows].map((row) => row.cells[%d].textContent.trim())"
    heading = f"{table}.tHead.rows[0].cells[%d]"
    names = browser.execute_script(f"return [...{table}.tHead.rows[0].cells].map((cell) => cell.textContent)")
    params, trials = names.index("params"), names.index("trials")
    said = lambda place: browser.execute_script(f"return {heading % place}.getAttribute('aria-sort')")
    press = lambda place: browser.execute_script(f"{heading % place}.querySelector('button').click()")
    unsorted = browser.execute_script(column % params)
    assert said(params) is None
    press(params)
    assert said(params) == "ascending"
    ascending = browser.execute_script(column % params)
    assert ascending == sorted(unsorted, key=int) != sorted(unsorted)
    press(params)
    assert said(params) == "descending"
    assert browser.execute_script(column % params) == ascending[::-1]
    press(trials)
    assert (said(params), said(trials)) == (None, "ascending")
    assert browser.execute_script(column % trials)[:2] == ["12 of 24", "24"]
    press(0)
    assert browser.execute_script(column % 0) == ["gru", "gru", "lstm", "lstm", "rnn", "rnn", "ugrnn"]


TIP = "const tip = document.getElementById('tip'); return tip.hidden ? null : tip.innerText"


def test_a_point_tells_its_trials_hparams(browser, report):
    opened(browser, report)
    hover(browser, middle("#fig1 .mark-symbol path"))
    wait(browser, "!document.getElementById('tip').hidden")
    told = browser.execute_script(TIP)
    assert "capacity gru depth=1 params=250 T=5" in told
    best = result("gru", 250)
    trial = best.trials.set_index("number").loc[best.record.best_number]
    assert re.search(rf"Trial {best.record.best_number}\s*best", told)
    assert re.search(rf"optimizer\n{trial['optimizer']}\n", told)
    rate = re.search(r"learning_rate\n(.*)\n", told)[1]
    assert float(rate) == pytest.approx(trial["learning_rate"], rel=2e-3)
    hover(browser, "return [2, 2]")
    wait(browser, "document.getElementById('tip').hidden")


def test_points_are_told_by_the_keyboard_too(browser, report):
    from selenium.webdriver.common.keys import Keys

    opened(browser, report)
    chart = browser.find_element("css selector", "#fig1 .chart")
    chart.send_keys(Keys.SHIFT)  # scrolls to it
    at_rest(browser)
    chart.send_keys(Keys.ARROW_RIGHT)
    first = browser.execute_script(TIP)
    chart.send_keys(Keys.ARROW_RIGHT)
    second = browser.execute_script(TIP)
    assert "learning_rate" in first
    assert "learning_rate" in second
    assert first != second
    chart.send_keys(Keys.ESCAPE)
    assert browser.execute_script(TIP) is None


def test_the_explorer_draws_the_study_that_is_chosen(browser, report):
    opened(browser, report)
    names = "return [...document.querySelectorAll('#parallel .role-axis-label text')].map((text) => text.textContent)"
    points = "#scores .mark-symbol path"
    count = f"document.querySelectorAll('{points}').length"
    gru = browser.execute_script(names)
    assert gru[0] == "bits/param"
    assert "recurrent_scale_u" in gru
    assert browser.execute_script(f"return {count}") >= 24
    chosen = "const list = document.getElementById('study'); list.value = %d; list.dispatchEvent(new Event('change'))"
    browser.execute_script(chosen % 6)
    wait(browser, f"{count} < 24")
    assert "ugrnn" in browser.execute_script("return document.getElementById('trial').innerText")
    assert "recurrent_scale_g" in browser.execute_script(names)
    browser.execute_script(chosen % 7)
    wait(browser, "document.querySelector('#parallel .role-axis-label text').textContent === 'validation loss'")
    assert browser.get_log("browser") == []


def without_a_score(num_trials):
    """A study of which every trial so far diverged."""
    found = result("lstm", num_trials=num_trials, wanted_trials=24, finished=False)
    trials = found.trials.assign(feasible=False, **dict.fromkeys(("bits_per_param", "bits"), math.nan))
    nothing = dict.fromkeys(("bits", "bits_per_param", "accuracy"), math.nan) | {"best_number": None}
    return changed(
        found, trials=trials, interval=(math.nan, math.nan), repeats=(), num_infeasible=num_trials, **nothing
    )


@pytest.mark.parametrize(("num_trials", "said"), [(6, "none of 6 has a score"), (0, "none yet")])
def test_the_explorer_of_a_study_without_a_score_has_axes_without_its_numbers(browser, tmp_path, num_trials, said):
    written(tmp_path, collection(without_a_score(num_trials), result("gru")), [shown()])
    opened(browser, tmp_path / "report.html")
    told = lambda: browser.execute_script("return document.getElementById('kept').textContent")
    texts = lambda chart: browser.execute_script(
        f"return [...document.querySelectorAll('#{chart} text')].map((text) => text.textContent)"
    )
    assert told() == said
    assert browser.execute_script("return document.getElementById('share').disabled")
    assert browser.get_log("browser") == []
    of_scores, of_hparams = texts("scores"), texts("parallel")
    assert not re.search("Infinity|NaN|undefined|null", " ".join([*of_scores, *of_hparams]))
    if num_trials:
        assert of_scores == [*map(str, range(6)), "trial"]
        assert {"bits/param", "learning_rate", "1.00e-4", "0.1"} <= set(of_hparams)
        count = "document.querySelectorAll('#scores .mark-symbol path').length"
        assert browser.execute_script(f"return {count}") == num_trials  # crosses
    else:
        assert (of_scores, of_hparams[:2]) == ([], ["bits/param", "nonlinearity"])
    browser.execute_script(
        "const list = document.getElementById('study'); list.value = 1; list.dispatchEvent(new Event('change'))"
    )
    wait(browser, "document.querySelectorAll('#parallel .mark-line path').length > 10")
    assert told() == "the best 22 of 24"
    assert not browser.execute_script("return document.getElementById('share').disabled")


def test_a_line_tells_its_trial_and_fewer_can_be_kept(browser, report):
    opened(browser, report)
    lines = "document.querySelectorAll('#parallel .mark-line path').length"
    assert browser.execute_script(f"return {lines}") > 10
    slider = "const share = document.getElementById('share'); share.value = 0; share.dispatchEvent(new Event('input'))"
    browser.execute_script(slider)
    wait(browser, f"{lines} === 1")
    assert "the best 1 of 24" in browser.execute_script("return document.getElementById('kept').textContent")
    # Near the upper end of the only line, that of the best trial; it may be longer than the window.
    hover(
        browser,
        """const line = document.querySelector("#parallel .mark-line path"), at = line.getPointAtLength(40);
        line.scrollIntoView({block: "start", behavior: "instant"});
        const place = at.matrixTransform(line.getScreenCTM());
        return [place.x, place.y]""",
    )
    wait(browser, "!document.getElementById('tip').hidden")
    best = result("gru", 250).record.best_number
    assert re.search(rf"Trial {best}\s*best", browser.execute_script(TIP))


def test_a_row_leads_to_its_trials(browser, report):
    opened(browser, report)
    browser.execute_script("document.querySelectorAll('#studies [data-study]')[2].click()")
    wait(browser, "document.getElementById('study').value === '2'")
    wait(browser, "document.getElementById('trial').innerText.includes('rnn')")


def test_print_opens_what_is_folded_and_closes_it_again(browser, report):
    opened(browser, report)
    folded = "return document.querySelectorAll('details:not([open])').length"
    before = browser.execute_script(folded)
    assert before > 0
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(folded) == 0
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(folded) == before


def test_nothing_that_a_study_is_named_runs(browser, tmp_path):
    evil_page(tmp_path)
    opened(browser, tmp_path / "report.html")
    hover(browser, middle("#scores .mark-symbol path"))
    wait(browser, "!document.getElementById('tip').hidden")
    assert EVIL in browser.execute_script(TIP)
    assert browser.execute_script("return window.evil") is None
    assert browser.execute_script("return document.images.length") == 0
    assert browser.get_log("browser") == []


def test_ten_thousand_trials_are_drawn(browser, tmp_path):
    written(tmp_path, ten_thousand_trials(), [shown()])
    opened(browser, tmp_path / "report.html", scheme="dark")
    assert browser.get_log("browser") == []
    drawn = """const canvas = document.querySelector("#scores canvas");
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let seen = 0; for (let i = 3; i < pixels.length; i += 4) seen += pixels[i] > 0; return seen"""
    assert browser.execute_script(drawn) > 5000


def test_an_empty_page_is_readable_on_a_phone(browser, tmp_path):
    written(tmp_path, collection(sources=()), [shown("fig1", ["a study of a rather long name"] * 3)])
    opened(browser, tmp_path / "report.html", width=390)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
