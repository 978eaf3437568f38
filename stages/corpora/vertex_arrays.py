"""Arrays of vertices as corpora store them, and faces at rest: opened without being read, checked, read piece by piece."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.corpora.corpus import Frames
from stages.corpora.unpickler import load_pickle
from stages.runtime.errors import ThunderError


def open_array(path: Path) -> NDArray[Any]:
    """A .npy file of floating-point numbers, mapped into memory and not read yet.

    Raises:
        ThunderError: missing, damaged, cut short, or anything but numbers.
    """
    if not path.is_file():
        raise ThunderError(f"{path}: no such file")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # A damaged header can raise anything; none of it runs.
        raise ThunderError(f"{path}: not a .npy array, or cut short ({error}); copy it again") from error
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.floating):
        found = values.dtype if isinstance(values, np.ndarray) else "an archive"
        raise ThunderError(
            f"{path}: wanted floating-point numbers, found {found}; save vertices with "
            f"np.save(name, vertices.astype(np.float32)), (frames, vertices, 3)"
        )
    return values


def open_vertices(path: Path, num_vertices: int) -> NDArray[Any]:
    """Frames (T, V, 3), mapped; the file holds (T, 3V) or (T, V, 3).

    Raises:
        ThunderError: as `open_array`, or another number of vertices, or no frame.
    """
    values = open_array(path)
    if values.shape[1:] not in ((3 * num_vertices,), (num_vertices, 3)) or not len(values):
        raise ThunderError(
            f"{path}: wanted (frames, {3 * num_vertices}) or (frames, {num_vertices}, 3), found {values.shape}; "
            f"export motion and face at rest from one mesh, at least one frame"
        )
    return values.reshape(len(values), num_vertices, 3)


def frames_of_file(path: Path, num_vertices: int, scale: float = 1.0) -> Frames:
    """The frames of a vertex file, left on disk.

    Raises:
        ThunderError: see `open_vertices`.
    """
    vertices = open_vertices(path, num_vertices)
    return Frames(partial(_read_frames, path, num_vertices, scale), len(vertices), vertices[0].nbytes)


def _read_frames(path: Path, num_vertices: int, scale: float, which: slice) -> NDArray[np.float32]:
    frames = finite_frames(path, np.asarray(open_vertices(path, num_vertices)[which], np.float32))
    return frames if scale == 1.0 else frames * np.float32(scale)


def finite_frames(path: Path, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """The frames.

    Raises:
        ThunderError: a number among them is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total = frames.sum()  # a finite sum has finite terms, and is had in one pass without another array
    if not np.isfinite(total) and not np.isfinite(frames).all():
        raise ThunderError(f"{path}: NaN or infinity in its vertices; export the clip again")
    return frames


def read_templates(path: Path, num_vertices: int | None = None) -> dict[str, NDArray[np.float32]]:
    """Faces at rest, subject -> (V, 3), from a pickle.

    Raises:
        ThunderError: missing, damaged, or not one face of the same number of vertices for each subject.
    """
    content = load_pickle(path)
    if not isinstance(content, dict) or not content:
        raise ThunderError(
            f"{path}: wanted a dictionary, subject -> template, found {type(content).__name__}; "
            f"take the file that belongs to this corpus"
        )
    templates = {str(subject): np.asarray(value) for subject, value in content.items()}
    wanted = num_vertices or len(np.atleast_1d(next(iter(templates.values()))))
    for subject, template in templates.items():
        if template.shape != (wanted, 3) or not np.issubdtype(template.dtype, np.floating):
            raise ThunderError(
                f"{path}: template of {subject} wanted ({wanted}, 3) floating-point, found {template.shape} {template.dtype}; "
                f"take the file that belongs to this corpus"
            )
        if not np.isfinite(template).all():
            raise ThunderError(f"{path}: NaN or infinity in the template of {subject}; copy the file again")
    return {subject: template.astype(np.float32) for subject, template in templates.items()}


def mean_face(templates: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean (V, 3) of all templates, whatever their order."""
    faces = np.stack([templates[subject] for subject in sorted(templates)])
    return faces.astype(np.float64).mean(axis=0).astype(np.float32)
