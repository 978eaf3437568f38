"""A small FLAME file, in each of the forms that FLAME comes in, and coefficients under the keys of each tracker."""

import io
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.waveform import write_wav
from tests.builders import small_waveform
from tests.corpora.written import dump, face_mesh

# The root of FLAME's tree has no parent: -1, or what that is in the unsigned type of the file.
KINTREE = np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32)
FORMS = ("2016.pkl", "2020.pkl", "2023.pkl", "2023.npz", "dense.npz")


def flame_content(seed: int = 0) -> dict[str, Any]:
    """What a FLAME file holds, in its true types, for a face of some 320 vertices; the regressor is dense here."""
    rng = np.random.default_rng(seed)
    template, faces, _ = face_mesh()
    num_vertices = len(template)
    below = (template[:, 1] < -0.04).astype(np.float64)
    weights = np.stack([0.05 + 0 * below, 0.9 - 0.85 * below, 0.05 + 0.8 * below, 0 * below, 0.05 * below], axis=1)
    regressor = np.where(rng.random((5, num_vertices)) < 0.1, rng.random((5, num_vertices)), 0.0)
    return {
        "v_template": template.astype(np.float64),
        "f": faces.astype(np.uint32),
        # Small shapes of identity: a face of 100 of them still has closed lips.
        "shapedirs": rng.normal(0, 0.001, (num_vertices, 3, 400)) * np.where(np.arange(400) < 300, 0.1, 1.0),
        "posedirs": rng.normal(0, 0.001, (num_vertices, 3, 36)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": KINTREE,
        "bs_style": "lbs",
        "bs_type": "lrotmin",
        "J": rng.random((5, 3)),
    }


def write_flame(path: Path, form: str = "2020.pkl", **changes: Any) -> dict[str, Any]:
    """Writes a FLAME file; returns its content as plain arrays.

    Args:
        form: one of `FORMS`.
        changes: keys to hold something else; None to be absent.
    """
    content = {k: v for k, v in (flame_content() | changes).items() if v is not None}
    written = dict(content)
    if form != "dense.npz" and "J_regressor" in content:
        written["J_regressor"] = scipy.sparse.csc_matrix(content["J_regressor"])
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "2016.pkl":
        for key in written.keys() & {"shapedirs", "posedirs", "v_template", "weights"}:
            written[key] = _Ch(written[key])
        _dump_like_python_2(path, written)
    elif form == "2020.pkl":
        _dump_like_python_2(path, written)
    elif form == "2023.pkl":
        path.write_bytes(pickle.dumps(written, protocol=4))
    else:
        np.savez(path, **written)  # a sparse matrix becomes an array of objects
    return content


class _Ch:
    """Pickled as chumpy's class of that name, with all that it carries along."""

    def __init__(self, values: np.ndarray) -> None:
        self.x = values
        self._dirty_vars: set[str] = set()
        self._itr = None
        self._depends_on_deps: dict[str, Any] = {}
        self._make_dense = False
        self._make_sparse = False


_Ch.__module__, _Ch.__qualname__, _Ch.__name__ = "chumpy.ch", "Ch", "Ch"


def _dump_like_python_2(path: Path, content: dict[str, Any]) -> None:
    """Protocol 2, under the names of numpy 1, of scipy before 1.8, and of chumpy, which is not installed."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch")}
    modules["chumpy.ch"].Ch = _Ch  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        dump(path, content)
    finally:
        for name in modules:
            del sys.modules[name]
    data = path.read_bytes().replace(b"cscipy.sparse._csc\n", b"cscipy.sparse.csc\n")
    path.write_bytes(data)


def write_masks(path: Path) -> None:
    """FLAME_masks.pkl: region -> vertices, of which the lips are used."""
    dump(path, {"lips": face_mesh()[2].astype(np.int64), "nose": np.arange(4)})


def angles(num_frames: int, seed: int = 0, size: float = 0.2) -> np.ndarray:
    """Axis-angle (T, 3) f32 of a joint that moves about."""
    time = np.arange(num_frames)[:, None] / 25.0
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    return (size * np.sin(7 * time + phase)).astype("f4")


def write_coefficients(path: Path, coefficients: dict[str, Any], sound_s: float, *, form: str = "npz") -> None:
    """Writes `<path>.npz`, or `.npy` of a dictionary, and `<path>.wav`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "npz":
        np.savez(path.with_suffix(".npz"), **coefficients)
    else:
        np.save(path.with_suffix(".npy"), np.array(coefficients, dtype=object))
    write_wav(path.with_suffix(".wav"), small_waveform(round(sound_s * SAMPLE_RATE_HZ)))


def write_flame_corpus(folder: Path, subjects: tuple[str, ...] = ("ann", "bob", "cem")) -> Path:
    """One clip of 30 frames of each subject, as DiffPoseTalk's data has them, plus the frame rate."""
    for s, subject in enumerate(subjects):
        rng = np.random.default_rng(s)
        coefficients = {
            "exp": rng.normal(0, 0.5, (30, 50)).astype("f4"),
            "pose": np.concatenate([angles(30, s), angles(30, s + 9)], axis=1),
            "shape": np.repeat(rng.normal(0, 1, (1, 100)), 30, axis=0).astype("f4"),
            "fps": 25,
        }
        write_coefficients(folder / subject / "c0", coefficients, 1.2)
    return folder


def object_array_of(payload: bytes) -> bytes:
    """A .npy file of one object whose pickle is `payload`."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + payload
