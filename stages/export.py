"""Takes as files for other programs, with the speech beside them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.artifacts.head_record import HeadRecord
from stages.audio.waveform import write_wav
from stages.formats.blendshape_set import BlendshapeSet, read_blendshape_set
from stages.formats.fitted_curves import write_fitted_curves
from stages.formats.flame_npz import write_flame_npz
from stages.formats.frame_rate import at_frame_rate, check_frame_rate
from stages.formats.gltf import Take, write_glb
from stages.formats.live_link_face import write_live_link_face
from stages.formats.mesh_sequence import write_mesh_sequence
from stages.formats.polygon_file import write_ply
from stages.formats.usd import need_usd, write_usd
from stages.formats.vertex_npy import write_vertex_npy
from stages.formats.viseme_events import viseme_events, write_viseme_events
from stages.formats.wavefront import write_obj
from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import FlameHead, LinearHead, build_head
from stages.heads.rig import rig_motion, rig_of, yaw_pitch_roll
from stages.heads.vertex_blocks import vertex_blocks
from stages.metrics.visemes import SILENCE, oculus_viseme_of, viseme_of
from stages.rendering.shading import vertex_normals
from stages.runtime.errors import ThunderError, explained_write
from stages.runtime.progress import Progress, silent

Format = Literal["arkit", "gltf", "npy", "vocaset", "obj", "ply", "flame", "viseme", "wav", "usd"]

# What follows `<clip>.<k>`, in formats of one file a take or of one folder of meshes, and `<clip>`, in those of one a clip.
_TAKE_SUFFIX: dict[Format, str] = {
    "npy": ".npy",
    "arkit": ".csv",
    "flame": ".npz",
    "usd": ".usdc",
    "obj": "",
    "ply": "",
}
_CLIP_SUFFIX: dict[Format, str] = {"gltf": ".glb", "viseme": ".visemes.json"}
_SEQUENCES: tuple[Format, ...] = ("obj", "ply")
_OF_VERTICES: tuple[Format, ...] = ("npy", "vocaset", *_SEQUENCES)
# Made of the speech, whatever the takes are.
_OF_SPEECH: tuple[Format, ...] = ("viseme", "wav")


@dataclass(frozen=True)
class ExportResult:
    """What `export` wrote: files, or folders of meshes, and the speech of every clip; `viseme` and `wav` have no takes.

    `residuals`, of fitted curves: file -> root mean square distance of vertices from what the curves make, in `units`.
    """

    files: list[Path]
    num_clips: int
    num_takes: int
    residuals: dict[Path, float] = field(default_factory=dict)
    units: str = "m"


def export(
    path: Path,
    output: Path,
    output_format: Format,
    *,
    clip_ids: Sequence[str] = (),
    takes: Sequence[int] = (),
    fps: float | None = None,
    blendshapes: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> ExportResult:
    """Writes takes k = 0, 1, ... of every clip, and its speech as `<clip>.wav`; frame 0 and the first sample fall together.

    arkit: `<clip>.<k>.csv`, Live Link Face CSV; of heads without these curves, fitted to `blendshapes`.
    usd: `<clip>.<k>.usdc`, the face of the clip's subject and one take as its animation.
    gltf: `<clip>.glb`, the face of the clip's subject, an animation a take.
    npy: `<clip>.<k>.npy`, vertices (T, V, 3) float32 in head units, head pose included, on the face of the clip's subject.
    vocaset: the same as (T, V*3), `take<k>/<subject>_<sentence>.npy`: one folder a take, in VOCASET's names; speech in `wav/`.
    obj, ply: the same as meshes, `<clip>.<k>/000000.obj` ...
    flame: `<clip>.<k>.npz`, coefficients of FLAME.
    viseme: `<clip>.visemes.json`, events of Polly's and of Oculus's visemes, by the clip's phones.
    wav: the speech alone.

    Args:
        path: `thunder.samples`, or a `thunder.dataset`, whose recorded motion is take 0.
        output: folder to write to; made if it is not there.
        clip_ids: clips to export; all if empty.
        takes: takes to export; all if empty.
        fps: frames a second to write, resampled where a clip has others; the clip's own if None.
        blendshapes: arkit only: a set as `read_blendshape_set` reads it, to which vertices are fitted frame by frame.
        force: replace files that exist.

    Raises:
        ThunderError: no such clip or take, a head whose motion the format cannot hold, options that the format has no use
            for, a file that exists, or a folder that cannot be written. Files finished before are kept.
    """
    if output.exists() and not output.is_dir():
        raise ThunderError(f"{output}: a file, wanted a folder for the export; choose another --output")
    _check_options(output_format, takes, fps)
    if blendshapes is not None and output_format != "arkit":
        raise ThunderError(
            f"--blendshapes is what curves are fitted to, and --format {output_format} has none; leave it out"
        )
    if output_format == "usd":
        need_usd()
    with open_clips(path) as clips:
        given = None if blendshapes is None else read_blendshape_set(blendshapes, clips.head)
        _check_head(output_format, clips.head, path, fitted=given is not None)
        plan = _plan(clips, clip_ids, takes)
        if output_format == "viseme":
            _check_phones(clips, plan)
        names = _names(clips, output_format, plan)
        targets = {clip_id: _targets(output, output_format, names[clip_id], chosen) for clip_id, chosen in plan.items()}
        files = list(chain.from_iterable(targets.values()))
        speech = output / "wav" if output_format == "vocaset" else output
        sounds = {clip_id: speech / f"{names[clip_id]}.wav" for clip_id in plan}
        _refuse_existing(files, force=force, folders=output_format in _SEQUENCES)
        _refuse_existing(list(sounds.values()), force=force)
        head = build_head(clips.head)
        residuals: dict[Path, float] = {}
        with progress("exporting", total=len(plan)) as advance:
            for clip_id, chosen in plan.items():
                # Exact vertices are what was recorded; the motion of a displacement head only approximates them.
                exact = (output_format in _OF_VERTICES or given is not None) and clips.head.kind == "displacement"
                clip = clips.read(clip_id, vertices=exact)
                for folder in {target.parent for target in (*targets[clip_id], sounds[clip_id])}:
                    with explained_write(folder):
                        folder.mkdir(parents=True, exist_ok=True)
                if output_format == "viseme":
                    _write_visemes(targets[clip_id][0], clip)
                else:
                    template = clips.template(clip.subject)
                    written = targets[clip_id]
                    residuals |= _write_takes(output_format, written, clip, chosen, head, template, fps, given)
                write_wav(sounds[clip_id], clip.waveform)
                advance(1)
    num_takes = 0 if output_format in _OF_SPEECH else sum(len(chosen) for chosen in plan.values())
    return ExportResult([*files, *sounds.values()], len(plan), num_takes, residuals, head.record.units)


def _check_options(output_format: Format, takes: Sequence[int], fps: float | None) -> None:
    if fps is not None:
        check_frame_rate(fps)
    if output_format in _OF_SPEECH and (takes or fps is not None):
        raise ThunderError(
            f"--format {output_format} is made of the speech, which has no takes or frames; leave out --takes and --fps"
        )


def _check_head(output_format: Format, head: HeadRecord, path: Path, *, fitted: bool) -> None:
    if output_format == "arkit" and not fitted:
        _arkit_columns(head, path)
    if output_format == "flame" and head.kind != "flame":
        raise ThunderError(
            f"{path}: --format flame wants a FLAME head, found head {head.name} ({head.kind}), whose motion has no FLAME "
            f"coefficients; use --format gltf or npy"
        )


def _names(clips: ClipFile, output_format: Format, plan: dict[str, list[int]]) -> dict[str, str]:
    """Clip id -> what its files are called: the same, or `<subject>_<sentence>` where scripts take names apart."""
    if output_format != "vocaset":
        return {clip_id: clip_id for clip_id in plan}
    names = {}
    for clip_id in plan:
        subject = re.sub(r"[^A-Za-z0-9._-]", "-", clips.summary(clip_id).subject)
        names[clip_id] = clip_id if clip_id.startswith(f"{subject}_") else f"{subject}_{clip_id}"
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        both = " and ".join(clip_id for clip_id, name in names.items() if name == twice[0])
        raise ThunderError(f"{clips.path}: clips {both} would both be {twice[0]}.npy; choose between them with --clip")
    return names


def _targets(output: Path, output_format: Format, name: str, takes: Sequence[int]) -> list[Path]:
    """The files of one clip, its sound apart: one a take, or one for all of them, or none."""
    if output_format == "vocaset":
        return [output / f"take{k}" / f"{name}.npy" for k in takes]
    if output_format in _TAKE_SUFFIX:
        return [output / f"{name}.{k}{_TAKE_SUFFIX[output_format]}" for k in takes]
    return [output / f"{name}{_CLIP_SUFFIX[output_format]}"] if output_format in _CLIP_SUFFIX else []


def _write_takes(
    output_format: Format,
    targets: Sequence[Path],
    clip: Clip,
    takes: Sequence[int],
    head: LinearHead | FlameHead,
    template: np.ndarray,
    fps: float | None,
    given: BlendshapeSet | None,
) -> dict[Path, float]:
    """Writes what `_targets` listed for one clip; returns how far vertices remain from fitted curves, where some are fitted."""
    rate = clip.fps if fps is None else fps
    motions = [at_frame_rate(clip.takes[k], clip.fps, rate) for k in takes]
    if output_format == "gltf":
        _write_gltf(targets[0], clip, takes, motions, head, template, rate)
        return {}
    residuals: dict[Path, float] = {}
    for target, motion in zip(targets, motions if targets else (), strict=True):
        if output_format == "usd":
            rig, moved = rig_of(head, template), rig_motion(head, motion, template)
            colours = head.record.arrays.get("colours")
            write_usd(target, rig, head.record.faces, moved, rate, colours=colours, sound=f"{clip.id}.wav")
        elif given is not None:
            blocks = _blocks(clip, head, motion, template, rate, pose=False)
            turns = yaw_pitch_roll(head, motion, template)
            residuals[target] = write_fitted_curves(target, blocks, turns, template, given, rate)
        elif output_format == "arkit":
            write_live_link_face(target, motion[:, _arkit_columns(head.record, target)], rate)
        elif output_format == "flame":
            write_flame_npz(target, motion, head.record.features, template, rate)
        else:
            blocks = _blocks(clip, head, motion, template, rate)
            _write_vertices(output_format, target, blocks, len(motion), head.record)
    return residuals


def _blocks(
    clip: Clip,
    head: LinearHead | FlameHead,
    motion: np.ndarray,
    template: np.ndarray,
    rate: float,
    *,
    pose: bool = True,
) -> Iterator[np.ndarray]:
    """Vertices (t, V, 3) of a resampled motion, or those that were recorded, where the clip has them."""
    if clip.vertices is not None:
        return iter([at_frame_rate(clip.vertices, clip.fps, rate)])
    return vertex_blocks(head, motion, template, pose=pose)


def _write_vertices(
    output_format: Format, target: Path, blocks: Iterator[np.ndarray], num_frames: int, head: HeadRecord
) -> None:
    frames = chain.from_iterable(blocks)
    if output_format == "obj":
        write_mesh_sequence(target, ".obj", frames, partial(write_obj, faces=head.faces))
    elif output_format == "ply":
        write = partial(write_ply, faces=head.faces, colours=head.arrays.get("colours"))
        write_mesh_sequence(target, ".ply", frames, write)
    else:
        write_vertex_npy(target, blocks, num_frames, len(head.template), flat=output_format == "vocaset")


def _check_phones(clips: ClipFile, clip_ids: Iterable[str]) -> None:
    for clip_id in clip_ids:
        if not clips.summary(clip_id).num_phones:
            raise ThunderError(
                f"{clips.path}: clip {clip_id}: its phones are not known, and visemes are made of them; export clips of a "
                f"dataset with phones (`<clip>.phones.json` beside a recording), or samples of it (thunder sample --split)"
            )


def _write_visemes(target: Path, clip: Clip) -> None:
    sets = {
        name: viseme_events(clip.phones, clip.duration_s, of, str(of(SILENCE)))
        for name, of in (("polly", viseme_of), ("oculus", oculus_viseme_of))
    }
    write_viseme_events(target, clip.id, clip.duration_s, sets)


def _write_gltf(
    target: Path,
    clip: Clip,
    takes: Sequence[int],
    motions: Sequence[np.ndarray],
    head: LinearHead | FlameHead,
    template: np.ndarray,
    fps: float,
) -> None:
    animations = [
        Take(f"{clip.id}.{k}", rig_motion(head, motion, template), fps)
        for k, motion in zip(takes, motions, strict=True)
    ]
    faces = head.record.faces
    normals = vertex_normals(torch.from_numpy(template)[None], torch.from_numpy(faces))[0].numpy()
    colours = head.record.arrays.get("colours")
    rig = rig_of(head, template)
    write_glb(target, rig, faces, normals, animations, colours=colours, sound=f"{clip.id}.wav")


def _plan(clips: ClipFile, clip_ids: Sequence[str], takes: Sequence[int]) -> dict[str, list[int]]:
    """Clip id -> the takes of it to export, all checked to exist."""
    plan = {}
    for clip_id in clip_ids or clips:
        num_takes = clips.summary(clip_id).num_takes
        missing = [k for k in takes if not 0 <= k < num_takes]
        if missing:
            raise ThunderError(
                f"{clips.path}: clip {clip_id}: take {missing[0]} wanted, found {num_takes} takes, counted from 0; "
                f"choose --takes among them"
            )
        plan[clip_id] = list(dict.fromkeys(takes)) or list(range(num_takes))
    return plan


def _refuse_existing(targets: Sequence[Path], *, force: bool, folders: bool = False) -> None:
    """Looks at all files before the first is written, so that an export is not refused half-way."""
    existing = [target for target in targets if target.exists()]
    if existing and not force:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise ThunderError(
            f"{existing[0]}{more}: exists already; give --force to replace it, or choose another --output"
        )
    others = [target for target in existing if target.is_dir() != folders]
    if others:
        found, wanted = ("file", "folder") if folders else ("folder", "file")
        raise ThunderError(f"{others[0]}: a {found}, wanted to write a {wanted} of that name; choose another --output")


def _arkit_columns(head: HeadRecord, path: Path) -> list[int]:
    """Where in the head's motion each ARKit feature stands.

    Raises:
        ThunderError: the head has no such features.
    """
    missing = [name for name in ARKIT_FEATURES if name not in head.features]
    if missing:
        raise ThunderError(
            f"{path}: --format arkit wants a head with ARKit's curves, found head {head.name} ({head.kind}) without "
            f"{missing[0]}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; use --format gltf or npy, or "
            f"give shapes on its topology with --blendshapes"
        )
    return [head.features.index(name) for name in ARKIT_FEATURES]
