"""Text as a recogniser writes it: transcripts normalised as the papers do, and characters as numbers.

Source: Han et al., Interspeech 2024 (released code): lower case, whatever is not a letter becomes a space.
"""

import unicodedata
from collections.abc import Iterable, Sequence

# The label of "no new character" in CTC; characters are numbered from 1.
BLANK = 0


def normalise_text(text: str) -> str:
    """Lower case, letters with their accents (NFC) and single spaces: "Don't  STOP!" becomes "don t stop".

    Letters are those of any script, the marks of Indic and Arabic vowels among them. Figures vanish, since nobody knows
    how they were read aloud: transcripts should have numbers in words.
    """
    composed = unicodedata.normalize("NFC", text).lower()
    return " ".join("".join(c if unicodedata.category(c)[0] in "LM" else " " for c in composed).split())


def collect_characters(texts: Iterable[str]) -> str:
    """The distinct characters of normalised texts, sorted."""
    return "".join(sorted(set().union(*texts)))


def encode(text: str, characters: str) -> list[int]:
    """The numbers, from 1, of a normalised text's characters, all of which are in `characters`."""
    return [characters.index(c) + 1 for c in text]


def decode(labels: Sequence[int], characters: str) -> str:
    """The text of labels from 1 without blanks; spaces are made single."""
    return " ".join("".join(characters[label - 1] for label in labels).split())
