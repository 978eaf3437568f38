"""`thunder synthesize`: a corpus of synthetic speech with exactly timed articulation, as a plain `arkit` folder.

`stages/corpora/synthesis/corpus_folder.py` says what lies in it. A clip's facts hold "split" where a recorded voice is held
out; the recipe holds the options, the versions of the engines and who speaks with which voice.

The default, espeak alone, comes with the package: the same corpus on every machine with the same versions. Other engines are
used where they are asked for, never because they happen to be installed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.corpora.synthesis.corpus_folder import RECIPE_NAME, in_processes, new_folder, write_clip, write_json
from stages.corpora.synthesis.expression import draw_emotion
from stages.corpora.synthesis.held_out import splits
from stages.corpora.synthesis.performance import draw_person, perform
from stages.corpora.synthesis.sentences import distinct_sentences
from stages.corpora.synthesis.voices import SAMPLE_RATE_HZ, casting, engine_version
from stages.runtime.errors import ThunderError, explained_write
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import toolkit_version

_HELD_OUT = ("rms",)
# One clip in four has a text that other people say too.
_SHARED_TEXT_SHARE = 0.25
_NUM_SHARED_TEXTS = 64
_SENTENCES_PER_CLIP = (0.35, 0.45, 0.20)
# Shorter than almost every sentence: how many texts to keep ready for a given time.
_SHORTEST_SENTENCE_S = 1.2
_MEAN_CLIP_S = 6.0


@dataclass(frozen=True)
class SynthesizedCorpus:
    """What `synthesize` made."""

    output_dir: Path
    num_subjects: int
    num_clips: int
    duration_s: float


@dataclass(frozen=True)
class _Share:
    """What one worker makes: all clips of one subject."""

    folder: Path
    seed: int
    subject: int
    num_clips: int | None
    duration_s: float
    fps: float
    role: tuple[str, str, str]
    split: str | None
    own_texts: list[str]
    shared_texts: list[str]
    given: bool


def synthesize(
    output_dir: Path,
    *,
    hours: float | None = None,
    num_clips: int | None = None,
    num_subjects: int = 40,
    seed: int = 0,
    fps: float = 25.0,
    engines: tuple[str, ...] = ("espeak",),
    languages: tuple[str, ...] = ("en",),
    held_out: tuple[str, ...] | None = None,
    sentences: Path | None = None,
    jobs: int = 1,
    force: bool = False,
    progress: Progress = silent,
) -> SynthesizedCorpus:
    """Writes a corpus; the same arguments make the same files byte for byte, whatever the number of processes.

    Args:
        output_dir: folder to make.
        hours: how much speech, in all; either this, `num_clips` or `sentences`.
        num_clips: how many clips, in all.
        num_subjects: how many people speak; no more than there are clips.
        seed: of everything.
        fps: frames per second of the motion.
        engines: among which the speakers are divided: espeak, flite, festival.
        languages: among which they are divided: en, de, es, fr, it, zh; one that is named twice has twice the speakers.
        held_out: persons whose recorded voices are for the test split alone, see `held_out.splits`; where None, rms, if it
            speaks.
        sentences: a text, of which everybody says every line once, one a clip, in the one language there is.
        jobs: processes; 0 means one a core.
        force: replace a corpus that an earlier call made here.
        progress: told of every subject that is done.

    Raises:
        ThunderError: an option out of range, an engine that is missing, a text that cannot be said, an output that exists, or
            a disk that is full.
    """
    if [hours, num_clips, sentences].count(None) != 2:
        raise ThunderError("synthesize: give either hours, a number of clips or sentences")
    lines = None
    if sentences is not None:
        lines = _lines_of(sentences, languages)
        num_clips = len(lines) * num_subjects
    if (hours is not None and not 0 < hours < 10_000) or (num_clips is not None and num_clips < 1):
        raise ThunderError(
            f"--hours wanted more than 0 and less than 10000, found {hours:g}"
            if hours is not None
            else f"--clips wanted at least 1, found {num_clips}"
        )
    if num_subjects < 1 or jobs < 0 or not 5 <= fps <= 240:
        raise ThunderError(
            f"synthesize: wanted 1 subject or more, 0 jobs or more and 5 to 240 fps, "
            f"found {num_subjects} subjects, {jobs} jobs and {fps:g} fps"
        )
    num_subjects = min(num_subjects, num_clips) if num_clips is not None else num_subjects
    roles = casting(tuple(dict.fromkeys(engines)), languages)
    cast = [roles[k % len(roles)] for k in range(num_subjects)]
    of_split = splits(cast, _HELD_OUT if held_out is None else held_out)
    if held_out and not any(of_split):
        raise ThunderError(
            f"--held-out {','.join(held_out)}: needs a recorded voice of theirs among the speakers, and two others; give "
            f"--engine flite or festival and more --subjects, or leave it out"
        )
    recipe = {
        "made_by": "thunder synthesize",
        "toolkit_version": toolkit_version(),
        "hours": hours,
        "num_clips": num_clips,
        "num_subjects": num_subjects,
        "seed": seed,
        "fps": fps,
        "engines": {engine: engine_version(engine) for engine in dict.fromkeys(engines)},
        "languages": list(languages),
        "speakers": _speakers(seed, cast, of_split),
    } | ({} if lines is None else {"sentences": lines})
    with new_folder(output_dir, force=force) as folder:
        shares = _shares(folder, hours, num_clips, seed=seed, fps=fps, cast=cast, of_split=of_split, lines=lines)
        with progress("synthesizing", total=num_subjects) as advance:
            made: list[tuple[int, float]] = []
            for result in in_processes(_make_subject, shares, jobs):
                made.append(result)
                advance(1, clips=str(sum(n for n, _ in made)))
        write_json(folder / RECIPE_NAME, recipe)
    return SynthesizedCorpus(output_dir, num_subjects, sum(n for n, _ in made), sum(s for _, s in made))


def _lines_of(path: Path, languages: tuple[str, ...]) -> list[str]:
    """What is to be said: the lines of a text file that are not empty."""
    if len(set(languages)) > 1:
        raise ThunderError(
            f"--sentences {path}: wanted the one language that they are in, found {', '.join(languages)}; give --languages"
        )
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ThunderError(f"--sentences {path}: cannot be read as text in UTF-8: {error}") from error
    silent_line = next((line for line in lines if not any(letter.isalnum() for letter in line)), None)
    if not lines or silent_line is not None:
        found = "an empty file" if not lines else f"the line {silent_line!r}"
        raise ThunderError(f"--sentences {path}: wanted a sentence a line, found {found}")
    return lines


def _speakers(seed: int, cast: list[tuple[str, str, str]], of_split: list[str | None]) -> dict[str, dict[str, str]]:
    """Engine, voice and accent of every subject, and its split where the corpus says so."""
    speakers = {}
    for k, role in enumerate(cast):
        engine, _, name = role
        accent = draw_person(seed, k, role).voice.accent
        speaker = {"engine": engine, "voice": name or accent, "language": accent}
        speakers[_folder_name(k)] = speaker | _split_fact(of_split[k])
    return speakers


def _split_fact(split: str | None) -> dict[str, str]:
    return {} if split is None else {"split": split}


def _folder_name(subject: int) -> str:
    return f"s{subject:03d}"


def _shares(
    folder: Path,
    hours: float | None,
    num_clips: int | None,
    *,
    seed: int,
    fps: float,
    cast: list[tuple[str, str, str]],
    of_split: list[str | None],
    lines: list[str] | None,
) -> list[_Share]:
    num_subjects = len(cast)
    duration_s = hours * 3600 / num_subjects if hours is not None else 0.0
    clips = [
        num_clips // num_subjects + (k < num_clips % num_subjects) if num_clips else None for k in range(num_subjects)
    ]
    if lines is None:
        num_own = max(len(_SENTENCES_PER_CLIP) * (clips[0] or 1), int(duration_s / _SHORTEST_SENTENCE_S) + 8)
        texts = _draw_texts(cast, num_own, seed)
    else:
        texts = dict.fromkeys(range(num_subjects), (lines, []))
    return [
        _Share(folder, seed, k, clips[k], duration_s, fps, cast[k], of_split[k], *texts[k], lines is not None)
        for k in range(num_subjects)
    ]


def _draw_texts(cast: list[tuple[str, str, str]], num_own: int, seed: int) -> dict[int, tuple[list[str], list[str]]]:
    """Subject -> texts of its own, so many, and those that its language's speakers share."""
    speakers_of: dict[str, list[int]] = {}
    for k, (_, language, _) in enumerate(cast):
        speakers_of.setdefault(language, []).append(k)
    texts: dict[int, tuple[list[str], list[str]]] = {}
    for language, speakers in speakers_of.items():
        # Each language has a stream of its own, so that adding one leaves the others' sentences.
        rng = np.random.default_rng([seed] if language == "en" else [seed, *language.encode()])
        drawn = distinct_sentences(_NUM_SHARED_TEXTS + num_own * len(speakers), rng, language)
        shared, own = drawn[:_NUM_SHARED_TEXTS], drawn[_NUM_SHARED_TEXTS:]
        for n, k in enumerate(speakers):
            mine = [own[(n * num_own + m) % len(own)] for m in range(num_own)]  # again, where the grammar is exhausted
            texts[k] = (mine, shared)
    return texts


def _make_subject(share: _Share) -> tuple[int, float]:
    """Writes all clips of one subject; returns how many, and how long they are in seconds."""
    person = draw_person(share.seed, share.subject, share.role)
    folder = share.folder / _folder_name(share.subject)
    total_s, number, used = 0.0, 0, 0
    with explained_write(folder):
        folder.mkdir()
        while number < share.num_clips if share.num_clips is not None else _worth_another(number, total_s, share):
            rng = np.random.default_rng([share.seed, share.subject, number])
            num_sentences = 1 + int(rng.choice(len(_SENTENCES_PER_CLIP), p=_SENTENCES_PER_CLIP))
            if share.given:
                text = share.own_texts[number]
            elif rng.random() < _SHARED_TEXT_SHARE:
                text = share.shared_texts[int(rng.integers(len(share.shared_texts)))]
            else:
                text = " ".join(share.own_texts[(used + k) % len(share.own_texts)] for k in range(num_sentences))
                used += num_sentences
            emotion, intensity = draw_emotion(rng)
            clip_seed = (share.seed, share.subject, number)
            performance = perform(text, person, clip_seed, share.fps, emotion=emotion, intensity=intensity)
            facts = {"emotion": emotion, "intensity": intensity, "language": person.voice.accent}
            write_clip(folder / f"{number:04d}", performance, text, facts | _split_fact(share.split))
            total_s += len(performance.waveform) / SAMPLE_RATE_HZ
            number += 1
    return number, total_s


def _worth_another(number: int, total_s: float, share: _Share) -> bool:
    return number == 0 or share.duration_s - total_s > _MEAN_CLIP_S / 2
