"""The lip reader: clocks, padding, withheld senses, relative attention, learning, reading, and its file."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.models.lip_front_ends import PictureFrontEnd, WaveformFrontEnd
from stages.models.lip_reader import (
    LipReader,
    LipReaderConfig,
    at_video_rate,
    checkpoint_of,
    labels_of,
    load_lip_reader,
    read_lips,
    write_down,
)
from stages.models.relative_conformer import RelativeAttention, by_pair, sinusoids
from stages.models.text_decoder import log_probabilities
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.training.lip_clips import LipBatch
from stages.training.lip_reader_objective import LipReaderObjective, LipReaderWeights, ModalityDropout

CHARACTERS = " abc"


def tiny(**options: Any) -> LipReader:
    torch.manual_seed(0)
    sizes = {"channels": 2, "dim": 16, "num_layers": 1, "num_heads": 2, "kernel": 3, "decoder_layers": 1}
    config = LipReaderConfig(characters=CHARACTERS, fusion_dim=32, dropout=0.0, **({"form": "light"} | sizes | options))
    return LipReader(config).eval()


def sound_for(model: LipReader, batch: int, frames: int) -> torch.Tensor:
    return torch.randn(batch, 4 * frames, 80) if model.config.form == "light" else torch.randn(batch, 640 * frames)


def full(batch: int, frames: int) -> torch.Tensor:
    return torch.ones(batch, frames, dtype=torch.bool)


def test_scores_by_distance_against_a_loop() -> None:
    scores = torch.randn(2, 5, 9)
    found = by_pair(scores)
    for i in range(5):
        for j in range(5):
            assert torch.equal(found[:, i, j], scores[:, i, 4 - (i - j)])


def test_relative_attention_against_plain_sums() -> None:
    torch.manual_seed(1)
    attention = RelativeAttention(8, 2, 0.0)
    torch.nn.init.normal_(attention.content_bias)
    torch.nn.init.normal_(attention.distance_bias)
    x, mask = torch.randn(1, 4, 8), torch.tensor([[True, True, True, False]])
    q, k, v = (to(x)[0].reshape(4, 2, 4) for to in (attention.to_q, attention.to_k, attention.to_v))
    out = torch.zeros(4, 2, 4)
    for h in range(2):
        for i in range(4):
            scores = []
            for j in range(3):
                p = attention.to_distance(sinusoids(torch.tensor([i - j]), 8))[0].reshape(2, 4)[h]
                content = (q[i, h] + attention.content_bias[h]) @ k[j, h]
                scores.append((content + (q[i, h] + attention.distance_bias[h]) @ p) / 2)
            out[i, h] = torch.stack(scores).softmax(0) @ v[:3, h]
    distances = sinusoids(torch.arange(3, -4, -1), 8)
    torch.testing.assert_close(attention(x, distances, mask)[0], attention.to_out(out.flatten(1)))


@pytest.mark.parametrize("form", ["light", "published"])
def test_a_clip_is_read_the_same_beside_a_longer_one(form: str) -> None:
    model = tiny(form=form)
    crops, sound = torch.rand(2, 7, 96, 96), sound_for(model, 2, 7)
    mask = full(2, 7)
    mask[0, 4:] = False
    together = model(crops, sound, mask)
    step = sound.shape[1] // 7
    alone = model(crops[:1, :4], sound[:1, : 4 * step], full(1, 4))
    torch.testing.assert_close(together.log_probs[:1, :8], alone.log_probs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.features[:1, :4], alone.features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone.log_probs.exp().sum(-1), torch.ones(1, 8))


@pytest.mark.parametrize("form", ["light", "published"])
def test_what_is_withheld_has_no_part(form: str) -> None:
    model = tiny(form=form)
    crops, sound, mask = torch.rand(2, 5, 96, 96), sound_for(model, 2, 5), full(2, 5)
    model.requires_grad_(False)
    both = model(crops, sound, mask)
    lips, ears = model(crops, None, mask), model(None, sound, mask)
    mixed = model(crops, sound, mask, seen=torch.tensor([True, False]), heard=torch.tensor([False, True]))
    torch.testing.assert_close(mixed.log_probs[0], lips.log_probs[0])
    torch.testing.assert_close(mixed.log_probs[1], ears.log_probs[1])
    assert float((both.log_probs - lips.log_probs).abs().max()) > 1e-3
    assert float((both.log_probs - ears.log_probs).abs().max()) > 1e-3
    # The middle 88² of a crop is all that is seen.
    edged = crops.clone()
    edged[..., :4, :] = 0
    torch.testing.assert_close(model(edged, None, mask).log_probs, lips.log_probs)


def test_modality_dropout_withholds_as_often_as_it_says() -> None:
    class Spy(torch.nn.Module):
        config = tiny().config
        decoder = tiny().decoder
        told: list[torch.Tensor]

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.told = tiny(), []

        def forward(self, crops: Any, sound: Any, mask: Any, *, seen: Any, heard: Any) -> Any:
            self.told.append(torch.stack([seen, heard]))
            return self.inner(crops, sound, mask, seen=seen, heard=heard)

    spy: Any = Spy()
    objective = LipReaderObjective(spy, LipReaderWeights(), ModalityDropout(sound=0.3, picture=0.2)).train()
    objective(batch_of(400, frames=1, side=88))
    seen, heard = spy.told[0]
    assert 0.73 < float(seen.float().mean()) < 0.87
    assert 0.62 < float(heard.float().mean()) < 0.78
    assert bool((seen | heard).all())


def test_the_published_form_has_the_published_parts() -> None:
    """A ResNet-18 over 64 channels, as torchvision's without its first layer and its last, and its like over sound."""
    with torch.device("meta"):
        eyes, ears = PictureFrontEnd(64), WaveformFrontEnd(64)
    assert sum(p.numel() for p in eyes.trunk.parameters()) == 11_166_976
    assert eyes.stem.weight.shape == (64, 1, 5, 7, 7)
    assert ears.stem.weight.shape == (64, 1, 80)
    assert eyes.num_outputs == ears.num_outputs == 512


def test_sound_is_cut_to_the_picture_and_heard_when_it_is_there() -> None:
    ears = WaveformFrontEnd(2).eval()
    silence = torch.zeros(1, 20 * 640)
    click = silence.clone()
    click[0, round(0.5 * 16000)] = 1.0  # at half a second: frame 12.5
    changed = (ears(click, full(1, 20)) - ears(silence, full(1, 20))).abs().sum(-1)[0]
    assert int(changed.argmax()) == 12
    published, light = tiny(form="published"), tiny()
    mel, waveform = torch.randn(103, 80), torch.randn(16_500)
    heard = published.sound_of(mel, waveform, 26)
    assert heard.shape == (26 * 640,)
    assert heard[16_500:].abs().max() == 0
    assert float(heard[:16_500].mean()) == pytest.approx(0, abs=1e-3)
    assert torch.equal(light.sound_of(mel, waveform, 25), mel[:100])
    assert torch.equal(light.sound_of(mel, waveform, 26)[103], mel[102])


@pytest.mark.parametrize(
    ("fps", "number", "expected"), [(25.0, 26, 26), (30.0, 31, 26), (60.0, 61, 26), (24.0, 25, 26)]
)
def test_frames_stand_at_their_times(fps: float, number: int, expected: int) -> None:
    clock = (torch.arange(number) / fps)[None, :, None]
    moved = at_video_rate(clock, fps)
    torch.testing.assert_close(moved[0, :, 0], torch.arange(expected) / 25.0)


def batch_of(number: int = 3, *, frames: int = 16, side: int = 96) -> LipBatch:
    """Clips whose characters are bright bands of the picture and loud bands of the sound, one after the other."""
    texts = [[2, 3, 1, 4], [3, 4, 3, 2], [4, 2, 1, 3]]
    crops, sound = torch.zeros(number, frames, side, side), torch.zeros(number, 4 * frames, 80)
    labels = torch.tensor([texts[k % 3] for k in range(number)])
    if frames == 1:
        labels = labels[:, :1]
    each = frames // labels.shape[1]
    for row in range(number):
        for place, label in enumerate(labels[row].tolist()):
            crops[row, place * each : (place + 1) * each - (each > 1), 20 * label - 10 : 20 * label + 4] = 1.0
            sound[row, 4 * place * each : 4 * (place + 1) * each - 4 * (each > 1), 15 * label : 15 * label + 10] = 2.0
    return LipBatch(
        crops,
        sound,
        full(number, frames),
        labels,
        torch.full((number,), labels.shape[1]),
        labels.repeat_interleave(2 * each, 1),
        tuple("xyz"[k % 3] for k in range(number)),
    )


def test_every_parameter_learns_and_a_tiny_batch_is_read_by_eye_and_ear() -> None:
    model = tiny().train()
    objective = LipReaderObjective(model, LipReaderWeights(1.0, 0.5, 1.0), ModalityDropout(0.4, 0.2)).train()
    torch.manual_seed(3)
    batch = batch_of(frames=8)
    optimiser = torch.optim.Adam(objective.parameters(), 1e-2)
    touched = {name: 0.0 for name, _ in objective.named_parameters()}
    for step in range(160):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 160)
        optimiser.zero_grad()
        objective(batch)["loss"].backward()
        for name, p in objective.named_parameters():
            touched[name] += 0.0 if p.grad is None else float(p.grad.abs().sum())
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
    assert [name for name, amount in touched.items() if amount == 0] == []
    model.eval()
    for row, text in enumerate(["ab c", "bcba", "ca b"]):
        crops, sound = batch.crops[row], batch.sound[row]
        for beam in (1, 4):
            assert read_lips(model, crops, beam=beam) == text
            assert read_lips(model, crops, sound, beam=beam) == text
    objective.eval()
    assert float(objective(batch, heard=False)["phone_accuracy"]) > 0.9


def test_a_clip_of_a_batch_can_be_asked_alone() -> None:
    objective = LipReaderObjective(tiny(), LipReaderWeights(), ModalityDropout()).eval()
    batch = batch_of(frames=8)
    each = [objective(batch.item(k)) for k in range(3)]
    assert [batch.item(k).ids for k in range(3)] == [("x",), ("y",), ("z",)]
    # Texts and clips are as long as each other, so that a batch's loss is the mean of its clips'.
    torch.testing.assert_close(objective(batch)["loss"], torch.stack([row["loss"] for row in each]).mean())


def test_only_a_clips_own_frames_are_written_down() -> None:
    model = tiny()
    mask = full(2, 3)
    mask[0, 1:] = False
    reading = model(torch.rand(2, 3, 96, 96), None, mask)
    spelling = torch.full((2, 6, 6), -9.0)
    for n, label in enumerate([2, 3, 4, 5, 2, 3]):  # the sign of the end, 5, is no character
        spelling[:, n, label] = -0.1
    assert write_down(model, reading._replace(log_probs=spelling), mask) == ["ab", "abcab"]


@pytest.mark.parametrize(("share", "text"), [(0.0, "a"), (0.3, "a"), (0.5, "b"), (1.0, "b")])
def test_ctc_and_the_decoder_choose_together(share: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(decoder_share=share, labels_per_frame=1)
    reading = model(torch.rand(1, 1, 96, 96), None, full(1, 1))
    # One frame: CTC has "a" .5, "b" .3, "" .2; the decoder "a" .1 · .9, "b" .8 · .25, "" .05. So "b" wins where
    # (.3 / .5)^(1 - w) (.2 / .09)^w > 1, from w = .39 on.
    ctc = torch.tensor([[[0.2, 1e-9, 0.5, 0.3, 1e-9, 1e-9]]]).log()
    after = {
        5: [0.01, 0.04, 0.1, 0.8, 0.0, 0.05],
        2: [0.0, 0.1, 0.0, 0.0, 0.0, 0.9],
        3: [0.75, 0.0, 0.0, 0.0, 0.0, 0.25],
    }

    def decoder(before: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert memory.shape == (len(before), 1, 16)
        assert mask.all()
        return torch.tensor([[after[int(label)] for label in row] for row in before]).clamp_min(1e-9).log()

    monkeypatch.setattr(model.decoder, "forward", decoder)
    assert write_down(model, reading._replace(log_probs=ctc), full(1, 1), beam=3) == [text]


@torch.no_grad()
def test_what_a_decoder_says_of_texts_against_one_label_after_another() -> None:
    model = tiny(decoder_layers=2)
    features = torch.randn(5, 16)
    texts, end = [[2, 3, 3], [], [1], [4, 2]], model.config.end
    together = log_probabilities(model.decoder, texts, features, end)
    for row, text in enumerate(texts):
        expected = 0.0
        for k, label in enumerate([*text, end]):
            logits = model.decoder(torch.tensor([[end, *text[:k]]]), features[None], full(1, 5))
            expected += float(logits[0, -1].log_softmax(-1)[label])
        assert float(together[row]) == pytest.approx(expected, abs=1e-4)


def test_what_it_cannot_do_is_said() -> None:
    model = tiny(max_frames=5)
    with pytest.raises(ThunderError, match="6 frames at 25 fps is longer than the 5"):
        model(torch.rand(1, 6, 96, 96), None, full(1, 6))
    assert labels_of(model, "A cab!", "clip x") == [2, 1, 4, 2, 3]
    with pytest.raises(ThunderError, match=r"clip x: its transcript has 'dz', which this lip reader cannot write"):
        labels_of(model, "a daz", "clip x")
    with pytest.raises(ThunderError, match="clip x: no transcript"):
        labels_of(model, "?", "clip x")


@pytest.mark.parametrize("form", ["light", "published"])
def test_the_file_gives_the_model_back(form: str, tmp_path: Path) -> None:
    model = tiny(form=form)
    model.picture_mean.fill_(0.6)
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), {})
    write_checkpoint(tmp_path / "l.h5", "thunder.lipreader", checkpoint, Provenance(seed=0), force=False)
    again = load_lip_reader(tmp_path / "l.h5")
    crops, sound, mask = torch.rand(1, 3, 96, 96), sound_for(model, 1, 3), full(1, 3)
    assert torch.equal(again(crops, sound, mask).log_probs, model(crops, sound, mask).log_probs)
    assert again.config == model.config
    assert not any(p.requires_grad for p in again.parameters())
    with pytest.raises(ThunderError, match="make it with `thunder train-lipreader`"):
        load_lip_reader(tmp_path / "none.h5")
