"""The two games of a vocoder and its critics, played in one step."""

from typing import Any

import pytest
import torch

from stages.losses.vocoding import critics_loss, feature_matching, mel_distance, persuasion_loss, stft_distance
from stages.models.vocoder import Vocoder, VocoderConfig, add_weight_norm
from stages.models.vocoder_critics import Critics
from stages.training.spoken_segments import SegmentBatch
from stages.training.vocoder_objective import VocoderObjective, VocoderWeights

SIZES: dict[str, Any] = {"num_units": 5, "voice_dim": 3, "unit_dim": 4, "channels": 16, "upsampling": (1, 5)}
SIZES |= {"kernels": (3,), "dilations": (1,), "inverse_stft": True}
WEIGHTS = VocoderWeights(mel=3.0, stft=2.0, persuasion=1.5, features=0.5)


def objective(critics_from: int) -> VocoderObjective:
    torch.manual_seed(0)
    network = Vocoder(VocoderConfig(**SIZES))
    add_weight_norm(network)
    return VocoderObjective(network, Critics((2, 3), (1,), 4), WEIGHTS, critics_from=critics_from)


def batch(size: int = 2) -> SegmentBatch:
    generator = torch.Generator().manual_seed(1)
    time = torch.arange(3200) / 16_000
    return SegmentBatch(
        log_mel=torch.randn(size, 20, 80, generator=generator),
        units=torch.randint(0, 5, (size, 10), generator=generator),
        voice=torch.randn(size, 3, generator=generator),
        waveform=0.3 * torch.sin(2 * torch.pi * 200 * time).expand(size, -1),
        clip=torch.zeros(size, dtype=torch.long),
    )


def test_one_sum_has_the_gradients_of_both_games() -> None:
    """Against the usual way: one step for the critics with the sound detached, one for the generator."""
    both, given = objective(0), batch()
    terms = both(given)
    terms["loss"].backward()
    found = {name: p.grad.clone() for name, p in both.named_parameters() if p.grad is not None}
    both.zero_grad()
    made = both.network(given.log_mel, given.units, given.voice)
    scores = [[o.score for o in both.critics(sound)] for sound in (given.waveform, made.detach())]
    critics_loss(*scores).backward()
    of_critics = {f"critics.{n}": p.grad.clone() for n, p in both.critics.named_parameters() if p.grad is not None}
    both.zero_grad()
    recorded, mine = both.critics(given.waveform), both.critics(made)
    loss = 3.0 * mel_distance(made, given.waveform) + 2.0 * stft_distance(made, given.waveform)
    loss = loss + 1.5 * persuasion_loss([o.score for o in mine])
    loss = loss + 0.5 * feature_matching([o.features for o in recorded], [o.features for o in mine])
    loss.backward()
    of_network = {f"network.{n}": p.grad for n, p in both.network.named_parameters() if p.grad is not None}
    assert found.keys() == of_critics.keys() | of_network.keys()
    for name, gradient in (of_critics | of_network).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    assert terms["loss"].item() == pytest.approx(loss.item() + terms["critics"].item(), rel=1e-4)


def test_critics_are_silent_at_first_and_join_for_good() -> None:
    both, given = objective(2), batch()
    seen = []
    for _ in range(4):
        both.zero_grad()
        terms = both(given)
        terms["loss"].backward()
        assert all(p.grad is not None for p in both.parameters() if p.requires_grad)  # a saved state needs one
        seen.append("persuasion" in terms)
        loud = max(p.grad.abs().max().item() for p in both.critics.parameters() if p.grad is not None)
        assert (loud > 0) == seen[-1]
    assert seen == [False, False, True, True]
    # Looking at validation clips is no step.
    both.eval()
    assert set(both(given)) == {"loss", "mel", "stft"}
    assert both.steps_taken.item() == 4


def test_a_batch_is_learned_and_the_critics_tell_it_apart() -> None:
    both, given = objective(40), batch(1)
    optimiser = torch.optim.Adam(both.parameters(), 5e-3)
    history = []
    for _ in range(80):
        optimiser.zero_grad()
        terms = both(given)
        terms["loss"].backward()
        optimiser.step()
        history.append({name: value.item() for name, value in terms.items()})
    assert history[39]["mel"] < 0.7 * history[0]["mel"]
    assert history[39]["stft"] < 0.9 * history[0]["stft"]
    assert history[-1]["critics"] < 0.8 * history[40]["critics"]
    assert history[-1]["mel"] < history[39]["mel"]
