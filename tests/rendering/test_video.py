import numpy as np
import pytest
from PIL import Image

from stages.rendering import video
from stages.rendering.video import write_film
from stages.runtime.errors import ThunderError
from tests.rendering import films


def flashes(num_frames, lit, height=32, width=64):
    """Grey frames, one of which is orange."""
    pictures = np.full((num_frames, height, width, 3), 90, np.uint8)
    pictures[lit] = (200, 120, 40)
    return pictures


@pytest.mark.parametrize(
    ("container", "fps", "codecs"),
    [
        ("mp4", 25.0, ("h264", "aac")),
        ("mp4", 30.0, ("h264", "aac")),
        ("mp4", 29.97, ("h264", "aac")),
        ("webm", 29.97, ("vp9", "opus")),
        ("mov", 25.0, ("prores", "pcm_s16le")),
    ],
)
def test_sound_and_picture_meet(tmp_path, container, fps, codecs):
    """A flash at frame 20 and a click at the same time come back together; length and colours too."""
    num_frames = 50
    click = np.zeros(round(num_frames / fps * 16_000) + 4000, "f4")
    at = round(20 / fps * 16_000)
    click[at : at + 200] = np.sin(np.arange(200) * 0.4)
    path = tmp_path / f"film.{container}"
    with write_film(path, (32, 64), num_frames, fps, waveform=click, container=container) as add:
        pictures = flashes(num_frames, 20)
        add(pictures[:7])
        add(pictures[7:])
    duration, words = films.describe(path)
    assert duration == pytest.approx(num_frames / fps, abs=0.03)
    assert f"Video: {codecs[0]}" in words
    assert f"Audio: {codecs[1]}" in words
    assert "bt709" in words
    shown = films.frames(path, 32, 64)
    assert len(shown) == num_frames
    assert np.abs(shown[20].astype(int) - (200, 120, 40)).max() <= 6
    assert np.abs(shown[19].astype(int) - 90).max() <= 6
    assert films.times(path)[20] == pytest.approx(20 / fps, abs=0.002)
    heard = np.abs(films.sound(path, 16_000))
    assert np.argmax(heard > 0.3) / 16_000 == pytest.approx(20 / fps, abs=0.01)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("fps", "shown_fps"), [(25.0, 25.0), (60.0, 30.0)])
def test_a_gif_keeps_time_and_colours(tmp_path, fps, shown_fps):
    num_frames = round(2 * fps)
    lit = round(0.8 * fps)
    pictures = flashes(num_frames, lit)
    options = {"container": "gif", "waveform": np.zeros(9, "f4"), "palette_of": pictures[[0, lit]]}
    with write_film(tmp_path / "a.gif", (32, 64), num_frames, fps, **options) as add:
        add(pictures)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == round(2 * shown_fps)
        assert gif.info["loop"] == 0
        times, now = [], 0.0
        for k in range(gif.n_frames):
            gif.seek(k)
            times.append(now)
            now += gif.info["duration"] / 1000
            colour = np.asarray(gif.convert("RGB"))[16, 32].astype(int)
            wanted = (200, 120, 40) if k == round(lit * shown_fps / fps) else (90, 90, 90)
            assert np.abs(colour - wanted).max() <= 8
    assert np.abs(np.array(times) - np.arange(gif.n_frames) / shown_fps).max() <= 0.5 / fps
    assert now == pytest.approx(2.0, abs=0.02)


def test_a_gif_stores_what_changes(tmp_path):
    """A dot that crosses a rich picture costs little, is where it should be in every frame, and leaves no trace."""
    still = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)  # 64 x 128
    moving = np.broadcast_to(still, (30, *still.shape)).copy()
    for t, picture in enumerate(moving):
        picture[28:36, 4 * t : 4 * t + 8] = 255
    sizes = []
    for name, pictures in (("one", moving[:1]), ("all", moving)):
        path = tmp_path / f"{name}.gif"
        with write_film(path, (64, 128), len(pictures), 25.0, container="gif", palette_of=moving[[0, 15]]) as add:
            add(pictures)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 8 * sizes[0]
    with Image.open(tmp_path / "all.gif") as gif:
        for t, picture in enumerate(moving):
            gif.seek(t)
            shown = np.asarray(gif.convert("RGB")).astype(int)
            assert np.abs(shown - picture).mean() < 6, t
            assert shown[32, 4 * t + 4].min() > 245


def test_a_palette_is_for_gifs_alone(tmp_path):
    for container, palette_of, words in (("mp4", flashes(2, 0), "mp4 has no use"), ("gif", None, "gif wants frames")):
        film = write_film(tmp_path / "a", (32, 64), 5, 25.0, container=container, palette_of=palette_of)
        with pytest.raises(ValueError, match=words), film:
            pass


@pytest.mark.parametrize("container", ["webm", "mov"])
def test_what_is_transparent_comes_back_transparent(tmp_path, container):
    pictures = np.zeros((4, 32, 64, 4), np.uint8)
    pictures[:, :, :32] = (200, 120, 40, 255)
    pictures[:, :, 48:] = (200, 120, 40, 128)
    path = tmp_path / f"a.{container}"
    with write_film(path, (32, 64), 4, 25.0, container=container, transparent=True) as add:
        add(pictures)
    shown = films.frames(path, 32, 64, transparent=True).astype(int)
    assert len(shown) == 4
    assert np.abs(shown[:, 8:24, 8:24] - (200, 120, 40, 255)).max() <= 8
    assert shown[:, 8:24, 36:44, 3].max() <= 4
    assert np.abs(shown[:, 8:24, 54:60, 3] - 128).max() <= 4
    with (
        pytest.raises(ValueError, match="mp4 cannot be transparent"),
        write_film(tmp_path / "a.mp4", (32, 64), 4, 25.0, transparent=True),
    ):
        pass


def test_short_sound_is_followed_by_silence(tmp_path):
    path = tmp_path / "film.mp4"
    with write_film(path, (32, 64), 25, 25.0, waveform=np.full(1600, 0.2, "f4")) as add:
        add(flashes(25, 0))
    assert films.describe(path)[0] == pytest.approx(1.0, abs=0.03)
    assert len(films.sound(path, 16_000)) >= 15_500


def test_a_film_may_be_silent(tmp_path):
    with write_film(tmp_path / "film.mp4", (32, 64), 5, 25.0) as add:
        add(flashes(5, 0))
    assert "Audio" not in films.describe(tmp_path / "film.mp4")[1]


def test_an_error_among_the_frames_leaves_the_old_film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")

    def film():
        with write_film(path, (32, 64), 5, 25.0) as add:
            add(flashes(2, 0))
            raise RuntimeError("no face")

    with pytest.raises(RuntimeError, match="no face"):
        film()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_number_of_frames_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="5 frames was given 4"),
        write_film(tmp_path / "f.mp4", (32, 64), 5, 25.0) as add,
    ):
        add(flashes(4, 0))
    assert list(tmp_path.iterdir()) == []


def test_what_ffmpeg_says_is_the_error(tmp_path, monkeypatch):
    command = video._command

    def broken(*arguments):
        return [a.replace("libx264", "no_such_codec") for a in command(*arguments)]

    monkeypatch.setattr(video, "_command", broken)

    def film():
        with write_film(tmp_path / "f.mp4", (32, 64), 200, 25.0) as add:
            for _ in range(20):  # more than a pipe holds, so that ffmpeg is gone while frames are written
                add(flashes(10, 0))

    with pytest.raises(ThunderError, match=r"f\.mp4: ffmpeg could not write the film: .*Encoder not found"):
        film()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_plainly(tmp_path):
    assert "the disk is full" in video._explain(
        tmp_path / "f.mp4", "av_interleaved_write_frame(): No space left on device"
    )
