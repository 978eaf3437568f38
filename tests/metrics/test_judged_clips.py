"""Clips as they are judged: speech and motion cut alike, drawn by a seed, and another's motion in their place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import open_clips, write_clips
from stages.audio.speech_units import unit_features
from stages.metrics.judged_clips import JudgedClip, motion_of_another, read_judged_clips
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_dataset, small_head, small_waveform


def features_of(waveform: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
    return unit_features(mel)


def test_speech_is_cut_to_the_motion_and_phones_stand_at_its_frames(tmp_path: Path) -> None:
    with write_clips(tmp_path / "d.h5", "thunder.dataset", small_head(), Provenance(0), force=True) as writer:
        long = small_clip(num_frames=30, seed=1)
        writer.add(long)
        short = small_clip("short", num_frames=30)
        writer.add(type(short)(**(vars(short) | {"waveform": small_waveform(8000)})))
    with open_clips(tmp_path / "d.h5") as file:
        clip, cut = read_judged_clips(file, "train", features_of)
    assert len(clip.log_mel) == 120
    assert clip.features.shape == (60, 26)
    assert clip.sounding.shape == clip.phones.shape == clip.units(torch.zeros(4, 26)).shape == (60,)
    assert len(np.unique(clip.phones)) == 3
    assert torch.nonzero(clip.sounding).flatten().tolist() == list(range(12, 48))  # SIL to 0.24 s, and from 0.96 s
    assert len(cut.log_mel) == 50
    assert cut.motion.shape == (30, 55)


def test_a_part_is_drawn_by_the_seed(tmp_path: Path) -> None:
    small_dataset(tmp_path / "d.h5", splits=("train",) * 8)  # 1.2 s each
    with open_clips(tmp_path / "d.h5") as file:
        drawn = [
            [c.id for c in read_judged_clips(file, "train", features_of, at_most_s=3.0, seed=s)] for s in (0, 0, 1)
        ]
        assert read_judged_clips(file, "test", features_of, at_most_s=3.0) == []
    assert len(drawn[0]) == 3
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_clip_without_speech_is_named(tmp_path: Path) -> None:
    mute = small_clip("mute")
    with write_clips(tmp_path / "d.h5", "thunder.dataset", small_head(), Provenance(0), force=True) as writer:
        writer.add(type(mute)(**(vars(mute) | {"waveform": np.zeros(8000, "i2")})))
    with open_clips(tmp_path / "d.h5") as file, pytest.raises(ThunderError, match="clip mute has no speech"):
        read_judged_clips(file, "train", features_of)


def judged(name: str, subject: str, num_frames: int) -> JudgedClip:
    nothing = torch.zeros(0)
    motion = torch.arange(num_frames).float()[:, None] + 1000 * len(name)
    return JudgedClip(name, subject, "", 25.0, motion, nothing, nothing, nothing, nothing, np.zeros(0, int))


def test_another_subject_of_like_length_moves_in_its_place() -> None:
    clips = [judged("a", "ann", 10), judged("aa", "ann", 10), judged("bbb", "bob", 14), judged("bbbb", "bob", 12)]
    assert motion_of_another(clips, 0)[:, 0].tolist() == [4000.0 + t for t in range(10)]
    # Nobody else is as long: the nearest begins again.
    assert motion_of_another(clips, 2)[:, 0].tolist() == [1000.0 + t for t in (*range(10), 0, 1, 2, 3)]
    assert motion_of_another(clips[:2], 0)[0, 0] == 2000
    assert motion_of_another(clips[:1], 0)[:, 0].tolist() == [1000.0 + t for t in range(9, -1, -1)]
