"""How a text is pronounced: the phones that eSpeak NG would say, as ARPAbet labels, without speaking them."""

import ctypes
from collections.abc import Sequence

from stages.corpora.synthesis.espeak import fresh_library
from stages.corpora.synthesis.phones import SILENCE, arpabet
from stages.runtime.errors import ThunderError

# Names and values from the library's public header, speak_lib.h: IPA, and what stands between two phones.
_CHARS_UTF8, _PHONEMES_IPA = 1, 0x02
_BETWEEN = "_"
# Of the languages that a clip names without saying which of theirs.
_VOICES = {"en": "en-us", "zh": "cmn", "unknown": "en-us"}


def pronounce(texts: Sequence[str], language: str = "en") -> list[tuple[str, ...]]:
    """The phones of some texts.

    Args:
        texts: any spelling; an empty one has no phones.
        language: as clips name it: `en`, `de`, `en-gb`, ...; `unknown` is read as American English.

    Returns:
        ARPAbet labels of each text, vowels with their stress; pauses and the ends of words left out.

    Raises:
        ThunderError: the library does not know the language.
    """
    voice = _VOICES.get(language, language)
    with fresh_library() as (library, _, _):
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ThunderError(
                f"eSpeak NG does not speak {language!r}, so that the visemes of such a text are not known"
            )
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        return [_labels(_phones(library, text), language.split("-", maxsplit=1)[0]) for text in texts]


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
