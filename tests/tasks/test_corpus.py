"""Texts of files: read back as they were written and told apart, downloaded once, refused by name, and cleaned."""

import concurrent.futures
import hashlib
import http.server
import random
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
from symbols import SYMBOLS, as_text

from rnn_capacity.tasks import corpus


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepared data goes to a folder of the test's own, and nothing is remembered from the test before."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    corpus._load.cache_clear()
    yield tmp_path / "prepared"
    corpus._load.cache_clear()


def random_text(num_characters, seed=0):
    return "".join(random.Random(seed).choices(SYMBOLS, k=num_characters))


def make_folder(path, text):
    path.mkdir()
    (path / "text8").write_text(text)
    return str(path)


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)


# --- The user's file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_characters", [20, 1000, 100_000, 312_345])
def test_a_file_is_read_back_exactly_and_in_order(num_characters, tmp_path, prepared):
    text = random_text(num_characters)
    codes, bounds = corpus.load("text8", make_folder(tmp_path / "mine", text))
    assert codes.dtype == np.uint8
    assert bounds.dtype == np.int32
    assert as_text(codes) == text
    train, valid = num_characters * 90 // 100, num_characters * 95 // 100
    assert bounds.tolist() == [0, train, valid, num_characters]


def test_many_pieces_keep_their_order(tmp_path, prepared, monkeypatch):
    monkeypatch.setattr(corpus, "PIECE", 7)
    text = random_text(20_011)
    assert as_text(corpus.load("text8", make_folder(tmp_path / "mine", text)).codes) == text


def test_the_parts_are_the_splits_of_the_data_set(tmp_path, prepared):
    text = random_text(250_001)
    folder = make_folder(tmp_path / "mine", text)
    corpus.load("text8", folder)
    sources = corpus.builder(folder).as_data_source()
    parts = {name: b"".join(example["text"] for example in source).decode() for name, source in sources.items()}
    assert parts == {"train": text[:225_000], "validation": text[225_000:237_500], "test": text[237_500:]}
    assert len(sources["train"]) == 3  # of 100,000, 100,000 and 25,000


@pytest.mark.parametrize("members", [["text8"], ["corpus.txt"], ["__MACOSX/._text8", "text8"], ["folder/", "folder/a"]])
def test_a_zip_is_read_as_what_it_holds(members, tmp_path, prepared):
    text = random_text(1000)
    make_zip(tmp_path / "text8.zip", {name: text if name == members[-1] else "" for name in members})
    assert as_text(corpus.load("text8", str(tmp_path)).codes) == text


def test_a_second_load_reuses_what_was_prepared_also_in_a_new_process(tmp_path, prepared, monkeypatch):
    folder = make_folder(tmp_path / "mine", random_text(5000))
    first = corpus.load("text8", folder)
    assert corpus.load("text8", folder).codes is first.codes
    written = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    corpus._load.cache_clear()  # as a new process finds it
    second = corpus.load("text8", folder)
    assert second.codes is not first.codes
    np.testing.assert_array_equal(second.codes, first.codes)
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == written


def test_a_text_and_its_zip_are_one_data_set(tmp_path, prepared):
    text = random_text(1000)
    corpus.load("text8", make_folder(tmp_path / "plain", text))
    (tmp_path / "zipped").mkdir()
    make_zip(tmp_path / "zipped" / "text8.zip", {"text8": text})
    corpus.load("text8", str(tmp_path / "zipped"))
    assert len(list(prepared.rglob("dataset_info.json"))) == 1


def test_files_of_one_name_are_never_taken_for_each_other(tmp_path, prepared, monkeypatch):
    texts = [random_text(1000, seed) for seed in range(3)]
    folders = [make_folder(tmp_path / str(seed), text) for seed, text in enumerate(texts)]
    assert [as_text(corpus.load("text8", folder).codes) for folder in folders] == texts
    (tmp_path / "0" / "text8").write_text(texts[0][:-1] + "q" * (texts[0][-1] != "q"))  # the last symbol changed
    assert as_text(corpus.load("text8", folders[0]).codes)[-1] != texts[0][-1]
    monkeypatch.setattr(corpus, "URL", "http://localhost:1/text8.zip")
    with pytest.raises(ConnectionError):  # nor for Mahoney's text
        corpus.load("text8")


def test_several_at_once_prepare_it_for_each_other(tmp_path, prepared):
    text = random_text(30_000)
    folder = make_folder(tmp_path / "mine", text)
    program = (
        "import hashlib, sys; from rnn_capacity.tasks import corpus; "
        "print(hashlib.md5(corpus.load('text8', sys.argv[1]).codes).hexdigest())"
    )
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: run_python(program, folder), range(3)))
    expected = hashlib.md5(bytes(SYMBOLS.index(symbol) for symbol in text)).hexdigest()
    assert [run.stdout.splitlines()[-1] for run in runs] == [expected] * 3
    assert not list(prepared.rglob("incomplete*"))


def test_the_loser_of_a_race_reads_what_the_winner_made(tmp_path, prepared, monkeypatch):
    text = random_text(1000)
    folder = make_folder(tmp_path / "mine", text)
    builder = type(corpus.builder(folder))
    generate = builder._generate_examples

    def overtaken(self, characters):
        with monkeypatch.context() as patch:
            patch.setattr(builder, "_generate_examples", generate)
            corpus._load.__wrapped__("text8", folder, ())
        yield from generate(self, characters)

    monkeypatch.setattr(builder, "_generate_examples", overtaken)
    assert as_text(corpus.load("text8", folder).codes) == text
    assert not list(prepared.rglob("incomplete*"))


def test_what_fails_while_it_is_prepared_does_not_spoil_the_next_try(tmp_path, prepared, monkeypatch):
    text = random_text(1000)
    folder = make_folder(tmp_path / "mine", text)

    def broken(self, characters):
        yield 0, {"text": characters[:10]}
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(type(corpus.builder(folder)), "_generate_examples", broken)
        with pytest.raises(OSError, match="disk full"):
            corpus.load("text8", folder)
    assert as_text(corpus.load("text8", folder).codes) == text


def test_what_is_shared_cannot_be_written_to(tmp_path, prepared):
    for text in (
        corpus.load("text8", make_folder(tmp_path / "mine", random_text(100))),
        corpus.load("synthetic"),
    ):
        for array in text:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


# --- Mahoney's file ---------------------------------------------------------------------------------------------------


@pytest.fixture
def site(monkeypatch):
    """A site that serves `site.body` as text8.zip, of the length that it has or that `site.promised` says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests += 1
            self.send_response(200 if self.path == "/text8.zip" else 404)
            self.send_header("Content-Length", str(server.promised or len(server.body)))
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.promised, server.requests = b"", None, 0
    monkeypatch.setattr(corpus, "URL", f"http://127.0.0.1:{server.server_port}/text8.zip")
    monkeypatch.setenv("no_proxy", "*")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def serve(server, tmp_path, monkeypatch, text):
    make_zip(tmp_path / "served.zip", {"text8": text})
    server.body = (tmp_path / "served.zip").read_bytes()
    monkeypatch.setattr(corpus, "ZIP_SHA256", hashlib.sha256(server.body).hexdigest())


def test_text8_is_downloaded_once(site, tmp_path, prepared, monkeypatch):
    text = random_text(2000)
    serve(site, tmp_path, monkeypatch, text)
    for _ in range(2):
        assert as_text(corpus.load("text8").codes) == text
        corpus._load.cache_clear()
    assert site.requests == 1


REMEDY = r"text8 could not be downloaded from .*/text8.zip: .*folder as data_dir, or take the task 'text8:synthetic'"


@pytest.mark.parametrize("failure", ["another file", "cut short", "not found", "nobody there"])
def test_a_failed_download_says_what_to_do_and_spoils_nothing(failure, site, tmp_path, prepared, monkeypatch):
    text = random_text(2000)
    serve(site, tmp_path, monkeypatch, text)
    whole, url = site.body, corpus.URL
    with monkeypatch.context() as patch:
        if failure == "another file":
            site.body = b"<html>Please log in</html>"
        if failure == "cut short":
            site.body, site.promised = whole[:500], len(whole)
        if failure == "not found":
            patch.setattr(corpus, "URL", url.replace("text8.zip", "gone/text8.zip"))
        if failure == "nobody there":
            patch.setattr(corpus, "URL", "http://127.0.0.1:1/text8.zip")
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=REMEDY):
            corpus.load("text8")
        assert time.monotonic() - start < 5  # no tries upon tries
    assert not [path for path in prepared.rglob("*") if path.is_file() and path.name != "metadata.json"]
    site.body, site.promised = whole, None
    assert as_text(corpus.load("text8").codes) == text


def test_a_site_that_does_not_answer_is_given_up(prepared, monkeypatch):
    silent = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)  # it listens and never serves
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(corpus, "URL", f"http://127.0.0.1:{silent.server_port}/text8.zip")
    monkeypatch.setattr(corpus, "TIMEOUT", 0.2)
    with pytest.raises(ConnectionError, match=REMEDY), silent:
        corpus.load("text8")


# --- Bad input --------------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"^text: 'text9' given; it must be one of 'text8', 'synthetic'$"):
        corpus.load("text9")


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^data_dir: '.*/nowhere' given; it must be a folder that exists$"):
        corpus.load("text8", str(tmp_path / "nowhere"))


def test_a_folder_without_the_file_is_refused_and_nothing_else_is_taken_for_it(tmp_path, prepared):
    (tmp_path / "text8.txt").write_text(random_text(100))
    with pytest.raises(ValueError, match=r"^data_dir: '.*' given; it must hold a file named text8 or text8.zip$"):
        corpus.load("text8", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "found", "position"),
    [
        ("a" * 30 + "Bc", "'B'", 30),
        ("a" * 30 + "\n", r"'\\n'", 30),
        ("?" + "a" * 30 + "!", r"'\?'", 0),
        ("caf\u00e9 au lait " * 3, "'\u00e9'", 3),
        ("the price \u20ac " * 3, "'\u20ac'", 10),
        (b"abc\xff" + b"d" * 30, r"b'\\xff'", 3),
    ],
)
def test_the_first_symbol_outside_the_27_is_named_with_its_position(text, found, position, tmp_path, prepared):
    folder = make_folder(tmp_path / "mine", "")
    (tmp_path / "mine" / "text8").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f"^text: {found} found at position {position}; every symbol must be a space"):
        corpus.load("text8", folder)
    assert not prepared.exists()


@pytest.mark.parametrize("num_characters", [0, 1, 19])
def test_a_text_too_short_for_three_parts_is_refused(num_characters, tmp_path, prepared):
    folder = make_folder(tmp_path / "mine", "a" * num_characters)
    with pytest.raises(ValueError, match=f"^text: {num_characters} characters given; there must be at least 20"):
        corpus.load("text8", folder)


@pytest.mark.parametrize("kind", ["no zip", "cut short", "several files", "damaged"])
def test_a_bad_zip_is_refused(kind, tmp_path, prepared):
    path = tmp_path / "text8.zip"
    make_zip(path, {"text8": random_text(5000)} if kind != "several files" else {"a": "a", "b": "b"})
    whole = path.read_bytes()
    if kind == "no zip":
        path.write_bytes(b"this is no archive")
    if kind == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    if kind == "damaged":
        path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 255]) + whole[1001:])
    with pytest.raises(ValueError, match=r"^data_dir: '.*' given; its text8.zip must be a whole zip archive"):
        corpus.load("text8", str(tmp_path))


def run_python(program, *arguments):
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("missing", ["tensorflow_datasets", "importlib_resources", "array_record"])
def test_where_a_package_is_missing_the_error_says_what_to_install(missing, prepared, monkeypatch):
    corpus._builder_class.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ImportError, match=rf'{missing}.*pip install "\.\[text8\]", or take the task \'text8:synthetic\''
    ):
        corpus.load("text8")
    corpus._builder_class.cache_clear()


def test_tensorflow_is_not_needed(tmp_path, prepared):
    folder = make_folder(tmp_path / "mine", random_text(1000))
    program = """
import importlib.machinery, sys

finder = importlib.machinery.PathFinder
find = finder.find_spec
finder.find_spec = lambda name, *rest: None if name.partition(".")[0] == "tensorflow" else find(name, *rest)
from rnn_capacity.tasks import corpus
print(corpus.load("text8", sys.argv[1]).codes.size)
"""
    assert run_python(program, folder).stdout.splitlines()[-1] == "1000"


# --- The filter -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        ("The cat, the  hat.", "the cat the hat "),
        ("in 1984", "in one nine eight four "),
        ("B2B", "b two b"),
        ("0123456789", " zero one two three four five six seven eight nine "),
        ("caf\u00e9\n\t--\nAu lait", "caf au lait"),
        ("\u212a \u0130", " "),  # which str.lower would turn into a k and an i
        ("\uff11 \u00b2", " "),  # digits, but not of ASCII
        ("don't_stop", "don t stop"),
        ("...", " "),
    ],
)
def test_the_filter_on_examples_by_hand(text, cleaned):
    assert corpus.clean(text) == cleaned


def test_the_filter_gives_a_text_that_is_accepted_and_stays_as_it_is():
    printable = [chr(code) for code in (*range(9, 14), *range(32, 127), 0xE9, 0x20AC, 0x1F600)]
    for seed in range(200):
        cleaned = corpus.clean("".join(random.Random(seed).choices(printable, k=200)))
        assert set(cleaned) <= set(SYMBOLS)
        assert "  " not in cleaned
        assert corpus.clean(cleaned) == cleaned
        corpus.to_codes(cleaned.encode())
