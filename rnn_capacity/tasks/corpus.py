"""Where characters come from: text8, a user's own file, or a Markov chain of known entropy that needs neither.

A corpus is over 27 symbols, the space and a to z, with the codes 0 to 26. text8 (Mahoney 2011) is the first 10^8
characters of a cleaned English Wikipedia; here it is a tensorflow-datasets data set, prepared once and read without
TensorFlow.
"""

import bisect
import dataclasses
import functools
import hashlib
import http.client
import io
import os
import pathlib
import re
import string
import urllib.request
import zipfile
import zlib
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnn_capacity.checks import InputError, MissingPackageError, check_choice

SYMBOLS = " " + string.ascii_lowercase  # a symbol's code is its place here
TEXTS = ("text8", "synthetic")
PERCENT = (90, 95)  # where training ends and where validation ends; what is left is for evaluation
LEAST_CHARACTERS = 20  # so that no part is empty

URL = "http://mattmahoney.net/dc/text8.zip"
ZIP_SHA256 = "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232"
TIMEOUT = 10.0  # seconds without an answer or without a byte before the download is given up
Folder = str | os.PathLike
PIECE = 100_000  # characters an example of the prepared data set

CHAIN_SEED = 0
CHAIN_CHARACTERS = 2_000_000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Corpus(NamedTuple):
    """A text and its parts; part k of train, valid, eval is codes[bounds[k] : bounds[k + 1]]."""

    codes: np.ndarray  #: uint8 (characters,), 0 to 26
    bounds: np.ndarray  #: int32 (4,)


def load(text: str, data_dir: Folder | None = None) -> Corpus:
    """The corpus of that name, read-only; the same arrays each time, unless its file has changed.

    "text8" is the file text8 or text8.zip of the folder `data_dir`, which may be any text over the 27 symbols; without
    a folder it is Mahoney's, which is downloaded. It is kept prepared in $TFDS_DATA_DIR, else in tensorflow-datasets'
    own folder in the user's home. "synthetic" is 2 million characters of the chain of `transitions`.

    Raises:
        InputError: an unknown name; a folder that does not exist or does not hold the file; a text of other symbols.
        ConnectionError: text8 is neither prepared nor could it be downloaded; the message says what to do then.
        ImportError: tensorflow-datasets is wanted and not installed.
    """
    check_choice("text", text, TEXTS)
    return _load(text, *_files(data_dir))[0]


def digest(text: str, data_dir: Folder | None = None) -> str:
    """Of the characters of a corpus, to tell two of one name apart."""
    return _load(text, *_files(data_dir))[1]


def _files(data_dir: Folder | None) -> tuple[str | None, tuple]:
    """A folder, and what changes when its files do."""
    if data_dir is None:
        return None, ()
    files = [pathlib.Path(data_dir).expanduser() / name for name in ("text8", "text8.zip")]
    return os.fspath(data_dir), tuple((f.stat().st_mtime_ns, f.stat().st_size) for f in files if f.is_file())


@functools.lru_cache(maxsize=4)
def _load(text: str, data_dir: str | None, state: tuple) -> tuple[Corpus, str]:
    codes = _chain_codes() if text == "synthetic" else _prepared_codes(data_dir)
    bounds = np.array([0, *(codes.size * percent // 100 for percent in PERCENT), codes.size], np.int32)
    codes.setflags(write=False)
    bounds.setflags(write=False)
    return Corpus(codes, bounds), hashlib.sha256(codes.tobytes()).hexdigest()[:12]


def clean(text: str) -> str:
    """Any English text as one over the 27 symbols, by the last steps of Mahoney's filter; so users can make a corpus.

    A to Z become lower case, digits are spelled out, each as a word of its own, and every run of anything else becomes
    one space, at the ends too. The marks and links of Wikipedia's pages, which his filter removes before that, are not
    known here.
    """
    return re.sub("[^a-z]+", " ", text.translate(_CLEAN))


_CLEAN = {
    **{ord(upper): lower for upper, lower in zip(string.ascii_uppercase, string.ascii_lowercase, strict=True)},
    **{ord(str(digit)): f" {word} " for digit, word in enumerate(DIGITS)},
}


# --- The user's file and Mahoney's ------------------------------------------------------------------------------------


def read_folder(data_dir: Folder) -> bytes:
    """The characters of the file text8, or else text8.zip, in a folder.

    Raises:
        InputError: no such folder or file, or a text that `to_codes` refuses.
    """
    folder = pathlib.Path(data_dir).expanduser()
    if not folder.is_dir():
        raise InputError(f"data_dir: {data_dir!r} given; it must be a folder that exists")
    if (folder / "text8").is_file():
        characters = (folder / "text8").read_bytes()
    elif (folder / "text8.zip").is_file():
        try:
            characters = _unzip((folder / "text8.zip").read_bytes())
        except _BAD_ZIP as error:
            raise InputError(
                f"data_dir: {data_dir!r} given; its text8.zip must be a whole zip archive that holds a file text8, "
                f"or just one file: {error}"
            ) from error
    else:
        raise InputError(f"data_dir: {data_dir!r} given; it must hold a file named text8 or text8.zip")
    to_codes(characters)
    return characters


def download() -> bytes:
    """The characters of Mahoney's text8, from his site; nothing is kept of an attempt that fails.

    Raises:
        ConnectionError: no answer in time, or another file than the one that is known by its digest.
    """
    try:
        with urllib.request.urlopen(URL, timeout=TIMEOUT) as response:
            archive = response.read()
        if hashlib.sha256(archive).hexdigest() != ZIP_SHA256:
            raise OSError(f"what came ({len(archive)} bytes) is not the archive that is known by its SHA-256 digest")
        return _unzip(archive)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"text8 could not be downloaded from {URL}: {error}. Put the file text8 or text8.zip into a folder and "
            "give that folder as data_dir, or take the task 'text8:synthetic', which needs no file"
        ) from error


def to_codes(characters: bytes) -> np.ndarray:
    """The code of each character, uint8.

    Raises:
        InputError: a symbol outside the 27, named with its position (from 0), or too few characters for three parts.
    """
    if not LEAST_CHARACTERS <= len(characters) < 2**31:
        raise InputError(
            f"text: {len(characters)} characters given; there must be at least {LEAST_CHARACTERS} and fewer than 2^31"
        )
    codes = np.frombuffer(characters.translate(_CODE_OF_BYTE), np.uint8)
    if codes.max() == len(SYMBOLS):
        position = int(codes.argmax())
        raise InputError(
            f"text: {_symbol(characters, position)!r} found at position {position}; every symbol must be a space or "
            "one of a to z (rnn_capacity.tasks.corpus.clean makes such a text of any other)"
        )
    return codes


_CODE_OF_BYTE = bytes(SYMBOLS.index(chr(byte)) if chr(byte) in SYMBOLS else len(SYMBOLS) for byte in range(256))


def _symbol(characters: bytes, position: int) -> str | bytes:
    """What stands there: a character of UTF-8, or a byte where the text is not UTF-8."""
    for length in range(1, 5):
        try:
            return characters[position : position + length].decode()
        except UnicodeDecodeError:
            pass
    return characters[position : position + 1]


_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError)


def _unzip(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        names = [name for name in files.namelist() if not name.endswith("/")]
        return files.read(names[0] if len(names) == 1 else "text8")


# --- The data set -----------------------------------------------------------------------------------------------------


def _import_tfds() -> Any:
    try:
        import array_record  # noqa: F401  what tensorflow-datasets writes with
        import importlib_resources  # noqa: F401  what it imports and does not declare
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingPackageError(
            f'text8 is read with tensorflow-datasets, which could not be imported ({error}): pip install ".[text8]", '
            "or take the task 'text8:synthetic'"
        ) from error
    return tfds


@functools.cache
def _builder_class() -> Any:
    """Made when it is first wanted, since its base is slow to import and need not be installed."""
    tfds = _import_tfds()
    Config: Any = tfds.core.BuilderConfig
    Builder: Any = tfds.core.GeneratorBasedBuilder

    @dataclasses.dataclass(eq=False)
    class Text(Config):
        folder: str | None = None  # that holds the file; None: it is downloaded

    class Text8(Builder, skip_registration=True):  # type: ignore[call-arg]  # of Any
        """text8, or a text that a user put in its place, as pieces in the order of the text."""

        VERSION = tfds.core.Version("1.0.0")
        RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Pieces of 100,000 characters."}
        BUILDER_CONFIGS: ClassVar[list[Text]] = [Text(name="mahoney", description="As downloaded.")]

        def _info(self):
            return self.dataset_info_from_configs(
                description="The first 10^8 characters of a cleaned English Wikipedia (27 symbols: the space and a to "
                "z), for predicting the next character; or a text that a user put in its place.",
                features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
                homepage="http://mattmahoney.net/dc/textdata",
                citation="@misc{mahoney2011text8, author={Matt Mahoney}, title={About the Test Data}, year={2011}, "
                "url={http://mattmahoney.net/dc/textdata}}",
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            # The manager's own download tries again for minutes where there is no network, and knows no timeout.
            folder = self.builder_config.folder
            characters = download() if folder is None else read_folder(folder)
            first, second = (len(characters) * percent // 100 for percent in PERCENT)
            return {
                "train": self._generate_examples(characters[:first]),
                "validation": self._generate_examples(characters[first:second]),
                "test": self._generate_examples(characters[second:]),
            }

        def _generate_examples(self, characters):
            for start in range(0, len(characters), PIECE):
                yield start, {"text": characters[start : start + PIECE]}

    return Text8


def builder(data_dir: Folder | None = None) -> Any:
    """The tensorflow-datasets builder of the user's file, or of Mahoney's; nothing is prepared yet.

    A user's text is kept under the digest of its characters, so that texts of one name are never taken for each other.
    """
    digest = None if data_dir is None else hashlib.sha256(read_folder(data_dir)).hexdigest()[:32]
    text8 = _builder_class()
    (config,) = text8.BUILDER_CONFIGS
    if data_dir is not None:
        config = type(config)(name=f"file_{digest}", description="A user's file.", folder=data_dir)
    root = os.environ.get("TFDS_DATA_DIR")  # tensorflow-datasets looks only once, when it is first imported
    return text8(config=config, data_dir=root)


def _prepared_codes(data_dir: Folder | None) -> np.ndarray:
    prepared = builder(data_dir)
    try:
        prepared.download_and_prepare(file_format="array_record")  # does nothing where that was done
    except OSError:
        # Another process may have been first. Its data is as good, and whole: a folder gets its name when all is there.
        prepared = builder(data_dir)
        if not prepared.data_path.exists():
            raise
    sources = prepared.as_data_source()
    pieces = [piece["text"] for part in ("train", "validation", "test") for piece in sources[part]]
    return to_codes(b"".join(pieces))


# --- The chain --------------------------------------------------------------------------------------------------------


@functools.cache
def transitions() -> np.ndarray:
    """P (27, 27) of the synthetic chain, P[i, j] the probability that j follows i; the same on every machine.

    Each is a count over the counts of its row, 1 + floor(1000 u^16) of a uniform u: a few likely successors for each
    symbol, and none that is impossible. Its entropy rate is 2.28 bits a character, that of its single characters 4.35.
    """
    power = _uniform().random((len(SYMBOLS), len(SYMBOLS)))
    for _ in range(4):
        power = power * power  # exact rounding, which a power or a logarithm does not promise
    counts = 1 + np.floor(1000 * power)
    matrix = counts / counts.sum(axis=1, keepdims=True)
    matrix.setflags(write=False)
    return matrix


def stationary(matrix: np.ndarray) -> np.ndarray:
    """pi = pi P, how often an irreducible chain is in each state."""
    size = len(matrix)
    balance = np.vstack(
        [(np.transpose(matrix) - np.eye(size))[:-1], np.ones(size)]
    )  # one balance follows from the rest
    return np.linalg.solve(balance, np.eye(size)[-1])


def entropy_rate(matrix: np.ndarray | None = None) -> float:
    """-sum_i pi_i sum_j P_ij log2 P_ij, bits a character: what no predictor can beat. By default of `transitions`."""
    matrix = transitions() if matrix is None else np.asarray(matrix, float)
    logarithms = np.log2(matrix, out=np.zeros_like(matrix), where=matrix > 0)
    return float(-stationary(matrix) @ (matrix * logarithms).sum(axis=1))


def _uniform() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(CHAIN_SEED))


def _chain_codes() -> np.ndarray:
    """Characters one after the other, each found in the row of the one before; the first follows a space."""
    uniform = _uniform()
    uniform.random(len(SYMBOLS) ** 2)  # those that made the matrix
    rows = np.cumsum(transitions(), axis=1)[:, :-1].tolist()  # without the 1 at the end, which rounding may miss
    code, codes = 0, bytearray()
    for u in uniform.random(CHAIN_CHARACTERS).tolist():
        code = bisect.bisect(rows[code], u)
        codes.append(code)
    return np.frombuffer(codes, np.uint8)
