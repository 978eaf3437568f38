"""Articulation and expression of the built-in corpus: lips close when they must, round early, and faces live."""

import numpy as np
import pytest

from stages.corpora.synthesis.articulation import MouthStyle, articulate, draw_mouth_style
from stages.corpora.synthesis.expression import EMOTIONS, draw_face_style, express
from stages.corpora.synthesis.performance import draw_person, perform
from stages.corpora.synthesis.phones import SILENCE, TimedPhones, base_label
from stages.heads.arkit import ARKIT_CURVES, ARKIT_FEATURES

FPS = 25.0


def phones_of(*timed, lead_s=0.4, tail_s=0.5):
    """Phones from (label, seconds) pairs, with silence around them."""
    labels = [SILENCE, *(label for label, _ in timed), SILENCE]
    return TimedPhones(tuple(labels), np.cumsum([0.0, lead_s, *(length for _, length in timed), tail_s]))


def mouth_of(phones, fps=FPS, style=None, **settings):
    num_frames = int(phones.boundaries_s[-1] * fps)
    return articulate(phones, style or MouthStyle(), num_frames, fps, **settings)


def curve(motion, name):
    return motion[:, ARKIT_FEATURES.index(name)]


def gap(motion):
    """Lip opening in jaw units; on the embedded head 1 is about 30 mm."""
    parted = sum(
        curve(motion, name + side) for name in ("mouthLowerDown", "mouthUpperUp") for side in ("Left", "Right")
    )
    return curve(motion, "jawOpen") - curve(motion, "mouthClose") + 0.12 * parted + 0.37 * curve(motion, "mouthFunnel")


def times_of(motion, fps=FPS):
    return np.arange(len(motion)) / fps


@pytest.mark.parametrize("consonant", ["P", "B", "M"])
@pytest.mark.parametrize("length_s", [0.03, 0.06, 0.12])
@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0, 60.0])
def test_bilabials_close_between_open_vowels_wherever_the_frames_fall(consonant, length_s, fps):
    for offset_s in np.linspace(0, 1 / fps, 7):
        phones = phones_of(("AA1", 0.2), (consonant, length_s), ("AA1", 0.2), lead_s=0.4 + offset_s)
        motion = mouth_of(phones, fps)
        start, end = phones.boundaries_s[2:4]
        near = np.abs(times_of(motion, fps) - (start + end) / 2) <= max(0.05, length_s / 2 + 0.02)
        assert gap(motion)[near].min() < 0.02
        assert gap(motion).max() > 0.3


def test_closed_lips_last_at_least_forty_milliseconds():
    phones = phones_of(("AE1", 0.15), ("P", 0.05), ("AE1", 0.15))
    motion = mouth_of(phones, fps=200.0)
    middle = phones.boundaries_s[2:4].mean()
    closed = (gap(motion) < 0.02) & (np.abs(times_of(motion, 200.0) - middle) < 0.1)
    assert closed.sum() / 200 >= 0.04


def test_the_lower_lip_meets_the_teeth_in_f_and_v():
    for label in ("F", "V"):
        phones = phones_of(("AA1", 0.2), (label, 0.1), ("AA1", 0.2))
        motion = mouth_of(phones)
        middle = int(phones.boundaries_s[2:4].mean() * FPS)
        assert curve(motion, "mouthRollLower")[middle] > 0.4
        assert curve(motion, "mouthUpperUpLeft")[middle] > 0.1  # the teeth show
        assert curve(motion, "mouthLowerDownLeft")[middle] < 0.03
        assert gap(motion)[middle] < 0.3 * gap(motion).max()


def test_silence_shuts_the_mouth_and_speech_opens_it_in_time():
    phones = phones_of(("AA1", 0.3), (SILENCE, 0.5), ("AA1", 0.3))
    motion, times = mouth_of(phones, 100.0), np.arange(int(phones.boundaries_s[-1] * 100)) / 100
    for start, end in ((0.0, 0.4), (0.7, 1.2), (1.5, 2.0)):
        inside = (times >= start + (0.11 if start else 0)) & (times <= end - (0.11 if end < 2 else 0))
        assert gap(motion)[inside].max() < 0.01
        assert motion[inside].max() < 0.02
    opening = times[np.flatnonzero(gap(motion) > 0.03)[0]]
    assert 0.3 <= opening <= 0.4
    closing = times[np.flatnonzero(gap(motion) > 0.03)[-1]]
    assert 1.5 <= closing <= 1.62


def test_gaps_between_words_do_not_shut_the_mouth():
    phones = phones_of(("AA1", 0.2), (SILENCE, 0.05), ("AA1", 0.2))
    motion = mouth_of(phones)
    assert gap(motion)[int(0.625 * FPS)] > 0.2


def test_rounding_starts_before_the_vowel_and_passes_through_tongue_consonants():
    phones = phones_of(("IY1", 0.2), ("T", 0.08), ("UW1", 0.2))
    motion, times = mouth_of(phones, 100.0), np.arange(int(phones.boundaries_s[-1] * 100)) / 100
    pucker = curve(motion, "mouthPucker")
    vowel_s = phones.boundaries_s[3]
    assert pucker.max() > 0.4
    early = times[np.flatnonzero(pucker > 0.2 * pucker.max())[0]]
    assert 0.05 < vowel_s - early < 0.25
    other = mouth_of(phones_of(("IY1", 0.2), ("T", 0.08), ("IY1", 0.2)), 100.0)
    during_t = (times > phones.boundaries_s[2]) & (times < vowel_s)
    assert pucker[during_t].mean() > 0.15 + curve(other, "mouthPucker")[during_t].mean()
    assert curve(other, "mouthSmileLeft").max() > 2 * curve(motion, "mouthSmileLeft")[times > vowel_s].max()


def test_jaw_follows_vowel_height():
    opening = {
        label: curve(mouth_of(phones_of(("T", 0.1), (label + "1", 0.2), ("T", 0.1))), "jawOpen").max()
        for label in ("AA", "EH", "IH", "IY", "UW")
    }
    assert opening["AA"] > opening["EH"] > opening["IH"] > opening["IY"]
    assert 0.3 < opening["AA"] < 0.55
    assert opening["AA"] > 2 * opening["UW"]


def test_fast_and_unstressed_vowels_undershoot():
    def peak(label, length_s):
        return curve(mouth_of(phones_of(("T", 0.06), (label, length_s), ("T", 0.06)), 200.0), "jawOpen").max()

    assert peak("AA1", 0.05) < 0.85 * peak("AA1", 0.2)
    assert peak("AA0", 0.1) < 0.85 * peak("AA1", 0.1)


def test_a_blended_part_matches_a_naive_sum_over_phones():
    """The jaw of two phones, worked out with loops from the formula in the module's docstring."""
    from stages.corpora.synthesis import articulation as a

    phones = phones_of(("AA1", 0.2), ("S", 0.1))
    grid = np.arange(0, 1.2, 0.01)
    blended = a._blended(phones, MouthStyle(reduction=0.0), grid)
    for t, found in zip(grid, blended[:, 0], strict=True):
        pulls = weights = 0.0
        for k, label in enumerate(phones.labels):
            start, end = phones.boundaries_s[k : k + 2]
            *_, strength, _, _ = row = a._GESTURES[base_label(label)][0]
            if label == SILENCE:
                inset, before, after = (
                    min(a._SILENCE_MARGIN_S, (end - start) / 2),
                    a._SILENCE_REACH_S,
                    a._SILENCE_REACH_S,
                )
            else:
                inset = (end - start) * (1 - a._STEADY_SHARE) / 2
                before, after = a._REACH_BEFORE_S[0], a._REACH_AFTER_S[0]
            early = 0.0 if k == 0 else max(0.0, start + inset - t) / before
            late = 0.0 if k == len(phones.labels) - 1 else max(0.0, t - end + inset) / after
            dominance = strength * np.exp(-early - late)
            pulls, weights = pulls + dominance * row[0], weights + dominance
        assert found == pytest.approx(pulls / weights, abs=1e-6)


def test_curves_stay_in_range_for_every_style_and_emotion():
    phones = phones_of(("B", 0.06), ("AE1", 0.15), ("M", 0.06), ("OW1", 0.2), ("SH", 0.1), ("F", 0.1), ("AY1", 0.2))
    for number in range(30):
        rng = np.random.default_rng(number)
        mouth = mouth_of(phones, style=draw_mouth_style(rng), effort=1.2)
        emotion = EMOTIONS[number % len(EMOTIONS)]
        motion = express(mouth, phones, draw_face_style(rng), FPS, rng, emotion=emotion, intensity=1.0)
        curves = motion[:, : len(ARKIT_CURVES)]
        assert np.isfinite(motion).all()
        assert curves.min() >= 0
        assert curves.max() <= 1
        assert np.abs(motion[:, -3:]).max() < np.radians(30)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_emotion_opens_neither_closures_nor_silence(emotion):
    phones = phones_of(("AA1", 0.2), ("M", 0.08), ("AA1", 0.2), lead_s=0.6, tail_s=0.6)
    rng = np.random.default_rng(5)
    motion = express(mouth_of(phones), phones, draw_face_style(rng), FPS, rng, emotion=emotion, intensity=1.0)
    times = times_of(motion)
    assert gap(motion)[np.abs(times - 0.84) < 0.04].min() < 0.02
    assert gap(motion)[times < 0.45].max() < 0.02


def test_emotions_show_where_they_should():
    phones = phones_of(("AA1", 0.5), tail_s=2.0)
    faces = {}
    for emotion in EMOTIONS:
        faces[emotion] = np.mean(
            [
                express(mouth_of(phones), phones, draw_face_style(np.random.default_rng(k)), FPS,
                        np.random.default_rng(k), emotion=emotion, intensity=1.0).mean(axis=0)
                for k in range(8)
            ],
            axis=0,
        )  # fmt: skip
    for emotion, name in (
        ("happy", "mouthSmileLeft"),
        ("sad", "browInnerUp"),
        ("angry", "browDownLeft"),
        ("surprised", "eyeWideLeft"),
    ):
        k = ARKIT_FEATURES.index(name)
        assert faces[emotion][k] > faces["neutral"][k] + 0.15


def test_people_blink_at_a_human_rate_with_lids_that_close():
    phones = TimedPhones((SILENCE,), np.array([0.0, 120.0]))
    still = np.zeros((120 * 25, len(ARKIT_CURVES)), np.float32)
    rates, lengths = [], []
    for k in range(20):
        style = draw_face_style(np.random.default_rng(k))
        lid = curve(express(still, phones, style, FPS, np.random.default_rng(k)), "eyeBlinkLeft")
        shut = np.diff((lid > 0.85).astype(int), prepend=0)
        rates.append((shut == 1).sum() / 2)
        half = np.diff((lid > 0.5).astype(int), prepend=0)
        lengths.append((lid > 0.5).sum() / max(1, (half == 1).sum()) / FPS)
    assert 14 <= np.mean(rates) <= 30  # 17 at rest, 26 in conversation
    assert min(rates) >= 4
    assert max(rates) <= 45
    assert 0.06 <= np.mean(lengths) <= 0.25


def test_lips_are_pressed_most_just_before_a_stop_is_released():
    phones = phones_of(("AA1", 0.2), ("B", 0.12), ("AA1", 0.2))
    motion, times = mouth_of(phones, 200.0), np.arange(int(phones.boundaries_s[-1] * 200)) / 200
    press = curve(motion, "mouthPressLeft")
    release_s = phones.boundaries_s[3] - 0.014
    assert release_s - 0.045 <= times[press.argmax()] <= release_s - 0.01
    assert press.max() > 1.5 * press[int((phones.boundaries_s[2] + 0.02) * 200)] > 0
    nasal = mouth_of(phones_of(("AA1", 0.2), ("M", 0.12), ("AA1", 0.2)), 200.0)
    assert curve(nasal, "mouthPressLeft").max() < 0.7 * press.max()


def test_jaw_and_lips_share_an_opening():
    phones = phones_of(("T", 0.1), ("AA1", 0.25), ("T", 0.1))
    jaw, lips = (mouth_of(phones, style=MouthStyle(lip_share=share)) for share in (-0.9, 0.9))
    assert curve(jaw, "jawOpen").max() > 1.15 * curve(lips, "jawOpen").max()
    assert curve(lips, "mouthLowerDownLeft").max() > 1.8 * curve(jaw, "mouthLowerDownLeft").max()
    # In jaw units of gap, as people reach the same opening in either way.
    assert gap(lips).max() == pytest.approx(gap(jaw).max(), rel=0.2)


def test_effort_may_change_along_an_utterance():
    phones = phones_of(("T", 0.1), ("AA1", 0.25), ("T", 0.1), ("AA1", 0.25), ("T", 0.1))
    num_frames = int(phones.boundaries_s[-1] * FPS)
    effort = np.linspace(1.3, 0.7, num_frames)
    even, falling = mouth_of(phones), mouth_of(phones, effort=effort)
    np.testing.assert_allclose(curve(falling, "jawOpen"), curve(even, "jawOpen") * effort, atol=0.005)
    clip = perform("Bob moved my map. Papa may buy a boat.", draw_person(0, 0), (0, 0), FPS)
    assert gap(clip.motion)[:4].max() < 0.02


def test_a_smile_widens_vowels_and_an_emotion_comes_and_goes():
    phones = phones_of(*[("AE1", 0.3), ("M", 0.08)] * 20, lead_s=0.5, tail_s=0.5)
    mouth, spread, courses = mouth_of(phones), [], []
    for k in range(12):
        style = draw_face_style(np.random.default_rng(k))
        happy, plain = (
            express(mouth, phones, style, FPS, np.random.default_rng(k), emotion=emotion, intensity=intensity)
            for emotion, intensity in (("happy", 1.0), ("neutral", 0.0))
        )
        smile = curve(happy, "mouthSmileLeft") - curve(plain, "mouthSmileLeft")
        spread.append(np.percentile(smile[curve(mouth, "jawOpen") > 0.2], 90))
        courses.append(smile)
    assert np.mean(spread) > 0.3
    starts = [course[:5].mean() < 0.3 * course.max() for course in courses]
    ends = [course[-5:].mean() < 0.3 * course.max() for course in courses]
    assert 2 <= sum(starts) <= 12
    assert sum(ends) >= 1


def test_brows_nods_and_blinks_go_with_stress_and_pauses_on_average_only():
    """Averaged over many takes the events show where speech invites them; no single take can be read off the sound."""
    timed = [(label, s) for _ in range(10) for label, s in (("AA1", 0.2), ("T", 0.6), (SILENCE, 0.5), ("AH0", 0.7))]
    phones = phones_of(*timed)
    mouth = np.zeros((int(phones.boundaries_s[-1] * FPS), len(ARKIT_CURVES)), np.float32)
    times, takes = np.arange(len(mouth)) / FPS, []
    for k in range(80):
        style = draw_face_style(np.random.default_rng(k))
        takes.append(express(mouth, phones, style, FPS, np.random.default_rng(k)))
    starts = phones.boundaries_s[:-1]
    stressed = [start for start, label in zip(starts, phones.labels, strict=True) if label == "AA1"]
    pauses = [start for start, label in zip(starts, phones.labels, strict=True) if label == SILENCE][1:-1]

    def after(name, moments, from_s, to_s):
        inside = np.any([(times >= m + from_s) & (times < m + to_s) for m in moments], axis=0)
        return float(np.mean([curve(take, name)[inside] for take in takes]))

    assert after("browInnerUp", stressed, 0.0, 0.2) > 1.5 * after("browInnerUp", stressed, 0.9, 1.3)
    assert after("headPitch", stressed, 0.1, 0.25) > np.radians(0.4) + after("headPitch", stressed, 1.2, 1.6)
    assert after("headPitch", pauses, 0.1, 0.25) < after("headPitch", pauses, -0.4, -0.2)  # the breath lifts the head
    shut = [np.diff((curve(take, "eyeBlinkLeft") > 0.6).astype(int), prepend=0) == 1 for take in takes]
    at_pause = np.any([(times >= m) & (times < m + 0.25) for m in pauses], axis=0)
    assert np.mean([s[at_pause].mean() for s in shut]) > 1.5 * np.mean([s[~at_pause].mean() for s in shut])
    first = np.array([curve(take, "browInnerUp") for take in takes])
    assert np.abs(np.corrcoef(first)[0, 1:]).mean() < 0.5


def test_eyes_jump_as_fast_as_eyes_do():
    phones = TimedPhones((SILENCE,), np.array([0.0, 40.0]))
    still = np.zeros((40 * 500, len(ARKIT_CURVES)), np.float32)
    lengths_s, sizes, per_second = [], [], []
    for k in range(6):
        motion = express(still, phones, draw_face_style(np.random.default_rng(k)), 500.0, np.random.default_rng(k))
        yaw = 35 * (curve(motion, "eyeLookOutLeft") - curve(motion, "eyeLookInLeft")) + 0.7 * np.degrees(
            curve(motion, "headYaw")
        )
        moving = np.abs(np.diff(yaw)) * 500 > 20  # degrees a second
        edges = np.flatnonzero(np.diff(moving.astype(int), prepend=0, append=0))
        for begin, end in edges.reshape(-1, 2):
            lengths_s.append((end - begin) / 500)
            sizes.append(abs(yaw[end] - yaw[begin]))
        per_second.append(len(edges) / 2 / 40)
    assert 0.5 <= np.mean(per_second) <= 3
    assert max(lengths_s) < 0.1
    large = np.array(sizes) > 5
    assert large.sum() > 5
    assert np.all(np.array(lengths_s)[large] >= 0.021 + 0.0022 * np.array(sizes)[large] - 0.005)


def test_the_face_is_seeded_apart_from_the_speech():
    phones = phones_of(("AA1", 0.3), ("M", 0.1), tail_s=1.0)
    mouth, style = mouth_of(phones), draw_face_style(np.random.default_rng(0))
    one, same, other = (express(mouth, phones, style, FPS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    mouth_columns = [k for k, name in enumerate(ARKIT_CURVES) if name.startswith(("jaw", "mouth", "tongue"))]
    np.testing.assert_array_equal(one[:, mouth_columns], other[:, mouth_columns])
    assert np.abs(one - other)[:, ARKIT_FEATURES.index("headYaw")].mean() > 0.01


def test_whole_clips_close_their_lips_on_every_bilabial_and_in_every_pause():
    texts = ("My puppy Bob may jump. Maybe Pam moved the purple boat.", "Please bring me a map, a lamp, and a cup.")
    for number in range(10):
        emotion = EMOTIONS[number % len(EMOTIONS)]
        clip = perform(texts[number % 2], draw_person(4, number), (4, number), FPS, emotion=emotion, intensity=0.9)
        opening, times = gap(clip.motion), times_of(clip.motion)
        opening = opening / np.percentile(opening, 95)
        for label, start, end in zip(
            clip.phones.labels, clip.phones.boundaries_s, clip.phones.boundaries_s[1:], strict=False
        ):
            if label in ("P", "B", "M"):
                assert opening[(times >= start - 0.04) & (times <= end + 0.04)].min() <= 0.15, (number, label, start)
            if label == SILENCE and end - start >= 0.25:
                assert opening[(times >= start + 0.1) & (times <= end - 0.1)].max() <= 0.1
