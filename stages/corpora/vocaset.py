"""VOCASET, as downloaded and as its processed form is passed around (Cudeiro et al., CVPR 2019).

As downloaded:
    data_verts.npy            (N, 5023, 3) float, metres, 60 fps: all frames of all sequences
    raw_audio_fixed.pkl       subject -> sequence -> {"sample_rate", "audio"}
    subj_seq_to_idx.pkl       subject -> sequence -> frame -> row of data_verts
    templates.pkl             subject -> (5023, 3)
    FLAME_sample.ply          faces; or templates/FLAME_sample.ply
Processed:
    vertices_npy/<subject>_sentenceNN.npy   (T, 15069), 60 fps
    wav/<same>.wav, templates.pkl, FLAME_sample.ply
Both, optional:
    FLAME_masks.pkl           region -> vertices; its `lips` are needed, or --lips FILE
    sentencestext/<subject>.txt  one transcript a line, line k for sentence k

Every second frame is kept, which is how the field trains at 30 fps. Splits are the official ones, by subject and sentence.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.resampling import resample
from stages.audio.waveform import SAMPLE_RATE_HZ, checked_waveform, is_silent, load_waveform
from stages.corpora.checks import check_axes, check_files, check_head, check_templates, open_mouths
from stages.corpora.corpus import Corpus, Frames, RawClip, Recording
from stages.corpora.surface import read_lips, read_mesh, surface_from_lips
from stages.corpora.unpickler import load_pickle
from stages.corpora.vertex_arrays import finite_frames, frames_of_file, mean_face, open_array, read_templates
from stages.runtime.errors import Failure, ThunderError

_RECORDED_FPS = 60.0
_TRAINED_FPS = 30.0
_RAW_FILES = ("data_verts.npy", "raw_audio_fixed.pkl", "subj_seq_to_idx.pkl", "templates.pkl")
_SENTENCE = re.compile(r"sentence(\d+)")
# Subjects in the order in which the field numbers them, and the sentences of each split.
_SPLITS: dict[str, tuple[tuple[str, ...], range]] = {
    "train": (
        (
            *("170728_03272", "170904_00128", "170725_00137", "170915_00223"),
            *("170811_03274", "170913_03279", "170904_03276", "170912_03278"),
        ),
        range(1, 41),
    ),
    "val": (("170811_03275", "170908_03277"), range(21, 41)),
    "test": (("170809_00138", "170731_00024"), range(21, 41)),
}
TRAIN_SUBJECTS = tuple(f"FaceTalk_{subject}_TA" for subject in _SPLITS["train"][0])
OFFICIAL_SPLITS: dict[tuple[str, int], str] = {
    (f"FaceTalk_{subject}_TA", sentence): split
    for split, (subjects, sentences) in _SPLITS.items()
    for subject in subjects
    for sentence in sentences
}


def read_vocaset(folder: Path, lips_path: Path | None = None) -> Corpus:
    """Lists the recordings of VOCASET as downloaded.

    Raises:
        ThunderError: a file that all recordings need is missing or damaged.
    """
    check_files(folder, _RAW_FILES, "they are the download of VOCASET (voca.is.tue.mpg.de)")
    vertices_path = folder / "data_verts.npy"
    num_rows, num_vertices, bytes_a_row = _size_of_rows(vertices_path)
    rows_of = _nested(folder / "subj_seq_to_idx.pkl", "subject -> sequence -> frame -> row")
    audio_of = _nested(folder / "raw_audio_fixed.pkl", "subject -> sequence -> {sample_rate, audio}")
    templates = read_templates(folder / "templates.pkl", num_vertices)
    texts = _read_texts(folder)
    recordings: list[Recording] = []
    problems: list[Failure] = []
    mute: list[str] = []
    for subject, sequence, split in _official({s: set(q) for s, q in rows_of.items()}):
        name = f"{subject}_{sequence}"
        rows = _frame_rows(rows_of[subject][sequence])
        audio = audio_of.get(subject, {}).get(sequence)
        if subject not in templates:
            problems.append(Failure(name, f"{folder / 'templates.pkl'} has no template of {subject}"))
        elif audio is None:
            mute.append(name)
        elif rows is None or not len(rows) or rows.min() < 0 or rows.max() >= num_rows:
            problems.append(
                Failure(
                    name,
                    f"{folder / 'subj_seq_to_idx.pkl'} wanted rows of data_verts.npy, 0 to {num_rows - 1}; copy both again",
                )
            )
        else:
            frames = Frames(partial(_frames_of_rows, vertices_path, rows), len(rows), bytes_a_row)
            read = partial(_read_raw, name, frames, audio, texts.get((subject, sequence), ""))
            recordings.append(Recording(name, subject, split, read, frames))
    return _corpus("vocaset", folder, lips_path, templates, recordings, problems, mute)


def read_vocaset_processed(folder: Path, lips_path: Path | None = None) -> Corpus:
    """Lists the recordings of VOCASET's processed form.

    Raises:
        ThunderError: a file that all recordings need is missing or damaged.
    """
    check_files(
        folder, ("templates.pkl", "wav"), "the public codes of FaceFormer and CodeTalker say how to make this folder"
    )
    paths: dict[str, dict[str, Path]] = {}
    for path in sorted((folder / "vertices_npy").glob("*.npy")):
        subject, found, _ = path.stem.rpartition("_sentence")
        if found:
            paths.setdefault(subject, {})[path.stem.removeprefix(f"{subject}_")] = path
    templates = read_templates(folder / "templates.pkl")
    num_vertices = len(next(iter(templates.values())))
    texts = _read_texts(folder)
    recordings: list[Recording] = []
    problems: list[Failure] = []
    mute: list[str] = []
    for subject, sequence, split in _official({s: set(q) for s, q in paths.items()}):
        name = f"{subject}_{sequence}"
        path, sound = paths[subject][sequence], folder / "wav" / f"{name}.wav"
        if subject not in templates:
            problems.append(Failure(name, f"{folder / 'templates.pkl'} has no template of {subject}"))
        elif not sound.exists():
            mute.append(name)
        else:
            try:
                frames = frames_of_file(path, num_vertices)
            except ThunderError as error:
                problems.append(Failure(name, str(error)))
                continue
            read = partial(_read_processed, frames, sound, texts.get((subject, sequence), ""))
            recordings.append(Recording(name, subject, split, read, frames))
    return _corpus("vocaset-processed", folder, lips_path, templates, recordings, problems, mute)


def _official(sequences: Mapping[str, set[str]]) -> list[tuple[str, str, str]]:
    """(subject, sequence, split) of what is there and belongs to an official split, in order of clip id."""
    known = []
    for subject, names in sequences.items():
        for sequence in names:
            number = _SENTENCE.fullmatch(sequence)
            split = OFFICIAL_SPLITS.get((subject, int(number[1]))) if number else None
            if split is not None:
                known.append((subject, sequence, split))
    return sorted(known)


def _corpus(
    layout: str,
    folder: Path,
    lips_path: Path | None,
    templates: dict[str, NDArray[np.float32]],
    recordings: list[Recording],
    problems: list[Failure],
    mute: list[str],
) -> Corpus:
    if not recordings and not problems and not mute:
        raise ThunderError(
            f"{folder}: no sequence of the official splits found; wanted subjects such as FaceTalk_170725_00137_TA "
            f"with sequences sentence01 to sentence40"
        )
    num_vertices = len(next(iter(templates.values())))
    ply = next(
        (p for p in (folder / "FLAME_sample.ply", folder / "templates" / "FLAME_sample.ply") if p.exists()), None
    )
    if ply is None:
        raise ThunderError(
            f"{folder}: FLAME_sample.ply is missing (here or in templates/), so the faces are not known; "
            f"it comes with VOCA's public code (template/)"
        )
    lips = read_lips(folder, lips_path, num_vertices)
    vertices, faces = read_mesh(ply, num_vertices)
    face, where = mean_face(templates), str(folder / "templates.pkl")
    check_axes(where, face, faces, lips)
    head = surface_from_lips("VOCASET", "m", face, faces, lips)
    check_head(where, head)
    check_templates(where, templates, faces, vertices)
    used = {r.subject: templates[r.subject] for r in recordings}
    return Corpus(
        layout,
        head,
        _TRAINED_FPS,
        recordings,
        used,
        problems,
        [*_gaps({r.id for r in recordings} | {p.item for p in problems}, mute), *open_mouths(head, used)],
    )


def _gaps(found: set[str], mute: list[str]) -> list[str]:
    """Remarks on official sequences that are absent or have no sound: the public download lacks some, and is used so."""
    absent = [n for n in (f"{s}_sentence{k:02d}" for s, k in OFFICIAL_SPLITS) if n not in found and n not in mute]
    remarks = []
    for names, what in ((absent, "are not there"), (mute, "have no sound and are left out")):
        if names:
            listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            remarks.append(f"{len(names)} of {len(OFFICIAL_SPLITS)} sequences of the official splits {what}: {listed}")
    return remarks


def _nested(path: Path, wanted: str) -> dict[str, dict[str, Any]]:
    content = load_pickle(path)
    if not isinstance(content, dict) or not all(isinstance(inner, dict) for inner in content.values()):
        raise ThunderError(f"{path}: wanted {wanted}, found {type(content).__name__}; copy the download again")
    return content


def _read_texts(folder: Path) -> dict[tuple[str, str], str]:
    """(subject, sequence) -> transcript."""
    texts = {}
    for path in sorted((folder / "sentencestext").glob("*.txt")):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ThunderError(f"{path}: not a UTF-8 text ({error}); save it as UTF-8") from error
        texts.update({(path.stem, f"sentence{k:02d}"): line.strip() for k, line in enumerate(lines, 1)})
    return texts


def _size_of_rows(path: Path) -> tuple[int, int, int]:
    """Rows, vertices in each, and bytes of each."""
    rows = open_array(path)
    if rows.ndim != 3 or rows.shape[2] != 3 or not rows.size:
        raise ThunderError(f"{path}: wanted (frames, vertices, 3), found {rows.shape}; copy the download again")
    return len(rows), rows.shape[1], rows[0].nbytes


def _frame_rows(frames: Any) -> NDArray[np.int64] | None:
    """Rows of a sequence in the order of its frames; None where that is not what was found."""
    if not isinstance(frames, dict):
        return None
    try:
        return np.array([frames[k] for k in sorted(frames)], dtype=np.int64).reshape(-1)
    except (TypeError, ValueError):
        return None


def _frames_of_rows(path: Path, rows: NDArray[np.int64], which: slice) -> NDArray[np.float32]:
    return finite_frames(path, np.asarray(open_array(path)[rows[which]], np.float32))


def _read_raw(name: str, frames: Frames, audio: Any, transcript: str) -> RawClip:
    try:
        rate_hz, samples = int(audio["sample_rate"]), np.asarray(audio["audio"])
    except (KeyError, TypeError, ValueError) as error:
        raise ThunderError(f"sound of {name}: wanted {{sample_rate, audio}}, found {error!r}") from error
    if not 1_000 <= rate_hz <= 1_000_000 or samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf":
        raise ThunderError(f"sound of {name}: wanted samples at 1 kHz to 1 MHz, found {samples.shape} at {rate_hz} Hz")
    scale = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
    mono = (samples.mean(axis=1) if samples.ndim == 2 else samples).astype(np.float32) / np.float32(scale)
    waveform = checked_waveform(f"sound of {name}", resample(mono, rate_hz, SAMPLE_RATE_HZ))
    return _raw_clip(f"sound of {name}", waveform, frames, transcript)


def _read_processed(frames: Frames, sound: Path, transcript: str) -> RawClip:
    return _raw_clip(str(sound), load_waveform(sound), frames, transcript)


def _raw_clip(where: str, waveform: NDArray[np.float32], frames: Frames, transcript: str) -> RawClip:
    if is_silent(waveform):
        raise ThunderError(f"{where}: silent from end to end, though a face moves; copy the corpus again")
    return RawClip(waveform, _RECORDED_FPS, vertices=frames, language="en", transcript=transcript)
