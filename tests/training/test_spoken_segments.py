"""Segments of speech: what belongs together, and whose ears they come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import open_clips, write_clips
from stages.audio.log_mel import LOG_FLOOR, log_mel
from stages.heads.head import build_head
from stages.models.mesh_to_speech import MeshToSpeech, MeshToSpeechConfig, visible_size
from stages.models.reconstruction import reconstruct_mel
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.training.spoken_segments import SpokenClip, draw_segments, load_spoken_clips, segment_in_the_middle
from tests.builders import small_clip, small_dataset, small_head


def clock_clip(num_mel_frames: int) -> SpokenClip:
    """Sample s holds s / 160, mel frame l holds l or, as heard, -l - 1, and unit j is j or, as heard, j + 1000."""
    mel = torch.arange(num_mel_frames)[:, None].expand(-1, 80)
    units = torch.arange(num_mel_frames // 2)
    waveform = torch.arange(num_mel_frames * 160) // 160
    return SpokenClip(
        "clock",
        waveform.short(),
        32768.0,
        torch.stack([mel, -mel - 1]).half(),
        torch.stack([units, units + 1000]).short(),
        torch.ones(3),
    )


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_mel_units_and_sound_of_a_segment_are_of_one_time(share: float) -> None:
    batch = draw_segments([clock_clip(200), clock_clip(100)], 20, 400, share, torch.Generator().manual_seed(0))
    assert batch.waveform.shape == (400, 3200)
    heard = batch.log_mel[:, 0, 0] < 0
    assert heard.float().mean().item() == pytest.approx(share, abs=0.08)
    frames = torch.where(heard[:, None], -batch.log_mel[..., 0] - 1, batch.log_mel[..., 0])  # (B, L)
    start = frames[:, 0]
    assert (start % 2 == 0).all()  # units stand at every other frame
    torch.testing.assert_close(frames, start[:, None] + torch.arange(20))
    torch.testing.assert_close(batch.waveform[:, ::160], frames)
    torch.testing.assert_close(batch.units - 1000 * heard[:, None], (frames[:, ::2] / 2).long())
    # Both clips, in proportion to their length, from the first frame to the last.
    assert (batch.clip == 0).float().mean().item() == pytest.approx(2 / 3, abs=0.08)
    assert start[batch.clip == 0].min() < 10
    assert 170 < start[batch.clip == 0].max() <= 180


def test_a_clip_shorter_than_a_segment_is_followed_by_silence() -> None:
    batch = draw_segments([clock_clip(10)], 20, 2, 0.0, torch.Generator().manual_seed(0))
    assert (batch.log_mel[:, 10:] == LOG_FLOOR).all()
    assert (batch.waveform[:, 1600:] == 0).all()
    assert batch.waveform[0, 1599] == 9


def test_the_middle_of_a_clip_true_and_as_heard() -> None:
    assert segment_in_the_middle(clock_clip(100), 20, 0).log_mel[0, 0, 0] == 40
    assert segment_in_the_middle(clock_clip(100), 20, 1).log_mel[0, 0, 0] == -41
    assert segment_in_the_middle(clock_clip(10), 20, 0).units[0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4, 4]


@pytest.fixture
def model() -> MeshToSpeech:
    torch.manual_seed(0)
    size, indices = visible_size(small_head(), "mouth2s")
    model = MeshToSpeech(
        MeshToSpeechConfig(input_size=size, dim=16, num_layers=1, num_heads=2, kernel=5, num_units=8, voice_dim=6)
    )
    model.vertex_indices.copy_(indices)
    model.centroids.normal_()
    return model.eval().requires_grad_(False)


def test_clips_are_kept_at_the_common_loudness_and_listened_to(model: MeshToSpeech, tmp_path: Path) -> None:
    path = small_dataset(tmp_path / "dataset.h5", splits=("train",), num_frames=31)  # 1.24 s
    head = build_head(small_head())
    with open_clips(path) as file:
        (clip,) = load_spoken_clips(file, file.ids("train"), model, head, heard=True)
        (truth,) = load_spoken_clips(file, file.ids("train"), model, head, heard=False)
        read = file.read(clip.id)
    assert clip.log_mel.shape == (2, 124, 80)
    assert clip.units.shape == (2, 62)
    assert len(clip.waveform) == 124 * 160
    assert truth.log_mel.shape == (1, 124, 80)
    # The true mel is that of the waveform as it will be heard.
    again = log_mel(clip.waveform.float() / 32768 * clip.gain)
    assert (again - clip.log_mel[0].float()).abs()[:120].max() < 0.02
    mel, logits, voice = reconstruct_mel(
        model, head, torch.from_numpy(read.motion)[None], 25.0, torch.from_numpy(read.waveform)
    )
    torch.testing.assert_close(clip.log_mel[1].float(), mel[0], atol=5e-3, rtol=1e-3)
    assert clip.units[1].tolist() == logits[0].argmax(-1).tolist()
    torch.testing.assert_close(clip.voice, voice[0])


def test_a_clip_without_speech_is_named(model: MeshToSpeech, tmp_path: Path) -> None:
    clip = replace(small_clip("mute"), waveform=np.zeros(100, "i2"))
    with write_clips(tmp_path / "d.h5", "thunder.dataset", small_head(), Provenance(seed=0), force=False) as writer:
        writer.add(clip)
    with open_clips(tmp_path / "d.h5") as file, pytest.raises(ThunderError, match=r"d\.h5: clip mute has no speech"):
        load_spoken_clips(file, ["mute"], model, build_head(small_head()), heard=True)
