"""Small, true-to-form heads, clips and datasets for tests: no shipped file is needed to make them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.artifacts.clips import SAMPLE_RATE_HZ, Clip, Phone, write_clips
from stages.artifacts.head_record import HeadRecord
from stages.heads.arkit import ARKIT_CURVES, ARKIT_FEATURES
from stages.runtime.provenance import Provenance

# A face of 8 columns and 8 rows, 12 cm wide and 16 cm high, bulging 4 cm towards +Z. Row 0 is the chin.
_COLUMNS = _ROWS = 8


def _vertex(row: int, column: int) -> int:
    return row * _COLUMNS + column


def small_head(seed: int = 0) -> HeadRecord:
    """A blendshape head of 64 vertices with the embedded head's features, regions, landmarks and arrays.

    The mouth slit lies between rows 2 and 3. `jawOpen` drops rows 0 to 2 by up to 3 cm; every other curve is a smooth
    bump of up to 1 cm somewhere on the face, drawn from `seed`.
    """
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-0.06, 0.06, _COLUMNS), np.linspace(-0.08, 0.08, _ROWS))
    template = np.stack([x, y, 0.04 * np.cos(x / 0.06) * np.cos(y / 0.08)], axis=-1).reshape(-1, 3).astype("f4")
    corner = np.add.outer(np.arange(_ROWS - 1) * _COLUMNS, np.arange(_COLUMNS - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + _COLUMNS], axis=-1)
    upper = np.stack([corner + 1, corner + _COLUMNS + 1, corner + _COLUMNS], axis=-1)
    centres = template[rng.integers(len(template), size=len(ARKIT_CURVES))]  # (K, 3)
    distances = np.linalg.norm(template - centres[:, None], axis=-1)  # (K, V)
    directions = rng.normal(size=(len(ARKIT_CURVES), 1, 3))
    directions *= 0.01 / np.linalg.norm(directions, axis=-1, keepdims=True)
    basis = np.exp(-((distances / 0.03) ** 2))[..., None] * directions
    jaw = np.zeros((len(template), 3))
    jaw[: 3 * _COLUMNS, 1] = -0.03 * np.cos(template[: 3 * _COLUMNS, 0] / 0.06)
    basis[ARKIT_CURVES.index("jawOpen")] = jaw
    rows = np.arange(len(template)).reshape(_ROWS, _COLUMNS)
    return HeadRecord(
        kind="blendshape",
        name="small test head",
        units="m",
        template=template,
        faces=np.concatenate([lower, upper]).astype("i4"),
        features=ARKIT_FEATURES,
        regions={
            "lips": rows[2:4, 2:6].ravel().astype("i4"),
            "mouth": rows[0:5, 1:7].ravel().astype("i4"),
            "upper_face": rows[5:8].ravel().astype("i4"),
        },
        landmarks={
            "lip_top": _vertex(3, 3),
            "lip_bottom": _vertex(2, 3),
            "mouth_left": _vertex(2, 5),
            "mouth_right": _vertex(2, 2),
            "chin": _vertex(0, 3),
            "nose_tip": _vertex(5, 3),
        },
        arrays={
            "basis": basis.astype("f4"),
            "pivot": np.array([0.0, -0.05, -0.06], "f4"),
            "rotation_weights": np.ones(len(template), "f4"),
        },
    )


def small_motion(num_frames: int, num_features: int = len(ARKIT_FEATURES), seed: int = 0) -> np.ndarray:
    """A smooth random motion (T, D) f32 in 0..1, as curves of faces are."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_frames)[:, None] / 25.0
    frequency, phase = rng.uniform(0.5, 4.0, num_features), rng.uniform(0.0, 2 * np.pi, num_features)
    return (0.25 + 0.2 * np.sin(2 * np.pi * frequency * time + phase)).astype("f4")


def small_waveform(num_samples: int, seed: int = 0) -> np.ndarray:
    """A voice-like sound (S,) i16: harmonics of a pitch near 120 Hz whose loudness moves at 4 Hz."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / SAMPLE_RATE_HZ
    pitch = rng.uniform(90.0, 180.0)
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 9))
    loudness = 0.5 - 0.4 * np.cos(2 * np.pi * 4.0 * time)
    return np.round(6000 * loudness * tone).astype("i2")


def small_clip(
    clip_id: str = "ann_hello",
    *,
    head: HeadRecord | None = None,
    num_frames: int = 30,
    fps: float = 25.0,
    seed: int = 0,
    vertices: bool = False,
    **attributes: Any,
) -> Clip:
    """A clip of num_frames / fps seconds for a blendshape or displacement head.

    Args:
        vertices: keep exact vertices: those of the linear shapes, head rotation left out.
        attributes: fields of `Clip` to set, such as subject, split, emotion or transcript.
    """
    head = head or small_head()
    motion = small_motion(num_frames, len(head.features), seed)
    num_samples = round(num_frames * SAMPLE_RATE_HZ / fps)
    duration = num_samples / SAMPLE_RATE_HZ
    basis = head.arrays["basis"]
    exact = head.template + np.einsum("tk,kvc->tvc", motion[:, : len(basis)], basis) if vertices else None
    defaults = {
        "subject": "ann",
        "split": "train",
        "language": "en",
        "transcript": "hello",
        "phones": (
            Phone(0.0, 0.2 * duration, "SIL"),
            Phone(0.2 * duration, 0.5 * duration, "HH"),
            Phone(0.5 * duration, 0.8 * duration, "OW"),
            Phone(0.8 * duration, duration, "SIL"),
        ),
    }
    return Clip(
        id=clip_id,
        fps=fps,
        waveform=small_waveform(num_samples, seed),
        motion=motion,
        vertices=exact,
        **(defaults | attributes),
    )


def small_dataset(
    path: Path,
    *,
    head: HeadRecord | None = None,
    splits: Sequence[str] = ("train", "train", "val", "test"),
    num_frames: int = 30,
    fps: float = 25.0,
    seed: int = 0,
    vertices: bool = False,
) -> Path:
    """Writes a `thunder.dataset` with one clip, of its own subject, for each entry of `splits`; returns `path`."""
    head = head or small_head()
    with write_clips(path, "thunder.dataset", head, Provenance(seed=seed, command="test"), force=True) as writer:
        for k, split in enumerate(splits):
            clip = small_clip(
                f"s{k}_clip",
                head=head,
                num_frames=num_frames,
                fps=fps,
                seed=seed + k,
                vertices=vertices,
                subject=f"s{k}",
                split=split,
                emotion=("neutral", "happy", "sad", "angry")[k % 4],
                intensity=0.5,
            )
            writer.add(clip)
    return path
