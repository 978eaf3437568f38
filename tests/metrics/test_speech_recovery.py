"""What a mesh-to-speech model recovers: windows cover the whole clip once, at the right times."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.metrics_file import read_metrics
from stages.heads.head import build_head
from stages.losses.audio_consistency import AudioConsistency
from stages.metrics import speech_recovery
from stages.metrics.speech_recovery import hear
from stages.models.mesh_to_speech import MeshToSpeech, MeshToSpeechConfig, checkpoint_of, visible_size
from stages.runtime.provenance import Provenance
from tests.builders import small_dataset, small_head, small_motion, small_waveform
from tests.sampled import sample_from, takes_of
from thunder_cli.app import app


def small_judge() -> MeshToSpeech:
    """An untrained judge of a few thousand weights."""
    torch.manual_seed(0)
    size, indices = visible_size(small_head(), "mouth2s")
    config = MeshToSpeechConfig(
        input="mouth2s", input_size=size, dim=16, num_layers=1, num_heads=2, kernel=5, num_units=8, voice_dim=4
    )
    judge = MeshToSpeech(config).eval().requires_grad_(False)
    judge.vertex_indices.copy_(indices)
    judge.centroids.copy_(torch.randn(8, 26))
    return judge


def test_short_clips_are_heard_whole_and_takes_each_on_its_own() -> None:
    judge, head = small_judge(), build_head(small_head())
    motion = torch.stack([torch.from_numpy(small_motion(30, seed=seed)) for seed in (0, 1)])
    waveform = torch.from_numpy(small_waveform(19_200))
    heard = hear(judge, head, motion, 25.0, waveform)
    alone = hear(judge, head, motion[1:], 25.0, waveform)
    assert heard.mel_error.shape == (2,)
    assert heard.mel_error[0] != heard.mel_error[1]
    assert heard.mel_error[1].item() == pytest.approx(alone.mel_error.item(), rel=1e-5)
    assert 0 <= heard.unit_accuracy[0] <= 1


# The embedded recogniser reads what is heard, where no other is named.
HEARD = {"m2s-mel", "m2s-units", "m2s-cer", "m2s-cer-speech"}


@pytest.mark.parametrize("fps", [25.0, 30 / 1.001])
def test_windows_meet_and_read_the_motion_at_their_own_times(monkeypatch: pytest.MonkeyPatch, fps: float) -> None:
    monkeypatch.setattr(speech_recovery, "_WINDOW_S", 1)
    seen: list[tuple[float, int]] = []

    def record(
        judge: Any, head: Any, motion: Tensor, fps: float, *, log_mel: Tensor, units: Tensor
    ) -> AudioConsistency:
        assert units.shape[1] == log_mel.shape[1] // 2
        assert motion.shape[1] >= log_mel.shape[1] / 100 * fps
        seen.append((motion[0, 0, 0].item(), log_mel.shape[1]))
        value = torch.full((1,), float(log_mel.shape[1]))
        return AudioConsistency(value, value, value, value)

    monkeypatch.setattr(speech_recovery, "audio_consistency", record)
    num_frames = 90
    motion = (torch.arange(num_frames) / fps)[None, :, None].expand(1, num_frames, 55)  # each frame tells its time
    heard = hear(small_judge(), build_head(small_head()), motion, fps, torch.from_numpy(small_waveform(16_000 * 5)))
    length = int(num_frames / fps * 100) // 2 * 2
    assert len(seen) > 2
    assert sum(size for _, size in seen) == length
    start = 0
    for first, size in seen:
        assert first == pytest.approx(start / 100, abs=1e-4)
        start += size
    assert heard.mel_error.item() == pytest.approx(sum(size**2 for _, size in seen) / length, rel=1e-4)


def test_too_short_to_hear_is_not_a_number() -> None:
    motion = torch.zeros(2, 30, 55)
    heard = hear(small_judge(), build_head(small_head()), motion, 25.0, torch.zeros(100, dtype=torch.int16))
    assert torch.isnan(heard.mel_error).all()


def test_evaluate_listens_without_a_reference_and_refuses_a_model_of_another_head(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path / "dataset.h5", splits=("test", "test"))
    samples = sample_from(dataset, tmp_path / "samples.h5", takes_of)
    arguments = ["evaluate", str(samples), "-o", str(tmp_path / "metrics.h5"), "--m2s", str(tmp_path / "m2s.h5")]
    provenance = Provenance(seed=0, command="test")
    judge = small_judge()
    checkpoint = checkpoint_of(judge, dict(judge.named_parameters()), small_head(), {})
    write_checkpoint(tmp_path / "m2s.h5", "thunder.m2s", checkpoint, provenance, force=True)
    result = CliRunner().invoke(app, [*arguments, "--metrics", "m2s"])
    assert result.exit_code == 0, result.stderr
    assert {row.name for row in read_metrics(tmp_path / "metrics.h5")} == HEARD
    result = CliRunner().invoke(app, [*arguments, "--metrics", "m2s", "--reference", str(dataset), "--force"])
    assert result.exit_code == 0, result.stderr
    rows = {row.name: row for row in read_metrics(tmp_path / "metrics.h5")}
    assert set(rows) == HEARD | {"m2s-mel-truth", "m2s-units-truth", "m2s-cer-truth"}
    assert "heard by" in " ".join(result.stdout.split())
    head = small_head()
    other = replace(head, faces=head.faces[:-1], name="other head")
    sample_from(dataset, samples, takes_of, head=other)
    result = CliRunner().invoke(app, [*arguments, "--force"])
    assert result.exit_code == 1
    assert "m2s.h5: trained on head small test head" in " ".join(result.stderr.split())
