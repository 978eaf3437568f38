"""The conformer sees order but no absolute place, and all of it learns."""

import torch

from stages.models.conformer import Conformer, RotaryAttention, attend, rotary_angles, rotate


def conformer(num_layers: int = 2) -> Conformer:
    torch.manual_seed(0)
    return Conformer(16, num_layers, num_heads=2, kernel=5, dropout=0.1).eval()


def test_scores_depend_on_the_distance_of_two_frames_alone() -> None:
    rotation = rotary_angles(12, 8, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, generator=generator).unbind(0)
    queries, keys = rotate(q.expand(1, 1, 12, 8), rotation), rotate(k.expand(1, 1, 12, 8), rotation)
    scores = (queries @ keys.transpose(-1, -2))[0, 0]  # (12, 12)
    for offset in range(-11, 12):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=0)
    assert scores[0].std() > 0.01  # but on the distance they do depend


def test_a_pattern_is_seen_the_same_wherever_it_stands() -> None:
    torch.manual_seed(0)
    attention, rotation = RotaryAttention(16, 2), rotary_angles(20, 8, torch.device("cpu"))
    torch.nn.init.zeros_(attention.to_qkv.bias)  # so that empty frames have no key and no value
    pattern = torch.randn(1, 5, 16)

    def seen_at(start: int) -> torch.Tensor:
        x = torch.zeros(1, 20, 16)
        x[:, start : start + 5] = pattern
        return attention(x, rotation)[:, start : start + 5]

    for start in (3, 15):
        torch.testing.assert_close(seen_at(start), seen_at(0), atol=1e-5, rtol=0)


def test_order_matters() -> None:
    model, x = conformer(), torch.randn(1, 12, 16)
    assert (model(x.flip(1)).flip(1) - model(x)).abs().max() > 0.01


def test_an_item_does_not_depend_on_its_batch() -> None:
    model, x = conformer(), torch.randn(3, 20, 16)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), atol=1e-5, rtol=0)


def test_every_parameter_receives_gradient() -> None:
    model = conformer().train()
    (model(torch.randn(2, 9, 16)) * torch.randn(2, 9, 16)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_attention_is_the_same_in_either_way_of_computing_it() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 50, 16)
    exact = attend(q, k, v)
    scores = (q @ k.transpose(-1, -2) / 4).softmax(-1)
    torch.testing.assert_close(exact, scores @ v)
    half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    torch.testing.assert_close(half.float(), exact, atol=0.03, rtol=0.03)
