"""NumPy arrays from a pickle that nobody vouches for: what it names is looked up here, and never imported.

A pickle is a program: it can name any function and have it called. NumPy's own functions trust what they are given,
too: a dtype's state that lies about where its objects are makes NumPy follow any address. So the few names that a
pickle of arrays needs stand for small things of ours, which build each array again from the stream's description.

Not guarded against: a stream that asks for more memory than there is.
"""

import contextlib
import math
import os
import pickle
import re
import shlex
import zlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from rnn_capacity.checks import InputError

# What else people have under the name of a pickle, by how it begins, and what to do.
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS; git lfs pull, in its repository, gets the file itself",
    b"\x1f\x8b": "compressed; gzip -dc unpacks it",
    b"PK\x03\x04": "a zip archive; unzip unpacks it",
    b"PAR1": "a Parquet file already; rnn_capacity.paper.dataset.read reads one that was written here",
    b"<": "a web page; download the file itself",
}
_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d*|O[48]?|V\d+)")


class _Global:
    """What a stream gets for a name. It can be called, and not changed: BUILD sets attributes of a plain function."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable | None = None):
        self._call = call

    def __call__(self, *args):
        if self._call is None:
            raise pickle.UnpicklingError("it calls a class that it may only mention")
        return self._call(*args)

    def __setstate__(self, state):
        raise pickle.UnpicklingError("it changes what it may only call")


class _Dtype:
    """Stands in for `numpy.dtype`: `value` is what NumPy makes of the code and the fields, with its own checks."""

    __slots__ = ("value",)

    def __init__(self, code, align=False, copy=False):
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"it has a dtype {code!r}")
        code = "O" if "O" in code else code  # Python 2 says O8
        self.value = None if "V" in code else np.dtype(code)  # a V is known by its fields

    def __setstate__(self, state):
        version, order, subarray, names, fields, itemsize = state[:6]
        if version not in (3, 4) or subarray is not None:
            raise pickle.UnpicklingError("it has a dtype of a kind that a table does not have")
        if names is None:
            self.value = _known(self).newbyteorder(order)
        else:
            formats, offsets = zip(*(fields[name][:2] for name in names), strict=True)
            formats = [_known(dtype) for dtype in formats]
            self.value = np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": itemsize})


class _Array:
    """Stands in for `numpy.ndarray`: `value` is None until the stream has said what is in it."""

    __slots__ = ("value",)

    def __init__(self, value=None):
        self.value = value

    def __setstate__(self, state):
        version, shape, dtype, is_fortran, data = state
        if version != 1:
            raise pickle.UnpicklingError(f"it has an array of version {version!r}")
        self.value = _build(shape, dtype, "F" if is_fortran else "C", data)


def _known(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _Dtype) or dtype.value is None:
        raise pickle.UnpicklingError("it has a dtype without fields")
    return dtype.value


def _build(shape: Any, dtype: Any, order: Literal["C", "F"], data: Any) -> np.ndarray:
    dtype = _known(dtype)
    if dtype.hasobject:  # a list of the elements, tuples where these have fields
        if not isinstance(data, list) or not all(isinstance(v, tuple) or not dtype.names for v in data):
            raise pickle.UnpicklingError("it has an array of objects whose elements are not listed")
        array = np.empty(len(data), dtype)
        for i, element in enumerate(data):
            array[i] = element
        return array.reshape(shape, order=order)
    data = data.encode("latin1") if isinstance(data, str) else data  # a Python 2 string
    if not isinstance(data, bytes | bytearray) or len(data) != dtype.itemsize * math.prod(shape):
        raise pickle.UnpicklingError("it has an array whose size is not that of its data")
    return np.ndarray(shape, dtype, bytes(data), order=order)  # a copy, for a stream can change a bytearray later


def _reconstruct(subtype, shape, typecode):
    if subtype is not _NDARRAY:
        raise pickle.UnpicklingError("it has an array of a class that is not ndarray")
    return _Array()


def _scalar(dtype, data):
    return _build((), dtype, "C", data).item()


def _frombuffer(data, dtype, shape, order, axis_order=None):
    if axis_order is not None:
        raise pickle.UnpicklingError("it has an array of permuted axes")
    return _Array(_build(shape, dtype, order, data))


def _encode(text, encoding):
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it has bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_NDARRAY = _Global()

# Every name in the pickle of an array of numbers, strings, and objects of plain types.
ADMITTED = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _Global(_Dtype),
    "_codecs.encode": _Global(_encode),  # bytes, pickled by Python 3 at protocols 0 to 2
    "__builtin__.bytes": _Global(lambda: b""),  # the same where there are none
}
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    ADMITTED[f"{_core}.multiarray._reconstruct"] = _Global(_reconstruct)
    ADMITTED[f"{_core}.multiarray.scalar"] = _Global(_scalar)
    ADMITTED[f"{_core}.numeric._frombuffer"] = _Global(_frombuffer)  # protocol 5


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        full = f"{module}.{name}"
        if full not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {full}")
        return ADMITTED[full]


def _other(start: bytes, path: str | os.PathLike) -> str | None:
    """What a file that begins so is, if no pickle, and what to do; None where that is not known."""
    unpacked = start
    with contextlib.suppress(zlib.error):
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, 512)  # of gzip; never more than that
    if unpacked[257:262] == b"ustar":
        return f"it is an archive; tar -x{'z' * (unpacked != start)}f {shlex.quote(os.fspath(path))} unpacks it"
    if not start:
        return "it is empty"
    return next((f"it is {what}" for begins, what in _OTHERS.items() if start.startswith(begins)), None)


def load(path: str | os.PathLike) -> list[np.ndarray]:
    """The arrays of a pickle: of one array, or of a dict or list of arrays, written by Python 2 or 3 at any protocol.

    Strings of Python 2 come as str; NumPy scalars in an array of objects come as Python's own numbers.

    Raises:
        InputError: the file cannot be read, is no whole pickle, names anything but what arrays need, or holds something
            else than arrays.
    """
    must = f"authors: {str(path)!r} given; it must be a pickle of NumPy arrays and plain types alone"
    start = b"?"
    try:
        with open(path, "rb") as file:
            start = file.peek(512)
            found = _Unpickler(file, encoding="latin1").load()
            if file.read(1):
                raise pickle.UnpicklingError("it goes on behind its end")
    except OSError as error:
        raise InputError(f"authors: {str(path)!r} given; it must be a file ({error.strerror})") from None
    except Exception as error:  # a broken stream may raise anything
        reason = "".join(c for c in str(error) or type(error).__name__ if c.isprintable())[:200]  # it quotes the stream
        reason = _other(start, path) or reason
        raise InputError(f"{must} ({reason})") from None
    if isinstance(found, dict):
        found = list(found.values())
    arrays = [found] if isinstance(found, _Array) else found
    if not isinstance(arrays, list | tuple) or not arrays:
        raise InputError(f"{must} (it holds no array)")
    if not all(isinstance(array, _Array) and array.value is not None for array in arrays):
        raise InputError(f"{must} (it holds something that is no array)")
    return [array.value for array in arrays]
