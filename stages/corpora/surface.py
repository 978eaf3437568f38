"""A mesh corpus's head without motion: regions and landmarks from the lip vertices and the shape of the face at rest.

The corpora name the lips at most. All else is derived here from the lips and the template, in units of the mouth's width w
(about 5 cm on an adult), and the choice of these boxes is ours. The face looks to +Z, +Y is up, +X the subject's left.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.head_record import HeadRecord
from stages.corpora.mouth import find_mouth
from stages.corpora.unpickler import load_pickle
from stages.formats.polygon_file import read_ply
from stages.formats.wavefront import read_obj
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
    if path.is_dir():
        raise ThunderError(f"{path}: a folder, wanted a file of vertex indices; {where_from}")
    if not path.exists():
        raise ThunderError(f"{path}: missing, so these vertices are not known; {where_from}")
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
        raise ThunderError(f"{path}: wanted vertex indices ({error}); {where_from}") from error
    if not indices.size:
        raise ThunderError(f"{path}: holds no vertex index; {where_from}")
    if not np.issubdtype(indices.dtype, np.number) or (indices != np.round(indices)).any():
        raise ThunderError(
            f"{path}: wanted vertex indices, whole numbers, found {indices.size} values {indices.dtype}; {where_from}"
        )
    if indices.min() < 0 or indices.max() >= num_vertices:
        raise ThunderError(
            f"{path}: vertices {indices.min():g} to {indices.max():g}, but the mesh has {num_vertices}; "
            f"wanted the indices of this mesh, counted from 0; {where_from}"
        )
    return np.unique(indices).astype(np.int32)


def read_mesh(path: Path, num_vertices: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Vertices (V, 3) and triangles (F, 3) of a mesh file, in the order of the file.

    Raises:
        ThunderError: not a mesh, or one of another number of vertices.
    """
    if not path.exists():
        raise ThunderError(f"{path}: no such file, wanted the mesh whose faces all vertices of the corpus share")
    vertices, faces = read_obj(path) if path.suffix.lower() == ".obj" else read_ply(path)
    wanted = len(vertices) if num_vertices is None else num_vertices
    if not len(faces) or len(vertices) != wanted:
        raise ThunderError(
            f"{path}: {len(vertices)} vertices and {len(faces)} faces, wanted {wanted} vertices as in the corpus, and faces; "
            f"take the mesh file of this corpus"
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

    Regions: `lips` as given; `mouth`, what lies within half a mouth's width of a lip; `upper_face`, the front of the face
    from 1.0 w to 2.6 w above the mouth and 1.5 w to each side.

    Landmarks: `lip_top` and `lip_bottom`, the vertices of upper and lower lip in the middle of the mouth that lie nearest to
    each other; `mouth_left` and `mouth_right`, where the slit between the lips ends, or the outermost lip vertices where there
    is none; `chin` and `nose_tip`, the foremost vertices near the middle from 0.45 w to 1.3 w below and from 0.25 w to 1.3 w
    above the mouth.

    Args:
        name: of the head.
        units: of the template.
        template: (V, 3).
        faces: (F, 3).
        lips: (M,) vertex indices; a wider region, such as BIWI's lower face, where the mesh is open at the mouth.

    Raises:
        ThunderError: these vertices cannot be lips.
    """
    mouth = find_mouth(name, units, template, faces, lips)
    width, offset = mouth.width, template - mouth.centre
    near = np.zeros(len(template), bool)
    for part in np.array_split(np.arange(len(template)), max(1, len(template) // 1024)):
        distances = np.linalg.norm(template[part, None] - template[mouth.lips], axis=-1)  # (part, M)
        near[part] = distances.min(axis=1) <= 0.5 * width
    front = (np.abs(offset[:, 0]) <= 1.5 * width) & (offset[:, 2] >= -1.5 * width)
    upper = front & (offset[:, 1] >= width) & (offset[:, 1] <= 2.6 * width)
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
            "lip_top": mouth.top,
            "lip_bottom": mouth.bottom,
            "mouth_left": mouth.left,
            "mouth_right": mouth.right,
            "chin": _foremost(name, offset, -1.3 * width, -0.45 * width, width),
            "nose_tip": _foremost(name, offset, 0.25 * width, 1.3 * width, width),
        },
    )


def _foremost(name: str, offset: NDArray[np.float32], lowest: float, highest: float, width: float) -> int:
    """The vertex of largest Z near the middle, between two heights above the mouth."""
    middle = np.abs(offset[:, 0]) <= 0.2 * width
    inside = middle & (offset[:, 1] >= lowest) & (offset[:, 1] <= highest)
    if not inside.any():
        raise ThunderError(
            f"head {name}: no vertices {lowest:.3g} to {highest:.3g} from the mouth where chin or nose should be; "
            f"check that the lip vertices belong to this mesh and that +Y is up"
        )
    return int(np.where(inside, offset[:, 2], -np.inf).argmax())
