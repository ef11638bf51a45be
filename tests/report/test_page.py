"""The report's page as a file: what it says of what was measured, and that nothing in it runs or asks for anything."""

import html
import json
import math
import re
import time

import numpy as np
import pytest
from made_page import (
    BEYOND,
    COMMAND,
    EVIL,
    WORKER,
    charts,
    collection,
    evil_page,
    figure,
    result,
    shown,
    ten_thousand_trials,
    written,
)

from rnn_capacity.report import page
from rnn_capacity.report.figure import AGREES, DISAGREES, MISSING, NOT_REACHED, UNDECIDED, Claim
from rnn_capacity.report.section import Shown, Wanted
from rnn_capacity.search import space as spaces
from rnn_capacity.studies.plan import space_of


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
    expected = charts([trained])[1].spec
    assert chart["encoding"] == expected["encoding"]
    for i, row in enumerate(expected["data"]["values"]):
        bits = row.pop("bits")
        assert {name: columns[name][i] for name in row} == row
        assert columns["bits"][i] == (None if math.isnan(bits) else float(f"{bits:.4g}"))


def without_scripts(text):
    return re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


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
