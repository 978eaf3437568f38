"""A folder of anyone's own: arrays of vertices, their sounds, and a face at rest.

    corpus/template.ply         the face at rest, .ply or .obj: vertex order, faces, and the rest of all subjects
           lips.txt             vertex indices of the lips, counted from 0; or --lips FILE
           <subject>/<clip>.npy (T, V, 3) or (T, 3V) float: absolute vertices, metres (or --scale), +Y up, +Z out of the face
                     <clip>.wav the sound, or any audio or video format
                     template.ply  optional: this subject's own face at rest, in the same vertex order

and, optional, what `stages.corpora.sidecars` names. The frame rate is `fps` of <clip>.json or of corpus/corpus.json, or --fps.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.corpora.checks import check_axes, check_head, check_same_order, open_mouths
from stages.corpora.corpus import Corpus, Frames, RawClip, Recording
from stages.corpora.sidecars import Pair, complete, find_pairs
from stages.corpora.surface import read_indices, read_mesh, surface_from_lips
from stages.corpora.vertex_arrays import frames_of_file
from stages.runtime.errors import Failure, ThunderError

_TEMPLATE_NAMES = ("template.ply", "template.obj")
_WHERE_LIPS_COME_FROM = (
    "select the lips in a mesh editor and write their vertex numbers, counted from 0, into lips.txt in the corpus folder, or "
    "give --lips FILE (.txt or .npy of indices); for FLAME topology FLAME_masks.pkl of flame.is.tue.mpg.de will do"
)


def find_template(folder: Path) -> Path | None:
    """The mesh of the face at rest in a folder."""
    return next((folder / name for name in _TEMPLATE_NAMES if (folder / name).is_file()), None)


def is_meshes(folder: Path) -> bool:
    """Whether a folder looks like this layout: a face at rest, in it or in a subject's folder, and arrays."""
    places = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    return any(map(find_template, places)) and any(next(place.glob("*.npy"), None) for place in places)


def read_meshes(folder: Path, lips_path: Path | None = None, fps: float | None = None, scale: float = 1.0) -> Corpus:
    """Lists the recordings of a folder of vertex arrays.

    Args:
        folder: see the top of this file.
        lips_path: lip vertices instead of lips.txt.
        fps: frame rate of clips whose .json does not say it.
        scale: factor from the folder's unit to metres.

    Raises:
        ThunderError: a file that all recordings need is missing or damaged, or the meshes are not as they should be.
    """
    if not 0 < scale < 1e6:
        raise ThunderError(f"--scale {scale:g}: wanted a factor to metres, such as 0.001 for millimetres")
    pairs, problems = find_pairs(folder, (".npy",))
    # A file of lip vertices is no clip, wherever it lies.
    problems = [p for p in problems if p.item != "lips"]
    own = {place.name: path for place in sorted(folder.iterdir()) if place.is_dir() and (path := find_template(place))}
    shared = find_template(folder) or next(iter(own.values()), None)
    if shared is None:
        raise ThunderError(f"{folder / _TEMPLATE_NAMES[0]}: missing, wanted the face at rest (.ply or .obj)")
    vertices, faces = read_mesh(shared)
    rest = vertices * np.float32(scale)
    lips = read_indices(_lips_path(folder, lips_path), len(rest), _WHERE_LIPS_COME_FROM)
    check_axes(str(shared), rest, faces, lips)
    head = surface_from_lips(folder.resolve().name, "m", rest, faces, lips)
    check_head(str(shared), head)
    templates = {pair.subject: rest for pair in pairs} | _own_templates(own, rest, faces, scale)
    common_fps = _fps_of_corpus(folder / "corpus.json")
    recordings = []
    for pair in pairs:
        found_fps = pair.facts.get("fps") or common_fps or fps
        try:
            if found_fps is None:
                raise ThunderError(
                    f'{pair.motion}: its frame rate is not known; give --fps, or {{"fps": 30}} in {folder / "corpus.json"}'
                )
            frames = frames_of_file(pair.motion, len(rest), scale)
        except ThunderError as error:
            problems.append(Failure(pair.name, str(error)))
            continue
        read = partial(_read, pair, frames, float(found_fps))
        recordings.append(Recording(pair.id, pair.subject, pair.split, read, frames))
    used = {r.subject: templates[r.subject] for r in recordings}
    return Corpus("meshes", head, None, recordings, used, problems, open_mouths(head, used))


def _lips_path(folder: Path, given: Path | None) -> Path:
    names = [folder / name for name in ("lips.txt", "lips.npy", "FLAME_masks.pkl")]
    return given or next((path for path in names if path.exists()), names[0])


def _own_templates(
    paths: dict[str, Path], rest: NDArray[np.float32], faces: NDArray[np.int32], scale: float
) -> dict[str, NDArray[np.float32]]:
    templates = {}
    for subject, path in paths.items():
        vertices, own_faces = read_mesh(path, len(rest))
        if own_faces.shape != faces.shape or (own_faces != faces).any():
            raise ThunderError(
                f"{path}: its faces join other vertices than those of the corpus's template; export all meshes from one "
                f"mesh, with vertex order kept"
            )
        templates[subject] = vertices * np.float32(scale)
        check_same_order(str(path), templates[subject], rest, faces)
    return templates


def _fps_of_corpus(path: Path) -> float | None:
    if not path.exists():
        return None
    try:
        fps = json.loads(path.read_text(encoding="utf-8")).get("fps")
    except (ValueError, AttributeError) as error:
        raise ThunderError(f'{path}: wanted a JSON object such as {{"fps": 30}} ({error})') from error
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, int | float) or not 1 <= fps <= 1000):
        raise ThunderError(f"{path}: fps wanted 1 to 1000, found {fps!r}")
    return fps


def _read(pair: Pair, frames: Frames, fps: float) -> RawClip:
    return complete(pair, None, fps, vertices=frames)
