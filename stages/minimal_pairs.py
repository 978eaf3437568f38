"""Pairs of words as a lip reader finds them in clips: audio-visually, and by the lips alone.

Source: Han et al., Interspeech 2024, whose third figure shows that "just" and "must", which look alike, are told apart by an
audio-visual reader's features and not by a visual one's.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stages.artifacts.clips import Clip, open_clips
from stages.artifacts.files import check_output
from stages.heads.head import Head, build_head
from stages.metrics.judges import NO_LIP_READER
from stages.metrics.word_pairs import on_a_plane, told_apart
from stages.models.characters import normalise_text
from stages.models.lip_reader import LipReader, load_lip_reader
from stages.rendering.figures import WordCloud, draw_word_pairs, need_matplotlib
from stages.rendering.lip_films import film_clip, sound_of_clip
from stages.rendering.mouth_crops import MouthScene, mouth_scene
from stages.runtime.assets import files_at_hand
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.training.spoken_words import check_reads_both, time_words

INPUTS = ("audio-visual", "lips alone")
# A word that occurs once has no others to lie near to.
_FEWEST = 2


@dataclass(frozen=True)
class WordPair:
    """How two words are found.

    Attributes:
        words: the two; `counts` how often each occurs.
        told_apart: by input, see `stages.metrics.word_pairs.told_apart`; .5 is chance.
    """

    words: tuple[str, str]
    counts: tuple[int, int]
    told_apart: dict[str, float]


def find_lip_reader(lipreader: Path | None) -> Path:
    """The lip reader to use: the one named, else `lipreader.h5` in the current folder, else the embedded one.

    Raises:
        ThunderError: there is none.
    """
    found = [lipreader] if lipreader is not None else files_at_hand("lipreader.h5")
    if not found:
        raise ThunderError(NO_LIP_READER)
    return found[0]


def minimal_pairs(
    dataset: Path,
    lipreader: Path,
    output: Path,
    pairs: Sequence[tuple[str, str]],
    *,
    splits: Sequence[str] = ("val", "test"),
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
) -> list[WordPair]:
    """Draws pairs of words of a dataset as a lip reader finds them: `output` is a PNG, SVG or PDF.

    A word is the mean of the reader's fused features over its frames, by the times at which the reader hears it.

    Args:
        pairs: words as they are written, such as put and but.
        splits: of the clips to look into; those that the reader was trained on would flatter it.

    Raises:
        ThunderError: a word that is hardly there, a head without lips, an output that exists, or no matplotlib.
    """
    check_output(output, force=force, inputs=[dataset, lipreader])
    need_matplotlib()
    chosen_device = resolve_device(device)
    reader = load_lip_reader(lipreader, chosen_device)
    check_reads_both(reader, lipreader)
    spelled = [(normalise_text(first), normalise_text(second)) for first, second in pairs]
    wanted = {word for pair in spelled for word in pair}
    found: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    with open_clips(dataset, "thunder.dataset") as file:
        scene, head = mouth_scene(file.head, chosen_device), build_head(file.head).to(chosen_device)
        texts = {i: normalise_text(file.summary(i).transcript).split() for split in splits for i in file.ids(split)}
        chosen = [clip_id for clip_id, words in texts.items() if wanted & set(words)]
        with progress("reading words", total=len(chosen)) as advance:
            for clip_id in chosen:
                template = torch.from_numpy(file.template(file.summary(clip_id).subject)).float()
                for key, features in _read_words(file.read(clip_id), wanted, template, scene, head, reader):
                    found[key].append(features)
                advance()
    _check_all_there(wanted, found, texts, dataset, splits)
    result, rows = [], []
    for first, second in spelled:
        clouds, shares = [], {}
        for name in INPUTS:
            one, other = (torch.stack(found[name, word]) for word in (first, second))
            shares[name] = told_apart(one, other)
            plane = [points.numpy() for points in on_a_plane(one, other)]
            clouds.append(WordCloud(plane[0], plane[1], f"{name}: {100 * shares[name]:.0f} % told apart"))
        counts = len(found[INPUTS[0], first]), len(found[INPUTS[0], second])
        result.append(WordPair((first, second), counts, shares))
        rows.append(((first, second), clouds))
    draw_word_pairs(output, rows)
    return result


@torch.no_grad()
def _read_words(
    clip: Clip, wanted: set[str], template: Tensor, scene: MouthScene, head: Head, reader: LipReader
) -> list[tuple[tuple[str, str], Tensor]]:
    """(Input, word) and features (dim,) of each wanted word of a clip; nothing where it cannot be read."""
    words, _ = time_words(clip, reader)
    if words is None:
        return []
    crops = film_clip(scene, head, clip, template)
    sound = sound_of_clip(reader, clip, len(crops))
    mask = torch.ones(1, len(crops), dtype=torch.bool, device=crops.device)
    rows = []
    for name, heard in zip(INPUTS, (sound[None], None), strict=True):
        features = reader(crops[None], heard, mask).features[0].float().cpu()
        for word, begins, ends in zip(
            normalise_text(clip.transcript).split(), words.cuts, words.cuts[1:], strict=False
        ):
            if word in wanted and ends > begins:
                rows.append(((name, word), features[begins:ends].mean(0)))
    return rows


def _check_all_there(
    wanted: set[str],
    found: dict[tuple[str, str], list[Tensor]],
    texts: dict[str, list[str]],
    dataset: Path,
    splits: Sequence[str],
) -> None:
    rare = sorted(word for word in wanted if len(found[INPUTS[0], word]) < _FEWEST)
    if rare:
        common = [word for word, _ in Counter(word for words in texts.values() for word in words).most_common(12)]
        raise ThunderError(
            f"{dataset}: {', '.join(map(repr, rare))} can be read less than twice in split {' and '.join(splits)}; name "
            f"other words, such as {', '.join(common) or 'none: no clip has a transcript'}, or other --split"
        )
