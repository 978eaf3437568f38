"""Rotations of heads and joints."""

import torch
from torch import Tensor


def rotation_from_yaw_pitch_roll(angles: Tensor) -> Tensor:
    """Rotation matrices R = R_y(yaw) R_x(pitch) R_z(roll).

    Args:
        angles: (..., 3), radians: yaw about +Y, pitch about +X, roll about +Z; each positive by the right-hand rule.

    Returns:
        (..., 3, 3), to be applied to column vectors.
    """
    (cy, cx, cz), (sy, sx, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = (
        (cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx),
        (cx * sz, cx * cz, -sx),
        (-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
