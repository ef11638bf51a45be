"""Tables: every number where it belongs, also where there is none."""

import csv
import json
import math
import re

import pytest
from made_measures import MIXED, NO_RECALL, NOTHING, OWN, UNTRAINED, make_recall, make_result, make_trained

from rnn_capacity.cells import PAPER_CELLS
from rnn_capacity.display import tables
from rnn_capacity.measure import overview
from rnn_capacity.measure.capacity import CAPACITY, COLUMNS
from rnn_capacity.measure.questions import QUESTIONS
from rnn_capacity.measure.recall import RECALL
from rnn_capacity.measure.trainability import TRAINABILITY, pairs
from rnn_capacity.paper import published


def line(result):
    """The row of its question's table."""
    return tables.line(result.question.columns, result)


# --- Tables -----------------------------------------------------------------------------------------------------------


def ends(line):
    """Where the columns of a line end: they stand right-aligned, two spaces apart."""
    return [match.end() for match in re.finditer(r"\S+(?: \S+)*", line)]


@pytest.mark.parametrize(
    "result",
    [
        make_result(),
        NOTHING,
        make_result("irnn", 1, 60, 0.1),
        make_result("+rnn", 4, 99_984, 4.95),
        make_result("lstm", num_infeasible_repeats=2),
    ],
    ids=lambda result: f"{result.cell}-{result.num_params}",
)
def test_the_columns_of_header_and_row_align(result):
    header, row = tables.header(COLUMNS), tables.line(COLUMNS, result)
    assert len(header) == len(row)
    assert ends(header) == ends(row)
    assert len(ends(header)) == len(COLUMNS)


def test_a_row_says_what_was_measured():
    assert re.split(" {2,}", line(make_result()).strip()) == [
        "rnn",
        "1",
        "5",
        "981",
        "21",
        "3188",
        "3.25",
        "151.8",
        "0.56",
        "yes",
        "3.00 to 3.38",
        "0.062",
        "0.969",
        "2",
        "1",
        "12",
        "3 to 6",
    ]
    assert re.split(" {2,}", tables.header(COLUMNS).strip()) == list(COLUMNS)


def test_a_result_without_numbers_is_shown_as_such():
    assert re.split(" {2,}", line(NOTHING).strip())[5:12] == ["nan"] * 4 + ["no", "-", "0.062"]


def test_a_users_cell_has_a_row_and_no_number_of_the_paper():
    row = re.split(" {2,}", line(OWN).strip())
    assert len(row) == len(COLUMNS)
    assert (row[0], row[1], row[3], row[-1]) == ("a_cell_of_ones_own", "12", "1234567", "-")


@pytest.mark.parametrize("cell", PAPER_CELLS)
def test_every_cell_stands_beside_what_the_paper_found(cell):
    assert tables.cells(COLUMNS, make_result(cell))["paper"] == published.CAPACITY[cell]
    assert published.CAPACITY_RANGE == (3, 6)


@pytest.mark.parametrize(
    "result",
    [
        make_result(interval=[-0.25, 0.125]),
        make_recall(),
        NO_RECALL,
        make_recall("+rnn", 128, error=12.34567, chance_error=98.76543, interval=[-0.25, 12.5]),
        make_trained(),
        UNTRAINED,
        make_trained("lstm", "random_functions", score=0.00012345, score_name="squared_error", chance=123456.7),
        make_trained("+rnn", "text8", score_name="bits_per_char", interval=[-1.5e-5, 2.25e-5], num_params=1_268_217),
        make_trained(
            "irnn",
            "arithmetic",
            losses=(1.5e-7, 2.5e-6),
            interval=[-1.5e-5, 1.25e-5],
            unroll=175,
        ),
    ],
    ids=lambda result: f"{result.measure}-{result.cell}",
)
def test_the_columns_of_every_measure_align_whatever_the_numbers(result):
    header, row = tables.header(result.question.columns), line(result)
    assert len(header) == len(row)
    assert ends(header) == ends(row)
    assert len(ends(row)) == len(result.question.columns)


def test_a_row_of_recall_says_what_was_measured():
    row = line(make_recall(interval=[0.5, 1.0], num_infeasible_repeats=1, still_improving=True))
    expected = [
        "rnn",
        "1",
        "12",
        "981",
        "16",
        "64",
        "0.750",
        "0.750",
        "yes",
        "0.500 to 1.000",
        "1.062",
        "2",
        "0+1",
        "12",
    ]
    assert re.split(" {2,}", row.strip()) == expected
    assert re.split(" {2,}", tables.header(RECALL.columns).strip()) == list(RECALL.columns)


def test_a_row_of_trainability_says_what_was_measured():
    row = re.split(" {2,}", line(make_trained(interval=[0.25, 0.75])).strip())
    expected = ["parentheses", "gru", "1", "5", "981", "21", "0.500", "0.875", "accuracy", "0.125", "no"]
    assert row == [*expected, "0.250 to 0.750", "1.25", "3", "33.3", "12", "15.5"]
    assert re.split(" {2,}", tables.header(TRAINABILITY.columns).strip()) == list(TRAINABILITY.columns)


def test_the_papers_percents_stand_beside_parentheses_of_its_depths_and_cells_alone():
    paper = lambda *args, **fields: tables.cells(TRAINABILITY.columns, make_trained(*args, **fields))["paper, %"]
    assert (paper("gru"), paper("gru", depth=8), paper("irnn"), paper("+rnn", depth=8)) == (
        "15.5",
        "3.2",
        "56.7",
        "8.8",
    )
    assert {paper("gru", "text8"), paper("gru", depth=2), paper("+rnn"), paper("mine")} == {"-"}


def test_mixed_results_give_a_table_each_in_a_fixed_order():
    groups = overview.by_question(MIXED)
    assert [question for question, _ in groups] == [CAPACITY, RECALL, TRAINABILITY] == list(QUESTIONS.values())[:3]
    assert [len(group) for _, group in groups] == [1, 2, 2]
    blocks = [block.splitlines() for block in overview.text(MIXED).split("\n\n")]
    for (question, group), lines in zip(groups, blocks, strict=True):
        assert lines == [tables.header(question.columns), *map(line, group)]
        assert list(tables.frame(question.columns, group).columns) == list(question.columns)
    assert overview.text(MIXED[::-1]).split("\n\n")[0] == overview.text(MIXED).split("\n\n")[0]


def test_mixed_results_are_written_whole(tmp_path):
    overview.write_tables([*MIXED, UNTRAINED, NO_RECALL], tmp_path)
    rows, trials, everything = read(tmp_path)
    assert [r["measure"] for r in everything] == [r.measure for r in (*MIXED, UNTRAINED, NO_RECALL)]
    assert [row["error"] for row in rows] == ["", "0.75", "", "0.75", "", "", ""]
    assert (rows[0]["loss"], rows[2]["bits_per_param"]) == ("0.5", "3.25")
    assert [row["task_fields.max_count"] != "" for row in rows] == [r["measure"] == "trainability" for r in everything]
    assert len(trials) == sum(len(r.trials) for r in (*MIXED, UNTRAINED, NO_RECALL))
    assert [t["eval_loss"] for t in everything[0]["trials"]] == [2.0, 0.5, None]
    assert (everything[5]["loss"], everything[6]["error"]) == (None, None)


def test_the_text_is_the_header_and_a_line_each():
    results = [make_result(), NOTHING, OWN]
    assert tables.text(COLUMNS, results).splitlines() == [tables.header(COLUMNS), *map(line, results)]
    assert overview.text([]) == ""


def test_the_frame_has_a_row_each_and_the_tables_columns():
    frame = tables.frame(COLUMNS, [make_result(), NOTHING])
    assert list(frame.columns) == list(COLUMNS)
    assert frame.iloc[0].to_dict() == tables.cells(COLUMNS, make_result())
    assert list(tables.frame(COLUMNS, []).columns) == list(COLUMNS)


def strict(text):
    """JSON as a reader has it who knows no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def read(folder):
    rows, trials = ([*csv.DictReader((folder / name).open(newline=""))] for name in ("results.csv", "trials.csv"))
    return rows, trials, strict((folder / "results.json").read_text())


def test_what_is_written_holds_everything(tmp_path):
    results = [make_result(), NOTHING, OWN]
    paths = overview.write_tables(results, tmp_path)
    assert [p.name for p in paths] == ["results.csv", "trials.csv", "results.json"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no .part
    rows, trials, everything = read(tmp_path)
    assert [r["cell"] for r in rows] == [r["cell"] for r in everything] == ["rnn", "gru", "a_cell_of_ones_own"]
    assert (rows[0]["bits_per_param"], rows[0]["best_hparams.optimizer"], rows[1]["bits_per_param"]) == (
        "3.25",
        "adam",
        "",
    )
    assert [t["study"] for t in trials] == [r.study for r in results for _ in range(2)]
    assert everything[0]["trials"][0] == {
        "number": 0,
        "learning_rate": 0.03,
        "feasible": True,
        "bits_per_param": 3.25,
        "num_mappings": 4000,
    }
    first = {name: value for name, value in everything[0].items() if name != "trials"}
    assert first == {name: value for name, value in results[0].to_dict().items() if name != "trials"}


def test_a_number_that_there_is_not_is_null_in_json(tmp_path):
    overview.write_tables([NOTHING], tmp_path)
    ((found,), text) = (read(tmp_path)[2], (tmp_path / "results.json").read_text())
    assert "NaN" not in text
    assert [found[name] for name in ("bits", "bits_per_param", "accuracy", "interval")] == [
        None,
        None,
        None,
        [None] * 2,
    ]
    assert [t["bits_per_param"] for t in found["trials"]] == [None, None]
    assert (found["best_hparams"], found["repeats"], found["num_mappings"]) == ({}, [], 0)


def test_infinite_numbers_are_null_in_json_too(tmp_path):
    overview.write_tables([make_result(interval=[-math.inf, math.inf])], tmp_path)
    assert read(tmp_path)[2][0]["interval"] == [None, None]


def test_small_numbers_keep_their_digits(tmp_path):
    overview.write_tables([make_result()], tmp_path)
    _, trials, everything = read(tmp_path)
    assert float(trials[1]["learning_rate"]) == 1.23456789e-8
    assert everything[0]["trials"][1]["learning_rate"] == 1.23456789e-8


def test_nothing_measured_is_written_as_nothing(tmp_path):
    overview.write_tables([], tmp_path)
    assert (tmp_path / "trials.csv").read_text() == ""
    assert strict((tmp_path / "results.json").read_text()) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    overview.write_tables([make_result()], tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    seen = []
    replace = type(tmp_path).replace

    def replacing(self, target):
        seen.append((self.name, target.name, target.read_bytes() == before[target.name]))
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", replacing)
    overview.write_tables([make_result(), OWN], tmp_path)
    assert seen == [(f"{name}.part", name, True) for name in ("results.csv", "trials.csv", "results.json")]
    assert {p.name for p in tmp_path.iterdir()} == set(before)
    assert [r["cell"] for r in read(tmp_path)[2]] == ["rnn", OWN.cell]


# --- Cells beside each other ------------------------------------------------------------------------------------------


def test_welchs_t_is_between_different_cells_of_the_same_task_and_size_only():
    a, b = (2.0, 3.0, 4.0), (5.0, 7.0, 6.0)
    results = [
        make_trained("gru", losses=a),
        make_trained("lstm", losses=b),
        make_trained("rnn", task="text8", losses=b),
        make_trained("irnn", losses=b, max_params=4000),
        make_trained("ugrnn", losses=b, task_fields={"num_types": 3}),
    ]
    found = pairs(results)
    assert found[["task", "cell", "against"]].to_numpy().tolist() == [["parentheses", "gru", "lstm"]]
    # Means 3 and 6, variances 1 and 1, three of each: t = -3 / sqrt(2 / 3), with 4 degrees of freedom.
    assert found["t"].item() == pytest.approx(-3 / (2 / 3) ** 0.5)
    assert found["dof"].item() == pytest.approx(4)
    assert 0.01 < found["p"].item() < 0.03
    assert len(pairs([])) == 0


def test_pairs_of_cells_are_written_where_there_are_any(tmp_path):
    overview.write_tables([make_trained("gru")], tmp_path)
    assert not (tmp_path / "welch.csv").exists()
    overview.write_tables([make_trained("gru"), make_trained("lstm")], tmp_path)
    assert len((tmp_path / "welch.csv").read_text().splitlines()) == 2
