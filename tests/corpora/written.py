"""Small corpora written to disk in the layouts that people have, with the true file names, keys and number types."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.waveform import write_wav
from stages.formats.live_link_face import write_live_link_face
from tests.builders import small_motion, small_waveform

TRAIN, VAL, TEST = "FaceTalk_170728_03272_TA", "FaceTalk_170811_03275_TA", "FaceTalk_170809_00138_TA"


def write_recording(
    folder: Path,
    clip: str,
    *,
    num_frames: int = 30,
    fps: float = 25.0,
    seed: int = 0,
    extra_sound_s: float = 0.0,
    text: str | None = None,
    facts: dict[str, Any] | None = None,
    phones: list[dict[str, Any]] | None = None,
) -> np.ndarray:
    """Writes one recording of an ARKit corpus; returns its motion (T, 55)."""
    folder.mkdir(parents=True, exist_ok=True)
    motion = small_motion(num_frames, seed=seed)
    write_live_link_face(folder / f"{clip}.csv", motion, fps)
    num_samples = round((num_frames / fps + extra_sound_s) * SAMPLE_RATE_HZ)
    write_wav(folder / f"{clip}.wav", small_waveform(num_samples, seed))
    if text is not None:
        (folder / f"{clip}.txt").write_text(text, encoding="utf-8")
    if facts is not None:
        (folder / f"{clip}.json").write_text(json.dumps(facts))
    if phones is not None:
        (folder / f"{clip}.phones.json").write_text(json.dumps(phones))
    return motion


def write_arkit_corpus(folder: Path, subjects: tuple[str, ...] = ("ann", "bob", "cem", "dia"), clips: int = 2) -> Path:
    """Writes `clips` recordings of each subject."""
    for s, subject in enumerate(subjects):
        for c in range(clips):
            write_recording(folder / subject, f"c{c}", num_frames=20 + s + c, seed=10 * s + c)
    return folder


def face_mesh() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face with a mouth slit, a nose and a chin.

    Returns:
        template (V, 3) metres; faces (F, 3), counter-clockwise from +Z; lip vertices (M,).
    """
    columns, rows = 15, 21
    x, y = np.meshgrid(np.linspace(-0.07, 0.07, columns), np.linspace(-0.1, 0.1, rows))

    def bump(at: float, width: float) -> np.ndarray:
        return np.exp(-(x**2 + (y - at) ** 2) / width**2)

    z = 0.05 * np.cos(x / 0.07) + 0.02 * bump(0.0, 0.012) + 0.012 * bump(-0.07, 0.012)
    template = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    # The slit runs along row 6, y = -0.04, x from -0.03 to 0.03: the quads above it get vertices of their own.
    slit, inside = 6, slice(5, 10)
    upper = index.copy()
    upper[slit, inside] = len(template) + np.arange(5)
    lifted = template[index[slit, inside]] + [0.0, 0.0005, 0.0]
    template = np.concatenate([template, lifted])
    faces = []
    for row in range(rows - 1):
        low = upper if row == slit else index
        a, b = low[row, :-1], low[row, 1:]
        c, d = index[row + 1, :-1], index[row + 1, 1:]
        faces += [np.stack([a, b, c], axis=-1), np.stack([b, d, c], axis=-1)]
    lips = np.concatenate([index[slit - 1 : slit + 2, 4:11].ravel(), upper[slit, inside]])
    return template.astype("f4"), np.concatenate(faces).astype("i4"), np.unique(lips)


def lower_face() -> np.ndarray:
    """A region as BIWI's `lve.txt` is: the lower face from cheek to cheek, far wider than the mouth."""
    template, _, _ = face_mesh()
    return np.flatnonzero((np.abs(template[:, 0]) < 0.055) & (template[:, 1] < -0.01))


def face_motion(template: np.ndarray, num_frames: int, seed: int) -> np.ndarray:
    """Vertices (T, V, 3) f32 of a face that opens its jaw, smiles and raises its brows: three independent directions."""
    curves = small_motion(num_frames, 3, seed)
    x, y = face_mesh()[0][:, :2].T
    zero = np.zeros_like(x)
    shapes = np.stack(
        [
            np.stack([zero, -0.02 * (y < -0.04) * np.cos(x / 0.05), zero], axis=-1),
            np.stack([0.2 * x * np.exp(-((y + 0.04) ** 2) / 2e-4), zero, zero], axis=-1),
            np.stack([zero, 0.01 * (y > 0.04), zero], axis=-1),
        ]
    )
    return (template + np.tensordot(curves, shapes, axes=1)).astype("f4")


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Writes an ASCII ply."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = (
        f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    body = [" ".join(f"{v:.8g}" for v in vertex) for vertex in vertices]
    body += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text(header + "\n".join(body) + "\n")


def dump(path: Path, content: Any) -> None:
    """Writes a pickle as Python 2 did: protocol 2, under the names of numpy 1."""
    data = pickle.dumps(content, protocol=2).replace(b"cnumpy._core.", b"cnumpy.core.")
    path.write_bytes(data)


def vocaset_sequences() -> dict[tuple[str, str], np.ndarray]:
    """(subject, sequence) -> vertices (T, V, 3) at 60 fps, some in each split and one in none."""
    lengths = {
        (TRAIN, "sentence01"): 61,
        (TRAIN, "sentence02"): 40,
        (VAL, "sentence21"): 50,
        (TEST, "sentence40"): 44,
        (TEST, "sentence01"): 30,
    }
    templates = vocaset_templates()
    return {
        key: face_motion(templates[key[0]].astype("f4"), frames, seed)
        for seed, (key, frames) in enumerate(lengths.items())
    }


def vocaset_templates() -> dict[str, np.ndarray]:
    """subject -> (V, 3) f64: the same face in three sizes."""
    template, _, _ = face_mesh()
    return {subject: template * scale for subject, scale in ((TRAIN, 1.0), (VAL, 1.05), (TEST, 0.95))}


def write_vocaset(folder: Path, *, masks: bool = True) -> dict[tuple[str, str], np.ndarray]:
    """Writes the raw layout; rows of data_verts.npy lie in no order, as they may. Returns the sequences."""
    folder.mkdir(parents=True, exist_ok=True)
    sequences = vocaset_sequences()
    num_rows = sum(map(len, sequences.values()))
    order = np.random.default_rng(0).permutation(num_rows)
    all_frames = np.concatenate(list(sequences.values()))
    rows = np.empty_like(all_frames)
    rows[order] = all_frames
    np.save(folder / "data_verts.npy", rows)
    index: dict[str, dict[str, dict[int, int]]] = {}
    audio: dict[str, dict[str, dict[str, Any]]] = {}
    begin = 0
    for (subject, sequence), vertices in sequences.items():
        taken = order[begin : begin + len(vertices)]
        begin += len(vertices)
        index.setdefault(subject, {})[sequence] = {frame: int(row) for frame, row in enumerate(taken)}
        sound = small_waveform(round(len(vertices) / 60 * 22_000), begin)
        audio.setdefault(subject, {})[sequence] = {"sample_rate": 22_000, "audio": sound}
    dump(folder / "subj_seq_to_idx.pkl", index)
    dump(folder / "raw_audio_fixed.pkl", audio)
    _write_shared(folder, masks=masks)
    return sequences


def write_vocaset_processed(folder: Path, *, masks: bool = True) -> dict[tuple[str, str], np.ndarray]:
    """Writes the processed layout; returns the sequences."""
    sequences = vocaset_sequences()
    (folder / "vertices_npy").mkdir(parents=True)
    (folder / "wav").mkdir()
    for seed, ((subject, sequence), vertices) in enumerate(sequences.items()):
        name = f"{subject}_{sequence}"
        np.save(folder / "vertices_npy" / f"{name}.npy", vertices.reshape(len(vertices), -1))
        sound = small_waveform(round(len(vertices) / 60 * 22_000), seed)
        write_wav(folder / "wav" / f"{name}.wav", sound, 22_000)
    _write_shared(folder, masks=masks)
    return sequences


def _write_shared(folder: Path, *, masks: bool) -> None:
    template, faces, lips = face_mesh()
    dump(folder / "templates.pkl", vocaset_templates())
    write_ply(folder / "templates" / "FLAME_sample.ply", template, faces)
    if masks:
        # As in the true file, some indices stand twice and in no order.
        dump(folder / "FLAME_masks.pkl", {"lips": np.concatenate([lips[::-1], lips[:3]]), "nose": np.arange(4)})
    (folder / "sentencestext").mkdir()
    (folder / "sentencestext" / f"{TRAIN}.txt").write_text("The first sentence.\nThe second sentence.\n")


def write_biwi(folder: Path, *, sentences: tuple[int, ...] = (1, 33, 37)) -> dict[str, np.ndarray]:
    """Writes BIWI for F2 and M3, and Test-B's F1, with 10 to 14 frames a clip; returns clip -> vertices (T, V, 3) f32.

    Every length is divided by about 0.2, as a unit-less corpus may be.
    """
    template, faces, _ = face_mesh()
    templates = {subject: 5.0 * scale * template for subject, scale in (("F1", 1.1), ("F2", 1.0), ("M3", 0.95))}
    (folder / "vertices_npy").mkdir(parents=True)
    (folder / "wav").mkdir()
    (folder / "regions").mkdir()
    written = {}
    for seed, (subject, rest) in enumerate(templates.items()):
        for number in sentences if subject != "F1" else (37, 38):
            name = f"{subject}_e{number:02d}"
            moving = face_motion((rest / 5.0).astype("f4"), 30 + seed, seed + number) * np.float32(5.0)
            np.save(folder / "vertices_npy" / f"{name}.npy", moving.reshape(len(moving), -1))
            sound = small_waveform(round(len(moving) / 25 * 44_100), seed)
            write_wav(folder / "wav" / f"{name}.wav", sound, 44_100)
            written[name] = moving
    dump(folder / "templates.pkl", templates)
    write_ply(folder / "BIWI.ply", templates["F2"], faces)
    (folder / "regions" / "lve.txt").write_text(", ".join(map(str, lower_face())))
    (folder / "regions" / "fdd.txt").write_text(", ".join(map(str, np.flatnonzero(template[:, 1] > 0.05))))
    (folder / "sentences.txt").write_text("1. The first of them.\n37. A later one, with 2 numbers.\n")
    return written


def write_meshes(folder: Path, *, scale: float = 1.0, flat: bool = False) -> dict[str, np.ndarray]:
    """Writes a folder of anyone's own: two clips each of ann and bob; returns clip id -> vertices (T, V, 3) f32."""
    template, faces, lips = face_mesh()
    write_ply(folder / "template.ply", scale * template, faces)
    (folder / "lips.txt").write_text("\n".join(map(str, lips)))
    (folder / "corpus.json").write_text('{"fps": 30}')
    written = {}
    for seed, (subject, clip) in enumerate((s, c) for s in ("ann", "bob") for c in ("a", "b")):
        moving = face_motion(template, 36 + seed, seed) * np.float32(scale)
        (folder / subject).mkdir(exist_ok=True)
        np.save(folder / subject / f"{clip}.npy", moving.reshape(len(moving), -1) if flat else moving)
        sound = small_waveform(round(len(moving) / 30 * 48_000), seed)
        write_wav(folder / subject / f"{clip}.wav", sound, 48_000)
        written[f"{subject}_{clip}"] = moving
    return written
