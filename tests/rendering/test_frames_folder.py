import numpy as np
import pytest
from PIL import Image

from stages.audio.waveform import load_waveform
from stages.rendering.frames_folder import check_folder, write_frames
from stages.runtime.errors import ThunderError


def test_frames_and_sound_come_back_and_replace_earlier_ones(tmp_path):
    folder = tmp_path / "new" / "frames"
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 4), np.uint8)
    tone = 0.5 * np.sin(np.arange(3200) * 0.2).astype("f4")
    with write_frames(folder, 5, waveform=tone) as add:
        add(pictures[:2])
        add(pictures[2:])
    assert [p.name for p in sorted(folder.iterdir())] == [f"{k:06d}.png" for k in range(5)] + ["speech.wav"]
    assert all(np.array_equal(np.asarray(Image.open(folder / f"{k:06d}.png")), pictures[k]) for k in range(5))
    np.testing.assert_allclose(load_waveform(folder / "speech.wav"), tone, atol=1e-4)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ThunderError, match="exists already; give --force"):
        check_folder(folder, force=False)
    check_folder(folder, force=True)
    with write_frames(folder, 2) as add:
        add(pictures[:2, :, :, :3])
    assert {p.name for p in folder.iterdir()} == {"000000.png", "000001.png", "speech.wav", "notes.txt"}
    assert [p.name for p in folder.parent.iterdir()] == ["frames"]


def test_an_error_among_the_frames_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="3 frames was given 1"), write_frames(tmp_path / "f", 3) as add:
        add(np.zeros((1, 8, 8, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(ThunderError, match="a file, wanted a folder"):
        check_folder(tmp_path / "f", force=True)
