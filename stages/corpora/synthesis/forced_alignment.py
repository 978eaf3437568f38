"""When each phone of a known text is said in a recording, by CMU PocketSphinx (https://github.com/cmusphinx/pocketsphinx).

Its English dictionary says how words are pronounced, with variants among which the recording decides; words that it lacks,
and all words of other languages, are pronounced by eSpeak NG. The acoustic model is of American English: sounds that English
lacks are found as those that look most alike, as everywhere in this corpus.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.waveform import SAMPLE_RATE_HZ, to_int16
from stages.corpora.synthesis.external import radio_label, timed
from stages.corpora.synthesis.phones import SILENCE, VOWELS, TimedPhones, base_label, stress
from stages.corpora.synthesis.pronunciation import pronounce
from stages.runtime.errors import ThunderError

# The aligner's clock.
_FRAME_S = 0.01
# An apostrophe inside a word is a letter of it.
_WORD = re.compile(r"\w+(?:['’]\w+)*")
# Names of what is no speech: silence, and the ends of a text.
_NO_SPEECH = re.compile(r"<.*>")
_SILENCE_PROBABILITY = 0.1
# Silence of zeros, as programs write it, is like nothing that the acoustic model has heard: 80 dB below full scale, noise.
_NOISE = 1e-4
# What is much less likely than the likeliest is given up, late: the text is known, there is little to search.
_BEAMS = {"beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-60}
_GRAMMAR = "text"


def align(waveform: NDArray[np.float32], text: str, language: str = "en") -> TimedPhones:
    """The phones of a recording.

    Args:
        waveform: (S,) at 16 kHz.
        text: what is said in it, all of it and in that order; silence may stand anywhere between words.
        language: of the text, as eSpeak NG knows it.

    Returns:
        Labels and times, to 10 ms, over the whole recording. Vowels have the stress of eSpeak NG where both agree on how many
        vowels a word has.

    Raises:
        ThunderError: PocketSphinx is not installed; a text without words; or a recording in which the text cannot be found.
    """
    words = [word.replace("’", "'").casefold() for word in _WORD.findall(text)]
    if not words:
        raise ThunderError(f"wanted a text with words to align, found {text!r}")
    decoder = _decoder()
    spoken = dict(zip(dict.fromkeys(words), pronounce(list(dict.fromkeys(words)), language), strict=True))
    tokens = [_token(decoder, word, spoken[word], language) for word in words]
    noise = np.random.default_rng(0).normal(0, _NOISE, len(waveform))
    samples = to_int16(waveform + noise).tobytes()
    # First the words, whose variants the sound decides, then their phones, between which no silence may be.
    heard = [
        name for name, _ in _find(decoder, [[token] for token in tokens], samples) if not _NO_SPEECH.fullmatch(name)
    ]
    of_words = [decoder.lookup_word(name).split() for name in heard]
    for name in sorted({name for names in of_words for name in names}):
        if decoder.lookup_word(_phone_token(name)) is None:
            decoder.add_word(_phone_token(name), name, update=False)
    found = _find(decoder, [[_phone_token(name) for name in names] for names in of_words], samples)
    stressed = iter(
        label for word, names in zip(words, of_words, strict=True) for label in _labels(names, spoken[word])
    )
    labels = [SILENCE if _NO_SPEECH.fullmatch(name) else next(stressed) for name, _ in found]
    # The last frame may be a part of one.
    return timed(labels, [end_s for _, end_s in found], len(waveform) / SAMPLE_RATE_HZ)


def version() -> str:
    """Of the installed PocketSphinx; raises ThunderError where there is none."""
    _pocketsphinx()
    from importlib.metadata import version as version_of

    return version_of("pocketsphinx")


def _pocketsphinx() -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        raise ThunderError(
            "recordings with a text and no phone times are aligned by PocketSphinx, which is not installed: "
            "pip install pocketsphinx"
        ) from error
    return pocketsphinx


@cache
def _decoder() -> Any:
    """One a process: its dictionary takes half a second to read.

    The mean of a recording is taken from all of it, so that nothing depends on what was aligned before; silence stands only
    where a text allows it.
    """
    settings = {"lm": None, "loglevel": "FATAL", "samprate": SAMPLE_RATE_HZ, "cmn": "batch", "fsgusefiller": False}
    return _pocketsphinx().Decoder(**settings, **_BEAMS)


def _token(decoder: Any, word: str, pronunciation: Sequence[str], language: str) -> str:
    """The name under which the decoder's dictionary has a word, which is added where it lacks it."""
    english = language.split("-", maxsplit=1)[0] == "en"
    token = word if english else f"{word}/{language}"
    if decoder.lookup_word(token) is None:
        if not pronunciation:
            raise ThunderError(f"the word {word!r} cannot be pronounced in {language!r}; spell it out")
        decoder.add_word(token, " ".join(map(base_label, pronunciation)), update=False)
    return token


def _phone_token(name: str) -> str:
    return f"phone {name}"


def _find(decoder: Any, chain: Sequence[Sequence[str]], samples: bytes) -> list[tuple[str, float]]:
    """Where a chain of the dictionary's words is said: names and end times, seconds.

    Args:
        chain: groups of words; silence may stand before, between and after groups.
        samples: of the recording.

    Raises:
        ThunderError: they are not in the recording, from its beginning to its end.
    """
    steps: list[tuple[int, int, float, str]] = [(0, 0, _SILENCE_PROBABILITY, "<sil>")]
    for group in chain:
        for word in group:
            state = steps[-1][1]
            steps.append((state, state + 1, 1.0, word))
        steps.append((steps[-1][1], steps[-1][1], _SILENCE_PROBABILITY, "<sil>"))
    decoder.add_fsg(_GRAMMAR, decoder.create_fsg(_GRAMMAR, 0, steps[-1][1], steps))
    decoder.activate_search(_GRAMMAR)
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        raise ThunderError("what the text says was not found in the sound, from its beginning to its end")
    segments = [(segment.word, (segment.end_frame + 1) * _FRAME_S) for segment in decoder.seg()]
    return [segment for segment in segments if segment[0] != "(NULL)"]


def _labels(names: Sequence[str], spoken: Sequence[str]) -> list[str]:
    """ARPAbet labels of a word's phones, with the stress that its vowels have in eSpeak NG's pronunciation."""
    degrees = [str(stress(label)) for label in spoken if base_label(label) in VOWELS]
    vowels = [k for k, name in enumerate(names) if name in VOWELS]
    known = dict(zip(vowels, degrees, strict=True)) if len(vowels) == len(degrees) else {}
    return [radio_label(name.lower(), known.get(k)) for k, name in enumerate(names)]
