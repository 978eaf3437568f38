"""The whole mesh of the mannequin at rest: skin welded from its parts and mirrored, then eyes, teeth and tongue."""

from dataclasses import dataclass

import numpy as np

from stages.heads.mannequin import brows, dentition, ears, eyes, fill, hair, mouth
from stages.heads.mannequin.rings import fan_faces, mirror, ring_faces
from stages.heads.mannequin.surface import gradient


@dataclass(frozen=True)
class Mesh:
    """The mannequin at rest and the names of its places. Millimetres.

    Attributes:
        points: (V, 3) positions.
        faces: (F, 3) outward faces.
        mirror: (V,) permutation to the mirror image.
        mouth: (rings, columns) skin vertices of the mouth's rings; columns run once round, from the middle of the upper
            lip over the left corner, the middle of the lower lip and the right corner.
        throat: the vertex that closes the cavity.
        left_lids, right_lids: (rings, columns) skin vertices of the lids' rings.
        left_brow: (rows, columns) skin vertices of the left brow, lowest row first, columns outward.
        left_hairline: skin vertices along the edge of the hair on the left.
        left_hair: vertices of the hair on the left and in the middle.
        left_ear: vertices of the left ear.
        skin, left_eye, right_eye, upper_teeth, lower_teeth, tongue: vertices of each part.
        tooth: (V,) 1 on teeth, 0 elsewhere, between in the gaps.
    """

    points: np.ndarray
    faces: np.ndarray
    mirror: np.ndarray
    mouth: np.ndarray
    throat: int
    left_lids: np.ndarray
    right_lids: np.ndarray
    left_brow: np.ndarray
    left_hairline: np.ndarray
    left_hair: np.ndarray
    left_ear: np.ndarray
    skin: np.ndarray
    left_eye: np.ndarray
    right_eye: np.ndarray
    upper_teeth: np.ndarray
    lower_teeth: np.ndarray
    tongue: np.ndarray
    tooth: np.ndarray


def _left_skin() -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Points, faces, which lie on the middle, and the index grids of the left half of the skin."""
    lips, lids, ear, brow = mouth.build(), eyes.build_lids(), ears.build(), brows.build().reshape(-1, 3)
    hairline = hair.build().reshape(-1, 3)
    ear_rings = ear[:-1].reshape(ears.NUM_RINGS, ears.COLUMNS, 3)
    filled, fill_faces, fill_middle = fill.build(lips[0], lids[0], ear_rings[0], np.concatenate([brow, hairline]))
    throat = lips[-1].mean(0) * np.array([0.0, 1.0, 1.0]) + np.array([0.0, 0.0, -3.0])

    num_mouth, num_lids = lips.shape[0] * lips.shape[1], lids.shape[0] * lids.shape[1]
    points = np.concatenate([lips.reshape(-1, 3), throat[None], lids.reshape(-1, 3), ear, brow, hairline])
    mouth_grid = np.arange(num_mouth).reshape(lips.shape[:2])
    lid_grid = num_mouth + 1 + np.arange(num_lids).reshape(lids.shape[:2])
    ear_start = num_mouth + 1 + num_lids
    ear_grid = ear_start + np.arange(len(ear) - 1).reshape(ears.NUM_RINGS, ears.COLUMNS)

    brow_grid = ear_start + len(ear) + np.arange(len(brow)).reshape(brows.ROWS, brows.COLUMNS)
    hair_grid = ear_start + len(ear) + len(brow) + np.arange(len(hairline)).reshape(2, -1)
    rings = np.concatenate([mouth_grid[0], lid_grid[0], ear_grid[0], brow_grid.ravel(), hair_grid.ravel()])
    fill_index = np.concatenate([rings, len(points) + np.arange(len(filled) - len(rings))])
    on_middle = np.zeros(len(points) + len(filled) - len(rings), bool)
    on_middle[fill_index] = fill_middle
    on_middle[mouth_grid[:, [0, -1]]] = True
    on_middle[num_mouth] = True
    points = np.concatenate([points, filled[len(rings) :]])
    stands_off = np.zeros(len(points))
    stands_off[fill_index] = hair.height(points[fill_index])
    stands_off[hair_grid[0]] = 0.0
    hairy = np.flatnonzero(stands_off > 0)
    normal = gradient(points[hairy])
    points[hairy] += stands_off[hairy, None] * normal / np.linalg.norm(normal, axis=1, keepdims=True)

    mouth_faces = np.concatenate(
        [ring_faces(mouth_grid, False, points), fan_faces(mouth_grid[-1], num_mouth, False)[:, ::-1]]
    )
    lid_faces = ring_faces(lid_grid, True, points)
    ear_faces = np.concatenate(
        [ring_faces(ear_grid, True, points), fan_faces(ear_grid[-1], ear_start + len(ear) - 1, True)[:, ::-1]]
    )
    # Mouth columns run clockwise seen from the front, those of the lids and the ear the other way.
    faces = np.concatenate([mouth_faces, lid_faces[:, ::-1], ear_faces[:, ::-1], fill_index[fill_faces]])
    grids = {
        "mouth": mouth_grid,
        "throat": np.array([num_mouth]),
        "lids": lid_grid,
        "brow": brow_grid,
        "hairline": hair_grid[0],
        "hair": hairy,
        "ear": np.concatenate([ear_grid[1:].ravel(), [ear_start + len(ear) - 1]]),
    }
    return points, faces, on_middle, grids


def build_mesh() -> Mesh:
    """Builds the mannequin at rest; the same mesh every time."""
    half_points, half_faces, on_middle, grids = _left_skin()
    points, faces, permutation = mirror(half_points, half_faces, on_middle)
    num_skin = len(points)
    around = np.concatenate([grids["mouth"], permutation[grids["mouth"]][:, -2:0:-1]], axis=1)

    parts, part_faces, mirrors = [points], [faces], [permutation]
    indices: dict[str, np.ndarray] = {}
    count = num_skin
    tooth = [np.zeros(num_skin)]

    def add(name: str, p: np.ndarray, f: np.ndarray, image: np.ndarray, is_tooth: np.ndarray | None = None) -> None:
        nonlocal count
        parts.append(p)
        part_faces.append(f + count)
        mirrors.append(image + count)
        indices[name] = count + np.arange(len(p))
        tooth.append(np.zeros(len(p)) if is_tooth is None else is_tooth)
        count += len(p)

    ball = eyes.build_ball()
    ball_faces = _ball_faces(ball)
    size = len(ball)
    add("left_eye", ball, ball_faces, np.arange(size) + size)
    add("right_eye", ball * np.array([-1.0, 1.0, 1.0]), ball_faces[:, ::-1], np.arange(size) - size)
    for name, upper in (("upper_teeth", True), ("lower_teeth", False)):
        row, row_faces, is_tooth = dentition.build_row(upper)
        add(name, *_symmetric(row, row_faces), is_tooth=is_tooth)
    add("tongue", *_symmetric(*dentition.build_tongue()))

    return Mesh(
        points=np.concatenate(parts),
        faces=np.concatenate(part_faces),
        mirror=np.concatenate(mirrors),
        mouth=around,
        throat=int(grids["throat"][0]),
        left_lids=grids["lids"],
        right_lids=permutation[grids["lids"]],
        left_brow=grids["brow"],
        left_hairline=grids["hairline"],
        left_hair=grids["hair"],
        left_ear=grids["ear"],
        skin=np.arange(num_skin),
        tooth=np.concatenate(tooth),
        **indices,
    )


def _ball_faces(ball: np.ndarray) -> np.ndarray:
    grid = 1 + np.arange(len(ball) - 2).reshape(-1, eyes.BALL_COLUMNS)
    return np.concatenate(
        [
            fan_faces(grid[0], 0, True),
            ring_faces(grid, True, ball),
            fan_faces(grid[-1], len(ball) - 1, True)[:, ::-1],
        ]
    )


def _symmetric(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the mirror image of every vertex of a symmetric part and makes the symmetry exact."""
    flipped = points * np.array([-1.0, 1.0, 1.0])
    image = ((points[:, None] - flipped[None]) ** 2).sum(-1).argmin(1)
    left = points[:, 0] > 1e-9
    points = points.copy()
    points[np.abs(points[:, 0]) <= 1e-9, 0] = 0.0
    points[image[left]] = points[left] * np.array([-1.0, 1.0, 1.0])
    return points, faces, image
