"""Recordings of people's speech, without their faces, as they lie in a folder.

    people/<person>/**/<name>.flac          or any other sound
                       <name>.phones.json   when each phone is said: [{"start_s", "end_s", "label"}, ...], ARPAbet; or
                       <name>.txt           what is said; or, for all sounds of its folder,
                       *.trans.txt          one line a sound: its name, then what is said

LibriSpeech (V. Panayotov and others, "Librispeech: an ASR corpus based on public domain audio books", 2015) lies in this way.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.artifacts.clips import read_phones_json
from stages.corpora.sidecars import SOUND_SUFFIXES
from stages.corpora.synthesis.phones import SILENCE, VISEMES, TimedPhones, base_label
from stages.runtime.errors import Failure, ThunderError

# Pauses between phones that are shorter than this are none, but roundings of times.
_GAP_S = 0.015


@dataclass(frozen=True)
class SpeechRecording:
    """A sound, and what is known of it; nothing of the sound has been read.

    Attributes:
        name: in messages, below the folder.
        person: who speaks.
        sound: its file.
        text: what is said, empty where only `phones` is known.
        phones: the file of phone times, None where they have to be found.
    """

    name: str
    person: str
    sound: Path
    text: str
    phones: Path | None


def find_recordings(folder: Path, at_most: int | None = None) -> tuple[list[SpeechRecording], list[Failure]]:
    """The recordings of a folder, see the top of this file, by person and name.

    Args:
        folder: with one folder a person.
        at_most: so many of each person, the first by name.

    Returns:
        Those that can be used, and those of which nothing says what is said.

    Raises:
        ThunderError: no such folder, or no recording in it.
    """
    if not folder.is_dir():
        raise ThunderError(f"{folder}: no such folder; wanted one with a folder of recordings for each person")
    found: list[SpeechRecording] = []
    problems: list[Failure] = []
    lists: dict[Path, dict[str, str]] = {}
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        sounds = sorted(path for path in place.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
        for sound in sounds[:at_most]:
            name = sound.relative_to(folder).as_posix()
            phones = sound.with_suffix(".phones.json")
            if sound.parent not in lists:
                lists[sound.parent] = _listed_texts(sound.parent)
            beside = sound.with_suffix(".txt")
            text = " ".join((_read(beside) if beside.is_file() else lists[sound.parent].get(sound.stem, "")).split())
            if phones.is_file() or text:
                found.append(SpeechRecording(name, place.name, sound, text, phones if phones.is_file() else None))
            else:
                problems.append(Failure(name, f"no {sound.stem}.txt beside it says what is said, nor a .trans.txt"))
    if not found:
        why = f"; {problems[0].item}: {problems[0].reason}" if problems else ""
        raise ThunderError(f"{folder}: wanted a folder a person with sounds and their texts, found none{why}")
    return found, problems


def read_phones(path: Path, duration_s: float) -> TimedPhones:
    """Phone times from a file, over the whole of a sound: what lies between phones and around them is silence.

    Raises:
        ThunderError: labels that are not ARPAbet, or times that overlap or leave the sound.
    """
    labels: list[str] = []
    boundaries = [0.0]

    def add(label: str, end_s: float) -> None:
        if label == SILENCE and labels and labels[-1] == SILENCE:
            boundaries[-1] = end_s
        else:
            labels.append(label)
            boundaries.append(end_s)

    for phone in read_phones_json(path):
        if base_label(phone.label) not in VISEMES:
            raise ThunderError(f"{path}: wanted labels of ARPAbet, or {SILENCE}, found {phone.label!r}")
        if phone.start_s < boundaries[-1] - _GAP_S or phone.end_s <= phone.start_s or phone.end_s > duration_s + 0.1:
            raise ThunderError(
                f"{path}: wanted phones one after the other within {duration_s:.2f} s, found {phone.label} from "
                f"{phone.start_s:g} to {phone.end_s:g} s after one that ends at {boundaries[-1]:g} s"
            )
        if phone.start_s > boundaries[-1] + _GAP_S:
            add(SILENCE, phone.start_s)
        add(phone.label, min(phone.end_s, duration_s))
    if not labels:
        raise ThunderError(f"{path}: wanted phones, found none")
    if duration_s > boundaries[-1] + _GAP_S:
        add(SILENCE, duration_s)
    boundaries[-1] = duration_s
    return TimedPhones(tuple(labels), np.array(boundaries))


def _listed_texts(folder: Path) -> dict[str, str]:
    """Name of a sound -> its text, from the lists of a folder."""
    lines = [line.split(maxsplit=1) for path in sorted(folder.glob("*.trans.txt")) for line in _read(path).splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ThunderError(f"{path}: not a UTF-8 text ({error}); save it as UTF-8") from error
