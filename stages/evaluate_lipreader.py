"""How well lip readers read people whom they never saw: audio-visually, by ear and by the lips alone, over seeds.

The floor is what is read in the lips of another clip of the language, in which something else is said: a reader that knew the
language and saw nothing would do as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.artifacts.files import check_output, read_artifact
from stages.artifacts.listing import root_attributes
from stages.artifacts.results_file import ResultRow, Results, write_results
from stages.heads.head import Head, build_head
from stages.metrics.hearing_table import HearingTable
from stages.metrics.judges import why_unread
from stages.metrics.lip_readability import BEAM
from stages.metrics.readability import character_error_rate, num_characters
from stages.models.characters import normalise_text
from stages.models.lip_reader import LipReader, load_lip_reader, read_lips
from stages.rendering.lip_films import film_clip, sound_of_clip
from stages.rendering.mouth_crops import MouthScene, mouth_scene
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs
from stages.training.spoken_words import check_reads_both

BOTH, SPEECH, LIPS, ANOTHERS = "audio-visual", "speech alone", "lips alone", "another's lips"


@dataclass(frozen=True)
class _Read:
    """One clip: its transcript, the first part of its language's name, and input -> seed -> the text that was read."""

    text: str
    language: str
    texts: dict[str, dict[int, str]]


def evaluate_lipreader(
    dataset: Path,
    reader_paths: Sequence[Path],
    output: Path,
    *,
    split: str = "test",
    num_clips: int | None = None,
    force: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> Results:
    """Measures lip readers on clips of a dataset, as `evaluate` has them read, and writes a results file.

    Args:
        reader_paths: `thunder.lipreader`, of one configuration and several seeds.
        output: JSON to write.
        num_clips: clips to read, drawn by `seed`; all if None.
        seed: of the draw of clips and of the bootstrap.

    Raises:
        ThunderError: no clip that all can read, a reader of one sense alone, two of one seed, or an output that exists.
    """
    check_output(output, force=force, inputs=[dataset, *reader_paths])
    chosen_device = resolve_device(device)
    readers = _load_readers(reader_paths, chosen_device)
    with open_clips(dataset, "thunder.dataset") as file:
        scene, head = mouth_scene(file.head, chosen_device), build_head(file.head).to(chosen_device)
        clip_ids = _clips_of(file, split, readers, num_clips, seed)
        reads = []
        with progress("reading lips", total=len(clip_ids)) as advance:
            for clip_id in clip_ids:
                template = torch.from_numpy(file.template(file.summary(clip_id).subject)).float()
                reads.append(_read(file.read(clip_id), template, scene, head, readers))
                advance()
    # Whatever their names, which may be the same in folders of their own.
    named = {f"lipreader-{of_seed}": path for of_seed, path in zip(readers, reader_paths, strict=True)}
    hashes = hash_inputs(dataset=dataset, **named)
    return write_results(output, _measure(reads, seed), Provenance(seed=seed, inputs=hashes), force=force)


def _load_readers(paths: Sequence[Path], device: torch.device) -> dict[int, LipReader]:
    """Seed -> reader."""
    readers: dict[int, LipReader] = {}
    by_seed: dict[int, Path] = {}
    for path in paths:
        reader = load_lip_reader(path, device)
        check_reads_both(reader, path)
        with read_artifact(path, "thunder.lipreader") as file:
            seed = int(root_attributes(file)["seed"])
        if seed in by_seed:
            raise ThunderError(f"{path}: seed {seed} is that of {by_seed[seed]}; give one of the two")
        readers[seed], by_seed[seed] = reader, path
    return readers


def _clips_of(file: ClipFile, split: str, readers: dict[int, LipReader], num_clips: int | None, seed: int) -> list[str]:
    """Clips that every reader can read, and write all of."""
    if not file.ids(split):
        raise ThunderError(f"{file.path}: no clip in split {split!r}; preprocess a corpus with more people")
    reasons: dict[str, str] = {}
    for clip_id in file.ids(split):
        clip = file.summary(clip_id)
        last_frame_s = (clip.num_frames - 1) / clip.fps
        told = [why_unread(reader, clip.transcript, last_frame_s) for reader in readers.values()]
        reasons[clip_id] = next(filter(None, told), "")
    readable = [clip_id for clip_id, reason in reasons.items() if not reason]
    if not readable:
        clip_id, reason = next(iter(reasons.items()))
        raise ThunderError(
            f"{file.path}: no clip of split {split!r} can be read (clip {clip_id}: {reason}); give other clips by --split, or "
            f"readers that were trained on such"
        )
    order = torch.randperm(len(readable), generator=torch.Generator().manual_seed(seed))[:num_clips]
    return [readable[k] for k in sorted(order.tolist())]


@torch.no_grad()
def _read(clip: Clip, template: Tensor, scene: MouthScene, head: Head, readers: dict[int, LipReader]) -> _Read:
    crops = film_clip(scene, head, clip, template)
    texts: dict[str, dict[int, str]] = {}
    for seed, reader in readers.items():
        sound = sound_of_clip(reader, clip, len(crops))
        given: dict[str, tuple[Tensor | None, Tensor | None]] = {
            BOTH: (crops, sound),
            SPEECH: (None, sound),
            LIPS: (crops, None),
        }
        for name, (shown, heard) in given.items():
            texts.setdefault(name, {})[seed] = read_lips(reader, shown, heard, beam=BEAM)
    return _Read(clip.transcript, clip.language.split("-")[0], texts)


def _measure(reads: Sequence[_Read], seed: int) -> list[ResultRow]:
    """Error rates over all clips, and over those of every language."""
    languages = sorted({read.language for read in reads})
    units = {"cer": "1"} | ({f"cer-{name}": "1" for name in languages} if len(languages) > 1 else {})
    table = HearingTable(len(reads), units, seed, dict.fromkeys(units, "less"))
    for k, read in enumerate(reads):
        read_by = dict(read.texts)
        another = _another(reads, k)
        if another is not None:
            read_by[ANOTHERS] = another.texts[LIPS]
        for row, by_seed in read_by.items():
            for of_seed, text in by_seed.items():
                rate, weight = character_error_rate(read.text, [text]), num_characters(read.text)
                for metric in {"cer", f"cer-{read.language}"} & units.keys():
                    table.note(row, of_seed, k, {metric: rate}, {metric: weight})
    return table.rows([ANOTHERS, LIPS, SPEECH, BOTH]) + table.differences(LIPS, ANOTHERS)


def _another(reads: Sequence[_Read], index: int) -> _Read | None:
    """The next clip of the same language, after the last the first, in which something else is said, if there is one."""
    this = reads[index]
    said = normalise_text(this.text)
    others = (*reads[index + 1 :], *reads[:index])
    return next((o for o in others if o.language == this.language and normalise_text(o.text) != said), None)
