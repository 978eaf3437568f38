"""Motion and speech of a window belong together: clips that encode the time in both show it."""

import pytest
import torch

from stages.models.resampling import read_at
from stages.training.windows import WindowBatch, WindowShape, draw_windows, window_at, windows_at_starts
from tests.training.clips import clock_clip, telling_clip

HALF_A_MEL_FRAME_S = 0.005 + 1e-4


def batch_of(fps: float, num_frames: int = 300, *, end_share: float = 0.0, batch_size: int = 64) -> WindowBatch:
    shape = WindowShape(40, fps, num_context=6, mel_margin=8)
    clips = [clock_clip(num_frames, fps)]
    return draw_windows(clips, shape, batch_size, torch.Generator().manual_seed(0), end_share=end_share)


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_the_encoders_speech_stands_at_its_frames(fps: float) -> None:
    batch = batch_of(fps, end_share=0.5)
    # What encode_speech reads, at 50 Hz, from an encoder that repeats every second mel frame.
    features = batch.wide_sound[:, ::2, :1]
    times = torch.arange(batch.motion.shape[1]) / fps
    heard_s = read_at(features, (batch.first_frame_s[:, None] + times) * 50)[..., 0]
    inside = (batch.mask > 0) & (batch.motion[..., 0] > 0.02) & (batch.motion[..., 0] < 300 / fps - 0.05)
    assert inside.sum() > 1000
    error = (heard_s - batch.motion[..., 0]).abs()[inside]
    assert float(error.max()) < HALF_A_MEL_FRAME_S


@pytest.mark.parametrize("margin", [0, 100])
@pytest.mark.parametrize("fps", [25.0, 29.97])
def test_what_a_folder_reads_stands_at_its_frames(fps: float, margin: int) -> None:
    clip = clock_clip(300, fps)
    clip.sound = (1 + torch.arange(round(300 / fps * 50)) / 50)[:, None].half()  # a second later, so that 0 is silence
    shape = WindowShape(40, fps, num_context=6, mel_margin=margin, sound_hz=50, silence=0.0)
    batch = draw_windows([clip], shape, 64, torch.Generator().manual_seed(0), end_share=0.5)
    times = torch.arange(batch.motion.shape[1]) / fps
    heard_s = read_at(batch.wide_sound.float(), (batch.first_frame_s[:, None] + times) * 50)[..., 0] - 1
    inside = (batch.mask > 0) & (batch.motion[..., 0] > 0.02) & (batch.motion[..., 0] < 300 / fps - 0.05)
    error = (heard_s - batch.motion[..., 0]).abs()[inside]
    assert float(error.max()) < 0.005  # what half precision rounds at 13 s
    assert (batch.wide_sound[~(batch.wide_sound >= 1)] == 0).all()


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_the_windows_own_mel_and_units_start_at_its_first_frame(fps: float) -> None:
    batch = batch_of(fps)
    starts_s = batch.motion[:, 6, 0]
    assert float((batch.log_mel[:, 0, 0] - starts_s).abs().max()) < HALF_A_MEL_FRAME_S
    assert float((batch.units[:, 0] / 50 - starts_s).abs().max()) < HALF_A_MEL_FRAME_S
    assert batch.log_mel.shape[1] % 2 == 0
    assert batch.log_mel.shape[1] / 100 <= 40 / fps < batch.log_mel.shape[1] / 100 + 0.02
    assert torch.equal(batch.units.diff(), torch.ones_like(batch.units.diff()))
    torch.testing.assert_close(batch.log_mel[:, ::2, 0], batch.units / 50)
    assert (batch.mel_mask == 1).all()


def test_a_start_has_no_context_and_other_windows_have_all_of_it() -> None:
    batch = batch_of(25.0)
    starts = batch.motion[:, 6, 0] == 0
    assert 2 < int(starts.sum()) < 25
    assert torch.equal(batch.has_context, ~starts)
    assert (batch.mask[starts, :6] == 0).all()
    assert (batch.mask[starts, 6:] == 1).all()
    assert (batch.mask[~starts] == 1).all()
    assert float(batch.first_frame_s[starts][0]) == pytest.approx(0.08, abs=0.0201)


def test_windows_may_end_after_their_clip_and_mask_what_is_not_there() -> None:
    inside, beyond = batch_of(25.0, 100), batch_of(25.0, 100, end_share=0.5)
    assert (inside.mask[:, -1] == 1).all()
    num_real = beyond.mask[:, 6:].sum(1)
    assert int(num_real.min()) >= 10
    assert 3 < int((num_real < 40).sum()) < 32
    for row in range(64):
        real = int(num_real[row])
        assert beyond.mask[row, 6:].tolist() == [1] * real + [0] * (40 - real)
        assert beyond.mel_mask[row].tolist() == [1] * (4 * real) + [0] * (160 - 4 * real)


@pytest.mark.parametrize(("num_frames", "contexts"), [(20, {False}), (45, {False}), (60, {True, False})])
def test_short_clips(num_frames: int, contexts: set[bool]) -> None:
    batch = batch_of(25.0, num_frames)
    assert batch.motion.shape == (64, 46, 55)
    assert set(batch.has_context.tolist()) == contexts
    real = min(40, num_frames)
    assert (batch.mask[:, 6:].sum(1) == real).all()
    assert (batch.mel_mask.sum(1) == 4 * real).all()
    assert float(batch.motion.max()) <= (num_frames - 1) / 25
    assert torch.isfinite(batch.log_mel).all()


def test_clips_with_context_that_hardly_outlast_a_window_are_seen_to_their_end() -> None:
    batch = batch_of(25.0, 44, end_share=0.5)
    assert set(batch.has_context.tolist()) == {True, False}
    assert float((batch.motion[..., 0] * batch.mask).max()) == pytest.approx(43 / 25)


def test_the_generator_alone_decides() -> None:
    first, second = batch_of(25.0, end_share=0.2), batch_of(25.0, end_share=0.2)
    for name, value in vars(first).items():
        assert torch.equal(value, getattr(second, name)), name


def test_long_clips_are_drawn_more_often_and_told_apart() -> None:
    clips = [clock_clip(50, 25.0), clock_clip(450, 25.0)]
    batch = draw_windows(clips, WindowShape(40, 25.0), 400, torch.Generator().manual_seed(0))
    assert 0.85 < float(batch.clip.float().mean()) < 0.95
    assert float(batch.motion[batch.clip == 0].max()) < 2


def test_without_context_nobody_is_promised_one() -> None:
    batch = draw_windows([clock_clip(90, 25.0)], WindowShape(40, 25.0), 16, torch.Generator().manual_seed(0))
    assert not batch.has_context.any()
    assert (batch.mask == 1).all()


def test_a_window_at_a_place() -> None:
    batch = window_at(clock_clip(100, 25.0), 80, WindowShape(40, 25.0, num_context=6, mel_margin=4))
    assert batch.motion[0, 6, 0] == pytest.approx(3.2)
    assert batch.mask[0].tolist() == [1] * 26 + [0] * 20
    assert batch.mel_mask[0].sum() == 80
    assert batch.to(torch.device("meta")).motion.device.type == "meta"


def test_first_windows_of_clips_in_batches_of_eight() -> None:
    clips, shape = [telling_clip(30 + k, 25.0, seed=k) for k in range(10)], WindowShape(40, 25.0, mel_margin=4)
    batches = windows_at_starts(clips, shape)
    assert [batch.clip.tolist() for batch in batches] == [[*range(8)], [8, 9]]
    alone = window_at(clips[9], 0, shape)
    for name, value in vars(batches[1].item(1)).items():
        assert name == "clip" or torch.equal(value, getattr(alone, name)), name
    assert windows_at_starts([], shape) == []
