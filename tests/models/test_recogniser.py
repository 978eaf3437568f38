"""The recogniser: shapes at any length, pieces, gradients, learning, and its file."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.models import recogniser as module
from stages.models.recogniser import (
    Reading,
    Recogniser,
    RecogniserConfig,
    checkpoint_of,
    load_recogniser,
    read_speech,
    transcribe,
    write_down,
)
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.training.recogniser_objective import RecogniserObjective
from stages.training.transcribed_clips import TranscribedClip, collate

CHARACTERS = " abc"
PHONES = ("SIL", "AA", "B")


def tiny() -> Recogniser:
    torch.manual_seed(0)
    config = RecogniserConfig(
        characters=CHARACTERS, phones=PHONES, dim=16, num_layers=1, num_heads=2, kernel=3, dropout=0.0
    )
    return Recogniser(config).eval()


def clips() -> list[TranscribedClip]:
    """Three clips whose characters are loud bands one after the other."""
    found = []
    for name, text in (("x", "ab ca"), ("y", "bc"), ("z", "c ab")):
        mel = torch.full((20 * len(text), 80), -11.5)
        for k, c in enumerate(text):
            mel[20 * k : 20 * k + 16, 15 * CHARACTERS.index(c) + 5 :][:, :12] = 0.0
        phones = torch.tensor([CHARACTERS.index(c) % 3 for c in text]).repeat_interleave(10)
        found.append(TranscribedClip(name, text, mel, phones))
    return found


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 100])
def test_a_label_every_20_ms_whatever_the_length(length: int) -> None:
    reading = tiny()(torch.randn(2, length, 80))
    assert reading.characters.shape == (2, (length + 1) // 2, 5)
    assert reading.phones.shape == (2, (length + 1) // 2, 3)
    torch.testing.assert_close(reading.characters.exp().sum(-1), torch.ones(2, (length + 1) // 2))


@pytest.mark.parametrize("length", [10, 16, 17, 40, 61])
def test_long_speech_is_read_in_pieces_that_join(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE_FRAMES", 12)
    monkeypatch.setattr(module, "_MARGIN_FRAMES", 4)
    seen = []

    def copy(log_mel: torch.Tensor) -> Reading:
        seen.append(log_mel.shape[1])
        return Reading(log_mel[:, ::2], -log_mel[:, ::2])

    mel = torch.arange(2.0 * length).reshape(2, length, 1)
    model: Any = copy
    reading = read_speech(model, mel)
    assert torch.equal(reading.characters, mel[:, ::2])
    assert torch.equal(reading.phones, -mel[:, ::2])
    assert max(seen) <= 20


def test_every_parameter_learns_and_a_few_clips_are_read_right() -> None:
    model = tiny().train()
    objective = RecogniserObjective(model, 1.0)
    # One by one, as they are read: a batch would teach them with the padding to its longest.
    batches = [collate([clip], CHARACTERS) for clip in clips()]

    def total() -> torch.Tensor:
        return torch.stack([objective(batch)["loss"] for batch in batches]).sum()

    first = total()
    first.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(700):
        # A quiet end, so that what is read does not hang on the last few steps.
        optimiser.param_groups[0]["lr"] = 3e-3 if step < 500 else 3e-4
        optimiser.zero_grad()
        loss = total()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05 * float(first.detach())
    assert all(float(objective(batch)["phone_accuracy"]) > 0.9 for batch in batches)
    model.eval()
    for clip in clips():
        assert transcribe(model, clip.log_mel[None]) == [clip.text]
        assert transcribe(model, clip.log_mel[None], beam=4) == [clip.text]


def test_the_loss_is_nats_a_character_and_a_frame_by_hand() -> None:
    """All labels alike: each frame costs log 3 for its phone; CTC costs what counting paths says."""
    model = tiny()
    with torch.no_grad():
        for head in (model.to_characters, model.to_phones):
            head.weight.zero_()
            head.bias.zero_()
    clip = TranscribedClip("x", "ab", torch.zeros(6, 80), torch.tensor([0, -1, 2]))
    terms = RecogniserObjective(model, 0.5)(collate([clip], CHARACTERS))
    # In three frames: aab, abb, ab-, a-b, -ab of 5^3 paths, over two characters.
    ctc = -torch.log(torch.tensor(5 / 125)) / 2
    torch.testing.assert_close(terms["ctc"], ctc)
    torch.testing.assert_close(terms["phones"], torch.tensor(3.0).log())
    torch.testing.assert_close(terms["loss"], ctc + 0.5 * torch.tensor(3.0).log())


def test_unknown_phones_cost_nothing() -> None:
    clip = TranscribedClip("x", "a", torch.zeros(6, 80), torch.full((3,), -1))
    terms = RecogniserObjective(tiny(), 1.0)(collate([clip], CHARACTERS))
    assert float(terms["phones"].detach()) == 0
    assert torch.isfinite(terms["loss"])


def test_padding_is_no_part_of_the_loss() -> None:
    """A clip beside a longer one is padded with silence; its labels end where it does."""
    short, long = clips()[1], clips()[0]
    batch = collate([short, long], CHARACTERS)
    assert batch.num_labels.tolist() == [20, 50]
    assert batch.log_mel[0, 40:].unique().tolist() == pytest.approx([-11.512925])
    assert batch.phones[0, 20:].unique().tolist() == [-1]
    assert batch.characters.tolist() == [[3, 4, 0, 0, 0], [2, 3, 1, 4, 2]]


def test_nothing_is_heard_in_nothing() -> None:
    assert transcribe(tiny(), torch.zeros(2, 0, 80)) == ["", ""]
    assert write_down(tiny(), torch.zeros(1, 3, 5).log_softmax(-1)) == [""]


def test_the_file_gives_the_model_back(tmp_path: Path) -> None:
    model = tiny()
    model.mel_mean.fill_(-3)
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), {})
    write_checkpoint(tmp_path / "r.h5", "thunder.recogniser", checkpoint, Provenance(seed=0), force=False)
    again = load_recogniser(tmp_path / "r.h5")
    mel = torch.randn(1, 50, 80)
    assert torch.equal(again(mel).characters, model(mel).characters)
    assert again.config == model.config
    assert not any(p.requires_grad for p in again.parameters())
    with pytest.raises(ThunderError, match="make it with `thunder train-recogniser`"):
        load_recogniser(tmp_path / "none.h5")
