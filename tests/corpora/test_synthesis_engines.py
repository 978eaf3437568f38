"""Engines that are programs of their own: what they print is understood, times cover the sound, absence is one line."""

import shutil

import numpy as np
import pytest

from stages.corpora.synthesis import festival, flite
from stages.corpora.synthesis.external import Manner, radio_label, timed
from stages.corpora.synthesis.grammars import GRAMMARS
from stages.corpora.synthesis.phones import SILENCE, base_label
from stages.corpora.synthesis.sentences import distinct_sentences
from stages.corpora.synthesis.voices import LANGUAGES, casting, draw_voice, engine_version, say
from stages.runtime.errors import ThunderError

# Manner as it is, and three changes of it.
PLAIN = Manner(tempo=1.0, pitch=1.0, liveliness=1.0)


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_what_flite_prints_is_read():
    labels, ends_s = flite.parse_segments("pau:0.222 ax:0.278 m:0.433 ae:0.547 p:0.706 pau:0.810 iy:0.9 \n")
    assert labels == ["SIL", "AH0", "M", "AE1", "P", "SIL", "IY2"]
    assert ends_s == [0.222, 0.278, 0.433, 0.547, 0.706, 0.81, 0.9]
    with pytest.raises(ThunderError, match="printed no phones"):
        flite.parse_segments("Segmentation fault")
    with pytest.raises(ThunderError, match="none of English"):
        flite.parse_segments("pau:0.2 qq:0.4")


def test_what_festival_prints_is_read():
    printed = "some talk\nphone pau 0.22 0\nphone p 0.3 1\nphone iy 0.41 0\nphone ax 0.5 1\n"
    assert festival.parse_segments(printed, "en") == (["SIL", "P", "IY0", "AH0"], [0.22, 0.3, 0.41, 0.5])
    labels, ends_s = festival.parse_segments("phone # 0.3 0\nphone ts 0.5 1\nphone i1 0.6 1\nphone J 0.7 0\n", "it")
    assert labels == ["SIL", "T", "S", "IY1", "N"]
    np.testing.assert_allclose(ends_s, [0.3, 0.4, 0.5, 0.6, 0.7])
    for broken in ("phone p", "phone p soon 0", "phone §§ 0.3 0"):
        with pytest.raises(ThunderError, match="wanted `phone NAME END STRESS`"):
            festival.parse_segments(broken, "it")
    with pytest.raises(ThunderError, match="printed no phones"):
        festival.parse_segments("VAL: error", "en")


def test_reduced_vowels_are_never_stressed():
    assert [radio_label(name, "1") for name in ("ax", "axr", "ah", "er", "k", "pau")] == [
        "AH0",
        "ER0",
        "AH1",
        "ER1",
        "K",
        SILENCE,
    ]


def test_times_cover_the_sound():
    phones = timed(["SIL", "SIL", "P", "AA1", "T", "SIL"], [0.1, 0.2, 0.3, 0.3, 0.5, 0.8], 0.65)
    assert phones.labels == ("SIL", "P", "T", "SIL")
    np.testing.assert_allclose(phones.boundaries_s, [0, 0.2, 0.3, 0.5, 0.65])
    with pytest.raises(ThunderError, match="unusable phone times"):
        timed(["P", "AA1"], [0.3, 0.2], 0.3)
    with pytest.raises(ThunderError, match="unusable phone times"):
        timed(["P", "AA1"], [0.3, 0.5], 1.5)


def test_an_engine_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda program: None)
    for program in ("flite", "festival"):
        with pytest.raises(ThunderError, match=f"apt-get install {program}"):
            casting(("espeak", program), ("en",))
    assert casting(("espeak",), ("en", "de")) == [("espeak", "en", ""), ("espeak", "de", "")]


@pytest.mark.parametrize(("engines", "languages"), [(("whisper",), ("en",)), (("espeak",), ("tlh",)), ((), ("en",))])
def test_unknown_engines_and_languages_are_refused(engines, languages):
    with pytest.raises(ThunderError, match="wanted some of espeak, flite, festival"):
        casting(engines, languages)


def test_speakers_are_divided_among_engines_and_languages(monkeypatch):
    facts = ("en-us", 100.0, 160.0)
    monkeypatch.setattr(flite, "voices", lambda language: {"slt": facts, "rms": facts} if language == "en" else {})
    roles = casting(("espeak", "flite"), ("en", "de"))
    of_english = [role for role in roles if role[1] == "en"]
    assert {role for role in roles if role[1] == "de"} == {("espeak", "de", "")}
    assert sum(engine == "flite" for engine, *_ in of_english) == len(of_english) / 2
    assert {name for engine, _, name in of_english if engine == "flite"} == {"slt", "rms"}
    with pytest.raises(ThunderError, match="add --engine espeak"):
        casting(("flite",), ("de",))
    with pytest.raises(ThunderError, match="no voice for de"):
        casting(("espeak", "flite"), ("de",))


def test_the_package_s_own_engine_has_a_version():
    assert engine_version("espeak")[0].isdigit()


@pytest.mark.parametrize("language", GRAMMARS)
def test_every_grammar_makes_thousands_of_sentences_and_can_be_exhausted(language, monkeypatch):
    sentences = distinct_sentences(3000, np.random.default_rng(1), language)
    assert len(set(sentences)) == 3000
    assert all(s.lstrip("¿¡")[0] == s.lstrip("¿¡")[0].upper() and s[-1] in ".?!。？！" for s in sentences)
    assert not [s for s in sentences if "{" in s or (language == "zh" and " " in s)]
    monkeypatch.setitem(GRAMMARS, language, {"sentence": ["aa {b}."], "b": ["bb", "cc", "dd"]})
    space = "" if language == "zh" else " "
    wanted = [f"Aa{space}{word}." for word in ("bb", "cc", "dd")]
    assert sorted(distinct_sentences(99, np.random.default_rng(0), language)) == wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_voice_of_every_language_speaks_with_closed_lips_where_they_belong(language):
    voice = draw_voice(np.random.default_rng(0), ("espeak", language, ""))
    assert voice.accent in LANGUAGES[language]
    text, lips = ("爸爸妈妈怕。", "BBMMP") if language == "zh" else ("Papa Mimi.", "PPMM")
    _, phones = say(text, voice, np.random.default_rng(1))
    assert "".join(label for label in phones.labels if label in ("P", "B", "M")) == lips


@needs("flite")
@pytest.mark.parametrize("name", flite.VOICES)
def test_flite_s_times_agree_with_its_sound(name):
    waveform, rate_hz, phones = flite.speak("A tap. A cat. A pack.", name, PLAIN)
    assert phones.boundaries_s[-1] == pytest.approx(len(waveform) / rate_hz)
    times = list(zip(phones.labels, phones.boundaries_s, phones.boundaries_s[1:], strict=False))

    def level(start_s, end_s):
        return float(np.sqrt((waveform[int(start_s * rate_hz) : int(end_s * rate_hz)] ** 2).mean()))

    open_vowels = [level(a + 0.02, b - 0.02) for label, a, b in times if base_label(label) == "AE"]
    pauses = [level(a + 0.03, b - 0.03) for label, a, b in times if label == SILENCE and b - a > 0.1]
    assert len(open_vowels) == 3
    assert min(open_vowels) > 4 * max(pauses)
    again, _, _ = flite.speak("A tap. A cat. A pack.", name, PLAIN)
    np.testing.assert_array_equal(waveform, again)
    slow, _, _ = flite.speak("A tap. A cat. A pack.", name, Manner(tempo=0.8, pitch=1.1, liveliness=1.0))
    assert len(slow) == pytest.approx(len(waveform) / 0.8, rel=0.05)


@needs("festival")
def test_festival_speaks_with_times_and_stress():
    installed = festival.voices("en")
    if not installed:
        pytest.skip("festival has no English voice")
    name = next(iter(installed))
    waveform, rate_hz, phones = festival.speak('My "puppy" jumped.', name, PLAIN)
    assert phones.boundaries_s[-1] == pytest.approx(len(waveform) / rate_hz)
    spoken = [label for label in phones.labels if label != SILENCE]
    assert spoken == ["M", "AY1", "P", "AH1", "P", "IY0", "JH", "AH1", "M", "P", "T"]
