"""How well a face's lips can be read: character and viseme error rates of what a frozen lip reader reads in them.

Source: Han et al., Interspeech 2024 (released code): the reader sees the lips and hears nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jiwer
from torch import Tensor

from stages.metrics.readability import character_error_rate
from stages.metrics.visemes import VISEMES, viseme_of
from stages.models.characters import normalise_text
from stages.models.lip_reader import LipReader, read_lips
from stages.runtime.errors import ThunderError

if TYPE_CHECKING:
    from stages.metrics.faces import Face

# Texts that CTC's search keeps, and the decoder weighs.
BEAM = 32


class MouthOutOfSightError(ThunderError):
    """A frame of a face shows no mouth, so that its lips cannot be read."""


@dataclass(frozen=True)
class LipJudge:
    """A frozen lip reader and what it needs to judge a face.

    Attributes:
        film: a face at its rate to what is seen of its mouth, (T, 96, 96) in 0..1, 25 fps; raises `MouthOutOfSightError`
            where a frame shows none.
        pronounce: texts and the name of their language to the ARPAbet phones of each.
    """

    reader: LipReader
    film: Callable[["Face", float], Tensor]
    pronounce: Callable[[Sequence[str], str], Sequence[Sequence[str]]]

    def read(self, face: "Face", fps: float) -> str:
        """The text read in one face's lips."""
        return read_lips(self.reader, self.film(face, fps), beam=BEAM)

    def visemes(self, texts: Sequence[str], language: str) -> list[list[str]]:
        """The visemes of some texts as they are compared: normalised first, so that no sign is read aloud."""
        spoken = self.pronounce([normalise_text(text) for text in texts], language)
        return [[viseme for phone in phones if (viseme := viseme_of(phone))] for phones in spoken]


def lip_character_error_rate(transcript: str, read: Sequence[str]) -> float:
    """CER of lips: fewest insertions, deletions and substitutions that turn what was read in the lips into the transcript,
    over its characters.

    The lip reader sees drawn lips at 25 fps and hears nothing; CTC's search keeps 32 texts, of which CTC and the reader's
    decoder together choose (`decoder_share` of its configuration). Texts as `normalise_text` makes them: lower case, what
    is no letter is a space; spaces count as characters. Of several takes the edits and characters are summed. Over clips:
    the mean weighted by characters, as in `m2s-cer`; Han et al. average over clips, which makes short clips count for more.
    Read it beside `cer-truth`, the same of true motion: no face can be expected to be read better than that.

    Args:
        transcript: what is said.
        read: what was read, one text a take.

    Returns:
        NaN where the transcript has no letters.

    Source:
        Han et al., Interspeech 2024.
    """
    return character_error_rate(transcript, read)


def viseme_error_rate(visemes: Sequence[str], read: Sequence[Sequence[str]]) -> float:
    """VER: fewest insertions, deletions and substitutions that turn the visemes of what was read in the lips into those of
    the transcript, over those of the transcript.

    Both texts are normalised as for `cer`, pronounced by eSpeak NG in the clip's language without regard to stress (but that
    an unstressed mid vowel is a class of its own), and each phone put into its class of `VISEMES`, Amazon Polly's; ends of
    words are no viseme. Of several takes the edits and visemes are summed. Over clips: the mean weighted by visemes.

    Args:
        visemes: of the transcript.
        read: of what was read, one sequence a take.

    Returns:
        NaN where the transcript has no visemes.

    Source:
        Han et al., Interspeech 2024; phones by eSpeak NG. The table, and leaving the ends of words out, are ours.
    """
    if not visemes:
        return float("nan")
    truth = _as_signs(visemes)
    return float(jiwer.cer([truth] * len(read), [_as_signs(one) for one in read]))


def _as_signs(visemes: Sequence[str]) -> str:
    """One letter a viseme, whose name may have several."""
    return "".join(chr(ord("A") + VISEMES.index(viseme)) for viseme in visemes)
