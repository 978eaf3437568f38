"""Which corpus lies in a folder."""

from collections import Counter
from itertools import chain, islice
from pathlib import Path

from stages.artifacts.head_record import HeadRecord
from stages.corpora.arkit import read_arkit
from stages.corpora.biwi import read_biwi
from stages.corpora.corpus import Corpus
from stages.corpora.links import check_links
from stages.corpora.meshes import is_meshes, read_meshes
from stages.corpora.vocaset import read_vocaset, read_vocaset_processed
from stages.runtime.errors import ThunderError, did_you_mean, summarise_failures

# Name -> what the folder must contain.
LAYOUTS = {
    "arkit": "<subject>/<clip>.csv with Live Link Face curves and <clip>.wav beside it",
    "flame": "<subject>/<clip>.npz with FLAME coefficients and <clip>.wav beside it, and --flame FILE",
    "meshes": "template.ply or .obj, lips.txt, <subject>/<clip>.npy with vertices and <clip>.wav beside it",
    "biwi": "vertices_npy/F2_e01.npy, wav/<same>.wav, templates.pkl, BIWI.ply and regions/lve.txt",
    "vocaset": "data_verts.npy, raw_audio_fixed.pkl, subj_seq_to_idx.pkl and templates.pkl",
    "vocaset-processed": "vertices_npy/<subject>_sentenceNN.npy, wav/<same>.wav and templates.pkl",
}
# Someone may give a home folder by mistake.
_MAX_FILES_TO_COUNT = 1000
_VOCASET_FILES = ("data_verts.npy", "raw_audio_fixed.pkl", "subj_seq_to_idx.pkl")


def check_folder(folder: Path) -> None:
    """Refuses what is no folder.

    Raises:
        ThunderError: no such folder, or a file.
    """
    if not folder.exists():
        raise ThunderError(f"{folder}: no such folder, wanted a corpus; check the path")
    if not folder.is_dir():
        raise ThunderError(f"{folder}: a file, wanted the folder of a corpus")


def recognise(folder: Path) -> str:
    """Names the layout of a folder.

    Raises:
        ThunderError: not a folder, or none of the known layouts.
    """
    check_folder(folder)
    if any((folder / name).exists() for name in _VOCASET_FILES):
        return "vocaset"
    if next(folder.glob("vertices_npy/*_sentence*.npy"), None):
        return "vocaset-processed"
    if next(folder.glob("vertices_npy/[FM]*_e[0-9]*.npy"), None):
        return "biwi"
    if is_meshes(folder):
        return "meshes"
    if next(folder.glob("*.csv"), None) or next(folder.glob("*/*.csv"), None):
        return "arkit"
    from stages.corpora.flame import is_coefficients  # Imports torch, which corpora of meshes do without.

    arrays = next(chain(folder.glob("*.np[yz]"), folder.glob("*/*.np[yz]")), None)
    if arrays is not None and is_coefficients(arrays):
        return "flame"
    raise ThunderError(f"{folder}: not a corpus of a known layout; found {_contents(folder)}; wanted {_wanted()}")


def open_corpus(
    folder: Path,
    layout: str | None = None,
    *,
    lips_path: Path | None = None,
    head: HeadRecord | None = None,
    flame_path: Path | None = None,
    fps: float | None = None,
    scale: float = 1.0,
    biwi_test: str | None = None,
) -> Corpus:
    """Lists the recordings of a corpus of any known layout.

    Args:
        folder: the corpus.
        layout: one of `LAYOUTS`; None to look at the folder.
        lips_path: file of lip vertices, for corpora of meshes.
        head: the head that ARKit curves move; the embedded one where None.
        flame_path: FLAME's own file, for FLAME coefficients.
        fps: frame rate of recordings that do not say theirs.
        scale: factor to metres, for a folder of meshes.
        biwi_test: A or B, the test set of BIWI that is wanted; A where None.

    Raises:
        ThunderError: unknown layout, an option of another layout, something that the whole corpus needs is missing or
            damaged, or not one recording can be used.
    """
    found = layout or _found(folder, flame_path)
    if found not in LAYOUTS:
        raise ThunderError(
            f"layout {found!r} is not known; choose one of {', '.join(LAYOUTS)}{did_you_mean(found, LAYOUTS)}"
        )
    check_folder(folder)
    if flame_path is not None and found != "flame":
        raise ThunderError(f"--flame {flame_path}: for FLAME coefficients only, found layout {found}; leave it out")
    if scale != 1.0 and found != "meshes":
        raise ThunderError(f"--scale {scale:g}: for a folder of meshes only, found layout {found}; leave it out")
    if biwi_test is not None and found != "biwi":
        raise ThunderError(f"--biwi-test {biwi_test}: for BIWI only, found layout {found}; leave it out")
    if lips_path is not None and found == "arkit":
        raise ThunderError(f"--lips {lips_path}: ARKit curves move a head that has its lips; leave it out")
    check_links(folder)
    corpus = _read(folder, found, lips_path, head, flame_path, fps, scale, biwi_test or "A")
    if not corpus.recordings:
        problems = list(corpus.problems)
        reasons = summarise_failures(problems, len(problems), "recordings") if problems else "no recordings found"
        raise ThunderError(f"{folder}: nothing to write, {reasons}")
    return corpus


def _found(folder: Path, flame_path: Path | None) -> str:
    """The layout of a folder; where none is recognised, a FLAME file says what it must be."""
    try:
        return recognise(folder)
    except ThunderError:
        if flame_path is None or not folder.is_dir():
            raise
        return "flame"


def _read(
    folder: Path,
    layout: str,
    lips_path: Path | None,
    head: HeadRecord | None,
    flame_path: Path | None,
    fps: float | None,
    scale: float,
    biwi_test: str,
) -> Corpus:
    if layout == "meshes":
        return read_meshes(folder, lips_path, fps, scale)
    if layout == "biwi":
        return read_biwi(folder, lips_path, biwi_test)
    if layout == "flame":
        from stages.corpora.flame import read_flame

        return read_flame(folder, flame_path, lips_path=lips_path, fps=fps)
    if layout == "vocaset":
        return read_vocaset(folder, lips_path)
    if layout == "vocaset-processed":
        return read_vocaset_processed(folder, lips_path)
    if head is None:
        from stages.heads.head import embedded_head  # Imports torch, which reading processes do without.

        head = embedded_head()
    return read_arkit(folder, head)


def _contents(folder: Path) -> str:
    files = list(islice((p for p in folder.rglob("*") if p.is_file()), _MAX_FILES_TO_COUNT))
    if not files:
        return "an empty folder"
    kinds = Counter(p.suffix.lower() or "no suffix" for p in files)
    first = "the first " if len(files) == _MAX_FILES_TO_COUNT else ""
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5)) + f" of {first}{len(files)} files"


def _wanted() -> str:
    return "; or ".join(f"{name}: {contents}" for name, contents in LAYOUTS.items())
