"""Takes as files for other programs, one file a take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from stages.artifacts.clips import ClipFile, open_clips
from stages.artifacts.head_record import HeadRecord
from stages.audio.waveform import write_wav
from stages.formats.frame_rate import at_frame_rate, check_frame_rate
from stages.formats.live_link_face import write_live_link_face
from stages.formats.vertex_npy import write_vertex_npy
from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import Head, build_head
from stages.runtime.errors import ThunderError, explained_write
from stages.runtime.progress import Progress, silent

Format = Literal["npy", "arkit"]

_SUFFIX: dict[Format, str] = {"npy": "npy", "arkit": "csv"}
# Coordinates computed at once when vertices are written: 16 MiB.
_BLOCK_SIZE = 1 << 22


@dataclass(frozen=True)
class ExportResult:
    """What `export` wrote: one file a take, and with `arkit` the speech of every clip."""

    files: list[Path]
    num_clips: int
    num_takes: int


def export(
    path: Path,
    output: Path,
    output_format: Format,
    *,
    clip_ids: Sequence[str] = (),
    takes: Sequence[int] = (),
    fps: float | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> ExportResult:
    """Writes takes k = 0, 1, ... of every clip to `<clip>.<k>.<suffix>`.

    `npy`: vertices (T, V, 3) float32 in head units, head pose included, on the face of the clip's subject. `arkit`: Live
    Link Face CSV, with the speech as `<clip>.wav` beside it; frame 0 and the first sample fall together.

    Args:
        path: `thunder.samples`, or a `thunder.dataset`, whose recorded motion is take 0.
        output: folder to write to; made if it is not there.
        clip_ids: clips to export; all if empty.
        takes: takes to export; all if empty.
        fps: frames a second to write, resampled where a clip has others; the clip's own if None.
        force: replace files that exist.

    Raises:
        ThunderError: no such clip or take, a head whose motion the format cannot hold, a file that exists, or a folder
            that cannot be written. Files finished before are kept.
    """
    if output.exists() and not output.is_dir():
        raise ThunderError(f"{output}: a file, wanted a folder for the export; choose another --output")
    if fps is not None:
        check_frame_rate(fps)
    with open_clips(path) as clips:
        columns = _arkit_columns(clips.head, path) if output_format == "arkit" else []
        plan = _plan(clips, clip_ids, takes)
        suffix = _SUFFIX[output_format]
        targets = [output / f"{clip_id}.{k}.{suffix}" for clip_id, chosen in plan.items() for k in chosen]
        sounds = [output / f"{clip_id}.wav" for clip_id in plan] if output_format == "arkit" else []
        _refuse_existing([*targets, *sounds], force=force)
        with explained_write(output):
            output.mkdir(parents=True, exist_ok=True)
        head = build_head(clips.head)
        with progress("exporting", total=len(targets)) as advance:
            for clip_id, chosen in plan.items():
                # Exact vertices are what was recorded; the motion of a displacement head only approximates them.
                clip = clips.read(clip_id, vertices=output_format == "npy" and clips.head.kind == "displacement")
                rate = clip.fps if fps is None else fps
                for k in chosen:
                    target, motion = output / f"{clip_id}.{k}.{suffix}", at_frame_rate(clip.takes[k], clip.fps, rate)
                    if output_format == "arkit":
                        write_live_link_face(target, motion[:, columns], rate)
                    elif clip.vertices is not None:
                        exact = at_frame_rate(clip.vertices, clip.fps, rate)
                        write_vertex_npy(target, [exact], len(exact), exact.shape[1])
                    else:
                        blocks = _vertex_blocks(head, motion, clips.template(clip.subject))
                        write_vertex_npy(target, blocks, len(motion), len(clips.head.template))
                    advance(1)
                if output_format == "arkit":
                    write_wav(output / f"{clip_id}.wav", clip.waveform)
    return ExportResult([*targets, *sounds], len(plan), len(targets))


def _plan(clips: ClipFile, clip_ids: Sequence[str], takes: Sequence[int]) -> dict[str, list[int]]:
    """Clip id -> the takes of it to export, all checked to exist."""
    plan = {}
    for clip_id in clip_ids or clips:
        num_takes = len(clips.read(clip_id).takes)
        missing = [k for k in takes if not 0 <= k < num_takes]
        if missing:
            raise ThunderError(
                f"{clips.path}: clip {clip_id}: take {missing[0]} wanted, found {num_takes} takes, counted from 0; "
                f"choose --takes among them"
            )
        plan[clip_id] = list(dict.fromkeys(takes)) or list(range(num_takes))
    return plan


def _refuse_existing(targets: Sequence[Path], *, force: bool) -> None:
    """Looks at all files before the first is written, so that an export is not refused half-way."""
    existing = [target for target in targets if target.exists()]
    if existing and not force:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise ThunderError(
            f"{existing[0]}{more}: exists already; give --force to replace it, or choose another --output"
        )
    folders = [target for target in existing if target.is_dir()]
    if folders:
        raise ThunderError(f"{folders[0]}: a folder, wanted to write a file of that name; choose another --output")


def _arkit_columns(head: HeadRecord, path: Path) -> list[int]:
    """Where in the head's motion each ARKit feature stands.

    Raises:
        ThunderError: the head has no such features.
    """
    missing = [name for name in ARKIT_FEATURES if name not in head.features]
    if missing:
        raise ThunderError(
            f"{path}: --format arkit wants a head with ARKit's curves, found head {head.name} ({head.kind}) without "
            f"{missing[0]}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; use --format npy"
        )
    return [head.features.index(name) for name in ARKIT_FEATURES]


def _vertex_blocks(head: Head, motion: np.ndarray, template: np.ndarray) -> Iterator[np.ndarray]:
    """Vertices (t, V, 3) of a motion (T, D), head pose included, a few frames at a time."""
    rest = torch.from_numpy(template)
    with torch.inference_mode():
        for frames in torch.from_numpy(motion).split(max(1, _BLOCK_SIZE // rest.numel())):
            yield head.vertices(frames, template=rest).numpy()
