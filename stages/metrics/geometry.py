"""Distances between a face and the true one, the dynamics of the upper face, and jitter.

Vertices are in head units; the catalogue turns metres into millimetres. All functions reduce the last three axes
(T, V, 3) and keep the leading ones, so that N takes are measured at once.
"""

import torch
from torch import Tensor


def mean_vertex_error(vertices: Tensor, truth: Tensor) -> Tensor:
    """MVE: mean over frames and vertices of the L2 distance. Over clips: frames pooled.

    Args:
        vertices: (..., T, V, 3), head units.
        truth: (T, V, 3) or (..., T, V, 3).

    Returns:
        (...), head units.
    """
    return torch.linalg.vector_norm(vertices - truth, dim=-1).mean((-2, -1))


def lip_vertex_error(lips: Tensor, true_lips: Tensor) -> Tensor:
    """LVE: per frame the maximum over lip vertices of the squared L2 distance, mean over frames. Over clips: frames pooled.

    1 mm² = 1e-6 m²: a published "LVE ×1e-5" on VOCASET, in m², is this figure divided by 10.

    Args:
        lips: (..., T, V, 3), lip vertices, head units.
        true_lips: (T, V, 3) or (..., T, V, 3).

    Returns:
        (...), head units squared.

    Source:
        MeshTalk (Richard et al., ICCV 2021); the square and the pooling as in CodeTalker's evaluation script.
    """
    return (lips - true_lips).square().sum(-1).amax(-1).mean(-1)


def lip_vertex_distance(lips: Tensor, true_lips: Tensor) -> Tensor:
    """LVE without the square: per frame the maximum over lip vertices of the L2 distance, mean over frames.

    A length, and so easier to picture than `lip_vertex_error`; not its root, since the mean is taken after the root. Over
    clips: frames pooled.

    Args:
        lips: (..., T, V, 3), lip vertices, head units.
        true_lips: (T, V, 3) or (..., T, V, 3).

    Returns:
        (...), head units.
    """
    return torch.linalg.vector_norm(lips - true_lips, dim=-1).amax(-1).mean(-1)


def face_dynamics(vertices: Tensor, template: Tensor) -> Tensor:
    """Mean over vertices of the standard deviation over time of the squared distance from the face at rest.

    Args:
        vertices: (..., T, V, 3), head units.
        template: (V, 3), the subject's face at rest.

    Returns:
        (...), head units squared.
    """
    squared = (vertices - template).square().sum(-1).double()  # (..., T, V)
    return squared.std(-2, correction=0).mean(-1)


def face_dynamics_deviation(vertices: Tensor, truth: Tensor, template: Tensor) -> Tensor:
    """FDD, signed: mean_v std_t ‖truth − template‖² − mean_v std_t ‖vertices − template‖² over the upper face.

    Population standard deviation. Positive where the truth is livelier. Over clips: the mean, in which too lively and too
    dull clips cancel; `absolute_face_dynamics_deviation` does not cancel.

    Args:
        vertices: (..., T, V, 3), upper-face vertices, head units.
        truth: (T, V, 3).
        template: (V, 3), the subject's face at rest.

    Returns:
        (...), head units squared.

    Source:
        CodeTalker (Xing et al., CVPR 2023), evaluation script.
    """
    return face_dynamics(truth, template) - face_dynamics(vertices, template)


def absolute_face_dynamics_deviation(vertices: Tensor, truth: Tensor, template: Tensor) -> Tensor:
    """|FDD|: the absolute value of `face_dynamics_deviation`, so that opposite errors do not cancel.

    Over takes and clips: the mean of the absolute values.

    Args:
        vertices: (..., T, V, 3), upper-face vertices, head units.
        truth: (T, V, 3).
        template: (V, 3), the subject's face at rest.

    Returns:
        (...), head units squared.

    Source:
        FaceDiffuser (Stan et al., MIG 2023) reports an absolute value; taking it for each take is our choice.
    """
    return face_dynamics_deviation(vertices, truth, template).abs()


def jitter(vertices: Tensor, fps: float) -> Tensor:
    """Mean over frames and vertices of the norm of jerk: the third finite difference times fps³. Over clips: the mean.

    Head pose is part of it, since a trembling head is seen as much as trembling lips. Compare it with that of the truth
    at the same rate: neither zero nor large is good.

    Args:
        vertices: (..., T, V, 3), head units; T of at least 4, else the result is NaN.
        fps: frames per second.

    Returns:
        (...), head units per s³.

    Source:
        Jerk as the measure of smoothness: Flash and Hogan (1985); as a metric named jitter: TransPose (Yi et al., 2021).
    """
    jerk = torch.diff(vertices, n=3, dim=-3)  # (..., T-3, V, 3)
    return torch.linalg.vector_norm(jerk, dim=-1).mean((-2, -1)) * fps**3
