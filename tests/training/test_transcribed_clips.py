"""Which clips a recogniser learns from, and how they come in batches."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.metrics.visemes import PHONES
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.training.transcribed_clips import (
    TranscribedClip,
    TranscribedClips,
    check_some,
    draw_like_lengths,
    load_transcribed_clips,
)
from tests.builders import small_clip, small_head


def load(path: Path, clips: list[Clip], **options: object) -> TranscribedClips:
    with write_clips(path, "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for clip in clips:
            writer.add(clip)
    limits = {"max_clip_s": 12.0, "max_characters": 200} | options
    with open_clips(path) as file:
        found = load_transcribed_clips(file, "train", **limits)  # type: ignore[arg-type]
        check_some(found, file, "train")
    return found


def test_a_clip_is_text_sound_and_the_phone_of_every_label(tmp_path: Path) -> None:
    found = load(tmp_path / "d.h5", [small_clip("a", transcript="Hello, you!"), small_clip("b", phones=())])
    first, second = found.clips
    assert (first.text, second.text) == ("hello you", "hello")
    assert found.characters == " ehlouy"
    assert found.left_out == {}
    # 1.2 s: SIL, HH from .24, OW from .6, SIL from .96.
    assert first.log_mel.shape == (120, 80)
    named = [PHONES[k] for k in first.phones.tolist()]
    assert named == ["SIL"] * 12 + ["HH"] * 18 + ["OW"] * 18 + ["SIL"] * 12
    assert second.phones.unique().tolist() == [-1]


def test_what_cannot_teach_reading_is_left_out_and_why(tmp_path: Path) -> None:
    silent = small_clip("silent")
    found = load(
        tmp_path / "d.h5",
        [
            small_clip("good"),
            small_clip("untold", transcript="..."),
            small_clip("long", num_frames=60),
            Clip(**{**vars(silent), "waveform": np.zeros_like(silent.waveform)}),
            small_clip("dense", transcript="l" * 31),  # 61 labels, and 1.2 s has 60
            small_clip("fits", transcript="l" * 30),
            small_clip("hanzi", transcript="天地玄黄宇宙洪荒", language="cmn"),
        ],
        max_clip_s=2.0,
        max_characters=6,
    )
    assert [clip.id for clip in found.clips] == ["fits", "good"]
    assert found.characters == "ehlo"
    assert found.left_out == {
        "no transcript": ["untold"],
        "longer than 2 s": ["long"],
        "silent": ["silent"],
        "more characters than CTC can fit into their length, one in 20 ms": ["dense"],
        "language cmn has 8 characters, more than 6": ["hanzi"],
    }


def test_characters_of_the_training_are_all_there_are(tmp_path: Path) -> None:
    found = load(tmp_path / "d.h5", [small_clip("a"), small_clip("b", transcript="hey")], known="ehlo")
    assert [clip.id for clip in found.clips] == ["a"]
    assert found.left_out == {"characters that no training transcript has": ["b"]}


def test_a_dataset_of_which_nothing_can_be_read_says_which_clips_and_why(tmp_path: Path) -> None:
    clips = [small_clip(name, transcript="") for name in "abcd"] + [small_clip("e", num_frames=60)]
    with pytest.raises(ThunderError, match=r"no transcript: a, b, c and 1 more; longer than 2 s: e\); preprocess"):
        load(tmp_path / "d.h5", clips, max_clip_s=2.0)
    with pytest.raises(ThunderError, match="no clip in split 'train'"):
        load(tmp_path / "d.h5", [small_clip("t", split="test")])


@pytest.mark.parametrize("number", [1, 3, 40, 100])
def test_batches_are_of_like_length_and_every_clip_comes_as_often(number: int) -> None:
    clips = [TranscribedClip(str(k), "a", torch.zeros(10 + k, 80), torch.zeros(5 + k // 2)) for k in range(number)]
    generator = torch.Generator().manual_seed(0)
    counts: Counter[str] = Counter()
    for _ in range(600):
        drawn = draw_like_lengths(clips, 4, generator)
        lengths = [len(clip.log_mel) for clip in drawn]
        assert len(drawn) == min(4, number)
        assert len({clip.id for clip in drawn}) == len(drawn)
        assert max(lengths) - min(lengths) < 64
        counts.update(clip.id for clip in drawn)
    expected = 600 * min(4, number) / number
    assert set(counts) == {clip.id for clip in clips}
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counts.values())
