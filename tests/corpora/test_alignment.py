import numpy as np
import pytest

from stages.artifacts.clips import Phone
from stages.corpora.alignment import align, at_frame_rate
from stages.corpora.corpus import RawClip
from stages.runtime.errors import ThunderError


def raw(sound_s: float, num_frames: int, fps: float, **more: object) -> RawClip:
    motion = np.arange(num_frames, dtype="f4")[:, None]
    return RawClip(np.ones(round(16_000 * sound_s), "f4"), fps, motion=motion, **more)  # type: ignore[arg-type]


def test_equal_lengths_are_left_alone() -> None:
    aligned, remark = align(raw(2.0, 50, 25.0))
    assert (len(aligned.waveform), len(aligned.motion), remark) == (32_000, 50, "")


def test_the_longer_is_cut_and_that_is_said() -> None:
    longer_sound, remark = align(raw(2.08, 50, 25.0))
    assert (len(longer_sound.waveform), len(longer_sound.motion)) == (32_000, 50)
    assert "2.080 s of sound and 2.000 s of motion" in remark
    longer_motion, remark = align(raw(1.92, 50, 25.0))
    assert (len(longer_motion.waveform), len(longer_motion.motion)) == (30_720, 48)
    assert "cut to 1.920 s" in remark


def test_less_than_half_a_frame_of_sound_is_filled_with_zeros_and_not_worth_a_word() -> None:
    aligned, remark = align(raw(1.99, 50, 25.0))
    assert (len(aligned.waveform), len(aligned.motion), remark) == (32_000, 50, "")
    assert aligned.waveform[31_840:].max() == 0.0
    assert aligned.waveform[31_839] == 1.0


def test_other_lengths_fail_with_both_durations() -> None:
    for sound_s in (1.9, 2.1, 7.0):
        with pytest.raises(
            ThunderError, match=rf"{sound_s:.3f} s of sound and 2.000 s of motion .50 frames at 25 fps.*--allow"
        ):
            align(raw(sound_s, 50, 25.0))
    aligned, remark = align(raw(7.0, 50, 25.0), allow_mismatch=True)
    assert len(aligned.waveform) == 32_000
    assert "cut to 2.000 s" in remark


def test_60_fps_becomes_30_by_every_second_frame() -> None:
    aligned, _ = align(raw(1.0, 60, 60.0), 30.0)
    np.testing.assert_array_equal(aligned.motion[:, 0], np.arange(0, 60, 2))
    assert aligned.fps == 30.0
    odd, _ = align(raw(61 / 60, 61, 60.0), 30.0)
    np.testing.assert_array_equal(odd.motion[:, 0], np.arange(0, 61, 2))
    assert len(odd.waveform) == round(31 / 30 * 16_000)


def test_other_rates_are_interpolated_where_they_stand_in_time() -> None:
    values = np.arange(60, dtype="f4")[:, None]  # frame t of 60 fps stands at t / 60 s
    found = at_frame_rate(values, 60.0, 25.0)
    np.testing.assert_allclose(found[:, 0], np.arange(25) * 60 / 25, atol=1e-5)
    upward = at_frame_rate(values[:30], 30.0, 60.0)
    np.testing.assert_allclose(upward[:-1, 0], np.arange(59) / 2, atol=1e-5)
    assert len(upward) == 60
    assert at_frame_rate(np.zeros((10, 4, 3), "f4"), 50.0, 30.0).shape == (6, 4, 3)


def test_phones_end_with_the_sound() -> None:
    phones = (Phone(0.0, 1.0, "AA"), Phone(1.0, 2.05, "B"), Phone(2.05, 2.08, "SIL"))
    aligned, _ = align(raw(2.08, 50, 25.0, phones=phones))
    assert aligned.phones == (Phone(0.0, 1.0, "AA"), Phone(1.0, 2.0, "B"))


def test_less_than_a_frame_is_refused() -> None:
    with pytest.raises(ThunderError, match="less than one frame"):
        align(raw(0.06, 1, 25.0), 5.0)
