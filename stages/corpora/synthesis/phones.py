"""IPA symbols, as eSpeak NG writes them, to ARPAbet labels, and what each label does with the lips.

A label is an ARPAbet phone (https://en.wikipedia.org/wiki/ARPABET); vowels end in their stress, 0, 1 or 2; silence is SIL.
Sounds that English lacks take the label that looks most alike, so that other languages can be articulated too: a front
rounded vowel is UW, a uvular r is R.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SILENCE = "SIL"

VISEMES: dict[str, str] = {
    label: viseme
    for viseme, labels in {
        "silence": "SIL",
        "bilabial": "P B M",
        "labiodental": "F V",
        "dental": "TH DH",
        "alveolar": "T D N L",
        "sibilant": "S Z",
        "postalveolar": "SH ZH CH JH",
        "velar": "K G NG HH",
        "rhotic": "R ER",
        "labial-velar": "W",
        "palatal": "Y",
        "open": "AA AE",
        "mid": "AH EH",
        "close": "IY IH",
        "open rounded": "AO",
        "close rounded": "UW UH",
        "open to close": "AY EY",
        "open to rounded": "AW OW",
        "rounded to close": "OY",
    }.items()
    for label in labels.split()
}
VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"))

# Symbols of two or three letters that are one phone, or that are not the sum of their letters; tried before single letters.
_CLUSTERS: dict[str, str] = {
    "tʃ": "CH", "dʒ": "JH", "tɕ": "CH", "dʑ": "JH", "tʂ": "CH", "dʐ": "JH",
    "aɪ": "AY", "ɑɪ": "AY", "aʊ": "AW", "æʊ": "AW", "ɑʊ": "AW", "aʊ̯": "AW", "eɪ": "EY", "ei": "EY", "ɛɪ": "EY", "æɪ": "EY",
    "oʊ": "OW", "əʊ": "OW", "əu": "OW", "ou": "OW", "ʌʊ": "OW", "ʌʉ": "OW", "ɔʊ": "OW", "əʉ": "OW",
    "ɔɪ": "OY", "oɪ": "OY", "ɔø": "OY", "ɔʏ": "OY", "aa": "AA", "ai": "AY", "au": "AW", "oi": "OY", "oy": "OY",
    "əɪ": "ER", "ɜɪ": "ER", "əɹ": "ER", "əl": "AH L", "əm": "AH M", "ən": "AH N",
    "iə": "IH AH", "eə": "EH AH", "ɛə": "EH AH", "ʊə": "UH AH", "ɔə": "AO AH", "oə": "AO AH", "ɑə": "AA AH",
}  # fmt: skip
_LETTERS: dict[str, str] = {
    "p": "P", "b": "B", "m": "M", "ɸ": "F", "β": "V", "f": "F", "v": "V", "ʋ": "V", "ɱ": "M", "θ": "TH", "ð": "DH",
    "t": "T", "d": "D", "n": "N", "l": "L", "ɾ": "D", "ɫ": "L", "ɬ": "L", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH",
    "ʂ": "SH", "ʐ": "ZH", "ɕ": "SH", "ʑ": "ZH", "ʈ": "T", "ɖ": "D", "ɳ": "N", "ɭ": "L", "c": "K", "ɟ": "G", "ɲ": "N",
    "ʎ": "L", "ç": "HH", "ʝ": "Y", "k": "K", "g": "G", "ɡ": "G", "ŋ": "NG", "x": "K", "ɣ": "G", "q": "K", "χ": "K",
    "ħ": "HH", "h": "HH", "ɦ": "HH", "ʔ": "T", "w": "W", "ʍ": "W", "ɥ": "W", "j": "Y", "ʲ": "Y", "r": "R", "ɹ": "R",
    "ɻ": "R", "ʁ": "R", "ʀ": "R", "ɽ": "R",
    "a": "AE", "ɑ": "AA", "ɒ": "AA", "æ": "AE", "ɐ": "AH", "ʌ": "AH", "ə": "AH", "ɘ": "AH", "ɜ": "ER", "ɚ": "ER",
    "ɝ": "ER", "ɵ": "UH", "e": "EH", "ɛ": "EH", "i": "IY", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH", "ɔ": "AO", "o": "OW",
    "u": "UW", "ʊ": "UH", "ʉ": "UW", "ɯ": "UH", "y": "UW", "ʏ": "UH", "ø": "UW", "œ": "ER", "ɤ": "AH",
}  # fmt: skip

# Mandarin as eSpeak NG writes it, which is not quite IPA: a dot is retroflex, an h behind a fricative is breath. Stops are
# voiceless all; what tells them apart is the breath, and with it how long the lips stay apart before the vowel. The lips of
# pinyin j, q, x are those of z, c, s (spread, unless the vowel is rounded), of zh, ch, sh those of English "sh".
_MANDARIN: dict[str, str] = {
    "p": "B", "pʰ": "P", "t": "D", "tʰ": "T", "k": "G", "kʰ": "K", "h": "HH", "χ": "HH",
    "ts": "D Z", "tsh": "T S", "tɕ": "D Z", "tɕh": "T S", "ɕ": "S", "ts.": "JH", "ts.h": "CH", "s.": "SH", "ʐ": "R",
    "i.": "IH", "i̪": "IH", "a": "AA", "ər": "AH R", "o": "AO", "o-": "AH", "onɡ": "UH NG", "ɑu": "AW",
    "ia": "Y AA", "iɑ": "Y AA", "iɛ": "Y EH", "iou": "Y OW", "ua": "W AA", "uɑ": "W AA", "uo": "W AO", "uai": "W AY",
    "uei": "W EY", "uə": "W AH", "yɛ": "W EH", "yæ": "W EH", "yi": "UW IH", "yə": "UW IH",
}  # fmt: skip


@dataclass(frozen=True)
class TimedPhones:
    """Phones one after the other.

    Attributes:
        labels: P labels, vowels with their stress.
        boundaries_s: (P + 1,) seconds, increasing; phone p lasts from boundary p to p + 1.
    """

    labels: tuple[str, ...]
    boundaries_s: NDArray[np.float64]

    def spans(self, label: str, *, at_least_s: float = 0.0) -> list[tuple[float, float]]:
        """Beginning and end of every phone with this label that is long enough, seconds."""
        times = self.boundaries_s.tolist()
        spans = [(times[k], times[k + 1]) for k, found in enumerate(self.labels) if found == label]
        return [(start, end) for start, end in spans if end - start >= at_least_s]

    def as_records(self) -> list[dict[str, float | str]]:
        """One `{start_s, end_s, label}` a phone, times rounded to tenths of a millisecond."""
        times = np.round(self.boundaries_s, 4).tolist()
        return [{"start_s": times[k], "end_s": times[k + 1], "label": label} for k, label in enumerate(self.labels)]


def base_label(label: str) -> str:
    """A label without its stress."""
    return label.rstrip("012")


def stress(label: str) -> int:
    """0 unstressed, 1 primary, 2 secondary stress; consonants and silence are 0."""
    return int(label[-1]) if label[-1].isdigit() else 0


def arpabet(symbol: str, language: str = "en") -> tuple[str, ...]:
    """The labels of one IPA symbol.

    Args:
        symbol: a phone as eSpeak NG reports it, possibly with stress mark, length mark and diacritics, possibly a vowel
            with the r or the glide that follows it; empty for a pause.
        language: zh has readings of its own.

    Returns:
        One or more labels; silence for a pause. Marks that say nothing about the lips are dropped.
    """
    vowel_stress = {"ˈ": "1", "ˌ": "2"}.get(symbol[:1], "0")
    spoken = _MANDARIN.get(symbol.lstrip("ˈˌ")) if language == "zh" else None
    labels = spoken.split() if spoken else _by_letters(symbol)
    if not labels:
        return (SILENCE,)
    # Of a symbol with two vowels only the first is stressed.
    first = next((k for k, label in enumerate(labels) if label in VOWELS), -1)
    return tuple(
        label + (vowel_stress if k == first else "0") if label in VOWELS else label for k, label in enumerate(labels)
    )


def _by_letters(symbol: str) -> list[str]:
    # A long a is the open back vowel, a short one the front vowel of "trap".
    written = "".join(c if c in _LETTERS else unicodedata.normalize("NFD", c) for c in symbol.replace("aː", "ɑ"))
    letters = "".join(c for c in written if c in _LETTERS)
    labels: list[str] = []
    while letters:
        size = next((n for n in (3, 2) if letters[:n] in _CLUSTERS and len(letters) >= n), 1)
        labels += (_CLUSTERS[letters[:size]] if size > 1 else _LETTERS[letters[0]]).split()
        letters = letters[size:]
    return labels


def timed_phones(symbols: Sequence[str], boundaries_s: NDArray[np.float64], language: str = "en") -> TimedPhones:
    """Labels and times of an utterance.

    Args:
        symbols: P IPA symbols.
        boundaries_s: (P + 1,) seconds.
        language: as for `arpabet`.

    Returns:
        The labels; a symbol of several labels is shared out evenly, a vowel counting twice; silences are joined.
    """
    labels: list[str] = []
    boundaries: list[float] = []
    for k, symbol in enumerate(symbols):
        start, end = float(boundaries_s[k]), float(boundaries_s[k + 1])
        parts = arpabet(symbol, language)
        shares = np.cumsum([0.0] + [2.0 if base_label(p) in VOWELS else 1.0 for p in parts])
        for part, share in zip(parts, shares, strict=False):
            if part != SILENCE or not labels or labels[-1] != SILENCE:
                labels.append(part)
                boundaries.append(start + (end - start) * share / shares[-1])
    return TimedPhones(tuple(labels), np.array([*boundaries, float(boundaries_s[-1])]))


def between_silences(utterances: Sequence[TimedPhones], silences_s: Sequence[float]) -> TimedPhones:
    """Utterances one after the other, with a silence before, between and after them.

    Args:
        utterances: N, each beginning at 0.
        silences_s: N + 1 lengths in seconds; a silence at the edge of an utterance is added to the one beside it.
    """
    labels: list[str] = [SILENCE]
    boundaries = [0.0]
    at = float(silences_s[0])
    for utterance, silence_s in zip(utterances, silences_s[1:], strict=True):
        starts = (at + utterance.boundaries_s).tolist()
        for label, start in zip((*utterance.labels, SILENCE), starts, strict=True):
            if label != SILENCE or labels[-1] != SILENCE:
                labels.append(label)
                boundaries.append(start)
        at = starts[-1] + float(silence_s)
    return TimedPhones(tuple(labels), np.array([*boundaries, at]))
