"""ARKit's curves of a head that has none: fitted to its vertices, frame by frame, and written as Live Link Face CSV."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stages.formats.blendshape_set import BlendshapeSet
from stages.formats.live_link_face import write_live_link_face
from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.blendshape_fit import fit_blendshapes


def write_fitted_curves(
    path: Path, blocks: Iterable[np.ndarray], turns: np.ndarray, rest: np.ndarray, given: BlendshapeSet, fps: float
) -> float:
    """Writes the curves that come closest to vertices; curves without a shape stay at zero.

    Args:
        path: the file to write.
        blocks: vertices (t, V, 3) that follow each other, T in all, head rotation left out.
        turns: (T, 3) yaw, pitch and roll of the head, radians.
        rest: (V, 3), the face at rest.
        given: the shapes.
        fps: frames a second.

    Returns:
        Root mean square distance, over frames and vertices, that remains; in head units.
    """
    fitted = [fit_blendshapes(vertices - rest, given.shapes) for vertices in blocks]
    curves = np.zeros((len(turns), len(ARKIT_FEATURES)), np.float32)
    curves[:, [ARKIT_FEATURES.index(name) for name in given.names]] = np.concatenate([weights for weights, _ in fitted])
    curves[:, -3:] = turns
    write_live_link_face(path, curves, fps)
    return float(np.sqrt(np.concatenate([squared for _, squared in fitted]).mean()))
