"""Opening, checking and atomically writing an artifact, whatever its schema.

Every file carries in its root attributes what it is (`schema`, `schema_version`), what wrote it (`toolkit_version`,
`created_utc`, `command`, `seed`, `config`, `inputs`). Plain numbers and JSON only, never pickle. A file is written beside
its target and renamed when it is whole, so that a killed command leaves the old file or none.
"""

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.artifacts.decoded_size import check_decoded_size
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance, toolkit_version

# Schema -> the version that this toolkit writes and the newest that it reads, and the command that makes such a file.
SCHEMAS: dict[str, tuple[int, str]] = {
    "thunder.head": (1, "make assets/head.h5"),
    "thunder.dataset": (1, "thunder preprocess"),
    "thunder.m2s": (1, "thunder train-m2s"),
    "thunder.vocoder": (1, "thunder train-vocoder"),
    "thunder.recogniser": (1, "thunder train-recogniser"),
    "thunder.lipreader": (1, "thunder train-lipreader"),
    "thunder.diffusion": (1, "thunder train-diffusion"),
    "thunder.animator": (1, "thunder train-animator"),
    "thunder.samples": (1, "thunder sample"),
    "thunder.metrics": (1, "thunder evaluate"),
    "thunder.training": (1, "an interrupted training"),
}


def check_output(path: Path, *, force: bool, inputs: Sequence[Path | None] = ()) -> None:
    """Refuses early, before hours of work, an output that exists or cannot be written.

    Args:
        path: the output.
        force: it may replace a file.
        inputs: what the command reads, and so may never replace; those that are None were not given.

    Raises:
        ThunderError: the file exists and `force` is not set, it is an input, or its folder cannot be written.
    """
    if path.resolve() in (given.resolve() for given in inputs if given is not None):
        raise ThunderError(f"{path}: is an input of this command too; choose another --output")
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted a file name for the output; choose another --output")
    if path.exists() and not path.is_file():
        raise ThunderError(f"{path}: a device or pipe, wanted a file name for the output; choose another --output")
    if path.exists() and not force:
        raise ThunderError(f"{path}: exists already; give --force to replace it, or choose another --output")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ThunderError(
            f"{path.parent}: cannot make this folder ({error.strerror}); choose another --output"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise ThunderError(f"{path.parent}: no permission to write here; choose another --output")


class PartialFile(io.FileIO):
    """The file below an HDF5 file that is being written; its writes never fail.

    HDF5 cannot close a file that it could not write: it tries again when the program ends, and crashes. So a failure is
    remembered here, what follows is dropped, and the file closes in peace before it is thrown away.
    """

    def __init__(self, path: Path, mode: str = "w+") -> None:
        super().__init__(path, mode)
        self.failure: OSError | None = None
        self.abandoned = False

    def write(self, data: Any) -> int:
        """Writes all of `data`, or nothing once the file is lost."""
        remaining = memoryview(data).cast("B")
        size = len(remaining)
        try:
            while len(remaining) and not self._is_lost():
                remaining = remaining[super().write(remaining) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Sets the length of the file, unless it is lost."""
        try:
            return 0 if self._is_lost() else super().truncate(size)
        except OSError as error:
            self.failure = error
            return 0

    def _is_lost(self) -> bool:
        return self.abandoned or self.failure is not None


class ArtifactFile(h5py.File):
    """An HDF5 file that is being written."""

    def __init__(self, beneath: PartialFile, mode: str = "w") -> None:
        super().__init__(beneath, mode)
        self._beneath = beneath

    def check_written(self) -> None:
        """Tells early that the disk is full: HDF5 does not notice.

        Raises:
            OSError: something could not be written.
        """
        if self._beneath.failure is not None:
            raise self._beneath.failure


@contextmanager
def write_artifact(path: Path, schema: str, provenance: Provenance, *, force: bool) -> Iterator[ArtifactFile]:
    """Opens a new artifact for writing; it appears under its name only when the block ends without an error.

    Raises:
        ThunderError: the output exists and `force` is not set, its folder cannot be written, or the disk is full.
    """
    check_output(path, force=force)
    with whole_or_none(path) as partial, PartialFile(partial) as beneath:
        with ArtifactFile(beneath) as file:
            try:
                write_provenance(file, schema, provenance)
                yield file
            except BaseException as error:
                beneath.abandoned = True
                if isinstance(error, Exception) and beneath.failure is not None:
                    # HDF5 missed what was dropped; the reason is that it could not be written.
                    raise beneath.failure from error
                raise
        file.check_written()


def write_provenance(file: h5py.File, schema: str, provenance: Provenance) -> None:
    """Writes the root attributes."""
    file.attrs["schema"] = schema
    file.attrs["schema_version"] = SCHEMAS[schema][0]
    file.attrs["toolkit_version"] = toolkit_version()
    file.attrs["created_utc"] = datetime.now(UTC).isoformat(timespec="seconds")
    # Names of files may hold bytes that are no text.
    file.attrs["command"] = provenance.command.encode(errors="backslashreplace").decode()
    file.attrs["seed"] = provenance.seed
    file.attrs["config"] = json.dumps(dict(provenance.config))
    file.attrs["inputs"] = json.dumps(dict(provenance.inputs))


@contextmanager
def read_artifact(path: Path, *schemas: str) -> Iterator[h5py.File]:
    """Opens an artifact for reading after checking that it is one of the wanted kinds (any kind if none is named).

    Raises:
        ThunderError: no such file, not HDF5, cut short, another schema, or written by a newer toolkit.
    """
    hint = "` or `".join(SCHEMAS[s][1] for s in schemas)
    with open_hdf5(path, hint=hint) as file:
        with explained_damage(path):
            found = file.attrs.get("schema")
            if not isinstance(found, str) or found not in (schemas or SCHEMAS):
                wanted = " or ".join(schemas) if schemas else "a thunder artifact"
                found = found if isinstance(found, str) else "an HDF5 file of another program"
                make = f"; make it with `{hint}`" if hint else ""
                raise ThunderError(f"{path}: wanted {wanted}, found {found}{make}")
            version = int(file.attrs["schema_version"])
            if version > SCHEMAS[found][0]:
                writer = file.attrs.get("toolkit_version", "unknown")
                raise ThunderError(
                    f"{path}: {found} version {version} was written by a newer toolkit ({writer}); "
                    f"this one reads up to {SCHEMAS[found][0]}: upgrade thunder"
                )
        yield file


@contextmanager
def open_hdf5(path: Path, *, hint: str = "") -> Iterator[h5py.File]:
    """Opens any HDF5 file for reading, explaining what is wrong where that fails.

    Args:
        hint: the command that makes such a file.
    """
    make = f"; make it with `{hint}`" if hint else ""
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted an HDF5 file{make}")
    if not path.exists():
        raise ThunderError(f"{path}: no such file{make}")
    if path.stat().st_size == 0:
        raise ThunderError(f"{path}: empty, wanted an HDF5 file{make}")
    try:
        # An artifact is whole when it gets its name, so readers need no lock, which some network disks refuse.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise ThunderError(f"{path}: no permission to read; change its mode, or name a copy") from error
        if "truncated" in str(error):
            raise ThunderError(f"{path}: not a readable HDF5 file (cut short, copy or make it again)") from error
        raise ThunderError(f"{path}: not a readable HDF5 file (wanted an artifact of this toolkit){make}") from error
    with file:
        yield file


@contextmanager
def explained_damage(where: Path | str) -> Iterator[None]:
    """Turns what h5py raises in a file with missing or damaged parts, which is nearly anything, into one line.

    Only reading belongs into such a block: an error of our own would be mistaken for damage.
    """
    try:
        yield
    except (OSError, RuntimeError, LookupError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise ThunderError(f"{where}: incomplete or damaged ({reason}); copy it again, or make it again") from error


def write_array(group: h5py.Group, name: str, values: np.ndarray, axes: str, units: str | None = None) -> h5py.Dataset:
    """Writes one dataset with its axis letters ("T,V,3") and, where it has one, its unit."""
    dataset = group.create_dataset(name, data=values)
    dataset.attrs["axes"] = axes
    if units is not None:
        dataset.attrs["units"] = units
    return dataset


def read_array(group: h5py.Group, name: str, *, ndim: int | None = None, finite: bool = True) -> np.ndarray:
    """Reads one dataset, checking that it is there, has `ndim` axes, and holds finite numbers.

    Raises:
        ThunderError: the dataset is missing, has another rank, or holds NaN or infinity.
    """
    where = f"{group.file.filename}: {group.name.rstrip('/')}/{name}"
    with explained_damage(where):
        dataset = group.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise ThunderError(f"{where} is missing; the file is incomplete, make it again")
        if ndim is not None and dataset.ndim != ndim:
            raise ThunderError(f"{where}: wanted {ndim} axes, found shape {dataset.shape}")
        check_decoded_size(dataset, where)
        values = np.asarray(dataset[()])
    if finite and np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise ThunderError(f"{where} holds NaN or infinity; make the file again from clean data")
    return values


def read_names(group: h5py.Group, name: str) -> tuple[str, ...]:
    """Reads a one-dimensional dataset of strings."""
    return tuple(v.decode() if isinstance(v, bytes) else str(v) for v in read_array(group, name, ndim=1))


def write_names(group: h5py.Group, name: str, values: tuple[str, ...], axes: str) -> None:
    """Writes a one-dimensional dataset of UTF-8 strings."""
    dataset = group.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
    dataset.attrs["axes"] = axes


def read_json_attribute(file: h5py.File, name: str) -> dict[str, Any]:
    """A root attribute that holds a JSON object."""
    try:
        value = json.loads(file.attrs[name])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ThunderError(f"{file.filename}: attribute {name} is missing or not JSON; make the file again") from error
    if not isinstance(value, dict):
        raise ThunderError(f"{file.filename}: attribute {name} wanted a JSON object, found {type(value).__name__}")
    return value


def schema_of(path: Path, *schemas: str) -> str:
    """Which of some kinds an artifact is.

    Raises:
        ThunderError: none of them.
    """
    with read_artifact(path, *schemas) as file:
        return str(file.attrs["schema"])


def inputs_of(path: Path, *schemas: str) -> dict[str, str]:
    """Name -> SHA-256 of what an artifact of one of these kinds was made of.

    Raises:
        ThunderError: not such a file.
    """
    with read_artifact(path, *schemas) as file:
        return read_json_attribute(file, "inputs")
