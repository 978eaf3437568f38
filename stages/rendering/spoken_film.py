"""A film of a face beside the spectrograms of its input speech and of what it says, played with one sound, then the other."""

import math
from pathlib import Path

import numpy as np
import torch

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.log_mel import LOG_FLOOR, MEL_RATE_HZ, long_log_mel
from stages.rendering.picture import caption
from stages.rendering.spectrogram import spectrogram, with_cursor
from stages.rendering.studio import Shoot
from stages.rendering.video import write_film
from stages.runtime.progress import Progress, silent

# Longer speech is drawn page by page, so that sounds stay wide enough to be told apart.
_PAGE_S = 8.0
# Width of the spectrograms over that of the face.
_WIDTHS = 2


def film_what_is_said(
    shoot: Shoot,
    num_frames: int,
    fps: float,
    recorded: np.ndarray,
    said: np.ndarray,
    path: Path,
    *,
    said_by: str,
    progress: Progress = silent,
) -> None:
    """Writes an mp4: the face twice, first with the input speech, then with what it says.

    Args:
        shoot: one panel.
        num_frames: T.
        recorded, said: (S,) float in -1..1, 16 kHz, beginning with frame 0.
        said_by: what made sound of it, for the caption.

    Raises:
        ThunderError: ffmpeg failed, or the motion is broken.
    """
    studio = shoot.studio
    num_samples = round(num_frames / fps * SAMPLE_RATE_HZ)
    sounds = [np.pad(s[:num_samples], (0, max(0, num_samples - len(s)))).astype("f4") for s in (recorded, said)]
    names = ("input speech", f"what the face says · {said_by}")
    side = _Side(names, sounds, studio.height, _WIDTHS * studio.width, studio.caption_height)
    total = studio.width + side.width
    with (
        progress(f"filming {shoot.name}", total=2 * num_frames) as advance,
        write_film(
            path,
            (studio.height + studio.caption_height, total),
            2 * num_frames,
            fps,
            # The second sound starts with the second showing's first frame, to the sample.
            waveform=np.concatenate(
                [sounds[0], sounds[1], np.zeros(round(2 * num_frames / fps * SAMPLE_RATE_HZ) - 2 * num_samples, "f4")]
            ),
        ) as add,
    ):
        for playing, name in enumerate(names):
            label = caption(
                f"{shoot.panels[0].label} · {playing + 1} of 2, you hear: {name}", studio.caption_height, total
            )
            frame = 0
            for pictures in shoot.runs(range(num_frames)):
                beside = np.stack([side.at((frame + k) / fps, playing) for k in range(len(pictures))])
                scene = np.concatenate([pictures[:, 0], beside], axis=2)
                under = np.broadcast_to(label, (len(scene), *label.shape))
                add(np.concatenate([scene, under], axis=1))
                frame += len(pictures)
                advance(len(pictures))


class _Side:
    """The two spectrograms, one above the other, each under its name; pages are drawn once."""

    def __init__(
        self, names: tuple[str, ...], sounds: list[np.ndarray], height: int, width: int, caption_height: int
    ) -> None:
        self.width = width
        self._names, self._caption_height = names, caption_height
        self._heights = (height // 2, height - height // 2)
        self._mels = [long_log_mel(torch.from_numpy(sound)).numpy() for sound in sounds]
        duration_s = max(len(sounds[0]) / SAMPLE_RATE_HZ, 1 / MEL_RATE_HZ)
        # Pages of equal length, so that the last is as full as the first.
        self._page_s = duration_s / math.ceil(duration_s / _PAGE_S)
        self._num_pages = math.ceil(duration_s / _PAGE_S)
        self._pages: dict[int, list[np.ndarray]] = {}

    def at(self, time_s: float, playing: int) -> np.ndarray:
        """The picture (height, width, 3) at a time; the cursor is bold over the sound that plays."""
        page = min(int(time_s / self._page_s), self._num_pages - 1)
        if page not in self._pages:
            self._pages = {page: self._draw(page)}
        share = min(time_s / self._page_s - page, 1.0)
        parts = []
        for k, (name, picture) in enumerate(zip(self._names, self._pages[page], strict=True)):
            parts.append(caption(name, self._caption_height, self.width))
            parts.append(with_cursor(picture, share, 3 if k == playing else 1))
        return np.concatenate(parts)

    def _draw(self, page: int) -> list[np.ndarray]:
        first, last = (round(p * self._page_s * MEL_RATE_HZ) for p in (page, page + 1))
        # One scale for both: what is as loud is as light.
        loudest = max((float(mel.max()) for mel in self._mels if len(mel)), default=LOG_FLOOR)
        drawn = []
        for mel, height in zip(self._mels, self._heights, strict=True):
            shown = np.pad(mel, ((0, max(0, last - len(mel))), (0, 0)), constant_values=LOG_FLOOR)[first:last]
            drawn.append(spectrogram(shown, loudest, height - self._caption_height, self.width))
        return drawn
