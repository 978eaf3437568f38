"""Recordings made ready for the writer of a dataset, many at a time: read, brought to one clock, projected to a head's motion.

Curves and coefficients are parsed, which Python does one at a time: processes read them. Vertices are read, projected and
measured by compiled code that threads run side by side, and are too many to hand from one process to another: threads read
them once, and the writer takes them from memory.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor

from stages.artifacts.head_record import HeadRecord
from stages.corpora.alignment import align
from stages.corpora.checks import check_same_order
from stages.corpora.corpus import Frames, RawClip, Recording
from stages.heads.displacement import ReconstructionError, project
from stages.runtime.ahead import in_order
from stages.runtime.errors import Failure, ThunderError

# Starting processes takes seconds: not worth it for fewer recordings than this.
_FEW_RECORDINGS = 64
# Vertices worked on at a time, in each thread: small enough for a processor's cache, and for memory to be used again.
_BLOCK_BYTES = 1 << 21
# Vertices of a recording that wait in memory for the writer; those of longer ones it reads again.
_HELD_BYTES = 48 << 20
# One writer keeps no more threads than this busy.
_MAX_THREADS = 4
# Recordings that wait for the writer, for each process.
_AHEAD = 4


@dataclass(frozen=True)
class Prepared:
    """What is made of a recording before it is written.

    Attributes:
        raw: sound and facts; vertices where they are to be kept, in memory but for a long recording, which is read again.
        motion: (T, D).
        remark: on what was cut, empty if nothing was.
        error: of the motion against the vertices; None without such.
    """

    raw: RawClip
    motion: np.ndarray
    remark: str
    error: ReconstructionError | None


def prepare(
    recording: Recording,
    template: np.ndarray | None,
    *,
    fps: float | None,
    allow_mismatch: bool,
    head: HeadRecord | None,
    keep: bool,
) -> Prepared | Failure:
    """Reads a recording, and projects its vertices, where it has them, to motion.

    Args:
        recording: of any layout.
        template: its subject's face at rest (V, 3); the head's where None.
        fps: frame rate to write; None keeps the recording's.
        allow_mismatch: go on where sound and motion differ by 100 ms or more.
        head: with the basis that vertices are projected to; None for recordings that have motion.
        keep: hand the vertices on.

    Returns:
        What is to be written, or why the recording cannot be used.
    """
    try:
        raw, remark = align(recording.read(), fps, allow_mismatch=allow_mismatch)
        if raw.vertices is None:
            assert raw.motion is not None, "a recording has motion or vertices"
            return Prepared(raw, raw.motion, remark, None)
        assert head is not None, "vertices come with a displacement head"
        template = head.template if template is None else template
        check_same_order("first frame", raw.vertices[:1][0], template, head.faces)
        shape = (len(raw.vertices), *template.shape)
        held = np.empty(shape, np.float32) if keep and shape[0] * template.nbytes <= _HELD_BYTES else None
        motion, error, start = [], ReconstructionError(), 0
        for frames in in_blocks(raw.vertices, _BLOCK_BYTES):
            if held is not None:
                held[start : start + len(frames)] = frames
                start += len(frames)
            displacements = frames - template
            motion.append(project(head, displacements))
            error.add(head, motion[-1], displacements)
        if held is not None:
            raw = replace(raw, vertices=Frames(held.__getitem__, len(held)))
        elif not keep:
            raw = replace(raw, vertices=None)
        return Prepared(raw, np.concatenate(motion), remark, error)
    except ThunderError as error:
        return Failure(recording.id, str(error))
    except OSError as error:
        return Failure(recording.id, f"{error.filename}: cannot be read ({error.strerror})")


def in_blocks(frames: Frames, num_bytes: int = _HELD_BYTES) -> Iterator[np.ndarray]:
    """All frames, a few at a time."""
    size = max(1, num_bytes // max(1, frames[:1].nbytes))
    return (frames[start : min(start + size, len(frames))] for start in range(0, len(frames), size))


def prepare_all(
    calls: Sequence[tuple[Recording, np.ndarray | None]], job: Callable[..., Prepared | Failure], jobs: int
) -> Iterator[tuple[tuple[Recording, np.ndarray | None], Prepared | Failure]]:
    """Prepares recordings in order, none of them far ahead of the writer.

    Args:
        calls: recordings, each with its subject's template.
        job: `prepare` with all but these given.
        jobs: processes, or threads where recordings are meshes.

    Returns:
        Each call, and what came of it.
    """
    if any(recording.frames is not None for recording, _ in calls):
        with ThreadPoolExecutor(min(jobs, _MAX_THREADS)) as threads:
            yield from in_order(threads, job, calls, ahead=min(jobs, _MAX_THREADS) + 1)
    elif jobs == 1 or len(calls) < _FEW_RECORDINGS:
        yield from ((call, job(*call)) for call in calls)
    else:
        with ProcessPoolExecutor(jobs) as processes:
            yield from in_order(processes, job, calls, ahead=_AHEAD * jobs)
