"""How a text is pronounced: the phones that eSpeak NG would say, as ARPAbet labels, without speaking them."""

import ctypes
from collections.abc import Sequence

from stages.corpora.synthesis.espeak import fresh_library
from stages.corpora.synthesis.phones import SILENCE, arpabet
from stages.corpora.synthesis.voices import LANGUAGES

# Names and values from the library's public header, speak_lib.h: IPA, and what stands between two phones.
_CHARS_UTF8, _PHONEMES_IPA = 1, 0x02
_BETWEEN = "_"
# Files of the accents that this toolkit knows by name; of a language that is not among the library's, this one is taken.
_FILES = {accent: path for accents in LANGUAGES.values() for accent, (path, _) in accents.items()}
_ELSE = "en-us"


def pronounce(texts: Sequence[str], language: str = "en") -> list[tuple[str, ...]]:
    """The phones of some texts.

    Args:
        texts: any spelling; an empty one has no phones.
        language: as clips name it: `en`, `de`, `en-gb`, ... What the library does not know is read as American English: both of
            two texts by the same rules, so that equal texts sound equal.

    Returns:
        ARPAbet labels of each text, vowels with their stress; pauses and the ends of words left out.
    """
    family = language.split("-", maxsplit=1)[0]
    with fresh_library() as (library, _, _):
        names = [_FILES.get(language, language), family, _ELSE] if family != "en" else [_FILES.get(language, _ELSE)]
        next(name for name in names if library.espeak_SetVoiceByName(name.encode()) == 0)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        return [_labels(_phones(library, text), family) for text in texts]


def _phones(library: ctypes.CDLL, text: str) -> list[str]:
    """IPA symbols of a text; the library takes it clause by clause and moves the pointer on."""
    symbols: list[str] = []
    rest = ctypes.c_char_p(text.encode())
    while rest.value:
        clause = library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, ord(_BETWEEN) << 8 | _PHONEMES_IPA)
        symbols += clause.decode("utf-8", "ignore").replace(" ", _BETWEEN).split(_BETWEEN)
    return [symbol for symbol in symbols if symbol and not symbol.startswith("(")]  # "(en)" is a switch of language


def _labels(symbols: Sequence[str], language: str) -> tuple[str, ...]:
    return tuple(label for symbol in symbols for label in arpabet(symbol, language) if label != SILENCE)
