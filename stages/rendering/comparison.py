"""Panels of takes beside a recording: how far they are from it, in words and in colours."""

from dataclasses import replace

import torch

from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head, region_indices
from stages.metrics.geometry import lip_vertex_distance
from stages.rendering.studio import Panel


def compared(panels: list[Panel], head: HeadRecord, error_scale_mm: float | None) -> list[Panel]:
    """Panels with how far their lips are off in the caption and, if wished, with their distance on the surface.

    Args:
        panels: the recording, then takes.
        head: whose motion they are.
        error_scale_mm: the distance at which colours end, head units where heads have no metres; None for no colours.
    """
    truth, *takes = panels
    lips = region_indices(head, "lips").to(truth.motion.device)
    model = build_head(head).to(truth.motion.device)
    metres = head.units == "m"

    def lip_vertices(panel: Panel, num_frames: int) -> torch.Tensor:
        if panel.vertices is not None and head.kind == "displacement":
            return torch.from_numpy(panel.vertices[:num_frames, lips.cpu().numpy()]).to(lips.device)
        return model.vertices(panel.motion[:num_frames], template=panel.template, indices=lips, pose=False)

    compared = [truth]
    for take in takes:
        num_frames = min(len(take.motion), len(truth.motion))
        error = float(lip_vertex_distance(lip_vertices(take, num_frames), lip_vertices(truth, num_frames)))
        label = (
            f"{take.label} · lips off by {error * 1000:.2f} mm" if metres else f"{take.label} · lips off by {error:.3g}"
        )
        if error_scale_mm is None:
            compared.append(replace(take, label=label))
        else:
            scale = error_scale_mm / 1000 if metres else error_scale_mm
            compared.append(replace(take, label=label, truth=truth, full_scale=scale))
    return compared
