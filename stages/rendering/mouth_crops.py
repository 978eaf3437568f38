"""Small grey pictures of the mouth, as a lip reader sees it: batched, and differentiable in the vertices.

Orthographic, from the front, of what lies around the mouth alone. The lamps are plain and stand in front: rims from behind, as
a studio has them, would make an outline bright for no reason of shape. Light is computed at the vertices and interpolated, a
third of the work of interpolating normals; what a pixel is worth is differentiable through light, place and silhouettes.

Source: the released code of Han et al., Interspeech 2024, renders 224² orthographically under five directional lights and keeps
a fixed crop of 96² of the mouth, in grey. The size of the crop in the world, and how looks vary, are ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.heads.head import Head, region_indices
from stages.heads.rotations import rotation_from_yaw_pitch_roll
from stages.rendering.antialiasing import MeshEdges, antialias, mesh_edges
from stages.rendering.backends import Backend, rasteriser_of
from stages.rendering.rasteriser import interpolate
from stages.rendering.shading import display, vertex_normals
from stages.runtime.errors import ThunderError

CROP_PIXELS = 96
# Half the crop's side in widths of the mouth at rest: it reaches from the nose's tip to the chin.
_HALF_SIDE = 0.95
# What lies further out than this, in halves of the crop's side, never comes into the picture.
_REACH = 1.5
# Linear luminance: of heads without colours, of their lips beside that, and of what is seen where there is no mesh, which in
# heads without a mouth's inside is just that.
_CLAY, _LIPS_OF_CLAY, _BACKGROUND = 0.42, 0.6, 0.015
_LUMINANCE = (0.2126, 0.7152, 0.0722)
# Towards a key lamp above the viewer's left, a fill on the right, and one from above; strengths; light from everywhere.
_LAMPS = ((-0.4, 0.5, 0.8), (0.6, 0.1, 0.8), (0.0, 1.0, 0.4))
_STRENGTHS = (0.75, 0.35, 0.20)
_AMBIENT = 0.12
# Frames drawn at once where no gradient is wanted: many drown the cost of a call, few stay in a CPU's cache.
_FRAMES_AT_ONCE = {"cpu": 64, "cuda": 512}
# A crop of which the mesh covers less shows no mouth.
LEAST_COVERAGE = 0.2


@dataclass(frozen=True)
class MouthScene:
    """What stays the same while a mouth moves.

    Attributes:
        vertices: (M,) indices of the head's vertices around the mouth; `faces` (F, 3) count among these.
        edges: of the faces.
        albedo: (M,) linear luminance.
        centre: (3,) what the middle of a crop shows; `half_side` is how far it reaches from there. Head units.
        backend: who decides which face a pixel sees.
    """

    vertices: Tensor
    faces: Tensor
    edges: MeshEdges
    albedo: Tensor
    centre: Tensor
    half_side: float
    backend: Backend = "torch"


@dataclass(frozen=True)
class Looks:
    """How B crops look beside what the mouth does.

    Attributes:
        turn: (B, 3) yaw, pitch and roll, radians, about the middle of the crop.
        scale: (B,) factor of size. shift: (B, 2) right and up, in halves of the crop's side.
        towards: (B, K, 3) unit vectors to the lamps. strength: (B, K). ambient: (B,).
        contrast: (B,) exponent of the albedo.
    """

    turn: Tensor
    scale: Tensor
    shift: Tensor
    towards: Tensor
    strength: Tensor
    ambient: Tensor
    contrast: Tensor

    def take(self, rows: Tensor) -> "Looks":
        """The looks of some rows, in their order, again and again where a row is named so."""
        return Looks(**{name: value[rows.to(value.device)] for name, value in vars(self).items()})

    def to(self, device: torch.device) -> "Looks":
        """The looks on a device."""
        return Looks(**{name: value.to(device) for name, value in vars(self).items()})


def plain_looks(batch: int) -> Looks:
    """The look of every crop that nothing is varied in."""
    towards = torch.nn.functional.normalize(torch.tensor(_LAMPS), dim=-1).expand(batch, -1, -1)
    return Looks(
        turn=torch.zeros(batch, 3),
        scale=torch.ones(batch),
        shift=torch.zeros(batch, 2),
        towards=towards,
        strength=torch.tensor(_STRENGTHS).expand(batch, -1),
        ambient=torch.full((batch,), _AMBIENT),
        contrast=torch.ones(batch),
    )


def varied_looks(batch: int, generator: torch.Generator) -> Looks:
    """Looks drawn at random: turned by some 5°, 7 % larger or smaller, 4 % aside, other lamps and another complexion."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    plain = plain_looks(batch)
    return Looks(
        turn=0.09 * normal(batch, 3),
        scale=(0.07 * normal(batch)).exp(),
        shift=0.04 * normal(batch, 2),
        towards=torch.nn.functional.normalize(plain.towards + 0.35 * normal(batch, len(_LAMPS), 3), dim=-1),
        strength=plain.strength * (0.3 * normal(batch, len(_LAMPS))).exp(),
        ambient=plain.ambient * (0.5 * normal(batch)).exp(),
        contrast=(0.25 * normal(batch)).exp(),
    )


def mouth_scene(head: HeadRecord, device: torch.device | str = "cpu", backend: Backend = "torch") -> MouthScene:
    """What of a head a crop shows.

    Raises:
        ThunderError: a head without lips, or whose mouth has no width.
    """
    lips = region_indices(head, "lips")
    template = torch.from_numpy(head.template).float()
    left, right = (template[head.landmarks[name]] for name in ("mouth_left", "mouth_right"))
    half_side = _HALF_SIDE * float((left - right).norm())
    if not half_side > 0:
        raise ThunderError(
            f"head {head.name}: its mouth corners are one point; wanted landmarks mouth_left, mouth_right"
        )
    centre = (left + right) / 2
    near = ((template - centre)[:, :2].abs() < _REACH * half_side).all(1)
    faces = torch.from_numpy(head.faces).long()
    kept = near[faces].any(1)
    # Looks turn little: what faces backward at rest, as the back of the head does, is never seen.
    across = torch.linalg.cross(
        template[faces[:, 1]] - template[faces[:, 0]], template[faces[:, 2]] - template[faces[:, 0]]
    )
    kept &= (across[:, 2] > -0.8 * across.norm(dim=1)) | torch.isin(faces, region_indices(head, "mouth")).any(1)
    vertices, faces = faces[kept].unique(return_inverse=True)
    if "colours" in head.arrays:
        albedo = torch.from_numpy(head.arrays["colours"]).float() @ torch.tensor(_LUMINANCE)
    else:
        albedo = torch.full((len(template),), _CLAY)
        albedo[lips] *= _LIPS_OF_CLAY
    faces = faces.to(device)
    albedo, centre = albedo[vertices].to(device), centre.to(device)
    return MouthScene(vertices.to(device), faces, mesh_edges(faces), albedo, centre, half_side, backend)


def draw_mouths(scene: MouthScene, vertices: Tensor, looks: Looks | None = None) -> tuple[Tensor, Tensor]:
    """Crops of a batch of faces, differentiable in the vertices.

    Args:
        vertices: (B, M, 3) of `scene.vertices`, head units, without head rotation.
        looks: of each; the plain one where None.

    Returns:
        (B, 96, 96) in 0..1, display-referred, and the share (B,) of each that the mesh covers.
    """
    looks = (plain_looks(len(vertices)) if looks is None else looks).to(vertices.device)
    arms = (vertices - scene.centre) / scene.half_side
    arms = arms @ rotation_from_yaw_pitch_roll(looks.turn).transpose(-1, -2)
    light = _light(vertex_normals(arms, scene.faces), scene.albedo, looks)  # (B, M)
    place = looks.scale[:, None, None] * arms[..., :2] + looks.shift[:, None]
    points = torch.cat([place, 10 - arms[..., 2:]], -1)
    fragments = rasteriser_of(scene.backend)(points, scene.faces, CROP_PIXELS, CROP_PIXELS, perspective=False)
    seen = interpolate(light[..., None], scene.faces, fragments)  # (P, 1)
    picture = fragments.picture(seen, seen.new_tensor([_BACKGROUND]))
    return display(antialias(picture, fragments, points, scene.faces, scene.edges)[..., 0]), fragments.coverage()


@torch.no_grad()
def film_mouth(scene: MouthScene, head: Head, motion: Tensor, template: Tensor, looks: Looks | None = None) -> Tensor:
    """The crops of a moving mouth as bytes.

    Args:
        motion: (T, D).
        template: (V, 3) the subject at rest.
        looks: one, of the whole film.

    Returns:
        (T, 96, 96) uint8.

    Raises:
        ThunderError: a frame that shows no mouth.
    """
    device = motion.device
    films = []
    for piece in motion.split(_FRAMES_AT_ONCE.get(device.type, _FRAMES_AT_ONCE["cpu"])):
        vertices = head.vertices(piece, template=template, indices=scene.vertices, pose=False)
        of_frames = None if looks is None else looks.take(torch.zeros(len(piece), dtype=torch.long))
        crops, coverage = draw_mouths(scene, vertices, of_frames)
        if not bool((coverage >= LEAST_COVERAGE).all()):
            raise ThunderError("a frame shows no mouth: its vertices are far off or not finite; make the motion again")
        films.append((crops * 255).round().to(torch.uint8))
    return torch.cat(films)


def _light(normals: Tensor, albedo: Tensor, looks: Looks) -> Tensor:
    """Linear luminance (B, M) that vertices send to the viewer; half-Lambert lamps fade out without a crease."""
    cosine = normals @ looks.towards.transpose(-1, -2)  # (B, M, K)
    facing = (0.5 + 0.5 * cosine).square()
    received = looks.ambient[:, None] + (facing @ looks.strength[..., None])[..., 0]
    return received * albedo.clamp_min(1e-4) ** looks.contrast[:, None]
