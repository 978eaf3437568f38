"""USD: skinned by OpenUSD itself and compared with the head, and judged by its validators."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.heads.head import build_head
from tests.formats.test_gltf import HEADS
from tests.formats.test_gltf import exported as exported_takes

pxr = pytest.importorskip("pxr")
from pxr import Usd, UsdGeom, UsdMedia, UsdSkel, UsdValidation  # noqa: E402

Exported = tuple[str, Path, np.ndarray, np.ndarray]


@pytest.fixture(scope="module", params=list(HEADS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Name of the head, the folder, the motion (N, T, D) and the subject's template."""
    folder = tmp_path_factory.mktemp(request.param)
    _, template, motion = exported_takes(folder, HEADS[request.param], "usd")
    return request.param, folder / "out", motion, template


def test_openusd_plays_what_the_head_plays(exported: Exported) -> None:
    name, folder, motion, template = exported
    head = build_head(HEADS[name])
    for k, take in enumerate(motion):
        stage = Usd.Stage.Open(str(folder / f"ann_hello.{k}.usdc"))
        assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, len(take) - 1)
        assert stage.GetTimeCodesPerSecond() == 25
        assert UsdGeom.GetStageUpAxis(stage) == "Y"
        assert UsdGeom.GetStageMetersPerUnit(stage) == 1
        expected = head.vertices(torch.from_numpy(take), template=torch.from_numpy(template)).numpy()
        root = UsdSkel.Root(stage.GetDefaultPrim())
        assert UsdSkel.BakeSkinning(root)
        points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Face")).GetPointsAttr()
        for t in (0, 3, len(take) - 1):
            np.testing.assert_allclose(np.array(points.Get(t)), expected[t], atol=2e-6)


def test_every_frame_carries_every_weight_by_name(exported: Exported) -> None:
    name, folder, motion, _ = exported
    stage = Usd.Stage.Open(str(folder / "ann_hello.1.usdc"))
    animation = UsdSkel.Animation(stage.GetPrimAtPath("/Head/Skeleton/Take"))
    shapes = list(animation.GetBlendShapesAttr().Get())
    features = [f for f in HEADS[name].features if f in shapes]
    assert len(features) == len(HEADS[name].arrays["basis"])
    weights = animation.GetBlendShapeWeightsAttr()
    assert weights.GetTimeSamples() == list(range(motion.shape[1]))
    columns = [HEADS[name].features.index(f) for f in features]
    places = [shapes.index(f) for f in features]
    for t in weights.GetTimeSamples():
        np.testing.assert_array_equal(np.array(weights.Get(t))[places], motion[1, int(t)][columns])


def test_the_sound_lies_beside(exported: Exported) -> None:
    _, folder, _, _ = exported
    stage = Usd.Stage.Open(str(folder / "ann_hello.0.usdc"))
    sound = UsdMedia.SpatialAudio(stage.GetPrimAtPath("/Head/Speech"))
    assert Path(sound.GetFilePathAttr().Get().resolvedPath).samefile(folder / "ann_hello.wav")
    assert sound.GetStartTimeAttr().Get().GetValue() == 0


def test_openusd_finds_nothing_wrong(exported: Exported) -> None:
    """What `usdchecker` asks."""
    _, folder, _, _ = exported
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 10
    errors = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(folder / "ann_hello.0.usdc")))
    assert [error.GetErrorAsString() for error in errors] == []


def test_openusd_has_nothing_to_say_while_files_are_written(tmp_path: Path) -> None:
    exported_takes(tmp_path, HEADS["flame_jaw"])
    command = [sys.executable, "-m", "thunder_cli", "export", "samples.h5", "--format", "usd", "-o", "usd"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stderr == ""
