"""What is wrong with a corpus of meshes, found before anything is trained on it: vertex order, scale, axes, an open mouth.

The thresholds are ours. They lie far from what faces do and far from what mistakes do: speech stretches the median edge of a
face by a few per cent and heads differ by a fifth, shuffled vertices change it severalfold; people's mouths are 4 to 6 cm wide,
a mesh in millimetres has one of 50 metres.
"""

from itertools import permutations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.head_record import HeadRecord
from stages.corpora.mouth import mouth_vertices
from stages.runtime.errors import ThunderError

# Median of |log(edge of one mesh / edge of the other)| after taking out a common scale.
_MAX_EDGE_CHANGE = 0.35
# Edges that grew by this fraction of the whole mesh are torn, and more than this share of them is another order.
_TORN, _MAX_TORN = 0.2, 0.001
# Two meshes of one corpus differ in size by at most this factor.
_MAX_SIZE_RATIO = 1.6
_MOUTH_WIDTH_M = 0.05
# Lips this far apart at rest, in widths of the mouth, are an open mouth.
_OPEN_MOUTH = 0.15
_AXES = ("+X", "-X", "+Y", "-Y", "+Z", "-Z")


def check_files(folder: Path, names: tuple[str, ...], where_from: str) -> None:
    """Checks that what a whole corpus needs is there.

    Args:
        names: of files and folders.
        where_from: what the message says about where they come from.

    Raises:
        ThunderError: names all that are missing.
    """
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ThunderError(f"{folder}: {', '.join(missing)} missing, wanted {', '.join(names)}; {where_from}")


def check_head(where: str, head: HeadRecord) -> None:
    """Checks scale and axes of a corpus's face at rest.

    Args:
        where: what the message begins with.
        head: with regions and landmarks.

    Raises:
        ThunderError: the mouth is not as wide as a person's (heads in metres), or the face does not look to +Z with +Y up.
    """
    mouth = head.template[head.regions["lips"]]
    width = float(np.ptp(mouth[:, 0]))
    if head.units == "m" and not _MOUTH_WIDTH_M / 3 < width < 3 * _MOUTH_WIDTH_M:
        factor = 10.0 ** -round(np.log10(width / _MOUTH_WIDTH_M))
        unit = {0.001: "millimetres", 0.01: "centimetres", 0.1: "decimetres"}.get(round(factor, 6), "another unit")
        raise ThunderError(
            f"{where}: the mouth is {width:.3g} m wide, wanted about {_MOUTH_WIDTH_M}; the meshes seem to be in {unit}: "
            f"give --scale {factor:g} (or export in metres)"
        )


def check_axes(where: str, template: NDArray[np.float32], faces: NDArray[np.int32], lips: NDArray[np.int32]) -> None:
    """Checks that a face looks to +Z and has +Y up.

    Raises:
        ThunderError: it does so only when turned; the message says which axes it seems to have.
    """
    mouth = mouth_vertices(template, faces, lips)
    if _looks_ahead(template, faces, lips, mouth):
        return
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3), np.float32)
            turn[np.arange(3), order] = signs
            if np.linalg.det(turn) > 0 and _looks_ahead(template @ turn.T, faces, lips, mouth):
                up, front = (_AXES[2 * order[row] + (signs[row] < 0)] for row in (1, 2))
                raise ThunderError(
                    f"{where}: the face seems to look to {front} with {up} up, wanted +Z and +Y; "
                    f"export the meshes again with these axes"
                )
    # No turn helps: a mesh that these rules of thumb do not know, which is no reason to refuse it.


def _looks_ahead(
    template: NDArray[np.float32], faces: NDArray[np.int32], lips: NDArray[np.int32], mouth: NDArray[np.int32]
) -> bool:
    """Whether the mouth is widest along X, its skin faces +Z, and what protrudes most above it near the middle is a nose."""
    box = template[mouth]
    width, height, depth = np.ptp(box, axis=0)
    if width <= max(height, depth):
        return False
    corners = template[faces[np.isin(faces, lips).any(axis=1)]]  # (F, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    offset = template - (box.min(axis=0) + box.max(axis=0)) / 2
    near = (np.abs(offset[:, 0]) <= 0.2 * width) & (np.abs(offset[:, 1]) <= 1.3 * width)
    above, below = near & (offset[:, 1] >= 0.25 * width), near & (offset[:, 1] <= -0.25 * width)
    if normal[2] <= np.abs(normal[:2]).max() or not above.any() or not below.any():
        return False
    nose, chin = offset[above, 2].max(), offset[below, 2].max()
    return bool(max(0.0, chin) < nose < width)


def check_same_order(
    where: str, vertices: NDArray[np.float32], template: NDArray[np.float32], faces: NDArray[np.int32]
) -> None:
    """Checks that two meshes (V, 3) of one topology have one vertex order and one size.

    In another order the same triangles join vertices that are far apart.

    Raises:
        ThunderError: edges have other lengths than those of the template, or all are longer or shorter by one factor.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[:: max(1, len(edges) // 20_000)]
    found, wanted = (np.linalg.norm(mesh[edges[:, 0]] - mesh[edges[:, 1]], axis=-1) for mesh in (vertices, template))
    usable = (found > 0) & (wanted > 0)
    if not usable.any():
        raise ThunderError(f"{where}: all vertices lie in one place; export it again")
    change = np.log(found[usable] / wanted[usable])
    scale = float(np.exp(np.median(change)))
    spread = float(np.median(np.abs(change - np.median(change))))
    size = float(np.linalg.norm(np.ptp(template, axis=0)))
    torn = float((found / scale - wanted > _TORN * size).mean())
    if spread > _MAX_EDGE_CHANGE or torn > _MAX_TORN:
        raise ThunderError(
            f"{where}: its vertices stand in another order than the template's (edges differ by a factor of "
            f"{np.exp(spread):.2f}, {100 * torn:.1f} % of them cross the face); export it again with vertex order kept "
            f"(OBJ: 'Keep Vertex Order'; no merging, sorting or cleaning)"
        )
    if not 1 / _MAX_SIZE_RATIO < scale < _MAX_SIZE_RATIO:
        raise ThunderError(
            f"{where}: {scale:.4g} times the size of the template, wanted the same scale; export both in one unit"
        )


def check_templates(
    where: str, templates: dict[str, NDArray[np.float32]], faces: NDArray[np.int32], reference: NDArray[np.float32]
) -> None:
    """Checks that the faces at rest of all subjects have the order of the mesh file, and one scale among themselves.

    Args:
        where: file of the templates.
        templates: subject -> (V, 3).
        faces: of the mesh file.
        reference: the mesh file's own vertices (V, 3); their scale does not matter.

    Raises:
        ThunderError: see above; names the subject.
    """
    size = {subject: _mean_edge(template, faces) for subject, template in templates.items()}
    middle = float(np.median(list(size.values())))
    for subject, template in templates.items():
        ratio = size[subject] / middle
        if not 1 / _MAX_SIZE_RATIO < ratio < _MAX_SIZE_RATIO:
            raise ThunderError(
                f"{where}: the template of {subject} is {ratio:.3g} times as large as the others' (one topology in two "
                f"scales); take all templates from one release of the corpus"
            )
        scale = _mean_edge(reference, faces) / size[subject]
        check_same_order(f"{where}: template of {subject}", template * np.float32(scale), reference, faces)


def _mean_edge(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> float:
    edges = np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=-1)
    return float(np.median(edges)) or 1.0


def open_mouths(head: HeadRecord, templates: dict[str, NDArray[np.float32]]) -> list[str]:
    """One remark for each face at rest whose lips are apart: motion 0 will look so, and no /p/ can be told from it."""
    top, bottom = head.landmarks["lip_top"], head.landmarks["lip_bottom"]
    left, right = head.landmarks["mouth_left"], head.landmarks["mouth_right"]
    remarks = []
    for subject, template in sorted(templates.items()):
        gap, width = (float(np.linalg.norm(template[a] - template[b])) for a, b in ((top, bottom), (left, right)))
        if gap > _OPEN_MOUTH * width:
            amount = f"{1000 * gap:.0f} mm" if head.units == "m" else f"{gap / width:.2f} mouth widths"
            remarks.append(
                f"the template of {subject} has its mouth open by {amount}: what is trained on it rests with open lips; "
                f"put a template with closed lips in its place"
            )
    return remarks
