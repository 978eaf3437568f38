"""Phones are found where the synthesiser put them, whatever was aligned before; texts that are not there are refused."""

import builtins
from itertools import pairwise

import numpy as np
import pytest

from stages.corpora.synthesis import forced_alignment
from stages.corpora.synthesis.forced_alignment import align
from stages.corpora.synthesis.phones import SILENCE, base_label
from stages.corpora.synthesis.voices import SAMPLE_RATE_HZ, Voice, say
from stages.runtime.errors import ThunderError

pytest.importorskip("pocketsphinx")

VOICE = Voice(accent="en-us", traits="", speed_up=1.0, words_per_minute=150, liveliness=50)
TEXT = "My mother bought a paper map, but Bob can keep many."


def spoken(text, **traits):
    """What the synthesiser says, between silences of .3 s, and its own phones with their times."""
    voice = Voice(**(vars(VOICE) | traits))
    waveform, phones = say(text, voice, np.random.default_rng(0))
    pause = np.zeros(round(0.3 * SAMPLE_RATE_HZ), "f4")
    middles = 0.3 + (phones.boundaries_s[1:] + phones.boundaries_s[:-1]) / 2
    return np.concatenate([pause, waveform, pause]), list(zip(map(base_label, phones.labels), middles, strict=True))


def found_at(phones, label, time_s):
    """How far from a time the nearest phone of a label is, seconds; 0 within it."""
    spans = [(a, b) for name, (a, b) in zip(phones.labels, pairwise(phones.boundaries_s), strict=True) if name == label]
    return min((max(a - time_s, time_s - b, 0.0) for a, b in spans), default=9.0)


@pytest.fixture(scope="module")
def sentence():
    return spoken(TEXT)


def test_lips_close_where_the_synthesiser_closed_them(sentence):
    waveform, truth = sentence
    phones = align(waveform, TEXT)
    assert phones.boundaries_s[0] == 0
    assert phones.boundaries_s[-1] == pytest.approx(len(waveform) / SAMPLE_RATE_HZ)
    assert np.all(np.diff(phones.boundaries_s) > 0)
    assert phones.labels[0] == phones.labels[-1] == SILENCE
    closures = [(label, middle) for label, middle in truth if label in ("P", "B", "M")]
    assert len(closures) == 12
    assert max(found_at(phones, label, middle) for label, middle in closures) <= 0.03
    # No silence inside a word, though a stop is one.
    inside = "".join(base_label(label) + " " for label in phones.labels)
    assert "P EY P ER" in inside
    assert "M AE P" in inside


def test_vowels_have_their_stress(sentence):
    labels = align(sentence[0], TEXT).labels
    k = labels.index("DH")
    assert labels[k - 2 : k + 2] == ("M", "AH1", "DH", "ER0")


def test_nothing_depends_on_what_was_aligned_before(sentence):
    waveform, _ = sentence
    first = align(waveform, TEXT)
    quiet, _ = spoken("A quite other sentence of an unheard-of Zzyzxian kind.", words_per_minute=190.0)
    align(0.1 * quiet, "A quite other sentence of an unheard-of Zzyzxian kind.")
    again = align(waveform, TEXT)
    assert again.labels == first.labels
    np.testing.assert_array_equal(again.boundaries_s, first.boundaries_s)


def test_words_that_no_dictionary_has_and_other_languages_are_pronounced():
    text = "Bäume im März blühen"
    waveform, truth = spoken(text, accent="de", language="de")
    phones = align(waveform, text, "de")
    assert [base_label(label) for label in phones.labels if label != SILENCE] == [
        name for name, _ in truth if name != SILENCE
    ]
    assert max(found_at(phones, label, middle) for label, middle in truth if label in ("B", "M")) <= 0.05


@pytest.mark.parametrize("text", ["", " ... !"])
def test_a_text_without_words_is_refused(sentence, text):
    with pytest.raises(ThunderError, match="wanted a text with words"):
        align(sentence[0], text)


def test_a_text_that_is_not_in_the_sound_is_refused(sentence):
    with pytest.raises(ThunderError, match="was not found in the sound"):
        align(sentence[0][: SAMPLE_RATE_HZ // 2], TEXT * 3)


def test_without_the_aligner_it_is_said_how_to_get_it(sentence, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "pocketsphinx":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    forced_alignment._decoder.cache_clear()
    with pytest.raises(ThunderError, match="pip install pocketsphinx"):
        align(sentence[0], TEXT)
