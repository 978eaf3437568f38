"""Recordings with ARKit curves: the layout of the built-in corpus, and the one in which people bring their own.

    corpus/<subject>/<clip>.csv          Live Link Face CSV, any frame rate
                     <clip>.wav          the sound, or any audio or video format
                     <clip>.txt          optional: what is said
                     <clip>.phones.json  optional: [{"start_s", "end_s", "label"}, ...]
                     <clip>.json         optional: {"emotion", "intensity", "language", "split"}

Recordings that lie directly in the folder belong to one subject, named after the folder.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stages.artifacts.clips import SPLITS, read_phones_json
from stages.artifacts.head_record import HeadRecord
from stages.audio.waveform import is_silent, load_waveform
from stages.corpora.corpus import Corpus, RawClip, Recording, clip_id
from stages.formats.live_link_face import read_live_link_face
from stages.runtime.errors import Failure, ThunderError

# In order of preference where a recording has several.
SOUND_SUFFIXES = (
    *(".wav", ".flac", ".aiff", ".aif", ".caf", ".w64", ".au", ".ogg", ".opus", ".m4a", ".aac", ".mp3", ".wma", ".amr"),
    *(".mov", ".mp4", ".mkv", ".webm", ".avi", ".m4v", ".3gp", ".mka"),
)
_KNOWN_KEYS = {"emotion", "intensity", "language", "split"}


def read_arkit(folder: Path, head: HeadRecord) -> Corpus:
    """Lists the recordings of a corpus of ARKit curves.

    Args:
        folder: see the top of this file.
        head: the blendshape head that the curves move.
    """
    recordings: dict[str, Recording] = {}
    problems: list[Failure] = []
    for subject, place in _subject_folders(folder):
        files = {p.name: p for p in sorted(place.iterdir()) if p.is_file() and not p.name.startswith(".")}
        sounds: dict[str, Path] = {}
        for suffix in SOUND_SUFFIXES:
            for path in files.values():
                if path.suffix.lower() == suffix:
                    sounds.setdefault(path.stem, path)
        curves = {path.stem: path for path in files.values() if path.suffix.lower() == ".csv"}
        for clip in sorted(sounds.keys() | curves.keys()):
            identity = clip_id(subject, clip)
            where = (place / clip).relative_to(folder).as_posix()
            if clip not in curves:
                problems.append(Failure(where, f"{sounds[clip].name} has no {clip}.csv beside it"))
            elif clip not in sounds:
                problems.append(Failure(where, f"{curves[clip].name} has no {clip}.wav (or other sound) beside it"))
            elif identity in recordings:
                problems.append(Failure(where, f"its clip id {identity} is taken by another recording; rename one"))
            else:
                try:
                    facts = _read_facts(place / f"{clip}.json")
                except ThunderError as error:
                    problems.append(Failure(where, str(error)))
                    continue
                split = facts.pop("split", None)
                read = partial(_read_recording, curves[clip], sounds[clip], facts)
                recordings[identity] = Recording(identity, subject, split, read)
    return Corpus("arkit", head, None, [recordings[i] for i in sorted(recordings)], problems=problems)


def _subject_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    yield folder.resolve().name, folder
    for place in sorted(folder.iterdir()):
        if place.is_dir() and not place.name.startswith("."):
            yield place.name, place


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
    intensity = facts.get("intensity", 0.0)
    if isinstance(intensity, bool) or not isinstance(intensity, int | float) or not 0 <= intensity <= 1:
        raise ThunderError(f"{path}: intensity wanted 0 to 1, found {intensity!r}")
    if facts.get("split", "train") not in SPLITS:
        raise ThunderError(f"{path}: split wanted {', '.join(SPLITS)}, found {facts['split']!r}")
    return facts


def _read_recording(curves: Path, sound: Path, facts: dict[str, Any]) -> RawClip:
    motion, fps = read_live_link_face(curves)
    waveform = load_waveform(sound)
    if is_silent(waveform):
        raise ThunderError(f"{sound}: silent from end to end, though a face moves; record or export the sound again")
    text, phones = curves.with_suffix(".txt"), curves.with_suffix(".phones.json")
    try:
        transcript = " ".join(text.read_text(encoding="utf-8-sig").split()) if text.exists() else ""
    except UnicodeDecodeError as error:
        raise ThunderError(f"{text}: not a UTF-8 text ({error})") from error
    return RawClip(
        waveform=waveform,
        fps=fps,
        motion=motion,
        transcript=transcript,
        phones=read_phones_json(phones) if phones.exists() else (),
        **facts,
    )
