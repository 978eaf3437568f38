"""PyTorch3D's rasteriser behind the same function as ours, where it is installed; an independent second opinion.

It decides which face each pixel sees, where on it, and how deep, with its own code for both and for their gradients. Light
and antialiasing are those of this folder, so that pictures of the two differ by nothing else.

What agrees, on pictures of heads: of the pixels that either covers, 99.9 % at least are covered by both, and 99 % show the
same face; there, depth agrees to 0.001 % and barycentrics to 0.005. Colours differ by less than a tenth of a level of 255 in
the mean, and gradients of mouth crops have a cosine above 0.999. What does not agree: whose pixel it is where a centre falls
on an edge, and faces of a thousandth of a pixel, which PyTorch3D leaves out.

Gradients are its own through barycentrics and depth. Across silhouettes they come from `antialiasing.py`, as with our
rasteriser: PyTorch3D's own soft silhouettes (many blurred faces a pixel, blended by sigma and gamma) show another picture,
and are not used.
"""

import torch
from torch import Tensor

from stages.rendering.rasteriser import Fragments
from stages.runtime.pytorch3d import check_pytorch3d

# PyTorch3D takes no pixel centre that lies on an edge, which leaves holes between faces, but takes those that are nearer to
# a face than this: squared, in halves of the shorter side; a ten-thousandth of a pixel of a large picture.
_NEXT_TO_AN_EDGE = 1e-13


def rasterise_by_pytorch3d(
    points: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    perspective: bool = True,
    cull_back: bool = True,
    near: float = 1e-3,
) -> Fragments:
    """As `rasteriser.rasterise`, with the same arguments and the same meaning, by PyTorch3D.

    Raises:
        ThunderError: PyTorch3D is not installed.
    """
    check_pytorch3d()
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    batch, num_faces = len(points), len(faces)
    faces = faces.to(torch.int64)
    usable = torch.isfinite(points).all(-1)
    if perspective:
        usable &= points[..., 2] > near
    x, y, depth = torch.where(usable[..., None], points, points.new_tensor([0.0, 0.0, 1.0])).float().unbind(-1)
    # It wants depths above zero, which an orthographic picture does without.
    behind = torch.zeros_like(depth[:, :1]) if perspective else 1 - depth.detach().amin(1, keepdim=True)
    # Its x grows to the left, and the shorter side is what reaches from -1 to 1.
    shorter = min(height, width)
    theirs = torch.stack([-x * (width / shorter), y * (height / shorter), depth + behind], -1)
    # A face without area is not drawn.
    drawn = usable[:, faces].all(-1, keepdim=True)  # (B, F, 1)
    face, zbuf, barycentrics, _ = rasterize_meshes(
        Meshes(theirs, torch.where(drawn, faces, faces[:1, :1])),
        image_size=(height, width),
        blur_radius=_NEXT_TO_AN_EDGE,
        faces_per_pixel=1,
        max_faces_per_bin=num_faces,
        perspective_correct=perspective,
        clip_barycentric_coords=True,
        cull_backfaces=cull_back,
    )
    face = face.flatten()  # in the whole batch, -1 where there is none
    pixel = (face >= 0).nonzero().squeeze(1)
    pairs, pair = face[pixel].unique(return_inverse=True)
    pair_frame = pairs // num_faces
    seen_depth = zbuf.flatten()[pixel] - behind[pixel // (height * width), 0]
    nearness = torch.full((batch * height * width,), -torch.inf, device=points.device)
    nearness[pixel] = (seen_depth.reciprocal() if perspective else -seen_depth).detach()
    return Fragments(
        (batch, height, width),
        pixel,
        pair,
        pair_frame,
        pairs - pair_frame * num_faces,
        barycentrics.reshape(-1, 3)[pixel].to(points.dtype),
        seen_depth.to(points.dtype),
        nearness.reshape(batch, height, width),
        perspective,
    )
