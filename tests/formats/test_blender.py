"""Blender opens what `export` writes: shape keys by name, animated, and in place. Needs the `bpy` package."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import write_clips
from stages.export import Format, export
from stages.heads.arkit import ARKIT_CURVES
from stages.heads.head import build_head
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_head

bpy = pytest.importorskip("bpy")

NUM_FRAMES = 12


@pytest.mark.parametrize(("output_format", "file"), [("gltf", "a.glb"), ("usd", "a.0.usdc")])
def test_blender_plays_the_curves(tmp_path: Path, output_format: Format, file: str) -> None:
    head = small_head()
    clip = small_clip("a", num_frames=NUM_FRAMES)
    clip.motion[:, -3:] = 0  # heads turn by an armature in Blender; here the shapes alone are compared
    with write_clips(
        tmp_path / "d.h5", "thunder.dataset", head, Provenance(seed=0, command="test"), force=True
    ) as writer:
        writer.add(clip)
    export(tmp_path / "d.h5", tmp_path / "out", output_format)

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 25
    if output_format == "gltf":
        bpy.ops.import_scene.gltf(filepath=str(tmp_path / "out" / file))
    else:
        bpy.ops.wm.usd_import(filepath=str(tmp_path / "out" / file))
    (face,) = [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.shape_keys]
    names = [key.name for key in face.data.shape_keys.key_blocks]
    assert set(ARKIT_CURVES) <= set(names)

    expected = (
        build_head(head).vertices(torch.from_numpy(clip.motion), template=torch.from_numpy(head.template)).numpy()
    )
    start = int(face.data.shape_keys.animation_data.action.frame_range[0])
    for t in (0, 5, NUM_FRAMES - 1):
        bpy.context.scene.frame_set(start + t)
        for name in ("jawOpen", "mouthSmileLeft"):
            value = face.data.shape_keys.key_blocks[name].value
            assert value == pytest.approx(clip.motion[t, ARKIT_CURVES.index(name)], abs=1e-4)
        seen = face.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
        found = np.array([list(face.matrix_world @ vertex.co) for vertex in seen.vertices])
        # Blender has +Z up and looks along +Y: its importer turns +Y up to that.
        wanted = expected[t] @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        np.testing.assert_allclose(found, wanted, atol=1e-4)
