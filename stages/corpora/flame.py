"""Recordings with FLAME coefficients, as trackers of faces in video write them.

    corpus/<subject>/<clip>.npz          or .npy of a dictionary: expression and jaw, frame by frame; keys in `ALIASES`
                     <clip>.wav          the sound, or any audio or video format

and, optional, what `stages.corpora.sidecars` names. The FLAME file is the user's own. Where the sounds lie in a folder of their
own with the same names in it, as DiffPoseTalk's do, copy that over this one: `cp -r audio/. FLAME_coeffs/`.

A joint's rotation is axis-angle in radians, or what else `stages.corpora.joint_rotations` names. `pose` is axis-angle: 3 values
a frame are the jaw (the head, where the jaw has a key of its own); 6: head, jaw (DECA, EMOCA, DiffPoseTalk); or 15: head, neck,
jaw, left eye, right eye, FLAME's order. A .npy of plain numbers has 50 or 100 expressions and 3 of the jaw: (T, 53) or
(T, 103); with more columns nobody could tell which is which. What else a file holds is left out, and said: translations and
cameras, since a head here turns and does not travel; eyelids, which are no part of FLAME. Shape coefficients become the
subject's template, by their mean over all its frames.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.waveform import load_waveform
from stages.corpora.checks import open_mouths
from stages.corpora.corpus import Corpus, RawClip, Recording
from stages.corpora.flame_model import WHERE_FLAME_COMES_FROM, FlameModel, read_flame_model
from stages.corpora.joint_rotations import joint_angles
from stages.corpora.numpy_files import npy_shape, read_npy, read_npz
from stages.corpora.sidecars import Pair, complete, find_pairs
from stages.corpora.surface import read_lips
from stages.heads.flame import JOINT_FEATURES, JOINTS
from stages.runtime.errors import Failure, ThunderError

# What we call it -> what files call it, in lower case: FLAME and smplx, DECA and EMOCA, EMOTE (INFERNO), DiffPoseTalk (TFHP),
# VHAP, MICA's tracker and their descendants.
ALIASES: dict[str, tuple[str, ...]] = {
    "expression": ("expression", "exp", "expr", "expcode", "exp_code", "expression_params", "exp_params", "gt_exp"),
    "jaw": ("jaw_pose", "jaw", "jawpose", "jaw_params", "jaw_code", "gt_jaw"),
    "pose": ("pose", "full_pose", "posecode", "pose_code", "pose_params", "poses", "flame_pose"),
    "head": ("global_orient", "globalpose", "global_pose", "head_pose", "headpose", "rotation", "root_pose", "rot"),
    "neck": ("neck_pose", "neck", "neckpose", "neck_params"),
    "eyes": ("eyes_pose", "eye_pose", "eyes", "eyepose", "eyes_params"),
    "eyeLeft": ("leye_pose", "left_eye_pose"),
    "eyeRight": ("reye_pose", "right_eye_pose"),
    "shape": ("shape", "betas", "shapecode", "shape_code", "shape_params", "identity", "gt_shape"),
    "fps": ("fps", "frame_rate", "framerate", "video_fps"),
}
_POSES: dict[int, tuple[str, ...]] = {
    3: ("jaw",),
    6: ("head", "jaw"),
    15: ("head", "neck", "jaw", "eyeLeft", "eyeRight"),
}
_PLAIN_COLUMNS = (53, 103)
# People look at the camera on the whole: a mean rotation beyond this comes from another frame of reference.
_TURNED_AWAY = 1.5
# Coefficients kept from the listing for the reading, so that files are read once: 26 hours, as of TFHP. The rest is read twice.
_MAX_BYTES_KEPT = 1 << 29
_COMMON_FPS = (24.0, 25.0, 30 / 1.001, 30.0, 50.0, 60.0)


@dataclass(frozen=True)
class Coefficients:
    """The content of one file.

    Attributes:
        expression: (T, E) f32.
        rotations: joint -> (T, 3) f32, axis-angle; at least the jaw's.
        shape: (S,) f32, the mean over frames; None where the file has none.
        fps: where the file says it.
        unused: its other keys.
    """

    expression: NDArray[np.float32]
    rotations: dict[str, NDArray[np.float32]]
    shape: NDArray[np.float32] | None
    fps: float | None
    unused: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.expression.nbytes + sum(angles.nbytes for angles in self.rotations.values())


def read_flame(
    folder: Path, flame_path: Path | None, *, lips_path: Path | None = None, fps: float | None = None
) -> Corpus:
    """Lists the recordings of a folder of FLAME coefficients.

    Args:
        folder: see the top of this file.
        flame_path: FLAME's own file.
        lips_path: file of lip vertices; else FLAME_masks.pkl in the folder or beside the FLAME file.
        fps: frame rate of files that do not say theirs.

    Raises:
        ThunderError: there is no FLAME file, no lip vertices, or not one file of coefficients that can be used.
    """
    if flame_path is None:
        raise ThunderError(f"{folder}: FLAME coefficients need FLAME's own file; {WHERE_FLAME_COMES_FROM}")
    model = read_flame_model(flame_path)
    lips_folder = folder if (folder / "FLAME_masks.pkl").exists() else flame_path.parent
    lips = read_lips(lips_folder, lips_path, len(model.template))
    pairs, problems = find_pairs(folder, (".npz", ".npy"))
    own = {path.resolve().with_suffix("") for path in (flame_path, lips_path) if path is not None}
    # FLAME's file is no clip, should it lie in the corpus.
    problems = [problem for problem in problems if (folder / problem.item).resolve() not in own]
    usable: list[tuple[Pair, Coefficients | None]] = []
    bytes_kept = 0
    turned: set[str] = set()
    joints: set[str] = set()
    unused: set[str] = set()
    shapes: dict[str, list[tuple[int, NDArray[np.float32]]]] = {}
    num_expressions = 0
    for pair in pairs:
        try:
            found = read_coefficients(pair.motion)
            _check_size(pair.motion, found, model)
        except ThunderError as error:
            problems.append(Failure(pair.name, str(error)))
            continue
        bytes_kept += found.nbytes
        usable.append((pair, found if bytes_kept <= _MAX_BYTES_KEPT else None))
        joints |= found.rotations.keys()
        unused |= set(found.unused)
        if "head" in found.rotations and np.linalg.norm(found.rotations["head"].mean(axis=0)) > _TURNED_AWAY:
            turned.add(pair.subject)
        num_expressions = max(num_expressions, found.expression.shape[1])
        if found.shape is not None:
            shapes.setdefault(pair.subject, []).append((len(found.expression), found.shape))
    head = model.head(lips, num_expressions, tuple(joint for joint in JOINTS if joint in joints))
    recordings = [
        Recording(pair.id, pair.subject, pair.split, partial(_read_recording, pair, found, head.features, fps))
        for pair, found in usable
    ]
    templates = {subject: model.face_of(_mean_shape(each)) for subject, each in shapes.items()}
    remarks = [*_remarks(recordings, set(shapes), turned, unused), *open_mouths(head, templates)]
    return Corpus("flame", head, None, recordings, templates, problems, remarks)


def read_coefficients(path: Path) -> Coefficients:
    """Reads one file of coefficients.

    Raises:
        ThunderError: damaged, keys missing, NaN, angles in degrees, no rotation, or parts of unequal length.
    """
    content = read_npy(path) if path.suffix.lower() == ".npy" else read_npz(path)
    if isinstance(content, np.ndarray):
        content = _named(path, content)
    if not isinstance(content, dict):
        raise ThunderError(f"{path}: wanted a dictionary of arrays, found {type(content).__name__}")
    by_key = {str(key).lower(): value for key, value in content.items()}
    given = {
        name: next(by_key[alias] for alias in aliases if alias in by_key)
        for name, aliases in ALIASES.items()
        if any(alias in by_key for alias in aliases)
    }
    for name, other in (("expression", None), ("jaw", "pose")):
        if name not in given and other not in given:
            wanted = ", ".join(ALIASES[name] + (ALIASES[other] if other else ()))
            found = ", ".join(sorted(by_key)[:12]) or "nothing"
            raise ThunderError(f"{path}: no {name} in it; wanted one of the keys {wanted}; found {found}")
    expression = _rows(path, "expression", given["expression"])
    num_frames = len(expression)
    if num_frames < 1 or expression.shape[1] < 1:
        raise ThunderError(f"{path}: expression wanted (frames, coefficients), found {expression.shape}")
    rotations = _rotations(path, given, num_frames)
    shape = None
    if "shape" in given:
        shape = _rows(path, "shape", given["shape"]).mean(axis=0, dtype=np.float64).astype(np.float32)
    fps = None
    if "fps" in given:
        rate = np.asarray(given["fps"])
        if rate.size != 1 or rate.dtype.kind not in "iuf" or not 1 <= float(rate.reshape(())) <= 1000:
            raise ThunderError(f"{path}: fps wanted one number, 1 to 1000, found {given['fps']!r}")
        fps = float(rate.reshape(()))
    used = {alias for aliases in ALIASES.values() for alias in aliases}
    unused = tuple(sorted(str(key) for key in content if str(key).lower() not in used))
    return Coefficients(expression, rotations, shape, fps, unused)


def is_coefficients(path: Path) -> bool:
    """Whether a file looks like FLAME coefficients: a .npz, or a .npy of a dictionary or of as many columns."""
    shape = npy_shape(path) if path.suffix == ".npy" else ()
    return shape is not None and (shape == () or shape[1:] in [(n,) for n in _PLAIN_COLUMNS])


def _named(path: Path, values: NDArray[Any]) -> dict[str, Any]:
    """Expression and jaw of a plain array."""
    if values.ndim != 2 or values.shape[1] not in _PLAIN_COLUMNS:
        wanted = " or ".join(f"(T, {n})" for n in _PLAIN_COLUMNS)
        raise ThunderError(
            f"{path}: an array {values.shape}, wanted {wanted}, expressions and then 3 of the jaw; with other columns give a "
            f".npz with keys, e.g. np.savez(name, expression=..., jaw_pose=..., fps=25)"
        )
    return {"expression": values[:, :-3], "jaw": values[:, -3:]}


def _rotations(path: Path, given: dict[str, Any], num_frames: int) -> dict[str, NDArray[np.float32]]:
    """Joint -> (T, 3), from keys of their own and from the pose, which those go before."""
    rotations: dict[str, NDArray[np.float32]] = {}
    if "pose" in given:
        pose = _rows(path, "pose", given["pose"])
        parts = _POSES.get(pose.shape[1])
        if parts is None:
            raise ThunderError(
                f"{path}: pose of {pose.shape[1]} values, wanted 3 (jaw), 6 (head, jaw) or 15 (head, neck, jaw, eyes), "
                f"axis-angle; give the parts under keys of their own, e.g. jaw_pose"
            )
        if parts == ("jaw",) and "jaw" in given:
            parts = ("head",)
        rotations = {joint: pose[:, 3 * k : 3 * k + 3] for k, joint in enumerate(parts)}
    rotations |= {joint: _rows(path, joint, given[joint]) for joint in JOINTS if joint in given}
    if "eyes" in given:
        eyes = _rows(path, "eyes", given["eyes"])
        if eyes.shape[1] not in (6, 12, 18):
            raise ThunderError(
                f"{path}: eyes wanted 6 values, axis-angle of the left and then of the right (or 12 or 18 of their matrices), "
                f"found {eyes.shape[1]}"
            )
        half = eyes.shape[1] // 2
        rotations = {"eyeLeft": eyes[:, :half], "eyeRight": eyes[:, half:]} | rotations
    for joint, values in rotations.items():
        if len(values) not in (1, num_frames):
            raise ThunderError(f"{path}: {len(values)} frames of {joint}, {num_frames} of expression; wanted as many")
    return {
        joint: np.broadcast_to(joint_angles(path, joint, values), (num_frames, 3))
        for joint, values in rotations.items()
    }


def _rows(path: Path, name: str, value: Any) -> NDArray[np.float32]:
    """A part as (frames, values); one of a single dimension is one frame, and a batch of one is taken out."""
    values = np.asarray(value)
    if values.dtype.kind not in "iuf" or not 1 <= values.ndim <= 3 or not values.size:
        raise ThunderError(f"{path}: {name} wanted numbers (frames, values), found {values.dtype} {values.shape}")
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    values = values.reshape(1, -1) if values.ndim == 1 else values.reshape(len(values), int(np.prod(values.shape[1:])))
    if not np.isfinite(values).all():
        frame = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ThunderError(
            f"{path}: NaN or infinity in {name}, frame {frame}; leave these frames out or track them again"
        )
    return values.astype(np.float32)


def _check_size(path: Path, found: Coefficients, model: FlameModel) -> None:
    for name, count, most in (
        ("expression", found.expression.shape[1], len(model.expressions)),
        ("shape", 0 if found.shape is None else len(found.shape), len(model.identities)),
    ):
        if count > most:
            raise ThunderError(f"{path}: {count} coefficients of {name}, but {model.path.name} has {most}")


def _mean_shape(shapes: list[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """The mean over all frames of a subject's clips; coefficients that a clip lacks are 0."""
    size = max(len(shape) for _, shape in shapes)
    total = sum(num_frames for num_frames, _ in shapes)
    padded = [np.pad(shape, (0, size - len(shape))) * (num_frames / total) for num_frames, shape in shapes]
    return np.stack(padded).sum(axis=0, dtype=np.float64).astype(np.float32)


def _remarks(recordings: list[Recording], shaped: set[str], turned: set[str], unused: set[str]) -> list[str]:
    remarks = []
    if unused:
        remarks.append(
            f"left out, being no expression, rotation or shape of FLAME: {_listed(unused)} (translations and cameras: a head "
            f"here turns and does not travel)"
        )
    if without := {recording.subject for recording in recordings} - shaped:
        remarks.append(f"no shape coefficients of {_listed(without)}: FLAME's mean face stands for them")
    if turned:
        remarks.append(
            f"the head of {_listed(turned)} looks away from +Z on the whole, as in some trackers' camera frames: turn these "
            f"rotations to +Y up and +Z out of the face, or leave them out of the files"
        )
    return remarks


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")


def _read_recording(pair: Pair, kept: Coefficients | None, features: tuple[str, ...], fps: float | None) -> RawClip:
    found = kept or read_coefficients(pair.motion)
    rate = found.fps or pair.facts.get("fps") or fps
    if rate is None:
        measured = len(found.expression) / (len(load_waveform(pair.sound)) / SAMPLE_RATE_HZ)
        near = min(_COMMON_FPS, key=lambda common: abs(common - measured))
        raise ThunderError(
            f'{pair.motion}: does not say its frame rate; give --fps, or {{"fps": ...}} in {pair.motion.stem}.json; by the '
            f"length of the sound it is {measured:.2f}, near {near:.4g}"
        )
    columns = {f"exp{k:03d}": values for k, values in enumerate(found.expression.T)}
    for joint, angles in found.rotations.items():
        columns |= dict(zip(JOINT_FEATURES[joint], angles.T, strict=True))
    still = np.zeros(len(found.expression), np.float32)
    return complete(pair, np.stack([columns.get(name, still) for name in features], axis=1), float(rate))
