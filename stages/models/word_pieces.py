"""Pieces of words as labels: a SentencePiece vocabulary, as Auto-AVSR's readers have one.

A list of units numbers the pieces from 1, the number of CTC's blank being 0; a SentencePiece model says into which pieces a
text is cut. Both are kept with a reader's weights, so that a reader needs no other file.

Source: Kudo, Richardson, "SentencePiece", EMNLP 2018; the numbering is that of Auto-AVSR's `unigram5000_units.txt`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from stages.models.characters import normalise_text
from stages.runtime.errors import ThunderError

# What stands for a space where a word begins, and for what no piece spells.
_SPACE, _UNKNOWN = "\u2581", "<unk>"
_UNITS, _MODEL = "vocabulary.units", "vocabulary.model"


class WordPieces:
    """Text to numbered pieces of words, and back.

    Attributes:
        units: the pieces, the first of which has the number 1.
        model: the SentencePiece model, as its file has it.
    """

    def __init__(self, units: Sequence[str], model: bytes) -> None:
        self.units = tuple(units)
        self.model = model
        self._numbers = {unit: k + 1 for k, unit in enumerate(self.units)}
        self._cutter: Any = None

    @property
    def characters(self) -> str:
        """The letters that it can write, in lower case, and the space; sorted."""
        written = " ".join(unit for unit in self.units if not unit.startswith("<"))
        return "".join(sorted(set(normalise_text(written)) | {" "}))

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text, which are those of upper-case letters and apostrophes."""
        words = "".join(c if c == "'" else normalise_text(c) or " " for c in text.replace("\u2019", "'")).upper()
        pieces = self._processor().encode(" ".join(words.split()), out_type=str)
        return [self._numbers.get(piece, self._numbers[_UNKNOWN]) for piece in pieces]

    def decode(self, labels: Sequence[int]) -> str:
        """The text of numbers from 1, normalised as all texts that are compared."""
        return normalise_text("".join(self.units[label - 1] for label in labels).replace(_SPACE, " "))

    def arrays(self) -> dict[str, np.ndarray]:
        """What `split_off` gets the vocabulary back from."""
        return {
            _UNITS: np.frombuffer("\n".join(self.units).encode(), np.uint8),
            _MODEL: np.frombuffer(self.model, np.uint8),
        }

    @classmethod
    def split_off(cls, arrays: dict[str, np.ndarray]) -> tuple[Self | None, dict[str, np.ndarray]]:
        """The vocabulary among named arrays, None where there is none, and the others."""
        others = {name: values for name, values in arrays.items() if name not in (_UNITS, _MODEL)}
        if not {_UNITS, _MODEL} <= arrays.keys():
            return None, others
        return cls(arrays[_UNITS].tobytes().decode().split("\n"), arrays[_MODEL].tobytes()), others

    def _processor(self) -> Any:
        if self._cutter is None:
            self._cutter = _read_model(self.model, "this reader's vocabulary")
        return self._cutter


def read_word_pieces(model_path: Path, units_path: Path) -> WordPieces:
    """A vocabulary of a SentencePiece model and a list of units, a line `piece number` each, from 1.

    Raises:
        ThunderError: files that are missing, or are not what they should be; `sentencepiece` is not installed.
    """
    for path, what in ((model_path, "a SentencePiece model"), (units_path, "its list of units")):
        if not path.is_file():
            raise ThunderError(f"{path}: no such file, wanted {what}; both are in Auto-AVSR's repository, spm/unigram/")
    try:
        rows = [line.rsplit(maxsplit=1) for line in units_path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ThunderError(f"{units_path}: is no text in UTF-8; wanted lines of a piece and its number") from error
    for k, row in enumerate(rows):
        if len(row) != 2 or row[1] != str(k + 1):
            raise ThunderError(
                f"{units_path}: line {k + 1} wanted a piece and the number {k + 1}, found {' '.join(row)!r}"
            )
    units = [piece for piece, _ in rows]
    if _UNKNOWN not in units or len(set(units)) != len(units):
        raise ThunderError(f"{units_path}: wanted every piece once, and {_UNKNOWN} among them")
    model = model_path.read_bytes()
    _read_model(model, str(model_path))
    return WordPieces(units, model)


def _read_model(model: bytes, where: str) -> Any:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise ThunderError(
            "pieces of words want sentencepiece; install it with `pip install 'thunder-talking-heads[pretrained]'`"
        ) from error
    try:
        return SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise ThunderError(f"{where}: is no SentencePiece model; download or copy it again") from error
