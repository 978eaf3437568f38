"""USD: a face whose shapes are UsdSkel blend shapes by name, its joints a skeleton, one take as its animation, sound beside.

Frame t stands at time code t, and the stage says how many of them a second has. Every frame carries every weight. Shapes that
move a part of the face alone are stored sparsely. The sound is a reference to a WAV file in the same folder.

Source: Pixar, "UsdSkel: Schemas", https://openusd.org/release/api/_usd_skel__schemas.html
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.heads.rig import Rig, RigMotion, quaternions
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError

_ROOT = "/Head"


def need_usd() -> None:
    """Says what to install before work is done in vain.

    Raises:
        ThunderError: usd-core is not installed.
    """
    try:
        import pxr  # noqa: F401
    except ImportError as error:
        raise ThunderError("--format usd needs usd-core, which is not installed; `pip install usd-core`") from error


def write_usd(
    path: Path,
    rig: Rig,
    faces: NDArray[np.int32],
    motion: RigMotion,
    fps: float,
    *,
    colours: NDArray[np.float32] | None = None,
    sound: str = "",
) -> None:
    """Writes a face and one take.

    Args:
        path: file to write, `.usdc` or `.usda`; an existing one is replaced when the new one is whole.
        rig: metres, +Y up, +Z out of the face.
        faces: (F, 3), counter-clockwise seen from outside.
        motion: T frames of that rig.
        fps: frames a second.
        colours: (V, 3), linear RGB, 0..1.
        sound: name of the file with the speech, in the same folder.

    Raises:
        ThunderError: usd-core is not installed, the disk is full, or the folder cannot be written.
    """
    need_usd()
    from pxr import Sdf, Usd, UsdGeom, UsdMedia, UsdSkel

    stage = Usd.Stage.CreateInMemory(path.suffix)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(max(0, len(motion.weights) - 1))
    root = UsdSkel.Root.Define(stage, _ROOT)
    stage.SetDefaultPrim(root.GetPrim())
    mesh = _mesh(stage, rig, faces, colours)
    names = _shapes(stage, mesh, rig)
    animation = _animation(stage, rig, motion, names)
    binding = UsdSkel.BindingAPI(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([Sdf.Path(f"{_ROOT}/Skeleton")])
    skeleton = UsdSkel.BindingAPI.Apply(stage.GetPrimAtPath(f"{_ROOT}/Skeleton"))
    skeleton.CreateAnimationSourceRel().SetTargets([animation])
    if sound:
        speech = UsdMedia.SpatialAudio.Define(stage, f"{_ROOT}/Speech")
        speech.CreateFilePathAttr(Sdf.AssetPath(f"./{sound}"))
        speech.CreateAuralModeAttr(UsdMedia.Tokens.nonSpatial)
        speech.CreatePlaybackModeAttr(UsdMedia.Tokens.onceFromStart)
        # It starts at time code 0 where nothing is said. To say so takes a later version of the binary format, with a warning
        # on stderr for every file.
    with whole_or_none(path) as partial:
        stage.GetRootLayer().Export(str(partial))


def _vectors(values: NDArray[np.float32]) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, np.float32))


def _mesh(stage: Any, rig: Rig, faces: NDArray[np.int32], colours: NDArray[np.float32] | None) -> Any:
    from pxr import UsdGeom, UsdSkel, Vt

    mesh = UsdGeom.Mesh.Define(stage, f"{_ROOT}/Face")
    mesh.CreatePointsAttr(_vectors(rig.template))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray(len(faces), 3))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(faces.reshape(-1), np.int32)))
    # Without normals of its own: those at rest would light a face that has moved.
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(mesh.GetPointsAttr().Get()))
    if colours is not None:
        mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(_vectors(colours))
    # A skeleton is what animations hang on; a face that does not turn has one joint that stays.
    weights = rig.joint_weights if rig.joint_names else np.ones((len(rig.template), 1), "f4")
    most = int((weights > 0).sum(axis=1).max())
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :most]
    strong = np.take_along_axis(weights, joints, axis=1).astype(np.float64)
    strong = (strong / strong.sum(axis=1, keepdims=True)).astype(np.float32)
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateJointIndicesPrimvar(False, most).Set(Vt.IntArray.FromNumpy(joints.astype(np.int32).reshape(-1)))
    binding.CreateJointWeightsPrimvar(False, most).Set(Vt.FloatArray.FromNumpy(strong.reshape(-1)))
    return mesh


def _shapes(stage: Any, mesh: Any, rig: Rig) -> list[str]:
    """Blend shapes below the mesh; returns their names, which USD wants to be identifiers."""
    from pxr import Tf, UsdSkel, Vt

    names = [Tf.MakeValidIdentifier(name) for name in rig.shape_names]
    path = mesh.GetPrim().GetPath()
    for name, shape in zip(names, rig.shapes, strict=True):
        # One that moves nothing keeps a vertex: an empty list would mean that none is left out.
        moved = np.flatnonzero(shape.any(axis=1)) if shape.any() else np.zeros(1, np.int64)
        blend = UsdSkel.BlendShape.Define(stage, path.AppendChild(name))
        blend.CreateOffsetsAttr(_vectors(shape[moved]))
        if len(moved) < len(shape):
            blend.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
    binding = UsdSkel.BindingAPI(mesh.GetPrim())
    binding.CreateBlendShapesAttr(names)
    binding.CreateBlendShapeTargetsRel().SetTargets([path.AppendChild(name) for name in names])
    return names


def _animation(stage: Any, rig: Rig, motion: RigMotion, names: list[str]) -> Any:
    """The skeleton, and the take below it; returns the path of the take."""
    from pxr import Gf, UsdSkel, Vt

    joints = list(rig.joint_names) or ["still"]
    rest = rig.joints if rig.joint_names else np.zeros((1, 3), "f4")
    matrices = [Gf.Matrix4d(1).SetTranslate(Gf.Vec3d(*map(float, place))) for place in rest]
    skeleton = UsdSkel.Skeleton.Define(stage, f"{_ROOT}/Skeleton")
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray(matrices))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray(matrices))
    animation = UsdSkel.Animation.Define(stage, f"{_ROOT}/Skeleton/Take")
    animation.CreateBlendShapesAttr(names)
    weights = animation.CreateBlendShapeWeightsAttr()
    for t, row in enumerate(np.ascontiguousarray(motion.weights, np.float32)):
        weights.Set(Vt.FloatArray.FromNumpy(row), t)
    animation.CreateJointsAttr(joints)
    animation.CreateScalesAttr(Vt.Vec3hArray(len(joints), Gf.Vec3h(1, 1, 1)))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    if not rig.joint_names:
        translations.Set(_vectors(rest))
        rotations.Set(Vt.QuatfArray(1, Gf.Quatf(1, 0, 0, 0)))
        return animation.GetPath()
    turns = np.stack([quaternions(motion.rotations[:, j]) for j in range(len(joints))], axis=1).astype(float)
    for t, (places, turned) in enumerate(zip(motion.places, turns, strict=True)):
        translations.Set(_vectors(places), t)
        rotations.Set(Vt.QuatfArray([Gf.Quatf(w, x, y, z) for x, y, z, w in turned.tolist()]), t)
    return animation.GetPath()
