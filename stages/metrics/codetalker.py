"""LVE and FDD as CodeTalker's published script computes them, so that figures stand beside published ones.

What differs from this toolkit's own (`geometry`): head pose is part of the face, as in the arrays on disk; figures are in head
units, squared, and never mm²; what is longer than the truth is cut to it, and what is shorter is refused, where ours are cut to
the shorter; every number is a float64. What does not: the formulas themselves, pooling frames in LVE, averaging clips in FDD,
and the subject's own template. The script knows one take a clip; of several, the mean is taken.

Source: CodeTalker (Xing et al., CVPR 2023), main/cal_metric.py; on BIWI, lips are regions/lve.txt and the upper face is
regions/fdd.txt, which `thunder preprocess` reads.
"""

from torch import Tensor

from stages.metrics.catalogue import Metric
from stages.metrics.faces import ClipFaces


def lip_vertex_error(lips: Tensor, true_lips: Tensor) -> Tensor:
    """LVE of CodeTalker's script: per frame the maximum over lip vertices of the squared L2 distance, mean over frames.

    With head pose, in head units squared, float64. Over clips: frames pooled.

    Args:
        lips: (T, V, 3), lip vertices, head units.
        true_lips: (T, V, 3).
    """
    return (true_lips.double() - lips.double()).square().sum(-1).amax(-1).mean()


def face_dynamics_deviation(vertices: Tensor, truth: Tensor, template: Tensor) -> Tensor:
    """FDD of CodeTalker's script: mean_v std_t ‖truth − template‖² − mean_v std_t ‖vertices − template‖², upper face.

    With head pose, in head units squared, float64, population standard deviation, signed. Over clips: the mean.

    Args:
        vertices: (T, V, 3), upper-face vertices, head units.
        truth: (T, V, 3).
        template: (V, 3), the subject's face at rest.
    """
    true, own = (
        (moving.double() - template.double()).square().sum(-1).std(0, correction=0).mean()
        for moving in (truth, vertices)
    )
    return true - own


def _lve(clip: ClipFaces) -> Tensor:
    return clip.compare("lips", lambda take, truth, _: lip_vertex_error(take, truth), pose=True)


def _fdd(clip: ClipFaces) -> Tensor:
    return clip.compare("upper_face", face_dynamics_deviation, pose=True)


CODETALKER: tuple[Metric, ...] = (
    Metric("lve", lip_vertex_error, "lips", "square", _lve, weight="frame", better="less"),
    Metric("fdd", face_dynamics_deviation, "upper_face", "square", _fdd),
)
