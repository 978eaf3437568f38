"""Keyframes: two ways of writing the same, what lies between, and what a user gets wrong."""

from pathlib import Path

import pytest
import torch

from stages.formats.keyframes import Keyframe, emotions_at, read_keyframes
from stages.runtime.errors import ThunderError

NAMES = ("happy", "neutral")
KEYFRAMES = [Keyframe(1.0, "neutral"), Keyframe(3.0, "happy", 0.8), Keyframe(4.0, "happy", 0.2)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "1.0, neutral\n3,happy,0.8\n\n4;happy;.2 # less\n"),
        ("a.txt", "\ufeff1 neutral\r\n  3.0\thappy 0.8\r\n4.0 happy 0.2"),
        (
            "a.toml",
            'keyframes = [{ time_s = 1, emotion = "neutral" }, { time_s = 3.0, emotion = "happy", intensity = 0.8 },\n'
            '{ time_s = 4.0, emotion = "happy", intensity = 0.2 }]',
        ),
    ],
)
def test_either_way_of_writing_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_keyframes(path) == KEYFRAMES


def test_one_emotion_gives_way_to_the_next() -> None:
    share, strength = emotions_at(KEYFRAMES, torch.tensor([0.0, 1.0, 1.5, 3.0, 3.5, 9.0]), NAMES)
    expected = torch.tensor([[0, 1], [0, 1], [0.25, 0.75], [1, 0], [1, 0], [1, 0]])
    torch.testing.assert_close(share, expected)
    torch.testing.assert_close(strength[:, 0], torch.tensor([0, 0, 0.2, 0.8, 0.5, 0.2]))
    torch.testing.assert_close(strength[:, 1], torch.tensor([1, 1, 0.75, 0, 0, 0]))
    nothing = emotions_at([], torch.zeros(3), NAMES)
    assert all((part == 0).all() and part.shape == (3, 2) for part in nothing)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "", "no keyframe in it"),
        ("a.csv", "1.0", "line 1: wanted `seconds emotion [intensity]`, found '1.0'"),
        ("a.csv", "0 happy\nsoon happy", "line 2: wanted `seconds emotion [intensity]`, found 'soon happy'"),
        ("a.csv", "0 happy 1 2", "found '0 happy 1 2'"),
        ("a.csv", "-1 happy", "wanted a time of 0 s or later, found -1"),
        ("a.csv", "nan happy", "wanted a time of 0 s or later, found nan"),
        ("a.csv", "0 happy 1.5", "wanted an intensity from 0 to 1, found 1.5"),
        ("a.csv", "0 happy\n2 sad\n1 sad", "keyframe at 1 s stands after that at 2 s"),
        ("a.csv", "0 happy\n0 sad", "keyframe at 0 s stands after that at 0 s"),
        ("a.toml", "keyframes = 3", "wanted keyframes = ["),
        ("a.toml", "keyframes = [", "not TOML"),
        ("a.toml", "keyframes = [{ time = 1 }]", "keyframe 1 wanted time_s, emotion and perhaps intensity, found time"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ThunderError) as caught:
        read_keyframes(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_and_an_emotion_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    for wrong, reason in ((path, "cannot be read as text"), (tmp_path / "missing.csv", "no such file")):
        with pytest.raises(ThunderError, match=reason):
            read_keyframes(wrong)
    with pytest.raises(ThunderError, match="'sad' is unknown to the model; it knows happy, neutral"):
        emotions_at([Keyframe(0, "sad")], torch.zeros(1), NAMES)
