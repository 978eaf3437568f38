"""Pictures in pages: heads of clips at the moments that tell most, and figures on the surface of a head in colours."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import Head, build_head
from stages.metrics.faces import Face
from stages.pages import charts
from stages.rendering.camera import portrait_camera
from stages.rendering.error_colours import error_colours
from stages.rendering.scene import head_scene
from stages.rendering.shading import Lamp, display_bytes
from stages.rendering.studio import PANEL_ASPECT, Panel, Shoot, Studio, whole_frames_a_thread

# One soft lamp beside the camera: where the surface faces it, colours are those of the bar.
_LAMPS = (Lamp((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), wrap=1.0),)


@dataclass(frozen=True)
class Portrait:
    """A picture (height, width, 3) of a head, sRGB bytes, and what it shows."""

    label: str
    picture: NDArray[np.uint8]


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture (height, width, 3) as text that a page can hold: WebP, base64."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="webp", quality=86)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def portraits(clips: ClipFile, count: int, height: int) -> list[Portrait]:
    """Heads of a dataset or of samples, each where its mouth is widest open: as many subjects as there is room for.

    Args:
        count: at most so many pictures; samples of fewer clips show several takes of each.
        height: of a picture, pixels.

    Raises:
        ThunderError: a clip is damaged, or its motion is broken.
    """
    first_of: dict[str, str] = {}
    for clip_id in clips:
        first_of.setdefault(clips.summary(clip_id).subject, clip_id)
    ids = list(first_of.values()) if len(first_of) > 1 else list(clips)
    ids = [ids[k] for k in np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)]
    head = build_head(clips.head)
    found: list[Portrait] = []
    with whole_frames_a_thread() as num_workers:
        studio = Studio(clips.head, height, torch.device("cpu"), num_workers, oversampling=2)
        for clip_id in ids:
            clip = clips.read(clip_id)
            template = torch.from_numpy(clips.template(clip.subject))
            num_takes = min(len(clip.takes), max(1, count // len(ids)))
            for take in range(num_takes):
                motion = torch.from_numpy(clip.takes[take])
                frame = int(lip_gap(Face(head, motion, template)).argmax())
                picture = Shoot(studio, clip_id, [Panel(f"take {take}", "", motion, template)]).draw([frame])[0, 0]
                found.append(Portrait(_label(clip, take, frame), picture))
    return found


def portrait_of_head(record: HeadRecord, height: int) -> Portrait:
    """A head at rest."""
    with whole_frames_a_thread() as num_workers:
        studio = Studio(record, height, torch.device("cpu"), num_workers, oversampling=2)
        rest = torch.zeros(1, len(record.features))
        panel = Panel("at rest", "", rest, torch.from_numpy(record.template), vertices=record.template[None])
        return Portrait(f"{record.name}, at rest", Shoot(studio, record.name, [panel]).draw([0])[0, 0])


def portrait_strip(found: Sequence[Portrait], height: int) -> Markup:
    """Portraits side by side with their labels below, to be scrolled where a screen is narrow."""
    width = height * PANEL_ASPECT
    parts, most_lines = [], 0
    for k, portrait in enumerate(found):
        x, lines = k * (width + 6), _wrapped(portrait.label, int(width / 6.2))
        parts.append(embedded(portrait.picture, x, 0, width, height, portrait.label))
        parts += [charts.text(x, height + 13 + 13 * n, line, "tick") for n, line in enumerate(lines)]
        most_lines = max(most_lines, len(lines))
    return charts.svg(len(found) * (width + 6), height + 5 + 13 * most_lines, "heads", parts, fixed=True)


def embedded(picture: NDArray[np.uint8], x: float, y: float, width: float, height: float, title: str) -> Markup:
    """A picture within a drawing."""
    return Markup(
        '<image x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" href="{}"><title>{}</title></image>'
    ).format(x, y, width, height, data_uri(picture), title)


def lip_gap(face: Face) -> Tensor:
    """Distance (..., T) of the mid-points of the inner lips without head pose, head units."""
    landmarks = face.head.record.landmarks
    top, bottom = face.vertices(torch.tensor([landmarks["lip_top"], landmarks["lip_bottom"]])).unbind(-2)
    return torch.linalg.vector_norm(top - bottom, dim=-1)


def surface_figure(head: Head, values: NDArray[np.float64], highest: float, unit: str, title: str) -> Markup:
    """A value for each vertex (V,) in colours on the head at rest, with the bar of the colours from 0 to `highest`."""
    height, width = 360, round(360 * PANEL_ASPECT)
    picture = _coloured(head.record, values, highest or 1.0, 2 * height, 2 * width)
    parts = [embedded(picture, 0, 0, width, height, title)]
    bar = charts.Axis(0.0, highest or 1.0, height - 12, 18)
    steps = 48
    for k in range(steps):
        linear = error_colours(torch.tensor((k + 0.5) / steps), 1.0)
        red, green, blue = display_bytes(linear).tolist()
        y = bar.at(bar.high * (k + 1) / steps)
        parts.append(
            Markup('<rect x="{}" y="{:.1f}" width="10" height="{:.1f}" fill="rgb({},{},{})"/>').format(
                width + 6, y, (bar.start - bar.end) / steps + 0.5, red, green, blue
            )
        )
    for value in bar.ticks():
        parts.append(charts.text(width + 19, bar.at(value) + 4, f"{value:g}", "tick"))
    parts.append(charts.text(width + 4, 10, unit, "tick"))
    return charts.svg(charts.WIDTH, height, title, parts)


def _coloured(
    record: HeadRecord, values: NDArray[np.float64], highest: float, height: int, width: int
) -> NDArray[np.uint8]:
    template = torch.from_numpy(record.template)
    camera = portrait_camera(template, width / height, chin=template[record.landmarks["chin"]])
    linear = error_colours(torch.from_numpy(values).float(), highest)
    scene = head_scene(record, camera, height, width)
    scene = replace(scene, surface=torch.cat([linear, torch.zeros(len(linear), 2)], 1), lamps=_LAMPS)
    with torch.inference_mode():
        picture, _ = scene.render(template[None])
    return np.asarray(display_bytes(picture)[0].numpy())


def _label(clip: Clip, take: int, frame: int) -> str:
    moment = f"{frame / clip.fps:.2f} s"
    who = "" if clip.subject in ("", "unknown") or clip.id.startswith(clip.subject) else f"{clip.subject} · "
    return f"{who}{clip.id} · " + (f"take {take} · {moment}" if clip.motion.ndim == 3 else moment)


def _wrapped(words: str, width: int) -> list[str]:
    """At most three lines of so many letters."""
    lines = [""]
    for word in words.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines[:3]]
