"""An artifact that takes long: what is finished when the writing is interrupted can be gone on with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.artifacts.files import (
    ArtifactFile,
    PartialFile,
    check_output,
    read_artifact,
    read_json_attribute,
    write_provenance,
)
from stages.runtime.errors import ThunderError, explained_write
from stages.runtime.provenance import Provenance


def unfinished_path(path: Path) -> Path:
    """Where an interrupted run leaves what it finished of `path`."""
    return path.with_name(f".{path.name}.unfinished")


def check_unfinished(path: Path, schema: str, provenance: Provenance, *, resume: bool, force: bool) -> bool:
    """Whether there is something to go on with, checked to be of the same inputs and options.

    Raises:
        ThunderError: an unfinished file is there and neither `resume` nor `force` is set, or it is of other inputs or
            options, or damaged.
    """
    partial = unfinished_path(path)
    if not partial.exists() or (force and not resume):
        return False
    if not resume:
        raise ThunderError(
            f"{partial}: left by an interrupted run; give --resume to go on with it, or --force to begin again"
        )
    with read_artifact(partial, schema) as file:
        for what, wanted in (("config", dict(provenance.config)), ("inputs", dict(provenance.inputs))):
            if read_json_attribute(file, what) != json.loads(json.dumps(wanted)):
                raise ThunderError(
                    f"{partial}: the interrupted run had other {'options' if what == 'config' else 'inputs'}; "
                    f"repeat them, or begin again with --force and without --resume"
                )
        if int(file.attrs["seed"]) != provenance.seed:
            raise ThunderError(f"{partial}: the interrupted run had --seed {file.attrs['seed']}; repeat it")
    return True


@contextmanager
def write_resumable(
    path: Path, schema: str, provenance: Provenance, *, force: bool, resume: bool
) -> Iterator[ArtifactFile]:
    """Opens an artifact for writing, or for going on; it appears under its name only when the block ends without an error.

    What is written should be flushed whenever a part of it is whole: a killed program leaves what was flushed.

    Raises:
        ThunderError: as `write_artifact` and `check_unfinished`, or another program is writing the same file.
    """
    check_output(path, force=force)
    going_on = check_unfinished(path, schema, provenance, resume=resume, force=force)
    partial = unfinished_path(path)
    keep = False
    # Append mode first: another run's file must not be emptied before its lock is asked for.
    with explained_write(path), partial.open("ab") as holder:
        _lock(holder.fileno(), path)
        try:
            with PartialFile(partial, "r+" if going_on else "w+") as beneath:
                with ArtifactFile(beneath, "r+" if going_on else "w") as file:
                    try:
                        if not going_on:
                            write_provenance(file, schema, provenance)
                        yield file
                    except BaseException as error:
                        keep = not isinstance(error, Exception) and beneath.failure is None
                        beneath.abandoned = not keep
                        if isinstance(error, Exception) and beneath.failure is not None:
                            raise beneath.failure from error
                        raise
                file.check_written()
            partial.replace(path)
        finally:
            if not keep:
                partial.unlink(missing_ok=True)


def _lock(descriptor: int, path: Path) -> None:
    with suppress(ImportError):  # Windows has no such lock, and does not let two programs write one file anyway.
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ThunderError(
                f"{path}: another program is writing it now; wait, or choose another --output"
            ) from error
        except OSError:
            return  # Some network disks know no locks.
