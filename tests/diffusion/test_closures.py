"""Lips that meet where /p b m/ is heard, and are left alone elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.audio.live_mel import LiveMel
from stages.audio.log_mel import log_mel
from stages.audio.waveform import to_float
from stages.diffusion.closures import Closer
from stages.diffusion.live_motion import LivePlan, live_motion
from stages.diffusion.long_motion import SamplingOptions, sample_long_motion
from stages.diffusion.motion_config import MotionConfig, sampling_options
from stages.heads.head import build_head
from stages.metrics.visemes import PHONES
from stages.models.motion_denoiser import MotionDenoiser
from stages.runtime.errors import ThunderError
from tests.builders import small_head, small_waveform
from tests.models.test_motion_denoiser import WINDOW, denoiser_of

HEAD = build_head(small_head())
NUM_FEATURES = len(HEAD.record.features)
JAW_OPEN = HEAD.record.features.index("jawOpen")
MIDPOINTS = torch.tensor([HEAD.record.landmarks[name] for name in ("lip_top", "lip_bottom")])
MEL = torch.randn(400, 80, generator=torch.Generator().manual_seed(0)) - 6
# Of all phones the three that are not said unless the lips meet.
CLOSED = torch.tensor([phone in ("P", "B", "M") for phone in PHONES])


def gap_of(motion: torch.Tensor) -> torch.Tensor:
    top, bottom = HEAD.vertices(motion, indices=MIDPOINTS, pose=False).unbind(-2)
    return (top - bottom).norm(dim=-1)


AT_REST = float(gap_of(torch.zeros(1, NUM_FEATURES)))


@pytest.fixture
def denoiser() -> MotionDenoiser:
    model = denoiser_of(num_features=NUM_FEATURES, names_phones=True)
    model.motion_scale.fill_(0.2)
    return model


def hear(model: MotionDenoiser, *, closed: float) -> None:
    """Makes every frame one of /p b m/ with this likelihood, whatever is said."""
    assert model.name_phones is not None
    with torch.no_grad():
        model.name_phones.weight.zero_()
        model.name_phones.bias.copy_(torch.where(CLOSED, np.log(closed / 3), np.log((1 - closed) / (len(PHONES) - 3))))


def test_how_likely_lips_are_heard_closed(denoiser: MotionDenoiser) -> None:
    hear(denoiser, closed=0.6)
    torch.testing.assert_close(denoiser.lips_heard_closed(torch.randn(2, 5, 8)), torch.full((2, 5), 0.6))
    assert denoiser_of().lips_heard_closed(torch.randn(2, 5, 8)) is None


def test_the_share_rises_with_the_likelihood_and_firmness_scales_it() -> None:
    share = Closer(HEAD, 1.0).share(torch.linspace(0, 1, 101))
    assert (share.diff() >= 0).all()
    assert share[0] == 0
    assert share[50:].eq(1).all()
    torch.testing.assert_close(Closer(HEAD, 0.5).share(torch.linspace(0, 1, 101)), share / 2)


def test_the_share_of_the_gap_is_taken_away_from_open_lips_alone(denoiser: MotionDenoiser) -> None:
    motion = torch.zeros(2, 4, NUM_FEATURES)
    motion[..., JAW_OPEN] = torch.tensor([0.0, 0.3, 0.3, 0.3])
    x_0 = denoiser.normalise(motion)
    share = torch.tensor([1.0, 0.0, 0.5, 1.0])
    closed = Closer(HEAD, 1.0).close(x_0, denoiser, share)
    assert torch.equal(closed[:, :2], x_0[:, :2])  # at rest, and not asked to
    left = (gap_of(denoiser.restore(closed)) - AT_REST) / (gap_of(motion) - AT_REST)
    torch.testing.assert_close(left[:, 2:], torch.tensor([0.5, 0.0]).expand(2, 2), atol=0.03, rtol=0)
    # Of the features that move the lips, each does its part: the shortest way there.
    change = (closed - x_0)[0, 3]
    jaw_alone = abs(float((x_0 - denoiser.normalise(torch.zeros(1)))[0, 3, JAW_OPEN]))
    assert float(change.norm()) < jaw_alone


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver"])
def test_what_is_sampled_closes_its_lips_where_they_are_heard_to(denoiser: MotionDenoiser, sampler: str) -> None:
    options = SamplingOptions(num_steps=4, sampler=sampler)  # type: ignore[arg-type]

    def sampled(closer: Closer | None) -> torch.Tensor:
        return sample_long_motion(denoiser, MEL, 40, [0, 1], options, closer=closer)

    plain = sampled(None)
    hear(denoiser, closed=0.9)
    firm, half = gap_of(sampled(Closer(HEAD, 1.0))), gap_of(sampled(Closer(HEAD, 0.5)))
    assert float(gap_of(plain).mean()) > AT_REST + 0.002
    assert float(firm.mean()) < AT_REST + 0.1 * float(gap_of(plain).mean() - AT_REST)
    assert float(firm.mean()) < float(half.mean()) < float(gap_of(plain).mean())
    hear(denoiser, closed=0.01)
    assert torch.equal(sampled(Closer(HEAD, 1.0)), plain)


def test_a_model_that_names_no_phones_is_left_to_itself() -> None:
    model = denoiser_of(num_features=NUM_FEATURES)
    options = SamplingOptions(num_steps=2)
    led = sample_long_motion(model, MEL, 10, [0], options, closer=Closer(HEAD, 1.0))
    assert torch.equal(led, sample_long_motion(model, MEL, 10, [0], options))


def test_a_stream_closes_its_lips_as_the_whole_does(denoiser: MotionDenoiser) -> None:
    speech = to_float(small_waveform(12_800))
    closer, options, plan = Closer(HEAD, 1.0), SamplingOptions(num_steps=3), LivePlan(WINDOW, 1.0)
    assert denoiser.name_phones is not None
    likely = denoiser.lips_heard_closed(_features(denoiser, speech))
    assert likely is not None
    with torch.no_grad():  # so that some frames are heard closed and some are not
        denoiser.name_phones.bias += CLOSED * float((0.3 / likely).log().median())
    mel = LiveMel(-20.0)
    live = live_motion(denoiser, iter([speech]), mel, 4, options, plan, closer=closer, steadied=[], cutoff_hz=0.0)
    whole = sample_long_motion(denoiser, log_mel(torch.from_numpy(speech)), 20, [4], options, closer=closer)[0]
    torch.testing.assert_close(torch.cat(list(live)), whole, atol=1e-3, rtol=0)
    assert not torch.allclose(
        whole, sample_long_motion(denoiser, log_mel(torch.from_numpy(speech)), 20, [4], options)[0]
    )


def _features(denoiser: MotionDenoiser, speech: np.ndarray) -> torch.Tensor:
    return denoiser.speech_encoder(log_mel(torch.from_numpy(speech))[None, :80])


def test_a_model_that_cannot_hear_closures_is_not_asked_to() -> None:
    model = denoiser_of(num_features=NUM_FEATURES)
    assert sampling_options(MotionConfig(), model, Path("model.h5")).num_steps == 8
    with pytest.raises(ThunderError, match=r"model\.h5: was not taught to name phones, .*; leave out --closure"):
        sampling_options(MotionConfig(closure=0.5), model, Path("model.h5"))
