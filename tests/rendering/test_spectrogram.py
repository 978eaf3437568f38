"""Spectrograms as pictures, and the film of what a face says."""

from pathlib import Path

import numpy as np
import torch

from stages.rendering.picture import INK, PAPER
from stages.rendering.spectrogram import spectrogram, with_cursor
from stages.rendering.spoken_film import _Side, film_what_is_said
from stages.rendering.studio import Panel, Shoot, Studio
from tests.builders import small_head, small_motion
from tests.rendering import films


def test_time_runs_to_the_right_frequency_upwards_and_loud_is_light() -> None:
    mel = np.full((10, 80), -11.5, "f4")
    mel[5:, 60:] = 1.0  # high, and late
    mel[:5, :20] = -1.0
    picture = spectrogram(mel, 1.0, 40, 100)
    assert (picture[35, 90] == PAPER).all()
    light = picture.astype(int).sum(-1)
    assert light[:10, 50:].min() > light[30:, :50].max()
    assert light[30:, :50].min() > sum(PAPER) + 50
    assert (picture[:20, :50] == PAPER).all()


def test_louder_is_always_lighter() -> None:
    ramp = spectrogram(np.linspace(-9, 0, 256, dtype="f4")[:, None].repeat(80, 1), 0.0, 1, 256)[0].astype(float)
    luminance = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1).all()
    assert luminance[-1] > 200


def test_a_cursor_stands_where_it_is_told_and_leaves_the_page_as_it_was() -> None:
    page = np.zeros((4, 101, 3), np.uint8)
    for share, column in ((0.0, 0), (0.5, 50), (1.0, 100)):
        moved = with_cursor(page, share, 1)
        assert np.argwhere((moved == INK).all((0, 2)))[:, 0].tolist() == [column]
    assert not page.any()


def test_pages_turn_and_the_cursor_is_bold_over_the_sound_that_plays() -> None:
    sounds = [np.zeros(20 * 16_000, "f4"), np.zeros(20 * 16_000, "f4")]
    side = _Side(("one", "two"), sounds, 120, 300, 16)

    def cursors(time_s: float, playing: int) -> list[list[int]]:
        picture = side.at(time_s, playing)
        assert picture.shape == (120, 300, 3)
        return [
            np.argwhere((picture[rows] == INK).all((0, 2)))[:, 0].tolist() for rows in (slice(20, 60), slice(80, 120))
        ]

    assert cursors(0.0, 0) == [[0, 1, 2], [0]]
    assert cursors(0.0, 1) == [[0], [0, 1, 2]]
    # Three pages of 6.7 s: the middle of the second is at 10 s, the end of the third at 20 s.
    assert cursors(10.0, 0) == [[148, 149, 150], [150]]
    assert cursors(20.0, 1) == [[299], [297, 298, 299]]


def test_the_film_plays_both_sounds_over_the_same_face(tmp_path: Path) -> None:
    head, num_frames, fps = small_head(), 20, 25.0
    motion = torch.from_numpy(small_motion(num_frames)) * 0.05
    studio = Studio(head, 64, torch.device("cpu"), 1)
    shoot = Shoot(studio, "clip", [Panel("take 0", "clip · take 0", motion, torch.from_numpy(head.template))])
    times = np.arange(20_000) / 16_000
    low, high = (0.5 * np.sin(2 * np.pi * hz * times).astype("f4") for hz in (300, 3000))
    film_what_is_said(shoot, num_frames, fps, low, high[:8000], tmp_path / "film.mp4", said_by="vocoder")
    height, width = studio.height + studio.caption_height, 3 * studio.width
    pictures = films.frames(tmp_path / "film.mp4", height, width)
    assert len(pictures) == 2 * num_frames
    faces = pictures[:, : studio.height, : studio.width].astype(float)
    assert np.abs(faces[:num_frames] - faces[num_frames:]).mean() < 2  # but for the codec
    assert np.abs(faces[0] - faces[10]).mean() > 0
    captions = pictures[:, -studio.caption_height :].astype(float)
    assert np.abs(captions[5] - captions[30]).mean() > 1  # says which sound is heard
    heard = films.sound(tmp_path / "film.mp4", 16_000)
    for start, hz in ((0.1, 300), (0.9, 3000)):
        piece = heard[round(start * 16_000) :][:4000]
        assert np.abs(np.fft.rfft(piece)).argmax() * 4 == hz
    assert np.abs(heard[round(1.35 * 16_000) : round(1.55 * 16_000)]).max() < 0.05  # the second sound was shorter
