"""Recordings of people's own: a file of motion, its sound, and what else is known, side by side under one name.

    corpus/<subject>/<clip>.<motion>     what moves; each layout says which files
                     <clip>.wav          the sound, or any audio or video format
                     <clip>.txt          optional: what is said
                     <clip>.phones.json  optional: [{"start_s", "end_s", "label"}, ...]
                     <clip>.json         optional: {"emotion", "intensity", "language", "split", "fps"}

`fps` counts only where the motion does not say it itself. Recordings that lie directly in the folder belong to one subject,
named after the folder.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.clips import SPLITS, read_phones_json
from stages.audio.waveform import is_silent, load_waveform
from stages.corpora.corpus import RawClip, clip_id
from stages.runtime.errors import Failure, ThunderError

# In order of preference where a recording has several.
SOUND_SUFFIXES = (
    *(".wav", ".flac", ".aiff", ".aif", ".caf", ".w64", ".au", ".ogg", ".opus", ".m4a", ".aac", ".mp3", ".wma", ".amr"),
    *(".mov", ".mp4", ".mkv", ".webm", ".avi", ".m4v", ".3gp", ".mka"),
)
_KNOWN_KEYS = {"emotion", "intensity", "language", "split", "fps"}


@dataclass(frozen=True)
class Pair:
    """A recording whose motion and sound are both there; nothing of them has been read.

    Attributes:
        id: clip id.
        name: subject and clip as the user's folders say them, for messages.
        facts: what `<clip>.json` says, checked: any of emotion, intensity, language, split, fps.
    """

    id: str
    name: str
    subject: str
    motion: Path
    sound: Path
    facts: dict[str, Any]

    @property
    def split(self) -> str | None:
        """train, val or test where the user says so."""
        return self.facts.get("split")


def find_pairs(folder: Path, suffixes: tuple[str, ...]) -> tuple[list[Pair], list[Failure]]:
    """Lists the recordings of a folder.

    Args:
        folder: see the top of this file.
        suffixes: of the files of motion, in lower case, in order of preference.

    Returns:
        Recordings in the order of their ids, and those that lack a piece or whose facts make no sense.
    """
    pairs: dict[str, Pair] = {}
    problems: list[Failure] = []
    for subject, place in _subject_folders(folder):
        files = [p for p in sorted(place.iterdir()) if p.is_file() and not p.name.startswith(".")]
        sounds, motions = _by_name(files, SOUND_SUFFIXES), _by_name(files, suffixes)
        for clip in sorted(sounds.keys() | motions.keys()):
            identity = clip_id(subject, clip)
            where = (place / clip).relative_to(folder).as_posix()
            if clip not in motions:
                problems.append(Failure(where, f"{sounds[clip].name} has no {clip}{suffixes[0]} beside it"))
            elif clip not in sounds:
                problems.append(Failure(where, f"{motions[clip].name} has no {clip}.wav (or other sound) beside it"))
            elif identity in pairs:
                problems.append(Failure(where, f"its clip id {identity} is taken by another recording; rename one"))
            else:
                try:
                    facts = _read_facts(place / f"{clip}.json")
                except ThunderError as error:
                    problems.append(Failure(where, str(error)))
                    continue
                pairs[identity] = Pair(identity, where, subject, motions[clip], sounds[clip], facts)
    return [pairs[identity] for identity in sorted(pairs)], problems


def complete(pair: Pair, motion: NDArray[np.float32] | None, fps: float, **fields: Any) -> RawClip:
    """A recording's motion with its sound, transcript, phones and facts.

    Args:
        pair: the recording.
        motion: (T, D) f32; None where `fields` has `vertices`.
        fps: of the motion.
        fields: further fields of `RawClip`.

    Raises:
        ThunderError: one of the files cannot be used.
    """
    waveform = load_waveform(pair.sound)
    if is_silent(waveform):
        raise ThunderError(
            f"{pair.sound}: silent from end to end, though a face moves; record or export the sound again"
        )
    text, phones = pair.motion.with_suffix(".txt"), pair.motion.with_suffix(".phones.json")
    try:
        transcript = " ".join(text.read_text(encoding="utf-8-sig").split()) if text.exists() else ""
    except UnicodeDecodeError as error:
        raise ThunderError(f"{text}: not a UTF-8 text ({error}); save it as UTF-8") from error
    return RawClip(
        waveform=waveform,
        fps=fps,
        motion=motion,
        transcript=transcript,
        phones=read_phones_json(phones) if phones.exists() else (),
        **{key: value for key, value in pair.facts.items() if key not in ("split", "fps")},
        **fields,
    )


def _subject_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    yield folder.resolve().name, folder
    for place in sorted(folder.iterdir()):
        if place.is_dir() and not place.name.startswith("."):
            yield place.name, place


def _by_name(files: list[Path], suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Name without suffix -> the file of the earliest suffix."""
    found: dict[str, Path] = {}
    for suffix in suffixes:
        for path in files:
            if path.suffix.lower() == suffix:
                found.setdefault(path.stem, path)
    return found


def _read_facts(path: Path) -> dict[str, Any]:
    """The optional facts about a recording, checked."""
    if not path.exists():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ThunderError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(facts, dict):
        raise ThunderError(f"{path}: wanted a JSON object, found {type(facts).__name__}")
    facts = {key: value for key, value in facts.items() if key in _KNOWN_KEYS and value is not None}
    for key in ("emotion", "language", "split"):
        if not isinstance(facts.get(key, ""), str):
            raise ThunderError(f"{path}: {key} wanted a text, found {facts[key]!r}")
    for key, least, most in (("intensity", 0, 1), ("fps", 1, 1000)):
        value = facts.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ThunderError(f"{path}: {key} wanted {least} to {most}, found {value!r}")
    if facts.get("split", "train") not in SPLITS:
        raise ThunderError(f"{path}: split wanted {', '.join(SPLITS)}, found {facts['split']!r}")
    return facts
