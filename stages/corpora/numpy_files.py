"""Reads .npy and .npz files of strangers: arrays are checked against the size of the file, objects are read as data.

numpy itself either refuses arrays of objects, which many corpora hold, or runs what their pickles ask for; and it reserves the
memory that a header asks for before it looks at what follows. Neither is wanted here.
"""

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from stages.corpora.unpickler import load_pickled
from stages.runtime.errors import ThunderError

# Uncompressed, one array: a file of zeros of any size compresses to nothing.
_MAX_BYTES = 4 << 30


def read_npz(path: Path) -> dict[str, Any]:
    """Reads a .npz file, or a .npy file that holds one dictionary (`np.save(path, {...})`).

    Returns:
        Name -> array, or what an array of objects of zero dimensions holds: sparse matrices come as arrays.

    Raises:
        ThunderError: missing, damaged, too large, or with objects that are not data; nothing was run.
    """
    if path.suffix.lower() == ".npy":
        content = read_npy(path)
        if not isinstance(content, dict):
            raise ThunderError(f"{path}: wanted a dictionary of arrays, found {_described(content)}")
        return content
    _check_is_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            content = {}
            for info in archive.infolist():
                with archive.open(info) as member:
                    content[info.filename.removesuffix(".npy")] = _read(member, info.file_size, path)
            return content
    except OSError as error:
        raise ThunderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ThunderError:
        raise
    except Exception as error:  # A damaged archive raises whatever its many compressors do.
        raise ThunderError(
            f"{path}: not a .npz file, or cut short ({error or type(error).__name__}); copy it again"
        ) from error


def read_npy(path: Path) -> Any:
    """Reads a .npy file: an array, or what an array of objects of zero dimensions holds.

    Raises:
        ThunderError: missing, damaged, too large, or with objects that are not data; nothing was run.
    """
    _check_is_file(path)
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, path)
    except OSError as error:
        raise ThunderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        raise ThunderError(f"{path}: not a .npy array, or cut short ({error}); copy it again") from error


def npy_shape(path: Path) -> tuple[int, ...] | None:
    """The shape that the header of a .npy file promises; None where there is no such header."""
    try:
        with path.open("rb") as file:
            return _header(file)[0]
    except (OSError, ValueError, EOFError):
        return None


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise ThunderError(f"{path}: {'a folder, wanted a file' if path.is_dir() else 'no such file'}")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format version {version}, wanted 1.0 or 2.0")


def _read(file: IO[bytes], num_bytes: int, path: Path) -> Any:
    if num_bytes > _MAX_BYTES:
        raise ThunderError(f"{path}: an array of {num_bytes / 2**30:.1f} GiB, wanted at most {_MAX_BYTES >> 30} GiB")
    shape, is_fortran, dtype = _header(file)
    if dtype.hasobject:
        if dtype != np.dtype(object):
            raise ThunderError(f"{path}: a structured array with objects, wanted numbers")
        content = load_pickled(file, path)
        return content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    content = file.read(_MAX_BYTES + 1)
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(content) != wanted:
        raise ValueError(f"{len(content)} bytes for an array {shape} of {dtype}")
    values = np.frombuffer(content, dtype)
    return values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)


def _described(content: Any) -> str:
    return f"an array {content.shape}" if isinstance(content, np.ndarray) else type(content).__name__
