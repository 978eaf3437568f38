"""The vocoder: how long its sound is, what it hears of the mel, what is exported, and who may use it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.models import vocoder as module
from stages.models.mesh_to_speech import MeshToSpeech, MeshToSpeechConfig
from stages.models.vocoder import (
    Vocoder,
    VocoderConfig,
    add_weight_norm,
    check_same_ears,
    checkpoint_of,
    ears_fingerprint,
    load_vocoder,
    without_weight_norm,
)
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance

SIZES = {"num_units": 7, "voice_dim": 5, "unit_dim": 6, "kernels": (3, 5), "dilations": (1, 2)}
WAVE = SIZES | {"channels": 64}
STFT = SIZES | {"channels": 16, "upsampling": (1, 5), "inverse_stft": True}


def built(sizes: dict[str, Any], seed: int = 0) -> Vocoder:
    """A vocoder whose residual blocks do more than nothing."""
    torch.manual_seed(seed)
    model = Vocoder(VocoderConfig(**sizes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("upsample", "blocks")):
                parameter.mul_(20)
    return model


def inputs(length: int, batch: int = 1, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, length, 80, generator=generator),
        torch.randint(0, 7, (batch, length // 2), generator=generator),
        torch.randn(batch, 5, generator=generator),
    )


@pytest.mark.parametrize("sizes", [WAVE, STFT, STFT | {"upsampling": (5, 4)}])
@pytest.mark.parametrize("length", [2, 34])
def test_sound_lasts_a_hop_a_mel_frame(sizes: dict[str, Any], length: int) -> None:
    sound = built(sizes)(*inputs(length, batch=3))
    assert sound.shape == (3, 160 * length)
    assert sound.dtype == torch.float32
    assert torch.isfinite(sound).all()


def test_the_papers_sizes() -> None:
    """Choi et al.: upsampling 5 4 2 2 2 from 512 channels, halved at each stage; about 14 M parameters in HiFi-GAN V1."""
    model = Vocoder(VocoderConfig(num_units=200, voice_dim=256))
    assert [u.kernel_size[0] for u in model.upsample] == [11, 8, 4, 4, 4]  # type: ignore[index]
    assert [u.out_channels for u in model.upsample] == [256, 128, 64, 32, 16]
    assert model.enter.in_channels == 80 + 128 + 128
    assert 10e6 < sum(p.numel() for p in model.parameters()) < 16e6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"upsampling": (5, 4)}, "factors of upsampling multiply to 20, wanted 160"),
        ({"upsampling": (5, 4, 2, 2, 2), "inverse_stft": True}, "multiply to 160, wanted a proper divisor of 160"),
        ({"upsampling": (3,), "inverse_stft": True}, "multiply to 3, wanted a proper divisor"),
        ({"channels": 40}, "40 channels cannot be halved 5 times"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ThunderError, match=says):
        VocoderConfig.resolve(options=WAVE | changes)


@pytest.mark.parametrize("sizes", [WAVE, STFT])
def test_a_sample_depends_on_what_is_within_reach_and_on_no_more(sizes: dict[str, Any]) -> None:
    model, (mel, units, voice) = built(sizes), inputs(120)
    reach = model.reach
    mel.requires_grad_()
    for place in (60, 61):
        sample = model(mel, units, voice)[0, 160 * place]
        (gradient,) = torch.autograd.grad(sample, mel)
        heard = gradient[0].abs().sum(-1).nonzero()[:, 0]
        assert place - reach <= heard.min() < place - reach / 2
        assert place + reach / 2 < heard.max() <= place + reach


@pytest.mark.parametrize("sizes", [WAVE, STFT])
def test_sample_160_l_belongs_to_mel_frame_l(sizes: dict[str, Any]) -> None:
    """A change of one frame changes the sound around its time, as much before it as after."""
    model, (mel, units, voice) = built(sizes), inputs(80)
    centres = []
    for seed in range(6):
        torch.manual_seed(seed)
        changed = mel.clone()
        changed[0, 40] += torch.randn(80)
        power = (model(changed, units, voice) - model(mel, units, voice))[0].detach().square()
        centres.append(float((power * torch.arange(len(power))).sum() / power.sum()))
    assert sum(centres) / len(centres) == pytest.approx(160 * 40, abs=160)


@pytest.mark.parametrize("sizes", [WAVE, STFT])
@pytest.mark.parametrize("length", [130, 100, 50])
def test_pieces_meet_without_a_seam(sizes: dict[str, Any], length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = built(sizes), inputs(length, batch=2)
    monkeypatch.setattr(module, "_PIECE_MEL_FRAMES", 50)
    with torch.no_grad():
        torch.testing.assert_close(model.speak(*given), model(*given), rtol=1e-4, atol=1e-5)
    assert model.speak(
        *(part[:, :0] if part.ndim == 3 or part.dtype == torch.int64 else part for part in given)
    ).shape == (
        2,
        0,
    )


@pytest.mark.parametrize("sizes", [WAVE, STFT])
def test_units_mel_and_voice_each_have_a_part(sizes: dict[str, Any]) -> None:
    model, (mel, units, voice) = built(sizes), inputs(20)
    whole = model(mel, units, voice)
    for other in ((mel + 0.1, units, voice), (mel, (units + 1) % 7, voice), (mel, units, voice + 0.1)):
        assert (model(*other) - whole).abs().max() > 1e-5
    model.mel_mean += 0.5
    torch.testing.assert_close(model(mel + 0.5, units, voice), whole)


@pytest.mark.parametrize("sizes", [WAVE, STFT])
def test_every_weight_has_a_gradient_and_weight_norm_leaves_without_a_trace(sizes: dict[str, Any]) -> None:
    model, given = built(sizes), inputs(20, batch=2)
    names, before = set(dict(model.named_parameters())), model(*given)
    add_weight_norm(model)
    assert set(dict(model.named_parameters())) > {"enter.parametrizations.weight.original0"}
    torch.testing.assert_close(model(*given), before)
    # Steps change length and direction alike.
    model(*given).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if name != "embed_unit.weight":
            assert parameter.grad.abs().max() > 0, name
        parameter.data -= 0.1 * parameter.grad / parameter.grad.norm().clamp_min(1e-9)
    plain = without_weight_norm(model)
    assert set(dict(plain.named_parameters())) == names
    torch.testing.assert_close(plain(*given), model(*given))
    assert (plain(*given) - before).abs().max() > 1e-4


@pytest.mark.parametrize("sizes", [WAVE, STFT])
def test_a_vocoder_comes_back_from_its_file(sizes: dict[str, Any], tmp_path: Path) -> None:
    model, given = built(sizes | {"ears": "abc"}), inputs(20)
    model.mel_mean.fill_(-4.0)
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), {})
    write_checkpoint(tmp_path / "vocoder.h5", "thunder.vocoder", checkpoint, Provenance(seed=0), force=False)
    again = load_vocoder(tmp_path / "vocoder.h5")
    assert again.config == model.config
    torch.testing.assert_close(again(*given), model(*given))
    assert not any(p.requires_grad for p in again.parameters())


def test_only_the_model_it_was_made_with_speaks_through_it() -> None:
    sizes = MeshToSpeechConfig(input_size=6, dim=8, num_layers=1, num_heads=2, kernel=3, num_units=7, voice_dim=5)
    torch.manual_seed(0)
    model = MeshToSpeech(sizes)
    ears = ears_fingerprint(model)
    vocoder = built(STFT | {"ears": ears})
    check_same_ears(vocoder, model, Path("vocoder.h5"), Path("m2s.h5"))
    with torch.no_grad():
        model.to_units.weight += 1  # how well it hears is its own affair
    check_same_ears(vocoder, model, Path("vocoder.h5"), Path("m2s.h5"))
    for tensor in (model.centroids, model.describe_voice.out.weight, model.mel_mean):
        with torch.no_grad():
            tensor.view(-1)[0] += 1
        with pytest.raises(
            ThunderError, match=rf"vocoder.h5: speaks units and voices {ears}, but m2s.h5 hears \w+; train"
        ):
            check_same_ears(vocoder, model, Path("vocoder.h5"), Path("m2s.h5"))
        with torch.no_grad():
            tensor.view(-1)[0] -= 1
