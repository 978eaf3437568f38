"""Reads the pickles that corpora ship, admitting numpy arrays and plain containers and nothing else.

A pickle is a program: it may name any function on the machine and have it called. This reader knows a short list of names and
refuses every other before anything is called. numpy's own classes are not on it either: their unpickling trusts what the file
says about memory, so arrays are rebuilt here from dtype, shape and bytes that are checked first.
"""

import pickle
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError

_NUMBER_KINDS = "biufcSU"


class _RefusedGlobalError(pickle.UnpicklingError):
    pass


def load_pickle(path: Path) -> Any:
    """Loads a pickle of numbers, texts, numpy arrays and plain containers, of Python 2 or 3.

    Args:
        path: the file.

    Returns:
        Its content; bytes of Python 2 become text by latin-1.

    Raises:
        ThunderError: missing, damaged, or it names anything that is not an array or a plain container; nothing was run.
    """
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted a pickle")
    if not path.exists():
        raise ThunderError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            return _RestrictedUnpickler(file, encoding="latin1").load()
    except _RefusedGlobalError as error:
        raise ThunderError(
            f"{path}: the pickle asks for {error}, wanted numpy arrays and plain containers only; nothing was run, "
            f"do not open this file with other programs"
        ) from error
    except OSError as error:
        raise ThunderError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # A damaged pickle can raise anything: it is a program that went wrong.
        raise ThunderError(f"{path}: not a pickle that can be read ({error or type(error).__name__})") from error


class _RestrictedUnpickler(pickle.Unpickler):
    """Answers every name of a pickle from a short list."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for `module.name`.

        Raises:
            _RefusedGlobalError: it is not on the list.
        """
        # numpy 2 keeps its internals in numpy._core, numpy 1 in numpy.core; Python 2 its own in __builtin__.
        known = module.replace("numpy.core.", "numpy._core.").replace("__builtin__", "builtins")
        admitted = _ADMITTED.get((known, name))
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
    return value is None or isinstance(value, bool | int | float | complex | str | bytes | np.ndarray | np.generic)


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


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for `codecs.encode`, by which Python 3 writes bytes into old pickle protocols."""
    if encoding != "latin1":
        raise _RefusedGlobalError(f"the codec {encoding}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """Stands for `bytes`, which old protocols call only where there are none."""
    return b""


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytes"): _empty_bytes,
}
