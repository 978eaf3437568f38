"""Mouth shapes as events in time, one JSON file a clip, for engines that show one viseme at a time.

    {"clip": "hello", "duration_s": 1.2, "sets": {
        "polly":  [{"start_s": 0.0, "end_s": 0.24, "viseme": "sil"}, {"start_s": 0.24, "end_s": 0.3, "viseme": "p"}, ...],
        "oculus": [{"start_s": 0.0, "end_s": 0.24, "viseme": "sil"}, {"start_s": 0.24, "end_s": 0.3, "viseme": "PP"}, ...]}}

Events of a set follow one another without gap from 0 to the end of the speech.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.artifacts.clips import Phone
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError


def viseme_events(
    phones: Sequence[Phone], duration_s: float, viseme_of: Callable[[str], str | None], silence: str
) -> list[dict[str, Any]]:
    """Phones as visemes; neighbours of one viseme are one event, and where no phone is known there is silence.

    Args:
        phones: in order.
        duration_s: of the speech; what is said to last longer ends there.
        viseme_of: viseme of a phone's label, None for a label it does not know.
        silence: the viseme of silence.

    Raises:
        ThunderError: a label that is no phone of the set.
    """
    spans: list[tuple[float, str]] = []  # where each begins; it lasts to the next
    end_s = 0.0
    for phone in phones:
        viseme = viseme_of(phone.label)
        if viseme is None:
            raise ThunderError(f"phone {phone.label!r} at {phone.start_s:.3f} s: wanted ARPAbet, such as AA1, P or SIL")
        start_s = max(phone.start_s, end_s)
        if start_s > end_s:
            spans.append((end_s, silence))
        if phone.end_s > start_s:
            spans.append((start_s, viseme))
        end_s = max(end_s, phone.end_s)
    spans = [(start_s, viseme) for start_s, viseme in [*spans, (end_s, silence)] if start_s < duration_s]
    changes = [span for k, span in enumerate(spans) if k == 0 or span[1] != spans[k - 1][1]]
    ends = [start_s for start_s, _ in changes[1:]] + [duration_s]
    return [
        {"start_s": round(start_s, 6), "end_s": round(end_s, 6), "viseme": viseme}
        for (start_s, viseme), end_s in zip(changes, ends, strict=True)
    ]


def write_viseme_events(
    path: Path, clip_id: str, duration_s: float, sets: Mapping[str, Sequence[dict[str, Any]]]
) -> None:
    """Writes the events of a clip; an existing file is replaced when the new one is whole.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    content = {"clip": clip_id, "duration_s": duration_s, "sets": sets}
    with whole_or_none(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
