"""Entries: measured, written, read back, verified; and whatever was edited or invented is found by name."""

import itertools
import json
import math
import pathlib
import re
import shutil

import numpy as np
import pytest
from small import CELL, PROTOCOL, edit, invent_best, invent_repeats

from rnn_capacity.checks import InputError
from rnn_capacity.leaderboard import protocols, submit, verify
from rnn_capacity.leaderboard.entry import Entry
from rnn_capacity.leaderboard.source import source_of
from rnn_capacity.leaderboard.verify import chance, prediction_interval

SEED = 7
YES, NO = (lambda question: True), (lambda question: False)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """The tiny protocol is one of the package's, and what a cell's file does shows in the folder of the test."""
    monkeypatch.setitem(protocols.PROTOCOLS, PROTOCOL.name, PROTOCOL)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An entry of a file's cell, whose networks were trained."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "my_cell.py").write_text(CELL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(protocols.PROTOCOLS, PROTOCOL.name, PROTOCOL)
        patched.chdir(folder)
        path, _ = submit.submit("my_cell.py:cell", PROTOCOL.name, YES, folder / "board", progress=False)
    return path


@pytest.fixture
def entry(trained, tmp_path):
    """A copy of it, to be edited."""
    return pathlib.Path(shutil.copytree(trained.parent, tmp_path / trained.parent.name), trained.name)


# --- Submitting -------------------------------------------------------------------------------------------------------


def test_an_entry_is_read_back_as_it_was_written(trained):
    entry = Entry.read(trained)
    assert trained.relative_to(trained.parents[1]).as_posix() == f"{PROTOCOL.version}/leaky.json"
    assert sorted(path.name for path in trained.parent.iterdir()) == ["leaky.csv", "leaky.json", "leaky.py"]
    assert (entry.cell, entry.source, entry.track) == ("leaky", "cell", "bare")
    assert (entry.digest, entry.config) == (PROTOCOL.digest, PROTOCOL.fields)
    assert trained.with_suffix(".py").read_text() == CELL
    assert len(entry.repeats) == 5
    assert entry.result["interval"][0] < entry.mean < entry.result["interval"][1]
    assert str(pathlib.Path.home()) not in trained.read_text() + trained.with_suffix(".csv").read_text()


@pytest.mark.usefixtures("trainer")
def test_the_package_has_cells_and_the_same_again_is_refused():
    path, result = submit.submit("gated deltanet", PROTOCOL.name, NO, "board", progress=False)
    assert path.name == "gated-deltanet.json"
    entry = Entry.read(path)
    assert (entry.source, entry.file_digest) == ("package", None)
    assert (entry.score, entry.repeats) == (result.bits_per_param, result.repeats)
    with pytest.raises(InputError, match=r"gated-deltanet.json is there; give a cell that differs another name"):
        submit.submit("gated deltanet", PROTOCOL.name, NO, "board", progress=False)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("named", "cell"),
    [
        ("cell: 'elman' given; it must be one of rnn, .*, or a file and the name of a cell in it", "elman"),
        ("cell: 'my_cell.py' given; it must be one of", "my_cell.py"),
        ("cell: 'none.py' given; it must be a file that can be read", "none.py:cell"),
        ("cell: 'my_cell.py:other' given; the file has no 'other', but the cells cell", "my_cell.py:other"),
        ("cell: 'fails.py:cell' given; .*line 2: ZeroDivisionError", "fails.py:cell"),
        ("cell: 'beside.py:cell' given; it must be .* that runs by itself.*ModuleNotFoundError", "beside.py:cell"),
        ("cell: 'three.py:cell' given; .*SyntaxError", "broken.py:cell"),
        ("cell: 'gru.py:cell' given; its cell is called 'gru', as one of the package", "gru.py:cell"),
        ("cell: one called '../leaky' given; its name must be letters", "up.py:cell"),
        ("track: 'best' given; it must be one of 'bare', 'block'", "track.py:cell"),
    ],
)
def test_a_cell_that_cannot_be_submitted_is_one_line(named, cell, tmp_path):
    texts = {"my_cell": CELL, "fails": "\n1 / 0", "beside": "import my_cell", "broken": "def"}
    texts |= {"gru": CELL.replace('"leaky"', '"gru"'), "up": CELL.replace('"leaky"', '"../leaky"')}
    texts["track"] = CELL.replace("apply)\n", "apply, track='best')\n")
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(InputError, match=named.replace("three", "broken")):
        submit.submit(cell, PROTOCOL.name, YES, "board", progress=False)
    assert not list(tmp_path.glob("board/*"))


def test_a_stopped_submission_goes_on_unless_the_code_is_another(trainer, monkeypatch, tmp_path):
    again = lambda: submit.submit("rnn", PROTOCOL.name, NO, "board", tmp_path / "work", progress=False)[0].unlink()
    again()
    assert len(trainer.trained) == 9
    again()
    assert len(trainer.trained) == 9
    monkeypatch.setattr(submit, "program_of", lambda plan: "another")
    again()
    assert len(trainer.trained) == 18


@pytest.mark.usefixtures("trainer")
def test_what_diverges_has_no_score_to_claim(monkeypatch, tmp_path):
    from tiny import FakeTrainer

    FakeTrainer(lambda hparams: True).install(monkeypatch)
    with pytest.raises(InputError, match=r"cell: 'rnn' given; 4 of 4 trials diverged, .*there is no score to claim"):
        submit.submit("rnn", PROTOCOL.name, NO, "board", progress=False)
    assert not list(tmp_path.glob("board/*"))


@pytest.mark.usefixtures("no_training")
def test_the_file_of_a_cell_runs_only_where_the_user_agrees(entry, tmp_path):
    (tmp_path / "my_cell.py").write_text(CELL)
    asked = []
    for command in (
        lambda agree: submit.submit("my_cell.py:other", PROTOCOL.name, agree, "board", progress=False),
        lambda agree: verify.verify(entry, agree, SEED),
    ):
        with pytest.raises(InputError, match="it is code, and was not run; read it, then agree, or give --run_code"):
            command(lambda question: asked.append(question) or False)
        assert not (tmp_path / "RAN").exists()
    assert re.match(r"my_cell.py is code that will run as you.*SHA-256 [0-9a-f]{64}", asked[0])
    assert len(asked) == 2
    with pytest.raises(InputError, match="no 'other'"):
        submit.submit("my_cell.py:other", PROTOCOL.name, YES, "board", progress=False)
    assert (tmp_path / "RAN").exists()  # so it would have shown


def test_a_file_is_run_as_it_was_read(tmp_path):
    """One that is edited after the user agreed is not run."""
    (tmp_path / "my_cell.py").write_text(CELL)
    source = source_of("my_cell.py:cell")
    evil = lambda question: (tmp_path / "my_cell.py").write_text("raise SystemExit") > 0
    assert source.load(evil).name == "leaky"


# --- Reading ----------------------------------------------------------------------------------------------------------


EDITED = [
    ("format: 2 given; it must be 1", {"format": 2}),
    ("protocol: 'capacity-9-v1' given; it must be one of", {"protocol": "capacity-9-v1"}),
    (
        "digest: '00000000' given, of another version of capacity-tiny-v1; .* measure the cell again",
        {"digest": "0" * 8},
    ),
    ("config.train_steps: 80 given; in capacity-tiny-v1-.* it is 40", {"config__train_steps": 80}),
    ("config.more: given; there is no such field", {"config__more": 1}),
    ("config.seed: False given; in .* it is 0", {"config__seed": False}),
    ("track: 'best' given", {"track": "best"}),
    ("cell: one called '../x' given", {"cell": "../x"}),
    ("cell: 'gru' given; it must be a cell of the package, or of a file of another name", {"cell": "gru"}),
    ("source: 'package' given", {"source": "package"}),
    ("result: None given", {"result": None}),
    ("machine.packages: None given", {"machine": {}}),
    ("result.measure: 'recall' given; it must be 'capacity'", {"result__measure": "recall"}),
    ("result.num_trials: 400 given; it must be 4", {"result__num_trials": 400}),
    ("result.state_floats: '1' given; it must be a whole number", {"result__state_floats": "1"}),
    ("result.bits_per_state: 'many' given; it must be a number", {"result__bits_per_state": "many"}),
    ("result.interval: .* given; that of the repeats is", {"result__interval": [3.0, 4.0]}),
    ("result.repeats and those that diverged: 2 given; it must be 5", {"result__repeats": [1.0, 1.1]}),
    ("result.repeats: 0 given; two at least", {"result__repeats": []}),
    ("result.repeats: 'x' given; it must be a number", {"result__repeats": ["x"]}),
    ("result.bits_per_param: 9.0 given; trial . has .* in the table", {"result__bits_per_param": 9.0}),
    ("best_number: 17 given; the table of trials has no such", {"best_number": 17}),
    ("trials_digest: '0' given; the table of trials has", {"trials_digest": "0"}),
]


@pytest.mark.parametrize(("named", "fields"), EDITED, ids=[next(iter(fields)) for _, fields in EDITED])
def test_an_edited_entry_is_refused_by_name(entry, named, fields):
    with pytest.raises(InputError, match=rf"^entry: '.*leaky.json' given; {named}"):
        Entry.read(edit(entry, **fields))


@pytest.mark.parametrize(
    ("named", "text"),
    [("it must be JSON", "{"), ("it must be an object", "[]"), ("entry.format: none given", "{}")],
)
def test_what_is_no_entry_is_refused(entry, named, text):
    entry.write_text(text)
    with pytest.raises(InputError, match=named):
        Entry.read(entry)


@pytest.mark.usefixtures("no_training")
def test_a_row_whose_files_were_edited_is_refused_before_they_run(entry, tmp_path):
    file, table = entry.with_suffix(".py"), entry.with_suffix(".csv")
    file.write_text(CELL.replace("0.5 * h", "0.4 * h"))
    with pytest.raises(InputError, match=r"leaky.py' given; it was edited after its submission: SHA-256 .*submit it"):
        verify.verify(entry, YES, SEED)
    assert not (tmp_path / "RAN").exists()
    file.write_text(CELL)
    table.write_text(table.read_text() + "\n")
    with pytest.raises(InputError, match="trials_digest"):
        Entry.read(entry)
    table.unlink()
    with pytest.raises(InputError, match=r"the table of trials: '.*leaky.csv' given; it must be a file that can be"):
        Entry.read(entry)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("named", "fields"),
    [
        ("cell: 'leaky' given; it was edited after its submission: the digest of its program", {"program": "0"}),
        ("edited after its submission: its num_units is ., not 7", {"result__num_units": 7}),
        ("edited after its submission: it is searched for bias", {"space__bias": 1.0}),
        (
            "result.best_hparams.learning_rate: 9.0 given; it must be of the search",
            {"result__best_hparams__learning_rate": 9.0},
        ),
        ("result.best_hparams.more: 1 given; the cell has no such", {"result__best_hparams__more": 1}),
        ("result.best_hparams.\\w+: none given; it must be there", {"result__best_hparams": {}}),
    ],
)
def test_a_cell_that_is_not_the_one_that_was_measured_is_refused(entry, named, fields):
    with pytest.raises(InputError, match=named):
        verify.verify(edit(entry, **fields), YES, SEED)


# --- Verifying --------------------------------------------------------------------------------------------------------


def test_a_sound_row_is_verified_and_invented_numbers_are_found(entry, tmp_path):
    sound = verify.verify(entry, YES, SEED)
    assert (sound.sound, sound.inside, sound.reproduced, sound.differs) == (True, True, True, "")
    assert len(sound.repeats) == 5
    assert sound.repeats != sound.entry.repeats  # they are fresh
    assert re.match(
        r"leaky, capacity-tiny-v1-\w{8}: VERIFIED\n  mean of 5 fresh draws \(seed 7\): .*; inside", str(sound)
    )
    best = sound.entry.score
    found = verify.verify(invent_best(entry, best * 1.5), YES, SEED)
    assert (found.sound, found.inside, found.reproduced) == (False, True, False)
    assert "NOT the same" in str(found)
    assert found.best == best
    found = verify.verify(invent_repeats(entry, 4.0), YES, SEED)
    assert (found.sound, found.inside) == (False, False)
    assert found.repeats == sound.repeats
    assert re.search(r"REFUTED\n.*OUTSIDE", str(found))


@pytest.mark.usefixtures("trainer")
def test_a_best_that_another_machine_does_not_give_again_decides_nothing():
    path, result = submit.submit("rnn", PROTOCOL.name, NO, "board", progress=False)
    known = json.loads(path.read_text())["machine"]
    edit(invent_best(path, result.bits_per_param * 1.01), machine=known | {"cpu": "0"})
    found = verify.verify(path, NO, SEED)
    assert (found.reproduced, found.differs, found.sound) == (False, "another kind of CPU", found.inside)
    assert "which decides nothing: measured with another kind of CPU" in str(found)
    edit(path, machine=known | {"packages": known["packages"] | {"jax": "0.9"}})
    assert verify.verify(path, NO, SEED).differs == "jax 0.9"


@pytest.mark.usefixtures("trainer")
def test_what_diverges_again_is_counted_and_all_of_it_refutes(monkeypatch):
    from tiny import FakeTrainer

    path, _ = submit.submit("rnn", PROTOCOL.name, NO, "board", progress=False)
    FakeTrainer(lambda hparams: True).install(monkeypatch)
    found = verify.verify(path, NO, SEED)
    assert (found.repeats, found.num_infeasible, found.best, found.sound) == ((), 5, None, False)
    assert "5 diverged" in str(found)


@pytest.mark.usefixtures("no_training")
def test_the_submitters_draws_are_no_fresh_ones(entry):
    for seed, named in ((0, "seed: 0 given; it must be another than the protocol's"), (-1, "seed: -1 given")):
        with pytest.raises(InputError, match=named):
            verify.verify(entry, YES, seed)


def test_the_mean_of_new_runs_lies_in_its_interval_as_often_as_it_says():
    rng = np.random.default_rng(0)
    means = lambda level: [
        low <= rng.normal(size=8).mean() <= high
        for _ in range(1000)
        for low, high in [prediction_interval(rng.normal(size=5), 8, level)]
    ]
    assert np.mean(means(0.8)) == pytest.approx(0.8, abs=0.04)
    assert np.mean(means(0.99)) == pytest.approx(0.99, abs=0.01)
    assert prediction_interval([1.0, 1.0], 3, resolution=0.1) == (0.9, 1.1)
    assert math.isfinite(prediction_interval([1.0, 2.0], 1)[0])


def test_scores_that_pile_up_below_a_bound_refute_no_more_often_than_others():
    """As where most networks store every label shown: 8 of them may show nothing of the tail."""
    rng = np.random.default_rng(0)
    piled = lambda: np.minimum(rng.normal(1.0, 0.3, size=8), 1.0) - 0.01 * rng.random(8)
    pairs = [(piled(), piled()) for _ in range(400)]
    outside = [not low <= b.mean() <= high for a, b in pairs for low, high in [prediction_interval(a, 8)]]
    refuted = [out and chance(a, b) < 0.01 for out, (a, b) in zip(outside, pairs, strict=True)]
    assert np.mean(outside) > 0.03
    assert np.mean(refuted) < 0.015
    assert all(chance(a, b - 0.6) < 0.01 for a, b in pairs[:50])


def test_the_chance_is_that_of_all_ways_to_deal_the_scores():
    claimed, fresh = [3.0, 2.0, 5.0, 7.0, 4.0], [1.0, 2.5, 0.5, 3.5, 2.2]
    everything, apart = claimed + fresh, abs(np.mean(claimed) - np.mean(fresh))
    ways = list(itertools.combinations(range(10), 5))
    far = [abs(2 * sum(everything[n] for n in way) - sum(everything)) / 5 >= apart - 1e-9 for way in ways]
    assert chance(claimed, fresh) == pytest.approx(np.mean(far))
    assert chance([1.0, 2.0], [1.5] * 8) == chance(claimed, []) == 0.0  # too few to tell


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_measures_verifies_and_builds(launch, trainer, tmp_path):
    board = f"--folder={tmp_path}/board"
    (tmp_path / "my_cell.py").write_text(
        CELL.replace('pathlib.Path("RAN").touch()', "")
    )  # the command runs in the clone
    submitting = ["leaderboard", "submit", f"--cell={tmp_path}/my_cell.py:cell", f"--protocol={PROTOCOL.name}"]
    submitting += [board, f"--workdir={tmp_path}/work"]
    code, _, errors = launch(*submitting)
    assert (code, trainer.trained) == (1, [])  # nobody can be asked
    assert "it is code, and was not run" in errors
    code, out, _ = launch(*submitting, "--run_code")
    assert code == 0
    path = tmp_path / "board" / PROTOCOL.version / "leaky.json"
    assert f"Written: {path}" in out
    verifying = ["leaderboard", "verify", f"--entry={path}", f"--seed={SEED}", "--run_code"]
    code, out, _ = launch(*verifying)
    assert (code, "VERIFIED" in out) == (0, True)
    invent_repeats(path, 9.0)
    code, out, _ = launch(*verifying)
    assert (code, "REFUTED" in out) == (1, True)
    code, out, errors = launch("leaderboard", "build", board)
    assert (code, errors) == (0, "")
    assert f"Written: {tmp_path}/board/index.html" in out


def test_all_cells_of_the_package_can_have_an_entry():
    from rnn_capacity.cells import NAMED_CELLS
    from rnn_capacity.leaderboard.entry import path_of

    paths = {path_of(pathlib.Path(), PROTOCOL, name) for name in NAMED_CELLS}
    assert len(paths) == len(NAMED_CELLS)
