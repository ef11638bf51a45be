"""The restricted unpickler: arrays of any Python and NumPy come through, and nothing that a stream names is run."""

import gzip
import io
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile

import authors_table
import numpy as np
import pytest

from rnn_capacity.checks import InputError
from rnn_capacity.paper import unpickle

PROTOCOLS = range(6)
TABLE = authors_table.table(authors_table.LSTM, authors_table.DIVERGED)


def load(tmp_path, stream):
    path = tmp_path / "table.p"
    path.write_bytes(stream)
    return unpickle.load(path)


def refused(tmp_path, stream):
    """The message, which names the file and is one line."""
    with pytest.raises(
        ValueError, match=r"^authors: '.*table\.p' given; it must be a pickle of NumPy arrays"
    ) as caught:
        load(tmp_path, stream)
    assert type(caught.value) is InputError
    assert str(caught.value).isprintable()
    return str(caught.value)


# --- What comes through -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        TABLE,
        TABLE[:0],
        TABLE[::-1],
        authors_table.table(authors_table.LSTM, strings="S16"),
        authors_table.table(authors_table.LSTM, strings="U16"),
        np.array([(1, b"a", "\u00e9", True, 0.5)], [("i", ">i2"), ("s", "S3"), ("u", "<U2"), ("b", "?"), ("f", "f2")]),
        np.array([(1, "a")], np.dtype([("i", "i1"), ("o", "O")], align=True)),
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros(0),
        np.array([b"", "", None, 10**30, -1.5, (1, [2])], object),
    ],
    ids=lambda array: "",
)
def test_an_array_comes_through_as_it_was(tmp_path, array, protocol):
    (found,) = load(tmp_path, pickle.dumps(array, protocol))
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert repr(found.tolist()) == repr(plain(array.tolist()))


def plain(value):
    """NumPy scalars among objects come as Python's own."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("protocol", [0, 2])
def test_what_python_2_wrote_comes_through(tmp_path, protocol):
    stream = authors_table.PYTHON_2[protocol]
    assert b"numpy.core.multiarray" in stream
    (found,) = load(tmp_path, stream)
    assert found.dtype.names == tuple(authors_table.ORDER)
    assert found["hparams"][0] == authors_table.LSTM["hparams"]
    assert found["num_params"].tolist() == [1_268_217, 9984]
    assert np.isnan(found["eval_loss"][1])
    text = {0: np.bytes_(b"lstm"), 2: "lstm"}[protocol]
    assert found["architecture"][0] == text
    assert found["hparams"][1] == {"lr_init": 0.01, "train_steps": 50000, "optimizer": b"SGD", "f4": 0.5}
    assert {type(v) for v in found["hparams"][1].values()} == {float, int, bytes}


@pytest.mark.parametrize("several", [{"a": TABLE, "b": TABLE[:1]}, [TABLE, TABLE[:1]], (TABLE, TABLE[:1])], ids=type)
def test_several_arrays_come_in_order(tmp_path, several):
    assert [len(array) for array in load(tmp_path, pickle.dumps(several))] == [2, 1]


def test_the_old_and_the_new_spelling_of_numpy_are_one(tmp_path):
    stream = pickle.dumps(TABLE, 2)
    assert b"numpy._core.multiarray" in stream
    (found,) = load(tmp_path, stream.replace(b"numpy._core.", b"numpy.core."))
    assert found["hparams"][0] == authors_table.LSTM["hparams"]


# --- What is refused --------------------------------------------------------------------------------------------------


class Call:
    """Pickles as the call of a function, with the path of a marker in its arguments."""

    def __init__(self, function, *args):
        self._reduced = (function, args)

    def __reduce__(self):
        return self._reduced


HOSTILE = {
    "os.system": lambda marker: Call(os.system, f"touch {marker}"),
    "eval": lambda marker: Call(eval, f"open({marker!r}, 'w')"),
    "exec": lambda marker: Call(exec, f"open({marker!r}, 'w')"),
    "open": lambda marker: Call(io.open, marker, "w"),
    "subprocess": lambda marker: Call(subprocess.check_call, ["touch", marker]),
    "numpy.memmap": lambda marker: Call(np.memmap, marker, "u1", "w+", 0, 4),
    "numpy.savez": lambda marker: Call(np.savez, marker + ".npz"),
}


def ran(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith("marker")]


@pytest.mark.parametrize("kind", HOSTILE)
def test_these_streams_would_run_if_they_were_let(tmp_path, kind):
    pickle.loads(pickle.dumps(HOSTILE[kind](str(tmp_path / "marker"))))
    assert ran(tmp_path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_function_that_a_stream_names_is_not_run(tmp_path, kind, protocol):
    call = HOSTILE[kind](str(tmp_path / "marker"))
    inside = TABLE.copy()
    inside["hparams"][0] = {"lr_init": call}
    for obj in (call, inside, [TABLE, call]):
        assert "(it names " in refused(tmp_path, pickle.dumps(obj, protocol))
        assert not ran(tmp_path)


REFUSED_NAMES = """
    os.system posix.system nt.system builtins.eval __builtin__.eval builtins.exec builtins.getattr __builtin__.getattr
    builtins.bytes builtins.open __builtin__.file __builtin__.apply subprocess.Popen pickle.loads cPickle.loads
    copyreg._reconstructor copy_reg._reconstructor functools.partial operator.attrgetter operator.methodcaller
    _codecs.lookup _codecs.decode _codecs.register codecs.encode numpy.load numpy.fromfile numpy.memmap numpy.array
    numpy.core.multiarray.fromfile numpy._core.multiarray.array numpy._core.numeric.load numpy.rec.recarray
    numpy.core.multiarray._reconstruct.__globals__ numpy.ndarray.tofile numpy.dtype.__setstate__
    numpy.testing._private.utils.runstring numpy.core numpy.ma.core._mareconstruct
"""


@pytest.mark.parametrize("full", REFUSED_NAMES.split())
def test_a_name_that_arrays_do_not_need_is_refused_by_name(tmp_path, full):
    parts = full.split(".")
    for k in range(1, len(parts)):  # wherever the module may end: protocol 4 follows dots in the name
        module, name = ".".join(parts[:k]), ".".join(parts[k:])
        text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
        for stream in (f"c{module}\n{name}\n.".encode(), b"\x80\x04" + text(module) + text(name) + b"\x93."):
            assert f"(it names {full})" in refused(tmp_path, stream)


def test_a_name_cannot_write_to_the_terminal(tmp_path):
    stream = b"\x80\x04\x8c\x09os\n\x1b[31mR\x8c\x06system\x93."
    assert "(it names os[31mR.system)" in refused(tmp_path, stream)


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
F8 = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
OBJECT = b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb"


def array_of(dtype, data, shape=b"(I1\nt"):
    return ARRAY + b"(I1\n" + shape + dtype + b"I00\n" + data + b"tb."


def record(offset, flags, field=OBJECT, itemsize=8):
    """The dtype of a record with a field "a"."""
    code = b"cnumpy\ndtype\n(S'V%d'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\nt(dS'a'\n(" % itemsize
    return code + field + b"I%d\ntsI%d\nI1\nI%d\ntb" % (offset, itemsize, flags)


def test_the_streams_below_are_well_formed_but_for_one_thing(tmp_path):
    (found,) = load(tmp_path, array_of(F8, b"S'" + b"\\x00" * 8 + b"'\n"))
    assert found.tolist() == [0.0]
    (found,) = load(tmp_path, array_of(record(0, 63), b"((I5\ntl"))
    assert found.tolist() == [(5,)]


ADDRESS = b"S'AAAAAAAA'\n"
MISUSED = {
    "an array of another class": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
    "an array of a type of Python": b"cnumpy.core.multiarray\n_reconstruct\n(S'ndarray'\n(I0\ntS'b'\ntR.",
    "a class called": b"cnumpy\nndarray\n(I8\ntR.",
    "a class made anew": b"\x80\x02cnumpy\nndarray\n(I8\nt\x81.",
    "a stand-in made anew": b"\x80\x02cnumpy\ndtype\n(S'f8'\nt\x81.",
    "a codec of another name": b"c_codecs\nencode\n(Vaa\nVhex\ntR.",
    "a codec with a handler": b"c_codecs\nencode\n(Vaa\nVlatin1\nVignore\ntR.",
    "bytes of something": b"c__builtin__\nbytes\n(I8\ntR.",
    "a function changed": b"cnumpy.core.multiarray\n_reconstruct\n(N(dS'__defaults__'\n(I1\ntstb.",
    "a function given a dict": b"cnumpy.core.multiarray\nscalar\n(dS'__module__'\nS'os'\nsb.",
    "a class changed": b"cnumpy\ndtype\n(N(dS'__init__'\nNstb.",
    "an address as an object": array_of(OBJECT, ADDRESS),
    "an address as a record's object": array_of(record(0, 63), ADDRESS),
    "an address, and flags that hide the object": array_of(record(0, 0), ADDRESS),
    "an object beyond its record": array_of(record(4096, 63), b"((I5\ntl"),
    "a number beyond its record": array_of(record(4096, 0, F8), ADDRESS),
    "a number before its record": array_of(record(-8, 0, F8), ADDRESS),
    "a record that has no size": array_of(record(0, 0, F8, 0), b"S''\n"),
    "elements that are no records": array_of(record(0, 63), b"(I5\nl"),
    "more elements than the shape": array_of(OBJECT, b"(I5\nI5\nl"),
    "fewer elements than the shape": array_of(OBJECT, b"(l"),
    "less data than the shape": array_of(F8, ADDRESS, b"(I2\nt"),
    "more data than the shape": array_of(F8, ADDRESS, b"(I0\nt"),
    "a negative shape": array_of(F8, ADDRESS, b"(I-1\nI-1\nt"),
    "a shape of another kind": array_of(F8, ADDRESS, b"S'a'\n"),
    "a dtype that is none": array_of(b"S'f8'\n", ADDRESS),
    "a dtype never finished": array_of(b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR", ADDRESS),
    "a dtype of dates": array_of(b"cnumpy\ndtype\n(S'M8'\nI0\nI1\ntR", ADDRESS),
    "a dtype by expression": array_of(b"cnumpy\ndtype\n(S'f8,f8'\nI0\nI1\ntR", ADDRESS),
    "a dtype by dict": array_of(b"cnumpy\ndtype\n((dI0\nI1\ntR", ADDRESS),
    "a scalar that is an object": b"cnumpy.core.multiarray\nscalar\n(" + OBJECT + ADDRESS + b"tR.",
    "an array never filled": ARRAY + b".",
    "a persistent id": b"Pos.system\n.",
    "a number": b"I1\n.",
    "a dict of strings": b"(dS'a'\nS'b'\ns.",
    "an empty list": b"(l.",
    "a dtype alone": F8 + b".",
    "a function alone": b"cnumpy.core.multiarray\n_reconstruct\n.",
    "nothing": b"",
    "text": b"architecture,task_type\nlstm,text8\n",
    "noise": bytes(range(255, -1, -1)),
    "a memo that is not there": b"h\xff.",
    "a stack that is empty": b"R.",
}


@pytest.mark.parametrize("kind", MISUSED)
def test_a_name_that_is_admitted_can_do_no_harm(tmp_path, kind):
    refused(tmp_path, MISUSED[kind])
    (found,) = load(tmp_path, pickle.dumps(TABLE, 2))  # nothing was changed by it
    assert found["hparams"][0] == authors_table.LSTM["hparams"]


def test_data_that_a_stream_changes_later_is_not_the_arrays(tmp_path):
    """NumPy would go on looking where a bytearray was before it grew."""
    protocol_5 = b"\x80\x05\x96" + struct.pack("<Q", 8) + b"\x00" * 8 + b"q\x01"  # a bytearray, kept
    array = b"cnumpy._core.numeric\n_frombuffer\n(h\x01" + F8 + b"(I1\ntS'C'\ntRq\x02"
    grown = b"h\x01(" + b"K\xff" * 4096 + b"e00h\x02."
    (found,) = load(tmp_path, protocol_5 + array + grown)
    assert found.tolist() == [0.0]
    assert type(found.base) is bytes


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path, protocol):
    stream = pickle.dumps(TABLE[:1], protocol)
    for end in range(0, len(stream), 7):
        refused(tmp_path, stream[:end])
    refused(tmp_path, stream[:-1])


def test_a_second_pickle_behind_the_first_is_not_lost_silently(tmp_path):
    assert "it goes on behind its end" in refused(tmp_path, pickle.dumps(TABLE) * 2)


def test_other_kinds_of_array_are_refused_by_name(tmp_path):
    assert "it names numpy.rec.recarray" in refused(tmp_path, pickle.dumps(TABLE.view(np.recarray), 2))
    assert "it names numpy.ma" in refused(tmp_path, pickle.dumps(np.ma.masked_array([1.0]), 2))


@pytest.mark.parametrize(("name", "reason"), [("none.p", "No such file"), (".", "Is a directory")])
def test_a_file_that_is_not_there_is_told(tmp_path, name, reason):
    with pytest.raises(ValueError, match=rf"^authors: '.*' given; it must be a file \({reason}"):
        unpickle.load(tmp_path / name)


def test_what_is_admitted_is_this_and_no_more():
    arrays = [
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
    ]
    assert sorted(unpickle.ADMITTED) == sorted(
        ["numpy.ndarray", "numpy.dtype", "_codecs.encode", "__builtin__.bytes", *arrays]
    )
    for admitted in unpickle.ADMITTED.values():
        assert type(admitted).__module__ == "rnn_capacity.paper.unpickle"
        assert not hasattr(admitted, "__dict__")


# --- Files that are no pickle -----------------------------------------------------------------------------------------


def packed(mode):
    """An archive that holds a pickle."""
    file, stream = io.BytesIO(), pickle.dumps(TABLE)
    with tarfile.open(fileobj=file, mode=mode) as archive:
        about = tarfile.TarInfo("table.p")
        about.size = len(stream)
        archive.addfile(about, io.BytesIO(stream))
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("table.p", pickle.dumps(TABLE))
    return file.getvalue()


OTHERS = {
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "it is a pointer of Git LFS; git lfs pull, in its repository, gets the file itself",
    ),
    "an archive": (packed("w:gz"), "it is an archive; tar -xzf '{}' unpacks it"),
    "an archive that is not compressed": (packed("w"), "it is an archive; tar -xf '{}' unpacks it"),
    "one file compressed": (gzip.compress(pickle.dumps(TABLE)), "it is compressed; gzip -dc unpacks it"),
    "a part of one": (gzip.compress(pickle.dumps(TABLE))[:12], "it is compressed; gzip -dc unpacks it"),
    "a zip archive": (zipped(), "it is a zip archive; unzip unpacks it"),
    "a Parquet file": (
        b"PAR1" + bytes(99) + b"PAR1",
        "it is a Parquet file already; rnn_capacity.paper.dataset.read reads",
    ),
    "a web page": (b"<!DOCTYPE html><html></html>", "it is a web page; download the file itself"),
    "nothing": (b"", "it is empty"),
}


@pytest.mark.parametrize(("stream", "what"), OTHERS.values(), ids=OTHERS)
def test_of_a_file_that_is_something_else_is_told_what_to_do(tmp_path, stream, what):
    folder = tmp_path / "with space"
    folder.mkdir()
    assert f"({what.format(folder / 'table.p')}" in refused(folder, stream)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match=r"^authors: '.*' given; it must be a file \(Is a directory\)$"):
        unpickle.load(tmp_path)
