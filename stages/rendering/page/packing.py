"""Arrays as short text: quantised, differenced, bytes of one weight together, deflated, base64.

A browser undoes it in a few lines (`arrays.js`): its own `DecompressionStream` inflates. Differences run along the last axis
and wrap round, as does the sum that undoes them, so that nothing is lost and no wider type is needed. Neighbouring values that
are nearly equal then have high bytes of 0 or 255, which deflate to almost nothing once they stand together.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVELS = 65_535


def pack(values: NDArray[Any], *, differences: bool = False) -> dict[str, Any]:
    """An array of unsigned or signed integers as what `arrays.js` unpacks.

    Args:
        values: any shape; 8, 16 or 32 bits.
        differences: store differences along the last axis, for what changes slowly along it.

    Returns:
        `type`, `shape`, `differences` and `bytes`: base64 of a zlib stream of all first (lowest) bytes, all second ones ...
    """
    width = values.dtype.itemsize
    whole = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).view(f"<u{width}").reshape(values.shape)
    if differences:
        whole = np.diff(whole, axis=-1, prepend=np.zeros_like(whole[..., :1]))
    planes = np.ascontiguousarray(whole).view("u1").reshape(-1, width).T
    return {
        "type": values.dtype.name,
        "shape": list(values.shape),
        "differences": differences,
        "bytes": base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode(),
    }


def pack_rows(rows: NDArray[np.float32]) -> dict[str, Any]:
    """Rows (R, M) of slowly changing numbers, each quantised to 65 536 levels between its least and its greatest.

    Returns:
        `values`, packed, with `low` and `step` of each row: number = low + step x value.
    """
    rows = np.asarray(rows, np.float64)
    low = rows.min(1)
    step = (rows.max(1) - low) / _LEVELS
    levels = np.rint((rows - low[:, None]) / np.where(step > 0, step, 1.0)[:, None]).astype(np.uint16)
    return {"values": pack(levels, differences=True), "low": low.tolist(), "step": step.tolist()}


def pack_shapes(shapes: NDArray[np.float32], greatest: NDArray[np.float32], tolerance: float) -> dict[str, Any]:
    """Shapes (K, V, 3), each quantised so that at its greatest weight a step is `tolerance`.

    Strong shapes are kept finely and weak ones coarsely, so that all err alike where they are seen: by half a step a
    coordinate, or less. What a page never moves costs nothing.

    Args:
        shapes: displacements at weight 1, head units.
        greatest: (K,) largest absolute weight that will be played.
        tolerance: head units.

    Returns:
        `values`, packed int16 (K, 3, V), with `step` (K,) of each shape.
    """
    reach = np.abs(shapes).max((1, 2))
    step = np.maximum(tolerance / np.maximum(greatest, 1e-9), reach / 32_767)
    levels = np.rint(shapes / np.where(step > 0, step, 1.0)[:, None, None]).astype(np.int16)
    return {"values": pack(levels.transpose(0, 2, 1)), "step": step.tolist()}
