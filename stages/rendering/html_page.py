"""One page that plays clips as live heads beside each other, with sound; it needs no network and no other file.

The sound is in it as 16-bit PCM, of which the browser makes a WAV: every browser plays it, from any sample, at once, without
the delay that MP3 and AAC put before the first.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.artifacts.clips import SAMPLE_RATE_HZ, Clip
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head, rotation_features
from stages.heads.rig import rig_of
from stages.rendering.camera import PORTRAIT_FIELD_OF_VIEW, PORTRAIT_MARGIN, portrait_box, portrait_camera
from stages.rendering.error_colours import error_colours
from stages.rendering.page.moving import (
    Array,
    Moving,
    lip_opening,
    moved_by_motion,
    moved_by_vertices,
    pack_moving,
    pack_rig,
    places,
)
from stages.rendering.page.packing import pack, pack_rows
from stages.rendering.scene import head_scene
from stages.rendering.shading import STUDIO
from stages.rendering.studio import Panel
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError

# Joined in this order into one script.
_SCRIPTS = ("arrays.js", "rig.js", "camera.js", "shaders.js", "stage.js", "sound.js", "timeline.js", "page.js")
# What browsers open without a pause, on a phone too.
_MOST_MEGABYTES = 64
# Colours between which the page's error colours lie.
_RAMP_STEPS = 17
# Highlights are stored in 255ths of this: the strongest, of wet eyes, is 2.5.
_STRONGEST_GLOSS = 3.0


@dataclass(frozen=True)
class PageClip:
    """A clip as the page shows it.

    Attributes:
        clip: its facts; the motion is not used.
        template: (V, 3), the subject's face at rest.
        names: of the heads, in their order.
        labels: what is said of each.
        moving: what moves each.
        truth: number of the head that is the truth, if one is.
    """

    clip: Clip
    template: Array
    names: list[str]
    labels: list[str]
    moving: list[Moving] = field(repr=False)
    truth: int | None


def page_clip(record: HeadRecord, clip: Clip, panels: Sequence[Panel]) -> PageClip:
    """Prepares a clip: panels as of a film, a recording first where there is one.

    Exact vertices are played where a corpus keeps them, on heads that do not turn. Those of a head that turns hold its turns
    too, of which a comparison has to know nothing: there the recorded motion is played.
    """
    head = build_head(record)
    template = panels[-1].template.numpy()
    num_joints = len(rig_of(head, template).joint_names)
    truth = 0 if len(panels) > 1 and panels[0].name == "recorded" else None
    millimetres = 1000.0 if record.units == "m" else 1.0
    lips = record.regions["lips"].astype(int)
    true_lips: Array | None = None
    moving = []
    exact = not rotation_features(record)
    for k, panel in enumerate(panels):
        here = np.minimum(np.arange(clip.num_frames), len(panel.motion) - 1)  # a shorter recording stands still
        motion = panel.motion.numpy()[here]
        vertices = panel.vertices[here] if exact and panel.vertices is not None else None
        rest = panel.template.numpy()
        curves = [millimetres * lip_opening(head, motion, rest, vertices)]
        if truth is not None:
            found = places(head, motion, rest, lips, vertices)
            true_lips = found if k == truth else true_lips
            assert true_lips is not None  # the recording stands first
            curves.append(millimetres * np.linalg.norm(found - true_lips, axis=-1).mean(-1))
        both = np.concatenate([np.stack(curves, axis=1), motion], axis=1).astype("f4")
        if vertices is None:
            moving.append(moved_by_motion(head, motion, rest, both))
        else:
            moving.append(moved_by_vertices(vertices, rest, num_joints, both))
    return PageClip(clip, template, [p.name for p in panels], [p.label for p in panels], moving, truth)


def write_page(path: Path, record: HeadRecord, clips: Sequence[PageClip]) -> int:
    """Writes the page; it appears under its name only when it is whole.

    Returns:
        Its size in bytes.

    Raises:
        ThunderError: it would be larger than browsers like, or cannot be written.
    """
    blocks = [("head", _head(record, clips)), *((f"clip-{k}", _clip(record, c)) for k, c in enumerate(clips))]
    parts = files("stages.rendering.page")
    title = clips[0].clip.id if len(clips) == 1 else f"{len(clips)} clips"
    text = parts.joinpath("page.html").read_text("utf-8")
    for name, content in (
        ("title", html.escape(f"{title} · thunder")),
        ("style", parts.joinpath("page.css").read_text("utf-8")),
        ("data", "\n".join(_data(name, values) for name, values in blocks)),
        ("script", "\n".join(parts.joinpath(name).read_text("utf-8") for name in _SCRIPTS)),
    ):
        text = text.replace(f"<!-- {name} -->", content, 1)
    page = text.encode()
    if len(page) > _MOST_MEGABYTES * 1_000_000:
        raise ThunderError(
            f"{path}: the page of {len(clips)} clips would have {len(page) / 1e6:.0f} MB, wanted at most "
            f"{_MOST_MEGABYTES}; choose clips by --clip, or fewer --takes"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_or_none(path) as partial:
        partial.write_bytes(page)
    return len(page)


def _data(name: str, values: dict[str, Any]) -> str:
    # `<` never stands in a script's text, so that no transcript can end it.
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _head(record: HeadRecord, clips: Sequence[PageClip]) -> dict[str, Any]:
    """All that clips share: the rig, how it looks, the light, and the names of curves."""
    rig = rig_of(build_head(record), record.template)
    template = torch.from_numpy(record.template)
    # Colours and highlights with the light that reaches them, as films have them.
    surface = head_scene(record, portrait_camera(template), 16, 16).surface.numpy()
    unit = "mm" if record.units == "m" else "head units"
    shared = [f"lip opening, {unit}"]
    if any(len(c.moving[-1].curves[0]) > len(record.features) + 1 for c in clips):
        shared.append(f"distance of the lips to the truth, {unit}")
    return {
        "name": record.name,
        "unit": unit,
        "millimetres": 1000.0 if record.units == "m" else 1.0,
        "size": float(np.ptp(record.template, axis=0).max()),
        "faces": pack(record.faces.astype(np.uint32).ravel(), differences=True),
        # The root keeps dark colours apart.
        "colours": pack(np.rint(255 * np.sqrt(np.clip(surface[:, :3], 0, 1))).astype(np.uint8).T, differences=True),
        "gloss": pack(np.rint(255 / _STRONGEST_GLOSS * surface[:, 3:5]).clip(0, 255).astype(np.uint8).T),
        "strongestGloss": _STRONGEST_GLOSS,
        "rig": pack_rig(rig, [m for c in clips for m in c.moving]),
        "curves": [*shared, *record.features],
        "numDerivedCurves": len(shared),
        "clips": [{"id": c.clip.id, "transcript": c.clip.transcript} for c in clips],
        "lamps": [
            {"direction": list(lamp.direction), "colour": list(lamp.colour), "wrap": lamp.wrap, "gloss": lamp.gloss}
            for lamp in STUDIO
        ],
        # Linear light for an even screen, as the bar of a film.
        "ramp": (error_colours(torch.linspace(0, 1, _RAMP_STEPS), 1.0) ** (1 / 2.2)).numpy().round(4).tolist(),
        "fieldOfView": PORTRAIT_FIELD_OF_VIEW,
        "margin": PORTRAIT_MARGIN,
    }


def _clip(record: HeadRecord, page: PageClip) -> dict[str, Any]:
    clip = page.clip
    num_samples = round(clip.num_frames / clip.fps * SAMPLE_RATE_HZ)
    sound = np.pad(clip.waveform[:num_samples], (0, max(0, num_samples - len(clip.waveform)))).astype(np.int16)
    template = torch.from_numpy(page.template)
    low, high = portrait_box(template, template[record.landmarks["chin"]])
    return {
        "id": clip.id,
        "transcript": clip.transcript,
        "facts": [f for f in (clip.subject, clip.emotion, clip.language) if f not in ("", "unknown", "neutral")],
        "fps": clip.fps,
        "numFrames": clip.num_frames,
        "phones": [[round(p.start_s, 4), round(p.end_s, 4), p.label] for p in clip.phones],
        "sound": pack(sound, differences=True),
        "sampleRate": SAMPLE_RATE_HZ,
        "template": pack_rows(page.template.T),
        "box": [low.tolist(), high.tolist()],
        "truth": page.truth,
        "heads": [
            {"name": name, "label": label, **pack_moving(moving, page.template)}
            for name, label, moving in zip(page.names, page.labels, page.moving, strict=True)
        ],
    }
