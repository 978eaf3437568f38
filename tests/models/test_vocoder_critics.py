"""The critics of a vocoder: what they see."""

import pytest
import torch
import torch.nn.functional as F

from stages.models.vocoder_critics import Critics, PeriodCritic, ScaleCritic


@pytest.mark.parametrize(("period", "length"), [(3, 300), (5, 301)])
def test_a_period_critic_is_the_papers_convolutions_one_sample_wide(period: int, length: int) -> None:
    torch.manual_seed(0)
    critic, waveform = PeriodCritic(period, 4), torch.randn(2, length)
    padded = F.pad(waveform, (0, -length % period))
    x = padded.reshape(2, 1, -1, period)
    for layer, stride in zip(critic.layers, (3, 3, 3, 3, 1), strict=True):
        assert isinstance(layer, torch.nn.Conv1d)
        x = F.leaky_relu(F.conv2d(x, layer.weight[..., None], layer.bias, (stride, 1), (2, 0)), 0.1)
    wanted = F.conv2d(x, critic.judge.weight[..., None], critic.judge.bias, 1, (1, 0))  # (B, 1, n, period)
    score = critic(waveform).score.reshape(2, period, -1)
    torch.testing.assert_close(score, wanted[:, 0].transpose(1, 2))


def test_a_scale_critic_hears_no_more_than_its_rate_holds() -> None:
    """A tone at the highest frequency, loud to the first scale, is averaged away before the third."""
    torch.manual_seed(0)
    tone = torch.tensor([1.0, -1.0]).repeat(1, 800)
    differences = []
    for level in (0, 2):
        critic = ScaleCritic(level, 4)
        score = critic(tone).score - critic(torch.zeros_like(tone)).score
        differences.append(score[0, 4:-4].abs().max().item() if score.shape[1] > 8 else score.abs().max().item())
    assert differences[1] < 0.2 * differences[0]


def test_there_is_an_opinion_a_critic_and_a_gradient_to_every_weight() -> None:
    torch.manual_seed(0)
    critics = Critics((2, 7), (0, 1), 4)
    waveform = torch.randn(2, 1000, requires_grad=True)
    opinions = critics(waveform)
    assert [len(opinion.features) for opinion in opinions] == [5, 5, 7, 7]
    sum(o.score.square().mean() for o in opinions).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in critics.parameters())
    assert waveform.grad is not None
