"""BIWI, the audiovisual corpus of affective communication, as the field's processed form (Fanelli et al., 2010).

    vertices_npy/F1_e01.npy   (T, 70110) float, 25 fps: subject F1, sentence 1, spoken with emotion
    wav/F1_e01.wav            44.1 kHz
    templates.pkl             subject -> (23370, 3)
    BIWI.ply                  faces
    regions/lve.txt           vertices of the mouth, over which the field measures the lips
    regions/fdd.txt           vertices of the upper face
    sentences.txt             optional: "12. text of sentence 12", one a line

It is unit-less: each frame was centred and divided by the square root of its surface area, so its lengths are no millimetres,
and its head says so. Six subjects train; sentences 37 to 40 of them are Test-A, those of the other eight are Test-B.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.audio.waveform import is_silent, load_waveform
from stages.corpora.checks import check_axes, check_files, check_templates, open_mouths
from stages.corpora.corpus import Corpus, Frames, RawClip, Recording
from stages.corpora.surface import read_indices, read_mesh, surface_from_lips
from stages.corpora.vertex_arrays import frames_of_file, mean_face, read_templates
from stages.runtime.errors import Failure, ThunderError

_FPS = 25.0
_NAME = re.compile(r"([FM]\d+)_e(\d+)")
_SENTENCE_LINE = re.compile(r"\s*(\d+)[.):\s]\s*(.+)")
TRAIN_SUBJECTS = ("F2", "F3", "F4", "M3", "M4", "M5")
_TEST_B_SUBJECTS = ("F1", "F5", "F6", "F7", "F8", "M1", "M2", "M6")
_SENTENCES = {"train": range(1, 33), "val": range(33, 37), "test": range(37, 41)}
_WHERE_FILES_COME_FROM = "the public code of CodeTalker (BIWI/) has BIWI.ply and says how to make the rest"
_WHERE_REGIONS_COME_FROM = (
    "it comes with the public code of CodeTalker (BIWI/regions/); put it there or give --lips FILE "
    "(.txt or .npy of vertex indices)"
)


def official_splits(test: str) -> dict[tuple[str, int], str]:
    """(subject, sentence) -> split.

    Args:
        test: A or B, the test set wanted; the other is left out.
    """
    splits = {(s, n): split for split, numbers in _SENTENCES.items() for s in TRAIN_SUBJECTS for n in numbers}
    if test == "B":
        splits = {key: split for key, split in splits.items() if split != "test"}
        splits |= {(s, n): "test" for s in _TEST_B_SUBJECTS for n in _SENTENCES["test"]}
    return splits


def read_biwi(folder: Path, lips_path: Path | None = None, test: str = "A") -> Corpus:
    """Lists the recordings of BIWI.

    Args:
        folder: see the top of this file.
        lips_path: lip vertices instead of regions/lve.txt.
        test: A (the speakers of the training, other sentences) or B (other speakers).

    Raises:
        ThunderError: a file that all recordings need is missing or damaged.
    """
    if test not in ("A", "B"):
        raise ThunderError(f"--biwi-test {test}: wanted A or B")
    check_files(folder, ("templates.pkl", "BIWI.ply", "wav"), _WHERE_FILES_COME_FROM)
    templates = read_templates(folder / "templates.pkl")
    num_vertices = len(next(iter(templates.values())))
    splits = official_splits(test)
    recordings, problems, others = _list(folder, splits, templates)
    if not recordings and not problems:
        raise ThunderError(f"{folder}: no sequence of the official splits found; wanted vertices_npy/F2_e01.npy, ...")
    there = {r.id for r in recordings} | {p.item for p in problems}
    absent = [name for name in (f"{s}_e{n:02d}" for s, n in splits) if name not in there]
    used = {r.subject: templates[r.subject] for r in recordings}
    remarks = ["BIWI has no unit of length: its distances are no millimetres, and metrics say `unit`"]
    if absent:
        listed = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        remarks.append(f"{len(absent)} of {len(splits)} sequences of the official splits are not there: {listed}")
    if others:
        other = f"--biwi-test {'B' if test == 'A' else 'A'} chooses the other test"
        remarks.append(f"{len(others)} sequences are in no split and left out ({others[0]}, ...); {other}")
    vertices, faces = read_mesh(folder / "BIWI.ply", num_vertices)
    check_templates(str(folder / "templates.pkl"), templates, faces, vertices)
    mouth_path = lips_path or folder / "regions" / "lve.txt"
    mouth = read_indices(mouth_path, num_vertices, _WHERE_REGIONS_COME_FROM)
    face = mean_face(templates)
    check_axes(str(folder / "templates.pkl"), face, faces, mouth)
    head = surface_from_lips("BIWI", "unitless", face, faces, mouth)
    upper_path = folder / "regions" / "fdd.txt"
    if upper_path.exists():
        upper = read_indices(upper_path, num_vertices, _WHERE_REGIONS_COME_FROM)
        head = replace(head, regions=head.regions | {"upper_face": upper})
    else:
        remarks.append(f"{upper_path} is missing: the upper face is a box above the mouth, and FDD is not the papers'")
    return Corpus("biwi", head, _FPS, recordings, used, problems, [*remarks, *open_mouths(head, used)])


def _list(
    folder: Path, splits: dict[tuple[str, int], str], templates: dict[str, NDArray[np.float32]]
) -> tuple[list[Recording], list[Failure], list[str]]:
    """Recordings of the splits, those that lack a piece, and the names of sequences in no split."""
    num_vertices = len(next(iter(templates.values())))
    texts = _read_sentences(folder / "sentences.txt")
    recordings: list[Recording] = []
    problems: list[Failure] = []
    others: list[str] = []
    for path in sorted((folder / "vertices_npy").glob("*.npy")):
        name = _NAME.fullmatch(path.stem)
        split = splits.get((name[1], int(name[2]))) if name else None
        if name is None or split is None:
            others.append(path.stem)
            continue
        sound = folder / "wav" / f"{path.stem}.wav"
        try:
            if name[1] not in templates:
                raise ThunderError(f"{folder / 'templates.pkl'} has no template of {name[1]}")
            if not sound.exists():
                raise ThunderError(f"{path.name} has no sound {sound}")
            frames = frames_of_file(path, num_vertices)
        except ThunderError as error:
            problems.append(Failure(path.stem, str(error)))
            continue
        read = partial(_read, frames, sound, texts.get(int(name[2]), ""))
        recordings.append(Recording(path.stem, name[1], split, read, frames))
    return recordings, problems, others


def _read_sentences(path: Path) -> dict[int, str]:
    if not path.exists():
        return {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ThunderError(f"{path}: not a UTF-8 text ({error}); save it as UTF-8") from error
    found = (_SENTENCE_LINE.fullmatch(line) for line in lines)
    return {int(match[1]): match[2].strip() for match in found if match}


def _read(frames: Frames, sound: Path, transcript: str) -> RawClip:
    waveform = load_waveform(sound)
    if is_silent(waveform):
        raise ThunderError(f"{sound}: silent from end to end, though a face moves; copy the corpus again")
    return RawClip(waveform, _FPS, vertices=frames, emotion="emotional", language="en", transcript=transcript)
