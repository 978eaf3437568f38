"""Sentences, phones and voices of the built-in corpus: distinct, covering, and timed to the sample."""

import re

import numpy as np
import pytest

from stages.corpora.synthesis.acoustics import draw_recording_setup, record, resampled
from stages.corpora.synthesis.espeak import _tidied, base_voice, speak
from stages.corpora.synthesis.performance import draw_person, perform
from stages.corpora.synthesis.phones import (
    SILENCE,
    VISEMES,
    VOWELS,
    TimedPhones,
    arpabet,
    base_label,
    between_silences,
    timed_phones,
)
from stages.corpora.synthesis.sentences import RULES, distinct_sentences
from stages.corpora.synthesis.voices import LANGUAGES
from stages.runtime.errors import ThunderError

VOICE = "gmw/en-US"


def say(text, **changes):
    settings = {"words_per_minute": 160, "pitch": 50, "pitch_range": 50} | changes
    return speak(text, base_voice(VOICE), **settings)


def test_sentences_are_distinct_seeded_and_of_2_to_14_words():
    sentences = distinct_sentences(5000, np.random.default_rng(3))
    assert len(set(sentences)) == 5000
    assert sentences == distinct_sentences(5000, np.random.default_rng(3))
    assert sentences[:100] != distinct_sentences(100, np.random.default_rng(4))
    lengths = [len(re.findall(r"[A-Za-z'-]+", s)) for s in sentences]
    assert min(lengths) >= 2
    assert max(lengths) <= 14
    assert all(s[0].isupper() and s[-1] in ".?!" and not re.search(r"[{}0-9]", s) for s in sentences)
    assert not [s for s in sentences if re.search(r"\ba (apple|old|orange|umbrella|empty|envelope)", s)]


def test_every_rule_of_the_grammar_exists_and_is_used():
    named = {
        name for alternatives in RULES.values() for text in alternatives for name in re.findall(r"\{(\w+)\}", text)
    }
    assert named | {"sentence"} == set(RULES)


@pytest.mark.parametrize(
    ("symbol", "labels"),
    [
        ("", ("SIL",)),
        ("p", ("P",)),
        ("tʃ", ("CH",)),
        ("ˈɔːɹ", ("AO1", "R")),
        ("ˌaɪ", ("AY2",)),
        ("aɪə", ("AY0", "AH0")),
        ("əl", ("AH0", "L")),
        ("n̩", ("N",)),
        ("ˈɛə", ("EH1", "AH0")),
        ("t̪", ("T",)),
        ("ɑ̃", ("AA0",)),
        ("aː", ("AA0",)),
        ("yː", ("UW0",)),
        ("ç", ("HH",)),
        ("ɔ̃", ("AO0",)),
    ],
)
def test_symbols_become_labels(symbol, labels):
    assert arpabet(symbol) == labels


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ("爸爸", "B AA0 B AA0"),
        ("葡萄", "P HH UW0 T HH AW0"),
        ("吃书", "CH IH1 SH UW1"),
        ("日", "R IH1"),
        ("七", "T S IY1"),
        ("西", "S IY1"),
        ("去", "T S UW1"),
        ("女", "N UW1"),
        ("国", "G W AO1"),
        ("学", "S W EH1"),
        ("飞", "F EY1"),
        ("二", "AH1 R"),
    ],
)
def test_mandarin_is_read_with_lips_of_its_own(said, labels):
    spoken = speak(said + "。", base_voice("sit/cmn"), words_per_minute=200, pitch=50, pitch_range=50)
    found = [label for symbol in spoken.symbols for label in arpabet(symbol, "zh") if label != SILENCE]
    assert " ".join(found) == labels


def test_an_aspirated_stop_ends_soon_after_its_burst():
    sound = np.full(500, 99, np.int16)
    sound[100:200] = 0
    # At 1 kHz: closed from 100, burst at 200, breath from 228.
    assert _tidied([(0, "a"), (200, "ph"), (260, "ˈɑ")], sound, 1000) == (["a", "pʰ", "h", "ˈɑ"], [0, 100, 228, 260])


def test_every_label_has_a_viseme():
    assert set(VISEMES) > VOWELS
    assert len(VISEMES) == 40


@pytest.mark.parametrize(
    ("language", "accent"), [(language, accent) for language in LANGUAGES for accent in LANGUAGES[language]]
)
def test_every_sound_of_every_accent_is_known(language, accent):
    text = " ".join(distinct_sentences(12, np.random.default_rng(1), language))
    spoken = speak(text, base_voice(LANGUAGES[language][accent][0]), words_per_minute=200, pitch=50, pitch_range=50)
    unknown = [symbol for symbol in spoken.symbols if symbol and arpabet(symbol, language) == (SILENCE,)]
    assert not unknown


# Phones of running American English, per cent, rounded from what is commonly counted: the order of magnitude is the point.
ENGLISH = {
    "AH": 11.0, "T": 7.0, "N": 7.0, "IH": 6.5, "S": 4.7, "R": 4.6, "D": 4.2, "L": 4.0, "IY": 3.7, "DH": 3.4, "K": 3.1,
    "AE": 3.1, "EH": 2.9, "M": 2.8, "Z": 2.8, "ER": 2.7, "W": 2.1, "P": 2.1, "V": 2.0, "UW": 2.0, "AY": 1.9, "EY": 1.9,
    "AA": 1.9, "B": 1.8, "F": 1.8, "HH": 1.6, "OW": 1.5, "AO": 1.4, "NG": 1.0, "G": 0.9, "Y": 0.9, "SH": 0.8, "CH": 0.6,
    "AW": 0.6, "JH": 0.5, "TH": 0.5, "UH": 0.5, "OY": 0.1, "ZH": 0.05,
}  # fmt: skip


def test_sentences_have_the_phones_of_english_and_more_of_the_visible_ones():
    counts = dict.fromkeys(ENGLISH, 0)
    sentences = distinct_sentences(400, np.random.default_rng(5))
    for k in range(0, len(sentences), 20):
        for symbol in say(" ".join(sentences[k : k + 20]), words_per_minute=300).symbols:
            for label in arpabet(symbol):
                if label != SILENCE:
                    counts[base_label(label)] += 1
    assert ENGLISH.keys() == set(VISEMES) - {SILENCE}
    found = {label: 100 * count / sum(counts.values()) for label, count in counts.items()}
    shared = sum(min(found[label], share) for label, share in ENGLISH.items()) / sum(ENGLISH.values())
    assert shared > 0.85
    assert min(found[label] / share for label, share in ENGLISH.items()) > 0.4
    assert all(found[label] > ENGLISH[label] for label in "PBMFVW")


def test_phone_times_cover_the_speech_without_gaps():
    spoken = say("Pat, do you hear the bubbling water?")
    phones = timed_phones(spoken.symbols, spoken.boundaries_s)
    assert phones.boundaries_s[0] == 0
    assert phones.boundaries_s[-1] == pytest.approx(len(spoken.waveform) / spoken.sample_rate_hz)
    assert (np.diff(phones.boundaries_s) > 0).all()
    assert len(phones.boundaries_s) == len(phones.labels) + 1
    assert all(a != SILENCE or b != SILENCE for a, b in zip(phones.labels, phones.labels[1:], strict=False))


def test_phone_times_agree_with_the_sound():
    spoken = say("A map, a cap. Ah.")
    rate = spoken.sample_rate_hz

    def level(start_s, end_s):
        return float(np.sqrt((spoken.waveform[int(start_s * rate) : int(end_s * rate)] ** 2).mean()))

    times = list(zip(spoken.symbols, spoken.boundaries_s, spoken.boundaries_s[1:], strict=False))
    vowels = [level(a, b) for symbol, a, b in times if symbol.lstrip("ˈˌ")[:1] in tuple("æɑɐ")]
    pauses = [level(a, b) for symbol, a, b in times if symbol == "" and b - a > 0.05]
    assert min(vowels) > 30 * max(pauses)
    # The closure of a voiceless stop is silent and belongs to the stop: at least 25 ms in front of its burst.
    stops = [level(a, a + 0.025) for symbol, a, b in times if symbol in ("p", "k")]
    assert len(stops) == 3
    assert max(stops) < 1e-3


def test_a_gap_before_a_stop_is_its_closure():
    # At 1 kHz: 40 ms of silence before /p/ are all closure; of 200 ms before /b/ the last 60 are.
    sound = np.ones(600, np.int16)
    events = [(0, "a"), (100, ""), (140, "p"), (200, "ˈa"), (300, ""), (500, "b"), (540, "ə")]
    assert _tidied(events, sound, 1000) == (["a", "p", "ˈa", "", "b", "ə"], [0, 100, 200, 300, 440, 540])


def test_the_same_words_are_the_same_samples_whatever_was_said_before():
    first = say("Where is the blue moon?")
    say("Something else.", words_per_minute=220)
    again = say("Where is the blue moon?")
    np.testing.assert_array_equal(first.waveform, again.waveform)
    np.testing.assert_array_equal(first.boundaries_s, again.boundaries_s)


def test_an_unusable_voice_is_refused():
    with pytest.raises(ThunderError, match="no such language"):
        base_voice("gmw/klingon")


def test_utterances_are_joined_with_silences_that_merge():
    one = TimedPhones(("P", "AA1", SILENCE), np.array([0.0, 0.1, 0.3, 0.4]))
    two = TimedPhones((SILENCE, "M"), np.array([0.0, 0.05, 0.2]))
    joined = between_silences([one, two], [0.2, 0.5, 0.3])
    assert joined.labels == (SILENCE, "P", "AA1", SILENCE, "M", SILENCE)
    np.testing.assert_allclose(joined.boundaries_s, [0, 0.2, 0.3, 0.5, 1.15, 1.3, 1.6])
    assert joined.as_records()[1] == {"start_s": 0.2, "end_s": 0.3, "label": "P"}


def test_resampling_keeps_a_tone_and_removes_what_does_not_fit():
    times = np.arange(22050) / 22050
    window = np.hanning(22050)
    tone = (np.sin(2 * np.pi * 440 * times) * window).astype(np.float32)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * np.interp(np.arange(16000) / 16000, times, window)
    np.testing.assert_allclose(resampled(tone, 16000), wanted, atol=2e-4)
    hiss = (np.sin(2 * np.pi * 9500 * times) * window).astype(np.float32)
    assert np.abs(resampled(hiss, 16000)).max() < 1e-3


def test_a_recording_is_not_shifted_in_time():
    rng = np.random.default_rng(0)
    click = np.zeros(16000, np.float32)
    click[8000:8400] = rng.standard_normal(400)
    for number in range(6):
        heard = record(click, [], draw_recording_setup(np.random.default_rng(number)), rng).astype(float)
        envelope = np.convolve(heard**2, np.ones(400), mode="valid")
        assert abs(int(envelope.argmax()) - 8000) < 80  # 5 ms: the room's first reflections


def test_people_differ_and_stay_the_same_under_their_seed():
    people = [draw_person(0, k) for k in range(40)]
    assert len({p.voice.traits for p in people}) == 40
    assert len({p.voice.accent for p in people}) >= 4
    assert people[7] == draw_person(0, 7)
    assert people[7] != draw_person(1, 7)


def test_sound_phones_and_motion_are_equally_long():
    for fps in (25.0, 30.0, 30 / 1.001):
        clip = perform("Bob moved. Why?", draw_person(2, 1), (2, 1, 0), fps)
        length_s = len(clip.waveform) / 16000
        assert clip.waveform.dtype == np.int16
        assert clip.motion.shape[0] / fps == pytest.approx(length_s, abs=1e-4)
        assert clip.phones.boundaries_s[-1] == pytest.approx(length_s, abs=1e-6)
        assert clip.phones.labels[0] == clip.phones.labels[-1] == SILENCE
        # The pause between the sentences.
        inner = [b - a for label, a, b in _spans(clip.phones)[1:-1] if label == SILENCE]
        assert max(inner) >= 0.2


def _spans(phones):
    return list(zip(phones.labels, phones.boundaries_s, phones.boundaries_s[1:], strict=False))


def test_the_voice_has_the_vowels_that_were_asked_for():
    labels = [base_label(a) for symbol in say("bee boo baa").symbols for a in arpabet(symbol)]
    assert [label for label in labels if label != SILENCE] == ["B", "IY", "B", "UW", "B", "AA"]
