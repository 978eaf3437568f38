"""Motion as codes: the nearest one by hand, a gradient that passes through, and padding that changes nothing."""

import math
from itertools import accumulate

import pytest
import torch

from stages.models.motion_autoencoder import AutoencoderSizes, MotionAutoencoder, Unrolled, normalise_over_time

SIZES = AutoencoderSizes(
    5, num_codes=12, code_dim=3, codes_per_frame=4, dim=16, num_layers=2, num_heads=2, feed_forward=24
)


def autoencoder_of(**changes: int) -> MotionAutoencoder:
    torch.manual_seed(0)
    return MotionAutoencoder(AutoencoderSizes(**(vars(SIZES) | changes))).eval()


def motion_of(num_frames: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, num_frames, 5, generator=torch.Generator().manual_seed(1))


def by_hand() -> MotionAutoencoder:
    """Three codes of two numbers, two of them a frame."""
    model = autoencoder_of(num_codes=3, code_dim=2, codes_per_frame=2)
    with torch.no_grad():
        model.codebook.copy_(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0]]))
    return model


def test_the_nearest_code_and_a_gradient_as_if_there_were_none() -> None:
    model = by_hand()
    features = torch.tensor([[[1.5, 0.5, 2.5, -3.0], [0.4, 1.1, -9.0, 0.9]]], requires_grad=True)  # two frames
    # (1.5, .5): 2.5, 6.5 and 4.5 away, squared. (2.5, -3): 15.25, 11.25, 31.25. (.4, 1.1): 1.37, 14.17, .97.
    assert model.nearest(features).tolist() == [[[0, 1], [2, 0]]]
    codes = model.quantise(features)
    assert codes.tolist() == [[[0, 0, 4, 0], [0, 2, 0, 0]]]
    weights = torch.arange(8.0).reshape(1, 2, 4)
    (codes * weights).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, weights)
    assert model.codebook.grad is None


def test_what_the_quantiser_is_trained_for() -> None:
    model = by_hand()
    model.encode = lambda motion, mask=None: features  # type: ignore[method-assign]
    features = torch.tensor([[[1.0, 0.0, 4.0, 2.0], [0.0, 3.0, 0.0, 0.0], [7.0, 7.0, 7.0, 7.0]]], requires_grad=True)
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    _, terms = model(motion_of(3), mask)
    # Squared distances 1 and 4 of the first frame, 1 and 0 of the second, over 8 numbers; the third is masked.
    torch.testing.assert_close(terms["commitment"], torch.tensor(1.25 * 6 / 8))
    # Of four codes said, two are the first, and one each of the others.
    torch.testing.assert_close(terms["perplexity"].log(), torch.tensor(1.5 * math.log(2)))
    terms["commitment"].backward()
    assert features.grad is not None
    assert model.codebook.grad is not None
    torch.testing.assert_close(features.grad[0, 0], 0.25 * 2 / 8 * torch.tensor([1.0, 0.0, 0.0, 2.0]))
    torch.testing.assert_close(model.codebook.grad[1], 2 / 8 * torch.tensor([0.0, -2.0]))


def test_every_parameter_learns_from_reconstruction() -> None:
    model, motion = autoencoder_of().train(), motion_of(9, batch=2)
    made, terms = model(motion, torch.ones(2, 9))
    ((made - motion).square().mean() + terms["commitment"]).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@pytest.mark.parametrize("num_frames", [1, 2, 6])
def test_padding_changes_nothing(num_frames: int) -> None:
    model, motion = autoencoder_of(), motion_of(9, batch=2)
    mask = torch.ones(2, 9)
    mask[0, num_frames:] = 0
    with torch.no_grad():
        features = model.encode(motion, mask)
        alone = model.encode(motion[:1, :num_frames])
        torch.testing.assert_close(features[:1, :num_frames], alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(features[1:], model.encode(motion[1:]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            model.decode(features, mask)[:1, :num_frames], model.decode(alone), atol=1e-5, rtol=1e-5
        )


def test_normalised_over_time_as_torch_does() -> None:
    x = motion_of(7, batch=2)
    expected = torch.nn.functional.instance_norm(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(normalise_over_time(x), expected)
    torch.testing.assert_close(normalise_over_time(x, torch.ones(2, 7)), expected, atol=1e-5, rtol=1e-5)
    assert not normalise_over_time(x[:, :1]).any()


@pytest.mark.parametrize("decoded_frames", [600, 6])
@pytest.mark.parametrize("steps", [[1] * 14, [1, 3, 1, 2, 7], [9, 1, 1, 1, 1, 1]])
def test_frame_by_frame_as_the_last_of_all_so_far(steps: list[int], decoded_frames: int) -> None:
    model = autoencoder_of(decoded_frames=decoded_frames)
    codes = torch.randn(2, 14, 12, generator=torch.Generator().manual_seed(2))
    unrolled = Unrolled(model)
    with torch.no_grad():
        for end, new in zip(accumulate(steps), codes.split(steps, dim=1), strict=True):
            made = unrolled.add(new)
            # The convolution has heard all before, the rest the last few alone.
            convolved = model.decoder.convolve(model.from_codes(codes[:, :end]))[:, -decoded_frames:]
            whole = model.out(model.decoder.mix(convolved))
            torch.testing.assert_close(made, whole[:, -1:], atol=1e-5, rtol=1e-5)


def test_what_is_longer_than_a_window_fades_from_one_to_the_next() -> None:
    model = autoencoder_of(decoded_frames=10)
    codes = torch.randn(1, 37, 12, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        made = model.decode(codes)
        convolved = model.decoder.convolve(model.from_codes(codes))
        first, last = (model.out(model.decoder.mix(convolved[:, part])) for part in (slice(10), slice(27, 37)))
        assert made.shape == (1, 37, 5)
        torch.testing.assert_close(made[:, :4], first[:, :4])  # the second window begins at 4.5
        torch.testing.assert_close(made[:, -4:], last[:, -4:])
        torch.testing.assert_close(model.decode(codes[:, :10]), autoencoder_of().decode(codes[:, :10]))


def test_a_codebook_drawn_from_features_is_all_of_them() -> None:
    model = autoencoder_of()
    features = torch.randn(50, 12)
    model.codebook_from(features, torch.Generator().manual_seed(0))
    apart = features.unflatten(1, (4, 3)).flatten(0, 1)
    assert all((apart == code).all(1).any() for code in model.codebook)
    assert len(model.codebook.unique(dim=0)) > 9


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="codes of 12 numbers a frame wanted dim 12: 16"):
        MotionAutoencoder(AutoencoderSizes(**(vars(SIZES) | {"project": False})))
