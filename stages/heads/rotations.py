"""Rotations of heads and joints."""

import torch
from torch import Tensor

# Angles below a thirtieth of a radian; the first term left out of the series is 3e-18 of the sum there.
_SMALL_SQUARE = 1e-3


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


def rotation_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rotation matrices exp([a]x) = I + sin(t)/t [a]x + (1 - cos(t))/t^2 [a]x^2 with t = |a| (Rodrigues).

    Right at 0 and around it, and so are its derivatives: near 0 the two quotients are summed as series in t^2.

    Args:
        axis_angle: (..., 3), radians: the direction is the axis, the length the angle, by the right-hand rule.

    Returns:
        (..., 3, 3), to be applied to column vectors.
    """
    square = axis_angle.square().sum(-1)[..., None, None]  # (..., 1, 1)
    small = square < _SMALL_SQUARE
    # Both branches of `where` are differentiated, so the root must not see the zeros that the series are for.
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    first = torch.where(small, 1 - square / 6 * (1 - square / 20 * (1 - square / 42)), angle.sin() / angle)
    half = (angle / 2).sin() / (angle / 2)  # 1 - cos(t) loses its digits; 2 sin(t/2)^2 does not.
    second = torch.where(small, 0.5 - square / 24 * (1 - square / 30 * (1 - square / 56)), half.square() / 2)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    cross = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # (..., 3, 3)
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + first * cross + second * (cross @ cross)
