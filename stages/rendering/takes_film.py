"""Moving heads of one clip as a film with sound, as a folder of frames, or as a contact sheet."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from stages.artifacts.clips import Clip
from stages.artifacts.head_record import HeadRecord
from stages.rendering.error_colours import colour_bar
from stages.rendering.frames_folder import write_frames
from stages.rendering.picture import caption, grid, num_columns, opaque, write_png
from stages.rendering.studio import Shoot
from stages.rendering.video import AddFrames, Container, write_film
from stages.runtime.progress import Progress, silent

# Frames that the colours of a gif are taken from: enough to see the mouth open, few enough to be kept in memory.
_PALETTE_FRAMES = 8


@dataclass(frozen=True)
class Layout:
    """How the heads of one clip stand on a picture, and what is written there."""

    shoot: Shoot
    clip: Clip
    head: HeadRecord
    captions: bool
    error_scale_mm: float | None

    def bar(self, width: int) -> np.ndarray:
        """What the colours mean, (height, width, C); of no height where there are none."""
        studio = self.shoot.studio
        if self.error_scale_mm is None:
            return np.zeros((0, width, studio.channels), np.uint8)
        unit = "mm" if self.head.units == "m" else "head units"
        return opaque(colour_bar(self.error_scale_mm, unit, studio.caption_height + 4, width), studio.channels)


def film_takes(layout: Layout, path: Path, output_format: str, progress: Progress = silent) -> int:
    """Writes all frames of a clip: a film of a container of `write_film`, or a folder of pictures where the format is `frames`.

    Returns:
        Pictures of heads drawn.
    """
    shoot, clip = layout.shoot, layout.clip
    studio, count = shoot.studio, len(shoot.panels)
    # (N, 0 or caption height, width, C)
    labels = np.stack([opaque(studio.label(panel.label), studio.channels) for panel in shoot.panels])
    labels = labels if layout.captions else labels[:, :0]
    height = studio.height + labels.shape[1]
    columns = num_columns(count, studio.width / height)
    bar = layout.bar(columns * studio.width)
    size = (math.ceil(count / columns) * height + len(bar), columns * studio.width)

    def composed(pictures: np.ndarray) -> np.ndarray:
        under = np.broadcast_to(labels, (len(pictures), *labels.shape))
        scene = grid(np.concatenate([pictures, under], axis=2), columns)
        return np.concatenate([scene, np.broadcast_to(bar, (len(scene), *bar.shape))], axis=1)

    palette_of = None
    if output_format == "gif":
        spread = _spread(clip.num_frames, _PALETTE_FRAMES)
        palette_of = np.concatenate([composed(pictures) for pictures in shoot.runs(spread)])
    with (
        progress(f"rendering {clip.id}", total=clip.num_frames) as advance,
        _film_writer(path, size, clip, output_format, studio.transparent, palette_of) as add,
    ):
        for pictures in shoot.runs(range(clip.num_frames)):
            add(composed(pictures))
            advance(len(pictures))
    return clip.num_frames * count


def _spread(num_frames: int, count: int) -> list[int]:
    """The middles of equal parts of a clip."""
    count = min(count, num_frames)
    return [int((k + 0.5) * num_frames / count) for k in range(count)]


def _film_writer(
    path: Path,
    size: tuple[int, int],
    clip: Clip,
    output_format: str,
    transparent: bool,
    palette_of: np.ndarray | None,
) -> AbstractContextManager[AddFrames]:
    waveform = clip.waveform.astype("f4") / 32768
    for container in get_args(Container):
        if container == output_format:
            return write_film(
                path,
                size,
                clip.num_frames,
                clip.fps,
                waveform=waveform,
                container=container,
                transparent=transparent,
                palette_of=palette_of,
            )
    return write_frames(path, clip.num_frames, waveform=waveform)


def lay_out_stills(layout: Layout, path: Path, num_stills: int, progress: Progress = silent) -> int:
    """Writes a contact sheet: a row for each panel, and evenly spaced frames from left to right.

    Returns:
        Pictures of heads drawn.
    """
    shoot, clip = layout.shoot, layout.clip
    studio = shoot.studio
    frames = _spread(clip.num_frames, num_stills)
    num_stills = len(frames)
    runs = []
    with progress(f"rendering {clip.id}", total=num_stills) as advance:
        for pictures in shoot.runs(frames):
            runs.append(pictures)
            advance(len(pictures))
    panels = np.concatenate(runs)  # (stills, N, height, width, C)
    if layout.captions:
        names = [[f"{p.name} · {f / clip.fps:.2f} s{_spoken(clip, f)}" for p in shoot.panels] for f in frames]
        labels = opaque(np.array([[studio.label(text) for text in row] for row in names]), studio.channels)
        panels = np.concatenate([panels, labels], axis=2)
    sheet = grid(panels.swapaxes(0, 1).reshape(-1, *panels.shape[2:]), num_stills)
    parts = [sheet, layout.bar(sheet.shape[1])]
    if layout.captions:
        title = caption(f"{clip.id}   {clip.transcript}".strip(), studio.caption_height, sheet.shape[1])
        parts.insert(0, opaque(title, studio.channels))
    write_png(path, np.concatenate(parts))
    return num_stills * len(shoot.panels)


def _spoken(clip: Clip, frame: int) -> str:
    time = frame / clip.fps
    return next((f" · {p.label}" for p in clip.phones if p.start_s <= time < p.end_s), "")
