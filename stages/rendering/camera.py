"""Cameras: from points of the world to points of the picture."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Long enough a lens that noses keep their size; with it a life-size head is filmed from about 80 cm.
PORTRAIT_FIELD_OF_VIEW = math.radians(25.0)
# Room around the head, as a share of its size, so that nodding and turning stay in the picture.
PORTRAIT_MARGIN = 0.10


@dataclass(frozen=True)
class Camera:
    """A camera that stands at `eye`, looks at `target` and has +Y upward in its picture.

    Attributes:
        eye, target: world coordinates, head units; never one straight above the other.
        aspect: width of the picture over its height.
        field_of_view: vertical, radians; perspective cameras only.
        half_height: half of the world's height that is seen, head units; makes the camera orthographic.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    aspect: float = 1.0
    field_of_view: float = PORTRAIT_FIELD_OF_VIEW
    half_height: float | None = None

    @property
    def perspective(self) -> bool:
        """Whether depth divides the picture."""
        return self.half_height is None

    @property
    def distance(self) -> float:
        """From eye to target, head units."""
        return math.dist(self.eye, self.target)

    def axes(self) -> Tensor:
        """(3, 3) unit vectors: right and up in the picture, and towards the viewer."""
        towards = torch.tensor(self.eye, dtype=torch.float64) - torch.tensor(self.target, dtype=torch.float64)
        towards = towards / towards.norm()
        right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), towards)
        right = right / right.norm()
        return torch.stack([right, torch.linalg.cross(towards, right), towards]).float()

    def project(self, vertices: Tensor) -> Tensor:
        """Screen points of vertices, differentiably.

        Args:
            vertices: (..., V, 3) world coordinates.

        Returns:
            (..., V, 3): x to the right and y up, in [-1, 1] over the picture; z the depth in front of the eye.
        """
        seen = (vertices - vertices.new_tensor(self.eye)) @ self.axes().to(vertices).T
        depth = -seen[..., 2:]
        if self.half_height is None:
            half = depth * math.tan(self.field_of_view / 2)
            scale = torch.cat([1 / (half * self.aspect), 1 / half], -1)
        else:
            scale = vertices.new_tensor([1 / (self.half_height * self.aspect), 1 / self.half_height])
        return torch.cat([seen[..., :2] * scale, depth], -1)


def portrait_box(template: Tensor, chin: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Least and greatest corner (3,) of what a portrait shows of a head; see `portrait_camera`."""
    low, high = template.amin(0), template.amax(0)
    if chin is not None:
        low[1] = torch.maximum(low[1], chin[1] - (high[1] - chin[1]) / 6)
        # Shoulders or a wide neck do not make a face smaller.
        shown = template[template[:, 1] >= low[1]]
        low[0], high[0] = shown[:, 0].amin(), shown[:, 0].amax()
    return low, high


def portrait_camera(template: Tensor, aspect: float = 1.0, *, chin: Tensor | None = None, yaw: float = 0.0) -> Camera:
    """Frames a face from the front, as large as it fits with some room to move.

    Args:
        template: (V, 3) the head at rest, facing +Z, in any unit.
        aspect: width of the picture over its height.
        chin: (3,) where given, what lies further below it than a sixth of the face's height may leave the picture.
        yaw: radians by which the camera walks round the head; positive shows the subject's left side.
    """
    low, high = portrait_box(template, chin)
    centre = (low + high) / 2
    size = high - low
    # What is nearer than the centre looks larger: fit the box where its front half ends.
    half_height = float(torch.maximum(size[1], size[0] / aspect)) / 2 * (1 + PORTRAIT_MARGIN)
    distance = half_height / math.tan(PORTRAIT_FIELD_OF_VIEW / 2) + float(size[2]) / 4
    offset = (math.sin(yaw) * distance, 0.0, math.cos(yaw) * distance)
    x, y, z = centre.tolist()
    return Camera((x + offset[0], y + offset[1], z + offset[2]), (x, y, z), aspect)
