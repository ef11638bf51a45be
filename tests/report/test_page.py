"""The report's page: what it says of what was measured, as a file and in a real browser."""

import functools
import html
import json
import math
import re
import time

import browser as browsers
import numpy as np
import pandas as pd
import pytest
from made import changed, make

from rnn_capacity.measure.capacity import CapacityConfig
from rnn_capacity.measure.trainability import TrainabilityConfig
from rnn_capacity.report import page
from rnn_capacity.report.collection import Collection
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED, Chart, Claim, Figure
from rnn_capacity.report.section import Shown, Wanted
from rnn_capacity.search import space as spaces
from rnn_capacity.studies.plan import space_of

OPTIONS = {"train_steps": 2000, "space": "paper"}
COMMAND = "python launch/sweep.py --config=experiments/figures/fig1.py:quick"
BEYOND = "python launch/sweep.py --config=experiments/figures/fig1.py:evening"
WORKER = {
    "packages": {"jax": "0.10.2", "numpy": "2.1.0"},
    "code": "0123456789ab",
    "device": "4 x cpu",
    "command": f"{COMMAND} --workdir=results/fig1",
}


@functools.cache
def _plan(measure, cell, num_params):
    options = OPTIONS | {"cell": cell, "num_params": num_params}
    if measure == "capacity":
        return CapacityConfig(num_inputs=20, **options).plan()
    return TrainabilityConfig(task="parentheses", task_fields={"num_types": 2}, **options).plan()


def result(cell="gru", num_params=500, num_trials=24, wanted_trials=None, measure="capacity", finished=True, **more):
    """A result as a collection has it, of trials that nobody trained."""
    plan = _plan(measure, cell, num_params)
    rng = np.random.default_rng([num_params, num_trials, len(cell)])
    tuned = list(spaces.tuned(plan.space))
    rows = []
    for number in range(num_trials):
        hparams = spaces.from_unit(plan.space, rng.random(len(tuned)))
        good = math.exp(-abs(math.log10(hparams["learning_rate"]) + 2.5)) * rng.uniform(0.8, 1)
        feasible = bool(rng.random() > 0.1)
        score = {"bits_per_param": 4 * good, "bits": 4 * good * num_params, "valid_loss": 1 / good}
        score = {name: value if feasible else None for name, value in score.items()}
        rows.append({"number": number, **hparams, "feasible": feasible, "stopped_early": False, **score})
    trials = pd.DataFrame(rows, columns=None if rows else ["number", "feasible", "stopped_early"])
    scores = trials[trials["feasible"]].set_index("number")["bits_per_param"] if rows else pd.Series(dtype=float)
    best = scores.max() if len(scores) else math.nan
    known = {
        "study": plan.name,
        "source": "fig1",
        "cell": cell,
        "max_params": num_params,
        "num_params": plan.num_params,
        "num_units": plan.num_units,
        "interval": (best - 0.3, best - 0.1),
        "repeats": (best - 0.3, best - 0.1),
        "num_trials": num_trials,
        "num_infeasible": num_trials - len(scores),
        "train_steps": 2000,
        "total_steps": 2000 * num_trials,
        "seconds": 1234.5,
        "trials": trials,
        "plan": json.loads(json.dumps(plan.describe())),
        "best_number": int(scores.idxmax()) if len(scores) else None,
        "finished": finished,
        "wanted_trials": wanted_trials or num_trials,
        "workers": [WORKER],
    }
    if measure == "trainability":
        known |= {"loss": 1 / best, "score": 1.0, "score_name": "error", "chance": 2.0, "median_loss": 2 / best}
    else:
        known |= {"bits": best * num_params, "bits_per_param": best, "chance_bits_per_param": 0.01}
        known |= {"accuracy": 0.95, "num_mappings": 900}
    return make(measure, **known | more)


def collection(*results, notes=(), sources=("fig1",)):
    return Collection(list(results), list(notes), list(sources), "results")


COLUMN = {"capacity": "bits_per_param", "trainability": "valid_loss"}  # of a trial


def _value(result):
    return result.bits_per_param if result.measure == "capacity" else result.loss


def _claims(results):
    if not results:
        return [Claim("Every cell stores about the same", "3 to 6", "–", MISSING)]
    best = ", ".join(f"{r.cell} {_value(r):.2f}" for r in results)
    return [
        Claim("Every cell stores about the same", "3 to 6", best, AGREES),
        Claim("What is stored does not depend on the size", "flat", "slope 0.1 (-0.2 to 0.4)", UNDECIDED),
        Claim("A ReLU is below tanh", "about 3.5", "4.1 (4.0 to 4.2)", DISAGREES),
    ]


def _charts(results):
    names = ("study", "cell", "num_params")
    points = [{"source": r.record.source} | {name: getattr(r, name) for name in names} for r in results]
    own = [{"number": r.record.best_number, "bits_per_param": _value(r)} for r in results]
    points = [point | more for point, more in zip(points, own, strict=True)]
    trials = [
        {"source": r.record.source, "study": r.study, "number": t.number, "cell": r.cell, "bits": value}
        for r in results
        for t, value in zip(r.trials.itertuples(), r.trials[COLUMN[r.measure]], strict=True)
    ]
    x = {"field": "num_params", "type": "quantitative", "scale": {"type": "log"}, "title": "parameters"}
    y = {"field": "bits_per_param", "type": "quantitative", "title": "bits per parameter", "scale": {"domain": [0, 6]}}
    cells = list(dict.fromkeys(r.cell for r in results))
    cell = {"field": "cell", "type": "nominal", "title": None, "scale": {"domain": cells}}
    band = {"data": {"values": [{"low": 3, "high": 6}]}, "mark": {"type": "rect", "opacity": 0.12}}
    band |= {"encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}}
    drawn = {"data": {"values": points}, "encoding": {"x": x, "y": y, "color": cell}}
    drawn |= {"layer": [{"mark": {"type": "line", "tooltip": None}}, {"mark": "point", "encoding": {"shape": cell}}]}
    every = {"data": {"values": trials}, "mark": "point"}
    every |= {"encoding": {"x": {"field": "number", "type": "quantitative"}, "color": cell, "shape": cell}}
    every["encoding"]["y"] = {"field": "bits", "type": "quantitative"}
    return [
        Chart("Bits per parameter, the best of the trials; the band is the paper's.", {"layer": [band, drawn]}),
        Chart("Every trial.", every),
    ]


def _table(results):
    rows = [(r.cell, r.num_params, _value(r), "3 to 6") for r in results]
    return pd.DataFrame(rows, columns=["cell", "params", "bits/param", "paper"])


def figure(name="fig1", measure="capacity"):
    finding = "All cells store between 3 and 6 bits in a parameter, whatever their size and depth."
    select = lambda results: [r for r in results if r.measure == measure]
    return Figure(name, f"{name}: bits per parameter", finding, select, _claims, _table, _charts)


def wanted_of(result):
    """A study as a figure wants it: by a title, and by its plan. A name alone is of one that is nowhere."""
    if isinstance(result, str):
        return Wanted(result, {"cell": "of no result"})
    return Wanted(result.study, result.record.plan)


def shown(name="fig1", wanted=(), **more):
    return Shown(figure(name, **more), COMMAND.replace("fig1", name), BEYOND, [wanted_of(one) for one in wanted])


# --- The file ---------------------------------------------------------------------------------------------------------


def written(folder, collected, figures):
    paths = page.write(collected, figures, folder).paths
    assert paths[0] == folder / "report.html"
    return paths[0].read_text(encoding="utf-8")


def embedded(text):
    """What the scripts are given."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def unpacked(columns):
    return {n: c if isinstance(c, list) else [c["of"][i] for i in c["at"]] for n, c in columns.items()}


def test_claims_are_said_with_both_numbers_and_counted_by_verdict(tmp_path):
    text = written(tmp_path, collection(result("gru"), result("rnn")), [shown(), shown("fig2", measure="recall")])
    rows = re.findall(r'<tr role="row">\s*<td.*?</tr>', text, re.DOTALL)
    assert len(rows) == 4
    for row, words in zip(rows, (AGREES, UNDECIDED, DISAGREES, MISSING), strict=True):
        assert f"</svg>{words}</span>" in row
    assert "slope 0.1 (-0.2 to 0.4)" in rows[1]
    assert ">flat<" in rows[1]
    assert 'href="#fig1"' in rows[2]
    assert 'href="#fig2"' in rows[3]
    assert re.findall(r"<li class=\"v-[a-z-]+(?: zero)?\"><b>(\d)</b>", text) == ["1", "1", "0", "1", "1"]


def test_figures_lie_beside_the_page_and_the_same_results_give_the_same_files(tmp_path):
    results = collection(result("gru"), result("rnn"))
    paths = page.write(results, [shown(), shown("fig2", measure="recall")], tmp_path).paths
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "report.html",
        "figures/fig1.png",
        "figures/fig1.svg",
    ]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in paths[2].read_bytes()
    text, before = paths[0].read_text(), [path.read_bytes() for path in paths[1:]]
    assert 'href="figures/fig1.png"' in text
    assert 'href="figures/fig1.svg"' in text
    assert "figures/fig2" not in text
    assert page.write(results, [shown()], tmp_path).paths == paths
    assert [path.read_bytes() for path in paths[1:]] == before
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "fig1.png",
        "fig1.svg",
        "report.html",
    ]


def test_what_is_missing_is_said_with_the_command_that_measures_it(tmp_path):
    half = result("gru", num_trials=12, wanted_trials=24, finished=False)
    again = result("lstm", num_trials=24, wanted_trials=24, finished=False)
    whole = result("rnn")
    names = [r.study for r in (half, again, whole)]
    text = written(tmp_path, collection(half, again, whole), [shown(wanted=[half, again, whole, "capacity gone"])])
    missing = re.search(r'<div class="missing">.*?</div>', text, re.DOTALL)[0]
    assert "3 of its 4 studies are not measured to the end" in missing
    assert f"<code>{COMMAND} --workdir=results</code>" in missing
    assert f"<li>{names[0]}: 12 of 24 trials</li>" in missing
    assert f"<li>{names[1]}: 24 of 24 trials; the best not yet trained again</li>" in missing
    assert names[2] not in missing
    assert "<li>capacity gone: not begun</li>" in missing
    assert re.search(r'<td class="num">12 of 24</td>', text)


def test_a_study_that_is_whole_in_one_place_is_not_missing(tmp_path):
    half, whole = result(num_trials=12, finished=False, source="half"), result()
    for results in ((half, whole), (whole, half)):
        assert '<div class="missing">' not in written(tmp_path, collection(*results), [shown(wanted=[whole])])


def test_a_study_is_known_by_its_plan(tmp_path):
    """The same cell with tanh and with ReLU, or at the quick scale and at the paper's, has studies of one name."""
    there = result(finished=False, num_trials=12, wanted_trials=24)
    other = Wanted(there.study, {"train_steps": 50_000})
    same = Wanted(there.study, {"train_steps": there.record.plan["train_steps"]})
    text = written(tmp_path, collection(there), [Shown(figure(), COMMAND, BEYOND, [same, other])])
    missing = re.findall(r"<li>([^<]*)</li>", re.search(r'<div class="missing">.*?</div>', text, re.DOTALL)[0])
    assert missing == [f"{there.study}: 12 of 24 trials", f"{there.study}: not begun"]


@pytest.mark.parametrize(
    ("source", "home"),
    [("capacity", "results"), ("figures/capacity", "results/figures"), (".", "."), ("postgresql://host/db", "results")],
)
def test_the_command_goes_on_where_the_studies_are(tmp_path, source, home):
    half = result(finished=False, source=source)
    text = written(tmp_path, collection(half), [shown(wanted=[half])])
    assert f"<code>{COMMAND} --workdir={home}</code>" in text


def test_half_a_study_is_drawn_and_decides_nothing(tmp_path):
    text = written(tmp_path, collection(result(finished=False)), [shown()])
    assert re.findall(r"<li class=\"v-[a-z-]+(?: zero)?\"><b>(\d)</b>", text) == ["0", "0", "0", "0", "1"]
    assert 'data-chart="0"' in text


def test_a_larger_search_is_offered_beside_what_is_measured(tmp_path):
    assert f"A larger search: <code>{BEYOND}</code>" in written(tmp_path, collection(result()), [shown()])


def test_beside_what_is_not_reached_stands_the_command_that_spends_more(tmp_path):
    """Where the search itself is not complete that is its own, else that of a larger one."""
    claim = Claim("Every cell stores 5 bits", "5", "4", NOT_REACHED, "24 trials")
    half, whole = result(finished=False), result()
    for there, command in ((whole, BEYOND), (half, f"{COMMAND} --workdir=results")):
        figure_ = figure()._replace(claims=lambda results: [claim])
        text = written(tmp_path, collection(there), [shown(wanted=[there])._replace(figure=figure_)])
        assert f"24 trials. This spends more: <code>{command}</code>" in text


def test_a_figure_that_cannot_be_drawn_is_told_and_the_others_are(tmp_path):
    broken = shown("fig2")._replace(figure=figure("fig2")._replace(claims=lambda results: results[0].novel))
    text = written(tmp_path, collection(result()), [broken, shown("fig1")])
    assert text.count("It cannot be drawn from what is here") == 1
    assert "AttributeError: &#39;CapacityResult&#39; object has no attribute &#39;novel&#39;" in text
    assert [path.name for path in sorted((tmp_path / "figures").iterdir())] == ["fig1.png", "fig1.svg"]


def test_nothing_measured_is_a_page_of_commands(tmp_path):
    text = written(tmp_path, collection(sources=()), [shown("fig1", ["a", "b"]), shown("fig2", ["c"])])
    assert "Nothing is measured here yet" in text
    assert "This measures it, in 2 studies:" in text
    assert "This measures it, in 1 study:" in text
    for name in ("fig1", "fig2"):
        assert f"--config=experiments/figures/{name}.py:quick --workdir=results</code>" in text
    assert 'id="explore"' not in text
    assert not list((tmp_path / "figures").iterdir())


def test_a_study_without_a_trial_is_told(tmp_path):
    begun = result(
        num_trials=0, wanted_trials=24, finished=False, bits_per_param=math.nan, interval=(math.nan, math.nan)
    )
    text = written(tmp_path, collection(begun), [shown(wanted=[begun])])
    assert f"<li>{begun.study}: 0 of 24 trials</li>" in text
    assert "nan" not in re.search(r'<section id="studies">.*?</section>', text, re.DOTALL)[0]
    assert embedded(text)["studies"][0]["trials"] == {}


def test_how_it_was_measured_is_told(tmp_path):
    old = dict(WORKER, device="1 x TPU v4", packages={"jax": "0.9.0"})
    text = written(tmp_path, collection(result("gru", workers=[WORKER, old]), result("lstm")), [shown()])
    how = re.search(r'<details class="how">.*?</details>', text, re.DOTALL)[0]
    assert how.count(f"<code>{WORKER['command']}</code>") == 1
    assert "4 x cpu, jax 0.10.2, numpy 2.1.0, code 0123456789ab" in how
    assert "1 x TPU v4, jax 0.9.0" in how
    shared, own = how.split("And each its own")
    assert "<dt>learning_rate</dt><dd>0.0001 to 0.1, log</dd>" in shared
    assert "<dt>optimizer</dt><dd>sgd, momentum, rmsprop, adam</dd>" in shared
    assert "<dt>cell</dt>" not in shared
    assert "<dt>cell</dt><dd>gru</dd>" in own
    assert "<dt>cell</dt><dd>lstm</dd>" in own
    for told in ("2,000", "48,000", "1,234"):
        assert f'<td class="num">{told}</td>' in shared


def test_every_trial_is_there_once_with_four_digits(tmp_path):
    trained = result(num_trials=40)
    study = embedded(written(tmp_path, collection(trained), [shown()]))["studies"][0]
    found, trials = unpacked(study["trials"]), trained.trials
    assert found["number"] == list(range(40))
    assert [value is None for value in found["score"]] == list(~trials["feasible"])
    assert [note == "infeasible" for note in found["note"]] == list(~trials["feasible"])
    np.testing.assert_allclose(np.array(found["score"], float), trials["bits_per_param"].astype(float), rtol=5e-4)
    np.testing.assert_allclose(found["learning_rate"], trials["learning_rate"], rtol=5e-4)
    assert found["optimizer"] == list(trials["optimizer"])
    assert study["best"] == trained.record.best_number
    dimensions = {d["name"]: d for d in study["hparams"]}
    assert dimensions["learning_rate"] == {"name": "learning_rate", "low": 1e-4, "high": 0.1, "log": True}
    assert dimensions["optimizer"]["options"] == ["sgd", "momentum", "rmsprop", "adam"]
    assert set(dimensions) == {*spaces.tuned(space_of(trained.record.plan))}


def test_a_chart_is_packed_and_loses_nothing(tmp_path):
    trained = result(num_trials=40)
    chart = embedded(written(tmp_path, collection(trained), [shown()]))["charts"][1]
    columns = unpacked(chart["data"]["values"]["packed"])
    expected = _charts([trained])[1].spec
    assert chart["encoding"] == expected["encoding"]
    for i, row in enumerate(expected["data"]["values"]):
        bits = row.pop("bits")
        assert {name: columns[name][i] for name in row} == row
        assert columns["bits"][i] == (None if math.isnan(bits) else float(f"{bits:.4g}"))


def without_scripts(text):
    return re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>&\"'{{ 7 * 7 }}"


def evil():
    """A result whose every name would run, if it could."""
    made = result("gru", 500)
    trials = made.trials.rename(columns={"learning_rate": EVIL}).assign(optimizer=EVIL)
    worker = dict(WORKER, device=EVIL, command=EVIL, code=EVIL, packages={EVIL: EVIL})
    plan = made.record.plan | {EVIL: EVIL, f"hparams.{EVIL}": made.record.space["learning_rate"]}
    return changed(made, cell=EVIL, study=EVIL, source=EVIL, trials=trials, workers=[worker], plan=plan)


def evil_page(folder):
    made = evil()
    wrong = figure()._replace(title=EVIL, finding=EVIL, claims=lambda results: [Claim(EVIL, EVIL, EVIL, AGREES)])
    figures = [Shown(wrong, EVIL, EVIL, [wanted_of(EVIL), wanted_of(EVIL + "!")]), shown()]
    return written(folder, collection(made, notes=[EVIL], sources=[EVIL]), figures)


def test_whatever_studies_are_named_is_text(tmp_path):
    text = evil_page(tmp_path)
    assert "<script>window" not in text
    assert "<img" not in without_scripts(text)
    assert text.count("&lt;script&gt;window.evil") > 20
    assert text.count("<script") == text.count("</script>") == 3
    assert embedded(text)["studies"][0]["study"] == EVIL


def test_the_page_asks_for_nothing_from_anywhere(tmp_path):
    text = written(tmp_path, collection(result()), [shown()])
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)[1])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    elsewhere = r"""(?:src|href)=["'](?!#|figures/|data:)|url\(|@import"""
    assert not re.findall(elsewhere, without_scripts(text))


@functools.cache
def ten_thousand_trials():
    return collection(*(result(cell, num_trials=5000) for cell in ("gru", "rnn")))


def test_ten_thousand_trials_are_a_page_below_5_mb_within_a_minute(tmp_path):
    begun = time.monotonic()
    text = written(tmp_path, ten_thousand_trials(), [shown()])
    assert time.monotonic() - begun < 240  # where tests run side by side; alone it is a fifth of that
    assert len(text.encode()) < 5e6
    assert sum(len(unpacked(study["trials"])["number"]) for study in embedded(text)["studies"]) == 10_000


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"out: .*report' given; it must be a folder that can be written"):
        page.write(collection(), [], tmp_path / "file" / "report")


def test_a_folder_that_is_not_there_is_made(tmp_path):
    assert page.write(collection(), [], tmp_path / "new" / "report").paths[0].is_file()


def test_what_takes_long_is_told(tmp_path):
    lines = []
    page.write(collection(result()), [shown(), shown("fig2")], tmp_path, lines.append)
    assert lines == ["drawing fig1: bits per parameter", "drawing fig2: bits per parameter", "writing the page"]


# --- The browser ------------------------------------------------------------------------------------------------------

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


def opened(browser, path, width=1400, scheme="light"):
    """The page, drawn to the end; the log before it is dropped."""
    browser.get_log("browser")
    browsers.size(browser, width)
    browsers.media(browser, scheme)
    browser.get(path.as_uri())
    wait(browser, "document.documentElement.dataset.drawn === 'yes'")
    return browser


def wait(browser, condition, seconds=60):
    until = time.monotonic() + seconds
    while not browser.execute_script(f"return {condition}"):
        assert time.monotonic() < until, f"{condition} in {seconds} seconds"
        time.sleep(0.05)


def at_rest(browser):
    """Waits until the page does not scroll any more, which hides what is told of a point."""
    before = None
    while before != (before := browser.execute_script("return scrollY")):
        time.sleep(0.2)


def hover(browser, script):
    """Moves the pointer to where a script says, in pixels of the window."""
    x, y = browser.execute_script(script)
    at_rest(browser)
    for step in (3, 0):
        event = {"type": "mouseMoved", "x": x + step, "y": y, "button": "none"}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)


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
