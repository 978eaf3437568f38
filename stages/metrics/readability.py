"""How well speech can be read: character error rate."""

from collections.abc import Sequence

import jiwer
from torch import Tensor

from stages.models.characters import normalise_text
from stages.models.recogniser import Recogniser, transcribe


def character_error_rate(transcript: str, read: Sequence[str]) -> float:
    """CER: fewest insertions, deletions and substitutions that turn what was read into the transcript, over its characters.

    Both as `normalise_text` makes them; spaces count as characters. Of several readings (takes) the edits and characters
    are summed. It exceeds 1 where much is read into little. Over clips: the edits of all clips over the characters of all
    clips, that is, the mean weighted by characters, so that a short clip counts for little. (Papers that average over
    clips report more, since short clips are read worse.)

    Returns:
        NaN where the transcript has no letters.
    """
    truth = normalise_text(transcript)
    if not truth:
        return float("nan")
    return float(jiwer.cer([truth] * len(read), [normalise_text(text) for text in read]))


def num_characters(transcript: str) -> int:
    """What a clip weighs in the character error rate of many."""
    return len(normalise_text(transcript))


def unreadable(recogniser: Recogniser, transcript: str) -> str:
    """Characters of a transcript that the recogniser cannot write, which it could only get wrong."""
    return "".join(sorted(set(normalise_text(transcript)) - set(recogniser.config.characters)))


def read_and_compare(recogniser: Recogniser, log_mel: Tensor, transcript: str) -> float:
    """The character error rate of what is heard in (N, L, 80) natural-log spectrograms; NaN where the transcript is
    empty, or has characters that the recogniser cannot write."""
    if unreadable(recogniser, transcript):
        return float("nan")
    return character_error_rate(transcript, transcribe(recogniser, log_mel))
