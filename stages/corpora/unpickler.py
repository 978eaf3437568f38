"""Reads the pickles that corpora ship, admitting arrays and plain containers and nothing else.

A pickle is a program: it may name any function on the machine and have it called. This reader knows a short list of names and
refuses every other before anything is called. numpy's own classes are not on it either: their unpickling trusts what the file
says about memory, so arrays are rebuilt here from dtype, shape and bytes that are checked first. FLAME files also hold sparse
matrices of scipy and arrays of chumpy; both are read as the numbers they carry, and neither package is imported.
"""

import pickle
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError

_NUMBER_KINDS = "biufcSU"
# Entries of a sparse matrix written out in full: 512 MiB. FLAME's largest has 5 x 5023.
_MAX_DENSE_ENTRIES = 1 << 26


class _RefusedGlobalError(pickle.UnpicklingError):
    pass


def load_pickle(path: Path) -> Any:
    """Loads a pickle of numbers, texts, arrays and plain containers, of Python 2 or 3.

    Args:
        path: the file.

    Returns:
        Its content; bytes of Python 2 become text by latin-1, sparse matrices and chumpy arrays become numpy arrays.

    Raises:
        ThunderError: missing, damaged, or it names anything that is not an array or a plain container; nothing was run.
    """
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted a pickle")
    if not path.exists():
        raise ThunderError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            return load_pickled(file, path)
    except OSError as error:
        raise ThunderError(f"{path}: cannot be read ({error.strerror})") from error


def load_pickled(file: IO[bytes], path: Path) -> Any:
    """Loads the pickle at the current place of an open file; see `load_pickle`. `path` is for messages."""
    try:
        unpickler = _RestrictedUnpickler(file, encoding="latin1")
        content = unpickler.load()
        return _without_stand_ins(content, {}) if unpickler.met_stand_ins else content
    except _RefusedGlobalError as error:
        raise ThunderError(
            f"{path}: the pickle asks for {error}, wanted arrays and plain containers only; nothing was run, "
            f"do not open this file with other programs"
        ) from error
    except OSError:
        raise
    except Exception as error:  # A damaged pickle can raise anything: it is a program that went wrong.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ThunderError(f"{path}: not a pickle that can be read ({reason}); download or copy it again") from error


class _RestrictedUnpickler(pickle.Unpickler):
    """Answers every name of a pickle from a short list."""

    met_stand_ins = False

    def find_class(self, module: str, name: str) -> Any:
        """What stands for `module.name`.

        Raises:
            _RefusedGlobalError: it is not on the list.
        """
        # numpy 2 keeps its internals in numpy._core, numpy 1 in numpy.core; Python 2 its own in __builtin__ and copy_reg.
        known = (
            module.replace("numpy.core.", "numpy._core.")
            .replace("__builtin__", "builtins")
            .replace("copy_reg", "copyreg")
        )
        if known.startswith("scipy.sparse."):
            known = "scipy.sparse"  # Each version of scipy keeps its matrices elsewhere.
        admitted = _ADMITTED.get((known, name))
        self.met_stand_ins |= admitted in _STAND_INS
        if admitted is None:
            raise _RefusedGlobalError(f"{module}.{name}")
        return admitted


class _Dtype:
    """Stands for `numpy.dtype` while unpickling: a plain kind and size, and a byte order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.is_object = code in ("O", "O8", "O4")
        self.dtype = np.dtype(object) if self.is_object else np.dtype(str(code))
        if not self.is_object and self.dtype.kind not in _NUMBER_KINDS:
            raise _RefusedGlobalError(f"an array of {code}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # (version, byte order, subarray, field names, fields, ...): structured types are not admitted.
        if any(part is not None for part in state[2:5]):
            raise _RefusedGlobalError("a structured array")
        if not self.is_object and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """Stands for `numpy.ndarray` while unpickling: filled by `__setstate__`, after checks."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        super().__setstate__((1, tuple(shape), dtype.dtype, bool(is_fortran), _checked(dtype, data, shape)))  # type: ignore[arg-type]


def _checked(dtype: _Dtype, data: Any, shape: tuple[int, ...]) -> bytes | list[Any]:
    """The content of an array, checked to be as much as its shape says."""
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("an array without a dtype")
    count = prod(shape)
    if dtype.is_object:
        if not isinstance(data, list) or len(data) != count or not all(map(_is_plain, data)):
            raise _RefusedGlobalError("an array of objects that are not plain containers")
        return data
    content = data.encode("latin1") if isinstance(data, str) else bytes(data)
    if len(content) != count * dtype.dtype.itemsize:
        raise pickle.UnpicklingError(f"{len(content)} bytes for an array {tuple(shape)} of {dtype.dtype}")
    return content


def _numbers(dtype: _Dtype, data: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    content = _checked(dtype, data, shape)
    if isinstance(content, list):
        raise _RefusedGlobalError("an object where a number is wanted")
    return np.frombuffer(content, dtype.dtype)


def _is_plain(value: Any) -> bool:
    """Whether a value is made of texts, numbers, arrays and containers of them."""
    if isinstance(value, dict):
        return all(_is_plain(v) for pair in value.items() for v in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    plain = bool | int | float | complex | str | bytes | np.ndarray | np.generic | _Sparse | _Chumpy
    return value is None or isinstance(value, plain)


def _reconstruct(subtype: Any, shape: tuple[int, ...], dtype: Any) -> _Array:
    """Stands for numpy's maker of empty arrays, which `__setstate__` then fills."""
    if subtype is not _Array:
        raise _RefusedGlobalError("an array of an unknown class")
    return np.empty(0, np.uint8).view(_Array)


def _frombuffer(buffer: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    """Stands for numpy's maker of arrays from pickle protocol 5."""
    return _numbers(dtype, buffer, shape).reshape(shape, order="F" if order == "F" else "C").copy(order="K")


def _scalar(dtype: _Dtype, data: Any) -> Any:
    """Stands for numpy's maker of scalars."""
    return _numbers(dtype, data, (1,))[0]


class _Sparse:
    """Stands for scipy's sparse matrices while unpickling; `dense` is what it means."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def dense(self) -> NDArray[Any]:
        """(rows, columns), entries that stand twice added up, as scipy does."""
        state = self.state
        if not isinstance(state, dict) or not {"_shape", "data"} <= state.keys():
            raise pickle.UnpicklingError("a sparse matrix without shape and data")
        rows, columns = map(int, state["_shape"])
        if rows < 0 or columns < 0 or rows * columns > _MAX_DENSE_ENTRIES:
            raise pickle.UnpicklingError(f"a sparse matrix of {rows} by {columns}")
        data = np.asarray(state["data"])
        row, column = self._places(state, rows, columns)
        if not data.shape == row.shape == column.shape:
            raise pickle.UnpicklingError("a sparse matrix whose parts are not equally long")
        if len(row) and (min(row.min(), column.min()) < 0 or row.max() >= rows or column.max() >= columns):
            raise pickle.UnpicklingError("a sparse matrix with entries outside its shape")
        dense = np.zeros((rows, columns), data.dtype)
        np.add.at(dense, (row, column), data)
        return dense

    def _places(self, state: dict[str, Any], rows: int, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column (n,) of each entry."""
        if isinstance(self, _Coordinates):
            row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
            return np.asarray(row, np.int64), np.asarray(column, np.int64)
        across, starts = (np.asarray(state[key], np.int64) for key in ("indices", "indptr"))
        num_lines = columns if isinstance(self, _ByColumn) else rows
        if starts.shape != (num_lines + 1,) or (np.diff(starts) < 0).any() or starts[0] or starts[-1] != len(across):
            raise pickle.UnpicklingError("a sparse matrix whose lines do not add up")
        along = np.repeat(np.arange(num_lines), np.diff(starts))
        return (across, along) if isinstance(self, _ByColumn) else (along, across)


class _ByColumn(_Sparse):
    """Stands for `csc_matrix`."""


class _ByRow(_Sparse):
    """Stands for `csr_matrix`."""


class _Coordinates(_Sparse):
    """Stands for `coo_matrix`."""


class _Chumpy:
    """Stands for `chumpy.Ch` while unpickling: an array with a memory of how it came about, which is left out."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> Any:
        """Its numbers."""
        if not isinstance(self.state, dict) or "x" not in self.state:
            raise pickle.UnpicklingError("a chumpy array without its numbers x")
        return self.state["x"]


def _without_stand_ins(value: Any, done: dict[int, Any]) -> Any:
    """The same content, with sparse matrices and chumpy arrays as numpy arrays.

    `done` holds what was met before, by identity: a small pickle can name one list an astronomical number of times.
    """
    if id(value) in done:
        return done[id(value)]
    plain: Any = value
    if isinstance(value, _Sparse):
        plain = value.dense()
    elif isinstance(value, _Chumpy):
        plain = np.asarray(_without_stand_ins(value.array(), done))
    elif isinstance(value, dict):
        plain = type(value)((k, _without_stand_ins(v, done)) for k, v in value.items())
    elif isinstance(value, list | tuple):
        plain = type(value)(_without_stand_ins(v, done) for v in value)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        plain = np.empty(value.shape, object)
        for k, item in enumerate(value.flat):
            plain.flat[k] = _without_stand_ins(item, done)
    done[id(value)] = plain
    return plain


# Stands for `object`, which old protocols name as the base of what they make.
_OBJECT = object()


def _made(of_class: Any, base: Any, state: Any) -> Any:
    """Stands for `copyreg._reconstructor`, by which old protocols make an empty object."""
    if of_class not in _STAND_INS or base is not _OBJECT:
        raise _RefusedGlobalError("an object of an unknown class")
    return of_class()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for `codecs.encode`, by which Python 3 writes bytes into old pickle protocols."""
    if encoding != "latin1":
        raise _RefusedGlobalError(f"the codec {encoding}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """Stands for `bytes`, which old protocols call only where there are none."""
    return b""


_STAND_INS = (_ByColumn, _ByRow, _Coordinates, _Chumpy)
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    **{("scipy.sparse", f"csc_{form}"): _ByColumn for form in ("matrix", "array")},
    **{("scipy.sparse", f"csr_{form}"): _ByRow for form in ("matrix", "array")},
    **{("scipy.sparse", f"coo_{form}"): _Coordinates for form in ("matrix", "array")},
    ("chumpy.ch", "Ch"): _Chumpy,
    ("copyreg", "_reconstructor"): _made,
    ("builtins", "object"): _OBJECT,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytes"): _empty_bytes,
}
