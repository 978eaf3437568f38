"""A mesh corpus's head without motion: regions and landmarks from the lip vertices and the shape of the face at rest.

The corpora name the lips at most. All else is derived here from the lips and the template, in units of the mouth's width w
(about 5 cm on an adult), and the choice of these boxes is ours. The face looks to +Z, +Y is up, +X the subject's left.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.head_record import HeadRecord
from stages.corpora.unpickler import load_pickle
from stages.runtime.errors import ThunderError

_WHERE_MASKS_COME_FROM = (
    "FLAME_masks.pkl comes with FLAME (flame.is.tue.mpg.de, Downloads, 'FLAME Vertex Masks'); "
    "put it into the corpus folder or give --lips FILE (.txt or .npy of vertex indices, or that .pkl)"
)


def read_lips(folder: Path, lips_path: Path | None, num_vertices: int) -> NDArray[np.int32]:
    """Lip vertices, sorted, from `lips_path` or from FLAME_masks.pkl in the corpus folder.

    Raises:
        ThunderError: there is no such file, it holds no lips, or its indices do not fit the mesh.
    """
    return read_indices(lips_path or folder / "FLAME_masks.pkl", num_vertices, _WHERE_MASKS_COME_FROM)


def read_indices(path: Path, num_vertices: int, where_from: str) -> NDArray[np.int32]:
    """Lip vertices, or those of another region, sorted, each once.

    Args:
        path: .txt of indices with blanks or commas, .npy, or a pickle of regions that has `lips`.
        num_vertices: of the mesh that they index.
        where_from: what a message says about where such a file comes from.

    Raises:
        ThunderError: there is no such file, it holds no indices, or they do not fit the mesh.
    """
    if not path.exists():
        raise ThunderError(f"{path}: missing, so the lip vertices are not known; {where_from}")
    try:
        if path.suffix == ".pkl":
            masks = load_pickle(path)
            if not isinstance(masks, dict) or "lips" not in masks:
                raise ThunderError(f"{path}: no region 'lips' in it; {where_from}")
            indices = np.asarray(masks["lips"])
        elif path.suffix == ".npy":
            indices = np.load(path, allow_pickle=False)
        else:
            indices = np.array(path.read_text(encoding="utf-8").replace(",", " ").split(), dtype=np.float64)
    except (ValueError, EOFError, OSError) as error:
        raise ThunderError(f"{path}: wanted vertex indices ({error})") from error
    if not indices.size or not np.issubdtype(indices.dtype, np.number) or (indices != np.round(indices)).any():
        raise ThunderError(f"{path}: wanted vertex indices, whole numbers, found {indices.size} values {indices.dtype}")
    if indices.min() < 0 or indices.max() >= num_vertices:
        raise ThunderError(
            f"{path}: vertices {indices.min():g} to {indices.max():g}, but the mesh has {num_vertices}; "
            f"wanted the indices of this mesh, counted from 0"
        )
    return np.unique(indices).astype(np.int32)


def read_mesh(path: Path, num_vertices: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Vertices (V, 3) and triangles (F, 3) of a mesh file, in the order of the file.

    Raises:
        ThunderError: not a mesh, or one of another number of vertices.
    """
    if not path.exists():
        raise ThunderError(f"{path}: no such file, wanted the mesh whose faces all vertices of the corpus share")
    import trimesh

    try:
        # process=False: merging and sorting vertices would silently put every animation onto the wrong ones.
        mesh: Any = trimesh.load(path, process=False, force="mesh", maintain_order=True)
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    except Exception as error:  # trimesh raises whatever its many readers do on a damaged file.
        raise ThunderError(f"{path}: not a mesh that can be read ({error or type(error).__name__})") from error
    wanted = len(vertices) if num_vertices is None else num_vertices
    if not len(faces) or len(vertices) != wanted:
        raise ThunderError(
            f"{path}: {len(vertices)} vertices and {len(faces)} faces, wanted {wanted} vertices as in the corpus"
        )
    if faces.min() < 0 or faces.max() >= wanted or not np.isfinite(vertices).all():
        raise ThunderError(
            f"{path}: its faces point outside its {wanted} vertices, or some are not finite; export it again"
        )
    return vertices.astype(np.float32), faces.astype(np.int32)


def surface_from_lips(
    name: str, units: str, template: NDArray[np.float32], faces: NDArray[np.int32], lips: NDArray[np.int32]
) -> HeadRecord:
    """A displacement head that has no motion features yet.

    Regions: `lips` as given; `mouth`, what lies within half a mouth's width of a lip vertex; `upper_face`, the front of the
    face from 1.0 w to 2.6 w above the mouth and 1.5 w to each side.

    Landmarks: `lip_top` and `lip_bottom`, the vertices of upper and lower lip in the middle of the mouth that lie nearest to
    each other; `mouth_left` and `mouth_right`, the outermost lip vertices; `chin` and `nose_tip`, the foremost vertices
    near the middle from 0.45 w to 1.3 w below and from 0.25 w to 1.3 w above the mouth.

    Args:
        name: of the head.
        units: of the template.
        template: (V, 3).
        faces: (F, 3).
        lips: (M,) vertex indices.

    Raises:
        ThunderError: these vertices cannot be lips.
    """
    mouth = template[lips]
    low, high = mouth.min(axis=0), mouth.max(axis=0)
    centre, width = (low + high) / 2, float(high[0] - low[0])
    offset = template - centre
    if width <= 0 or width > 0.8 * np.ptp(template[:, 0]):
        raise ThunderError(
            f"head {name}: {len(lips)} lip vertices {width:.3g} {units} wide cannot be lips of this mesh"
        )
    near = np.zeros(len(template), bool)
    for part in np.array_split(np.arange(len(template)), max(1, len(template) // 1024)):
        distances = np.linalg.norm(template[part, None] - mouth, axis=-1)  # (part, M)
        near[part] = distances.min(axis=1) <= 0.5 * width
    front = (np.abs(offset[:, 0]) <= 1.5 * width) & (offset[:, 2] >= -1.5 * width)
    upper = front & (offset[:, 1] >= width) & (offset[:, 1] <= 2.6 * width)
    top, bottom = _inner_lips(template, faces, lips, centre, width)
    return HeadRecord(
        kind="displacement",
        name=name,
        units=units,
        template=template,
        faces=faces,
        features=(),
        regions={
            "lips": lips,
            "mouth": np.flatnonzero(near).astype(np.int32),
            "upper_face": np.flatnonzero(upper).astype(np.int32),
        },
        landmarks={
            "lip_top": top,
            "lip_bottom": bottom,
            "mouth_left": int(lips[mouth[:, 0].argmax()]),
            "mouth_right": int(lips[mouth[:, 0].argmin()]),
            "chin": _foremost(name, offset, -1.3 * width, -0.45 * width, width),
            "nose_tip": _foremost(name, offset, 0.25 * width, 1.3 * width, width),
        },
    )


def _foremost(name: str, offset: NDArray[np.float32], lowest: float, highest: float, width: float) -> int:
    """The vertex of largest Z near the middle, between two heights above the mouth."""
    middle = np.abs(offset[:, 0]) <= 0.2 * width
    inside = middle & (offset[:, 1] >= lowest) & (offset[:, 1] <= highest)
    if not inside.any() and highest < 0:
        # BIWI's published lip region is the whole lower face, so wide that nothing lies a mouth's width below it.
        inside = middle & (offset[:, 1] <= 0)
    if not inside.any():
        raise ThunderError(
            f"head {name}: no vertices {lowest:.3g} to {highest:.3g} from the mouth where chin or nose should be; "
            f"check that the lip vertices belong to this mesh and that +Y is up"
        )
    return int(np.where(inside, offset[:, 2], -np.inf).argmax())


def _inner_lips(
    template: NDArray[np.float32],
    faces: NDArray[np.int32],
    lips: NDArray[np.int32],
    centre: NDArray[np.float32],
    width: float,
) -> tuple[int, int]:
    """The nearest pair of one vertex of the upper and one of the lower lip, in the middle of the mouth.

    Within the middle fifth of the mouth the lips are two pieces of surface, since the slit between them is no edge; the upper
    piece is the one that lies higher.
    """
    strip = lips[np.abs(template[lips, 0] - centre[0]) <= 0.1 * width]
    piece = _pieces(faces, strip)
    names, counts = np.unique(piece, return_counts=True)
    if len(names) >= 2:
        pair = names[np.argsort(-counts, kind="stable")[:2]]
        first, second = (strip[piece == n] for n in pair)
    else:  # A mesh without a slit: the heights must do.
        middle = np.median(template[strip, 1]) if len(strip) else 0.0
        first, second = strip[template[strip, 1] > middle], strip[template[strip, 1] <= middle]
    if not len(first) or not len(second):
        raise ThunderError(f"{len(strip)} lip vertices in the middle of the mouth; wanted some of each lip")
    if template[first, 1].mean() < template[second, 1].mean():
        first, second = second, first
    # On lips that touch, several pairs are about as near; the one closest to the midline is the landmark.
    gap = np.linalg.norm(template[first, None] - template[second], axis=-1)
    aside = np.abs(template[first, None, 0] - centre[0]) + np.abs(template[second, 0] - centre[0])
    row, column = np.unravel_index(np.argmin(gap + 0.5 * aside), gap.shape)
    return int(first[row]), int(second[column])


def _pieces(faces: NDArray[np.int32], vertices: NDArray[np.int32]) -> NDArray[np.int64]:
    """Labels (M,) of the connected pieces that triangle edges form among some vertices."""
    position = np.full(int(faces.max()) + 1, -1)
    position[vertices] = np.arange(len(vertices))
    edges = position[np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])]
    edges = edges[(edges >= 0).all(axis=1)]
    label = np.arange(len(vertices))
    while True:  # Each round spreads the smallest label one edge further; a strip of lips is a few edges long.
        spread = label.copy()
        np.minimum.at(spread, edges[:, 0], label[edges[:, 1]])
        np.minimum.at(spread, edges[:, 1], label[edges[:, 0]])
        if (spread == label).all():
            return label
        label = spread
