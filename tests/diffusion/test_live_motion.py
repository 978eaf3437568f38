"""Motion that follows speech: that of the whole speech up to the look-ahead, whatever the blocks, and never from the future."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from stages.audio.live_mel import LiveMel
from stages.audio.log_mel import log_mel
from stages.audio.waveform import to_float
from stages.diffusion.live_motion import LivePlan, live_motion
from stages.diffusion.long_motion import Pass, SamplingOptions, motion_of_passes, sample_long_motion
from stages.diffusion.steadying import FollowingLowPass, low_pass
from stages.formats.keyframes import Keyframe
from stages.models.motion_denoiser import MotionDenoiser
from tests.builders import small_waveform
from tests.models.test_motion_denoiser import CONTEXT, FEATURES, WINDOW, denoiser_of

OPTIONS = SamplingOptions(num_steps=3, guidance=2.0)
SPEECH = to_float(small_waveform(20_000))  # 31.25 frames: 2 windows and 8 frames of a third
FRAMES = 32
PLAN = LivePlan(3, 0.1)


@pytest.fixture
def denoiser() -> MotionDenoiser:
    return denoiser_of()


def blocks_of(speech: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (speech[start : start + size] for start in range(0, len(speech), size))


def live(
    denoiser: MotionDenoiser,
    plan: LivePlan,
    speech: np.ndarray = SPEECH,
    *,
    size: int = 777,
    cutoff_hz: float = 0.0,
    loudness: float | None = -20.0,
    seed: int = 4,
    options: SamplingOptions = OPTIONS,
) -> list[torch.Tensor]:
    mel = LiveMel(loudness)
    blocks = blocks_of(speech, size)
    return list(live_motion(denoiser, blocks, mel, seed, options, plan, steadied=[1, 3], cutoff_hz=cutoff_hz))


def whole(denoiser: MotionDenoiser, speech: np.ndarray = SPEECH, options: SamplingOptions = OPTIONS) -> torch.Tensor:
    return sample_long_motion(denoiser, log_mel(torch.from_numpy(speech)), FRAMES, [4], options)[0]


def test_with_whole_windows_and_all_their_speech_it_is_the_take_of_the_whole(denoiser: MotionDenoiser) -> None:
    options = SamplingOptions(3, "dpm-solver", 2.0, (Keyframe(0.0, "sad"), Keyframe(1.0, "happy", 0.5)))
    found = live(denoiser, LivePlan(WINDOW, 1.0), options=options)
    assert [len(frames) for frames in found] == [WINDOW, WINDOW, FRAMES - 2 * WINDOW]
    torch.testing.assert_close(torch.cat(found), whole(denoiser, options=options), atol=1e-4, rtol=0)


def test_with_smaller_hops_the_first_frames_are_still_those_of_the_whole(denoiser: MotionDenoiser) -> None:
    found = torch.cat(live(denoiser, LivePlan(3, 1.0)))
    assert found.shape == (FRAMES, FEATURES)
    torch.testing.assert_close(found[:3], whole(denoiser)[:3], atol=1e-4, rtol=0)
    assert not torch.allclose(torch.cat(live(denoiser, LivePlan(3, 1.0), seed=5))[:3], found[:3], atol=0.01)


@pytest.mark.parametrize("loudness", [None, -20.0])
def test_how_the_speech_is_cut_does_not_matter(denoiser: MotionDenoiser, loudness: float | None) -> None:
    found = [torch.cat(live(denoiser, PLAN, size=size, loudness=loudness)) for size in (1, 640, 100_000)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("loudness", [None, -20.0])
def test_speech_after_the_look_ahead_has_no_influence(denoiser: MotionDenoiser, loudness: float | None) -> None:
    changed = SPEECH.copy()
    at = 14_400
    changed[at:] = to_float(small_waveform(len(SPEECH) - at, seed=9))
    before = live(denoiser, PLAN, loudness=loudness, cutoff_hz=3.0)
    after = live(denoiser, PLAN, changed, loudness=loudness, cutoff_hz=3.0)
    first = 0
    for a, b in zip(before, after, strict=True):
        first += len(a)
        heard = ((first - 1) / 25 + PLAN.look_ahead_s) * 16_000
        assert torch.equal(a, b) == (heard <= at)


def test_frames_come_as_soon_as_the_speech_they_need(denoiser: MotionDenoiser) -> None:
    given = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal given
        for block in blocks_of(SPEECH, 160):
            given += len(block)
            yield block

    made = 0
    for frames in live_motion(denoiser, counted(), LiveMel(), 0, OPTIONS, PLAN, steadied=[], cutoff_hz=0):
        made += len(frames)
        needed = ((made - 1) / 25 + PLAN.look_ahead_s) * 16_000
        assert given == len(SPEECH) or needed <= given < needed + 160
    assert made == FRAMES


def test_settled_frames_are_held_while_the_rest_of_a_window_is_found_again(denoiser: MotionDenoiser) -> None:
    generator = torch.Generator().manual_seed(0)
    speech = [torch.randn(1, CONTEXT + WINDOW, 8, generator=generator) for _ in range(3)]
    plan = [(0, 0, 5), (0, 5, 7), (WINDOW, 0, 6)]
    passes = [Pass(*numbers, features) for numbers, features in zip(plan, speech, strict=True)]
    motion = [m for _, m in motion_of_passes(denoiser, passes, [0, 1], OPTIONS, torch.device("cpu"))]
    torch.testing.assert_close(motion[1][:, :5], motion[0][:, :5], atol=1e-5, rtol=0)
    assert (motion[1][:, 5:] - motion[0][:, 5:]).abs().max() > 0.01
    unheld = [Pass(0, 0, WINDOW, speech[1])]
    alone = [m for _, m in motion_of_passes(denoiser, unheld, [0, 1], OPTIONS, torch.device("cpu"))]
    assert (alone[0][:, 5:] - motion[1][:, 5:]).abs().max() > 1e-4  # what is settled has its influence on what follows


def test_chosen_features_are_smoothed_and_a_little_late(denoiser: MotionDenoiser) -> None:
    raw, smooth = (torch.cat(live(denoiser, PLAN, cutoff_hz=cutoff_hz)) for cutoff_hz in (0, 5.0))
    assert torch.equal(smooth[:, [0, 2, 4]], raw[:, [0, 2, 4]])
    late = FollowingLowPass(25.0, 5.0).delay
    at_once = low_pass(raw[None][..., [1, 3]], 25.0, 5.0)[0]
    assert late == 2
    torch.testing.assert_close(smooth[late:, [1, 3]], at_once[:-late], atol=0.02 * float(raw.std()), rtol=0)


def test_latency_is_what_is_said(denoiser: MotionDenoiser) -> None:
    assert LivePlan(5, 0.4).latency_s(25.0) == pytest.approx((0.4, 0.56))
    lengths = [len(frames) for frames in live(denoiser, LivePlan(5, 0.0))]
    assert lengths == [5, 5, 2, 5, 5, 2, 5, 3]  # no hop crosses from one window into the next


def test_a_single_sample_is_a_frame(denoiser: MotionDenoiser) -> None:
    assert [frames.shape for frames in live(denoiser, PLAN, SPEECH[:1])] == [(1, FEATURES)]
