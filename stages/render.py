"""Films takes side by side with sound, or lays their frames out on a contact sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.rendering.picture import caption, grid, num_columns, write_png
from stages.rendering.studio import Panel, Shoot, Studio, whole_frames_a_thread
from stages.rendering.video import write_film
from stages.runtime.devices import resolve_device
from stages.runtime.errors import Failure, ThunderError
from stages.runtime.progress import Progress, silent

Format = Literal["mp4", "png"]

# Stills are few and small, and looked at for longer than a frame of a film.
STILL_OVERSAMPLING = 2


@dataclass(frozen=True)
class RenderResult:
    """What `render` made.

    Attributes:
        files: one a clip that went well.
        failures: the clips that did not.
        num_clips: how many were asked for.
        num_frames: pictures of heads drawn, over all panels.
    """

    files: list[Path]
    failures: list[Failure]
    num_clips: int
    num_frames: int


def render(
    input_path: Path,
    output_path: Path,
    *,
    output_format: Format = "mp4",
    clip_ids: Sequence[str] = (),
    takes: Sequence[int] = (),
    reference_path: Path | None = None,
    panel_height: int = 480,
    num_stills: int = 8,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = silent,
) -> RenderResult:
    """Films the takes of clips, one file a clip.

    All panels of a file are seen by one camera, under the same light. Frames are drawn and written in short runs, so
    that memory does not grow with the length of a clip.

    Args:
        input_path: `samples.h5`, or a `dataset.h5` to film what was recorded.
        output_path: the file to write; where there are several clips, `<stem>.<clip><suffix>` beside it.
        output_format: `mp4`, or `png` for a sheet with a row for each take and columns of evenly spaced frames.
        clip_ids: which clips; all, if none is named.
        takes: numbers of the takes, from 0; all, if none is named.
        reference_path: a dataset whose clips of the same names are shown first.
        panel_height: pixels.
        num_stills: columns of a sheet.
        device: where to draw.
        force: replace outputs that exist.
        progress: told one unit a frame.

    Raises:
        ThunderError: unreadable input, unknown clip or take, or, if only one clip was asked for, its failure.
    """
    if not 32 <= panel_height <= 4096:
        raise ThunderError(f"panel height wanted 32 to 4096 pixels, found {panel_height}; choose another --size")
    if not 1 <= num_stills <= 64:
        raise ThunderError(f"a sheet wanted 1 to 64 columns, found {num_stills}; choose other --columns")
    where = resolve_device(device)
    if where.type == "mps":
        where = torch.device("cpu")  # has no 64-bit scatter, of which the z-buffer is made
    with open_clips(input_path) as clips, whole_frames_a_thread() as num_workers:
        chosen = list(dict.fromkeys(clip_ids)) or clips.ids()
        for clip_id in chosen:
            clips.summary(clip_id)  # says at once which clip is unknown
        targets = {clip_id: _target(output_path, clip_id, alone=len(chosen) == 1) for clip_id in chosen}
        for path in targets.values():
            check_output(path, force=force)
        files, failures, num_frames = [], [], 0
        studio = Studio(
            clips.head,
            panel_height,
            where,
            num_workers,
            oversampling=STILL_OVERSAMPLING if output_format == "png" else 1,
        )
        for clip_id, path in targets.items():
            try:
                panels, clip = _panels(clips, clip_id, takes, reference_path, where)
                shoot = Shoot(studio, clip_id, panels)
                if output_format == "mp4":
                    num_frames += _film(shoot, clip, path, progress)
                else:
                    num_frames += _sheet(shoot, clip, path, num_stills, progress)
                files.append(path)
            except ThunderError as error:
                if len(chosen) == 1:
                    raise
                failures.append(Failure(clip_id, str(error)))
    return RenderResult(files, failures, len(chosen), num_frames)


def _target(output_path: Path, clip_id: str, *, alone: bool) -> Path:
    return output_path if alone else output_path.with_name(f"{output_path.stem}.{clip_id}{output_path.suffix}")


def _panels(
    clips: ClipFile, clip_id: str, takes: Sequence[int], reference_path: Path | None, device: torch.device
) -> tuple[list[Panel], Clip]:
    """The heads of one clip, the reference first."""
    panels = []
    if clips.schema == "thunder.dataset":
        if any(take != 0 for take in takes):
            raise ThunderError(f"{clips.path}: a dataset holds one take of each clip; leave out --takes")
        panel, clip = _recorded(clips, clip_id, device)
        panels.append(panel)
    else:
        clip = clips.read(clip_id)
        template = torch.from_numpy(clips.template(clip.subject)).to(device)
        for take in takes or range(len(clip.motion)):
            if not 0 <= take < len(clip.motion):
                raise ThunderError(
                    f"{clips.path}: clip {clip_id} has takes 0 to {len(clip.motion) - 1}, but --takes names {take}"
                )
            seed = f" · seed {clip.seed[take]}" if clip.seed is not None else ""
            motion = torch.from_numpy(clip.motion[take]).to(device)
            panels.append(Panel(f"take {take}", f"{clip_id} · take {take}{seed}", motion, template))
    if clip.num_frames == 0:
        raise ThunderError(f"{clips.path}: clip {clip_id} has no frames")
    if reference_path is not None:
        panels.insert(0, _reference_panel(reference_path, clips, clip, device))
    return panels, clip


def _reference_panel(path: Path, clips: ClipFile, clip: Clip, device: torch.device) -> Panel:
    with open_clips(path, "thunder.dataset") as reference:
        if reference.head.motion_fingerprint != clips.head.motion_fingerprint:
            raise ThunderError(
                f"{path}: holds motion of head {reference.head.name} ({reference.head.motion_fingerprint}), but {clips.path} "
                f"{clips.head.name} ({clips.head.motion_fingerprint}); give the dataset of the samples' head"
            )
        panel, recorded = _recorded(reference, clip.id, device)
    if recorded.fps != clip.fps:
        raise ThunderError(
            f"{path}: clip {clip.id} has {recorded.fps:g} fps, but {clips.path} {clip.fps:g}; "
            f"give the dataset that the samples were made from"
        )
    return panel


def _recorded(clips: ClipFile, clip_id: str, device: torch.device) -> tuple[Panel, Clip]:
    clip = clips.read(clip_id, vertices=True)
    template = torch.from_numpy(clips.template(clip.subject)).to(device)
    motion = torch.from_numpy(clip.motion).to(device)
    return Panel("recorded", f"{clip_id} · recorded", motion, template, clip.vertices), clip


def _film(shoot: Shoot, clip: Clip, path: Path, progress: Progress) -> int:
    studio, count = shoot.studio, len(shoot.panels)
    columns = num_columns(count, studio.width / (studio.height + studio.caption_height))
    captions = np.stack([studio.label(panel.label) for panel in shoot.panels])
    size = (math.ceil(count / columns) * (studio.height + studio.caption_height), columns * studio.width)
    waveform = clip.waveform.astype("f4") / 32768
    with (
        progress(f"rendering {clip.id}", total=clip.num_frames) as advance,
        write_film(path, size, clip.num_frames, clip.fps, waveform=waveform) as add,
    ):
        for pictures in shoot.runs(range(clip.num_frames)):
            under = np.broadcast_to(captions, (len(pictures), *captions.shape))
            add(grid(np.concatenate([pictures, under], axis=2), columns))
            advance(len(pictures))
    return clip.num_frames * count


def _sheet(shoot: Shoot, clip: Clip, path: Path, num_stills: int, progress: Progress) -> int:
    studio = shoot.studio
    num_stills = min(num_stills, clip.num_frames)
    # The middles of equal parts of the clip.
    frames = [int((k + 0.5) * clip.num_frames / num_stills) for k in range(num_stills)]
    runs = []
    with progress(f"rendering {clip.id}", total=num_stills) as advance:
        for pictures in shoot.runs(frames):
            runs.append(pictures)
            advance(len(pictures))
    labels = [[f"{p.name} · {f / clip.fps:.2f} s{_spoken(clip, f)}" for p in shoot.panels] for f in frames]
    captions = np.array([[studio.label(text) for text in row] for row in labels])
    panels = np.concatenate([np.concatenate(runs), captions], axis=2).swapaxes(0, 1)  # (N, stills, height, width, 3)
    sheet = grid(panels.reshape(-1, *panels.shape[2:]), num_stills)
    title = caption(f"{clip.id}   {clip.transcript}".strip(), studio.caption_height, sheet.shape[1])
    write_png(path, np.concatenate([title, sheet]))
    return num_stills * len(shoot.panels)


def _spoken(clip: Clip, frame: int) -> str:
    time = frame / clip.fps
    return next((f" · {p.label}" for p in clip.phones if p.start_s <= time < p.end_s), "")
