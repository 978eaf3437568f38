"""Motion of any length: windows that continue each other, takes that do not know of each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from stages.diffusion.long_motion import SamplingOptions, sample_long_motion
from stages.formats.keyframes import Keyframe
from stages.models.motion_denoiser import Conditions, MotionDenoiser
from stages.runtime.progress import Advance
from tests.models.test_motion_denoiser import CONTEXT, FEATURES, WINDOW, denoiser_of, hear_all_alike

OPTIONS = SamplingOptions(num_steps=3)
MEL = torch.randn(400, 80, generator=torch.Generator().manual_seed(0)) - 6


@pytest.fixture
def denoiser() -> MotionDenoiser:
    model = denoiser_of()
    model.motion_mean.normal_(generator=torch.Generator().manual_seed(1))
    model.motion_scale.fill_(0.3)
    return model


def test_the_same_seed_gives_the_same_take_whoever_else_is_sampled(denoiser: MotionDenoiser) -> None:
    many = sample_long_motion(denoiser, MEL, 30, [5, 6, 7], OPTIONS)
    assert many.shape == (3, 30, FEATURES)
    assert torch.equal(many, sample_long_motion(denoiser, MEL, 30, [5, 6, 7], OPTIONS))
    torch.testing.assert_close(sample_long_motion(denoiser, MEL, 30, [6], OPTIONS)[0], many[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(sample_long_motion(denoiser, MEL, 30, [7, 5], OPTIONS), many[[2, 0]], atol=1e-4, rtol=0)
    assert (many[0] - many[1]).abs().mean() > 0.01


@pytest.mark.parametrize("num_frames", [1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 5])
def test_any_length_is_the_beginning_of_a_longer_one(denoiser: MotionDenoiser, num_frames: int) -> None:
    long = sample_long_motion(denoiser, MEL, 5 * WINDOW, [0, 1], OPTIONS)
    short = sample_long_motion(denoiser, MEL, num_frames, [0, 1], OPTIONS)
    assert short.shape == (2, num_frames, FEATURES)
    assert torch.equal(short, long[:, :num_frames])


class Recorder(MotionDenoiser):
    """Notes what it is given."""

    seen: list[tuple[torch.Tensor, Conditions]]

    def forward(self, x_t: torch.Tensor, timestep: torch.Tensor, given: Conditions) -> torch.Tensor:
        self.seen.append((x_t, given))
        return super().forward(x_t, timestep, given)


@pytest.fixture
def recorder(denoiser: MotionDenoiser) -> Recorder:
    model = Recorder(denoiser.config)
    model.load_state_dict(denoiser.state_dict())
    model.seen = []
    return model.eval()


@pytest.mark.parametrize("context", [CONTEXT, WINDOW + 6])
def test_a_window_continues_the_last_frames_of_the_one_before(denoiser: MotionDenoiser, context: int) -> None:
    model = Recorder(denoiser_of(context=context).config)
    model.load_state_dict(denoiser_of(context=context).state_dict())
    model.seen = []
    motion = model.eval().normalise(sample_long_motion(model, MEL, 3 * WINDOW, [0, 1], OPTIONS))
    given = [g for _, g in model.seen[:: OPTIONS.num_steps]]
    assert [g.has_context.tolist() for g in given] == [[False, False], [True, True], [True, True]]
    before = torch.cat([torch.zeros(2, context, FEATURES), motion], dim=1)
    for number, g in enumerate(given):
        torch.testing.assert_close(g.context, before[:, number * WINDOW :][:, :context], atol=1e-5, rtol=0)


def test_each_window_hears_the_speech_of_its_own_time(recorder: Recorder) -> None:
    hear_all_alike(recorder.speech_encoder)
    sample_long_motion(recorder, MEL, 4 * WINDOW, [0], OPTIONS)
    features = recorder.speech_encoder(MEL[None])[0]  # 50 Hz; frame t of 25 fps stands at feature 2 t
    for number, (_, given) in enumerate(recorder.seen[:: OPTIONS.num_steps]):
        first = number * WINDOW - CONTEXT
        for frame in range(CONTEXT + WINDOW):
            if 10 <= first + frame < 190:  # away from the ends, where silence is added
                expected = features[2 * (first + frame)]
                torch.testing.assert_close(given.speech[0, frame], expected, atol=1e-3, rtol=0)


def test_options_reach_the_denoiser_and_guidance_one_costs_nothing(recorder: Recorder) -> None:
    options = replace(OPTIONS, emotions=(Keyframe(0.0, "sad", 0.25),), subject=1)
    plain = sample_long_motion(recorder, MEL, WINDOW, [0, 1], options)
    assert len(recorder.seen) == 3
    given = recorder.seen[0][1]
    assert given.emotion.tolist() == [[[0, 1]], [[0, 1]]]
    assert given.strength.tolist() == [[[0, 0.25]], [[0, 0.25]]]
    assert given.subject.tolist() == [1, 1]
    recorder.seen.clear()
    near = sample_long_motion(recorder, MEL, WINDOW, [0, 1], replace(options, guidance=1.0 + 1e-6))
    torch.testing.assert_close(near, plain, atol=1e-4, rtol=0)
    x_t, given = recorder.seen[0]
    assert torch.equal(x_t[:2], x_t[2:])
    assert given.has_speech.tolist() == [True, True, False, False]
    assert given.emotion[:, 0, 1].tolist() == [1, 1, 0, 0]
    exaggerated = sample_long_motion(recorder, MEL, WINDOW, [0, 1], replace(options, guidance=4.0))
    assert (exaggerated - plain).abs().max() > 1e-3


def test_emotions_change_over_time_across_windows(recorder: Recorder) -> None:
    keyframes = (Keyframe(0.0, "sad"), Keyframe(2 * WINDOW / 25, "happy"))
    sample_long_motion(recorder, MEL, 3 * WINDOW, [0], replace(OPTIONS, emotions=keyframes))
    for number, (_, given) in enumerate(recorder.seen[:: OPTIONS.num_steps]):
        frames = number * WINDOW - CONTEXT + torch.arange(CONTEXT + WINDOW)
        happy = (frames / (2 * WINDOW)).clamp(0, 1)
        torch.testing.assert_close(given.emotion[0], torch.stack([happy, 1 - happy], -1), atol=1e-5, rtol=0)


def test_work_grows_with_length_alone_and_is_reported(recorder: Recorder) -> None:
    told: list[float] = []

    @contextmanager
    def progress(title: str, total: float | None = None) -> Iterator[Advance]:
        assert total == 30
        yield lambda amount=1, /, **values: told.append(amount)

    sample_long_motion(recorder, MEL, 30, [0, 1, 2], OPTIONS, progress)
    assert told == [12, 12, 6]
    assert {tuple(x_t.shape) for x_t, _ in recorder.seen} == {(3, WINDOW, FEATURES)}
    assert {tuple(given.speech.shape) for _, given in recorder.seen} == {(3, CONTEXT + WINDOW, 8)}


def test_no_speech_at_all_still_moves(denoiser: MotionDenoiser) -> None:
    assert torch.isfinite(sample_long_motion(denoiser, torch.zeros(0, 80), 5, [0], OPTIONS)).all()


def test_the_deterministic_twin_answers_at_once_and_always_the_same(denoiser: MotionDenoiser) -> None:
    model = Recorder(denoiser_of(regression=True).config)
    model.load_state_dict(denoiser.state_dict())
    model.seen = []
    motion = sample_long_motion(model.eval(), MEL, 2 * WINDOW, [0, 1], OPTIONS)
    assert len(model.seen) == 2  # a window each
    assert all((x_t == 0).all() for x_t, _ in model.seen)
    assert torch.equal(motion[0], motion[1])
    torch.testing.assert_close(motion, sample_long_motion(model, MEL, 2 * WINDOW, [7, 8], OPTIONS))
