"""How a corpus of the built-in articulation lies on the disk: clips in a folder a subject, and a recipe beside them.

corpus/<subject>/<clip>.wav           speech, 16 kHz, mono, 16 bit
                 <clip>.csv           motion, Live Link Face
                 <clip>.txt           what is said
                 <clip>.phones.json   [{"start_s", "end_s", "label"}], ARPAbet
                 <clip>.json          {"emotion", "intensity", "language"}; "split" where that is for the corpus to say
corpus/synthesis.json                 how it was made
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from stages.audio.waveform import SAMPLE_RATE_HZ, write_wav
from stages.corpora.synthesis.performance import Performance
from stages.formats.live_link_face import write_live_link_face
from stages.runtime.errors import ThunderError, explained_write

RECIPE_NAME = "synthesis.json"

Share = TypeVar("Share")
Made = TypeVar("Made")


def write_clip(stem: Path, performance: Performance, text: str, facts: dict[str, object]) -> None:
    """Writes the files of one clip.

    Args:
        stem: their path, without a suffix.
        performance: what they hold.
        text: what is said; an empty one has no file.
        facts: of `<clip>.json`.
    """
    write_wav(stem.with_suffix(".wav"), performance.waveform, SAMPLE_RATE_HZ)
    # Five decimals are far below what anyone sees, and keep the files small.
    write_live_link_face(stem.with_suffix(".csv"), np.round(performance.motion, 5), performance.fps)
    if text:
        stem.with_suffix(".txt").write_text(text + "\n", encoding="utf-8", newline="\n")
    write_json(stem.with_suffix(".phones.json"), performance.phones.as_records())
    write_json(stem.with_suffix(".json"), facts)


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file, the same bytes on every machine."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8", newline="\n")


def in_processes(make: Callable[[Share], Made], shares: Sequence[Share], jobs: int) -> Iterator[Made]:
    """What `make` returns of every share, in the order in which they are done.

    Args:
        make: a function of a module, which other processes can import.
        shares: independent parts of the work.
        jobs: processes; 0 means one a core.
    """
    num_processes = min(jobs or os.cpu_count() or 1, len(shares))
    if num_processes == 1:
        yield from map(make, shares)
        return
    import joblib

    parallel = joblib.Parallel(n_jobs=num_processes, return_as="generator_unordered")
    yield from parallel(joblib.delayed(make)(share) for share in shares)


@contextmanager
def new_folder(output_dir: Path, *, force: bool) -> Iterator[Path]:
    """A folder beside `output_dir` to fill, which takes its place only when the block ends without an error.

    Raises:
        ThunderError: the output exists and may not be replaced, or cannot be written.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise ThunderError(f"{output_dir}: a file, wanted a folder for the corpus; choose another name")
    occupied = output_dir.is_dir() and any(output_dir.iterdir())
    if occupied and not force:
        raise ThunderError(
            f"{output_dir}: exists already and is not empty; give --force to replace it, or choose another name"
        )
    if occupied and not (output_dir / RECIPE_NAME).is_file():
        raise ThunderError(
            f"{output_dir}: holds no {RECIPE_NAME}, so it was not made by `thunder synthesize` or `thunder articulate` "
            f"and is not replaced; choose another name or remove it yourself"
        )
    target = output_dir.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    replaced = target.with_name(f".{target.name}.{os.getpid()}.replaced")
    try:
        with explained_write(output_dir):
            partial.mkdir(parents=True)
        yield partial
        with explained_write(output_dir):
            if target.is_dir():
                target.rename(replaced)
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
