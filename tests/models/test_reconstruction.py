"""From motion to what is heard, and to sound."""

import pytest
import torch

from stages.audio.log_mel import NUM_BANDS
from stages.heads.head import Head, build_head
from stages.models import reconstruction
from stages.models.conformer import RotaryAttention
from stages.models.mesh_to_speech import MeshToSpeech, MeshToSpeechConfig, look_at, visible_size
from stages.models.reconstruction import reconstruct_mel, to_sound
from stages.models.vocoder import Vocoder, VocoderConfig
from tests.builders import small_head, small_motion, small_waveform

HEAD = small_head()


@pytest.fixture
def model() -> MeshToSpeech:
    torch.manual_seed(0)
    size, indices = visible_size(HEAD, "mouth2s")
    model = MeshToSpeech(
        MeshToSpeechConfig(input_size=size, dim=16, num_layers=1, num_heads=2, kernel=5, num_units=8, voice_dim=6)
    )
    model.vertex_indices.copy_(indices)
    model.input_scale.fill_(0.01)
    model.mel_mean.fill_(-5.0)
    return model.eval().requires_grad_(False)


def test_a_short_clip_is_what_the_model_says_in_natural_logarithms(model: MeshToSpeech) -> None:
    motion, head = torch.from_numpy(small_motion(30))[None], build_head(HEAD)
    mel, logits, voice = reconstruct_mel(model, head, motion, 25.0, torch.from_numpy(small_waveform(19_200)))
    heard = model(look_at(model, head, motion), 25.0, 120, voice)
    torch.testing.assert_close(mel, heard.log_mel * model.mel_scale - 5.0)
    torch.testing.assert_close(logits, heard.unit_logits)
    assert voice.norm().item() == pytest.approx(1.0)


@pytest.mark.parametrize(("num_frames", "fps"), [(30, 25.0), (31, 30.0), (47, 29.97), (1, 60.0), (2, 25.0)])
def test_what_is_heard_lasts_as_long_as_the_motion(model: MeshToSpeech, num_frames: int, fps: float) -> None:
    motion = torch.from_numpy(small_motion(num_frames)).expand(2, -1, -1)
    mel, logits, voice = reconstruct_mel(model, build_head(HEAD), motion, fps, torch.zeros(0, dtype=torch.int16))
    assert abs(mel.shape[1] - 100 * num_frames / fps) <= 1
    assert mel.shape == (2, 2 * logits.shape[1], NUM_BANDS)
    assert voice.abs().sum() == 0
    assert to_sound(mel, logits.argmax(-1), voice, None).shape == (2, 160 * mel.shape[1])


def test_a_long_clip_is_heard_in_pieces_that_meet(model: MeshToSpeech, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without attention, which sees its whole piece, the model sees less than the margin: nothing differs."""
    for layer in model.conformer.modules():
        if isinstance(layer, RotaryAttention):
            layer.to_out.weight.zero_()
    motion, sound = torch.from_numpy(small_motion(100))[None], torch.from_numpy(small_waveform(64_000))
    whole = reconstruct_mel(model, build_head(HEAD), motion, 25.0, sound)
    seen: list[int] = []

    def look(model: MeshToSpeech, head: Head, motion: torch.Tensor) -> torch.Tensor:
        seen.append(motion.shape[1])
        return look_at(model, head, motion)

    monkeypatch.setattr(reconstruction, "_LONGEST_MEL_FRAMES", 300)
    monkeypatch.setattr(reconstruction, "look_at", look)
    pieces = reconstruct_mel(model, build_head(HEAD), motion, 25.0, sound)
    assert len(seen) == 4
    assert max(seen) <= 76
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_vocoder_is_given_every_take_its_voice() -> None:
    torch.manual_seed(0)
    sizes = {"channels": 8, "upsampling": (1, 5), "kernels": (3,), "dilations": (1,), "inverse_stft": True}
    vocoder = Vocoder(VocoderConfig.resolve(options={"num_units": 4, "voice_dim": 6, "unit_dim": 3, **sizes}))
    mel, units, voice = torch.randn(3, 4, 80), torch.randint(0, 4, (3, 2)), torch.randn(1, 6)
    sound = to_sound(mel, units, voice, vocoder)
    assert sound.shape == (3, 640)
    torch.testing.assert_close(sound[2:], vocoder(mel[2:], units[2:], voice))
