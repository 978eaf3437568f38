"""A moving face filmed as a lip reader sees it, its mouth under the plain look at 25 fps whatever its own rate; its speech."""

from dataclasses import replace

import torch
from torch import Tensor

from stages.artifacts.clips import Clip
from stages.audio.log_mel import speech_log_mel
from stages.audio.waveform import to_float
from stages.heads.head import Head
from stages.metrics.faces import Face
from stages.metrics.lip_readability import MouthOutOfSightError
from stages.models.lip_reader import LipReader, at_video_rate
from stages.rendering.mouth_crops import LEAST_COVERAGE, MouthScene, draw_mouths
from stages.runtime.errors import ThunderError

# Frames drawn at once: a CPU's cache holds few.
_FRAMES_AT_ONCE = {"cpu": 16, "cuda": 512}


@torch.no_grad()
def film_face(scene: MouthScene, face: Face, fps: float) -> Tensor:
    """Crops of a face's mouth.

    Args:
        face: motion (T, D), or exact vertices, at `fps`; frame 0 at the time where the speech begins.

    Returns:
        (T', 96, 96) grey in 0..1, in the 256 steps of a film, 25 fps.

    Raises:
        MouthOutOfSightError: a frame that shows no mouth.
    """
    moving = replace(
        face,
        motion=at_video_rate(face.motion[None], fps)[0],
        exact=None if face.exact is None else at_video_rate(face.exact[None], fps)[0],
    )
    at_once = _FRAMES_AT_ONCE.get(face.motion.device.type, _FRAMES_AT_ONCE["cpu"])
    film = []
    for start in range(0, moving.num_frames, at_once):
        crops, coverage = draw_mouths(scene, moving.vertices(scene.vertices, frames=slice(start, start + at_once)))
        shows = coverage >= LEAST_COVERAGE
        if not bool(shows.all()):
            at_s = (start + int((~shows).nonzero()[0])) / 25
            raise MouthOutOfSightError(
                f"shows no mouth at {at_s:.2f} s: its vertices are far off, or the mesh has no surface there; look at it "
                f"with `thunder render`, and make the motion again"
            )
        film.append((crops * 255).round() / 255)
    return torch.cat(film)


def film_clip(scene: MouthScene, head: Head, clip: Clip, template: Tensor) -> Tensor:
    """What a lip reader is shown of a true clip: as `film_face`, on the scene's device.

    Args:
        template: (V, 3), the subject's face at rest.

    Raises:
        ThunderError: a frame that shows no mouth; names the clip.
    """
    device = scene.faces.device
    try:
        return film_face(scene, Face(head, torch.from_numpy(clip.motion).to(device), template.to(device)), clip.fps)
    except ThunderError as error:
        raise ThunderError(f"clip {clip.id}: {error}") from error


def sound_of_clip(reader: LipReader, clip: Clip, num_frames: int) -> Tensor:
    """What a lip reader hears of a clip beside so many frames of its film, on the reader's device; see `LipReader.sound_of`."""
    mel = speech_log_mel(torch.from_numpy(clip.waveform))
    sound = reader.sound_of(mel, torch.from_numpy(to_float(clip.waveform)), num_frames)
    return sound.to(reader.picture_mean.device)
