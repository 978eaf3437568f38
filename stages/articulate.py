"""`thunder articulate`: recordings of people's speech become a corpus, with faces that say what is said in them.

Voices of people are many, recordings of their faces few. The phones of a recording are found in it, and the built-in
articulation moves a face by them as it does in `thunder synthesize`: what is learned from such a corpus is to hear people.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stages.audio.waveform import SAMPLE_RATE_HZ, is_silent, load_waveform
from stages.corpora.corpus import clip_id, split_by_subject
from stages.corpora.synthesis.acoustics import resampled
from stages.corpora.synthesis.articulation import draw_mouth_style
from stages.corpora.synthesis.corpus_folder import RECIPE_NAME, in_processes, new_folder, write_clip, write_json
from stages.corpora.synthesis.expression import draw_emotion, draw_face_style
from stages.corpora.synthesis.forced_alignment import align, version
from stages.corpora.synthesis.performance import perform_recording
from stages.corpora.synthesis.phones import TimedPhones
from stages.corpora.synthesis.recordings import SpeechRecording, find_recordings, read_phones
from stages.runtime.errors import Failure, ThunderError, explained_write, summarise_failures
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import toolkit_version

# A motion shorter than this teaches nothing.
_SHORTEST_S = 0.5
# How much another time of a recording is slower or faster, and with it lower or higher: standard deviation of the logarithm,
# and bounds, as recorded voices of `synthesize` are varied.
_SPEED_SPREAD = 0.07
_SPEED_BOUNDS = (0.86, 1.2)


@dataclass(frozen=True)
class ArticulatedCorpus:
    """What `articulate` made.

    Attributes:
        num_recordings: that were found, `failures` among them.
        failures: recordings that are not in it, and why.
    """

    output_dir: Path
    num_recordings: int
    num_people: int
    num_clips: int
    duration_s: float
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class _Share:
    """What one worker makes: all clips of one person."""

    folder: Path
    seed: int
    number: int
    recordings: list[SpeechRecording]
    times: int
    fps: float
    language: str
    split: str


def articulate(
    recordings: Path,
    output_dir: Path,
    *,
    language: str = "en",
    at_most: int | None = None,
    times: int = 1,
    seed: int = 0,
    fps: float = 25.0,
    jobs: int = 1,
    force: bool = False,
    progress: Progress = silent,
) -> ArticulatedCorpus:
    """Writes a corpus; the same arguments make the same files, whatever the number of processes.

    Its clips say their splits, by person, so that the folders of two corpora may be brought together and nobody changes sides.

    Args:
        recordings: folder of sounds and their texts, see `stages.corpora.synthesis.recordings`.
        output_dir: folder to make.
        language: of the texts, which clips are labelled with.
        at_most: recordings of each person to use, the first by name; None uses all.
        times: how often each recording is said, by the same face in other moods. After the first time it is played a little
            slower or faster.
        seed: of the faces.
        fps: frames per second of the motion.
        jobs: processes; 0 means one a core.
        force: replace a corpus that an earlier call made here.
        progress: told of every person who is done.

    Raises:
        ThunderError: an option out of range, no recordings, none that can be used, or an output that exists.
    """
    if times < 1 or jobs < 0 or not 5 <= fps <= 240 or (at_most is not None and at_most < 1):
        raise ThunderError(
            f"articulate: wanted once or more, 1 recording a person or more, 0 jobs or more and 5 to 240 fps, "
            f"found {times} times, {at_most} recordings, {jobs} jobs and {fps:g} fps"
        )
    found, problems = find_recordings(recordings, at_most)
    aligner = version() if any(recording.phones is None for recording in found) else None
    people = sorted({recording.person for recording in found})
    splits = split_by_subject(people)
    with new_folder(output_dir, force=force) as folder:
        shares = [
            _Share(folder, seed, k, [r for r in found if r.person == person], times, fps, language, splits[person])
            for k, person in enumerate(people)
        ]
        lengths_s: list[float] = []
        num_people = 0
        failures = list(problems)
        with progress("articulating", total=len(people)) as advance:
            for made_s, failed in in_processes(_make_person, shares, jobs):
                lengths_s += made_s
                num_people += bool(made_s)
                failures += failed
                advance(1, clips=str(len(lengths_s)))
        failures.sort(key=lambda failure: failure.item)
        num_recordings = len(found) + len(problems)
        if not lengths_s:
            raise ThunderError(summarise_failures(failures, num_recordings, "recordings"))
        recipe = {
            "made_by": "thunder articulate",
            "toolkit_version": toolkit_version(),
            "seed": seed,
            "fps": fps,
            "times": times,
            "language": language,
            "recordings": [recording.name for recording in found],
            "aligner": None if aligner is None else f"pocketsphinx {aligner}",
            "failures": {failure.item: failure.reason for failure in failures},
        }
        write_json(folder / RECIPE_NAME, recipe)
    return ArticulatedCorpus(output_dir, num_recordings, num_people, len(lengths_s), sum(lengths_s), failures)


def _make_person(share: _Share) -> tuple[list[float], list[Failure]]:
    """Writes all clips of one person; returns their lengths in seconds, and what could not be used."""
    streams = [np.random.default_rng([share.seed, share.number, part]) for part in range(2)]
    mouth, face = draw_mouth_style(streams[0]), draw_face_style(streams[1])
    person = clip_id(share.recordings[0].person)
    folder = share.folder / person
    lengths_s: list[float] = []
    failures: list[Failure] = []
    with explained_write(folder):
        for number, recording in enumerate(share.recordings):
            try:
                waveform, phones = _read(recording, share.language)
            except ThunderError as error:
                failures.append(Failure(recording.name, str(error)))
                continue
            folder.mkdir(exist_ok=True)
            for time in range(share.times):
                seed = (share.seed, share.number, number, time)
                rng = np.random.default_rng(seed)
                emotion, intensity = draw_emotion(rng)
                played, said = (waveform, phones) if time == 0 else _varied(waveform, phones, rng)
                clip = perform_recording(
                    played, said, mouth, face, seed, share.fps, emotion=emotion, intensity=intensity
                )
                name = clip_id(recording.sound.stem) + (f"-{time + 1}" if time else "")
                facts = {
                    "emotion": emotion,
                    "intensity": intensity,
                    "language": share.language,
                    "split": share.split,
                }
                write_clip(folder / name, clip, recording.text, facts)
                lengths_s.append(len(clip.waveform) / SAMPLE_RATE_HZ)
    return lengths_s, failures


def _read(recording: SpeechRecording, language: str) -> tuple[np.ndarray, TimedPhones]:
    waveform = load_waveform(recording.sound)
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    if is_silent(waveform) or duration_s < _SHORTEST_S:
        raise ThunderError(
            f"wanted {_SHORTEST_S:g} s of speech or more, found {duration_s:.2f} s that are silent or too short"
        )
    if recording.phones is not None:
        return waveform, read_phones(recording.phones, duration_s)
    return waveform, align(waveform, recording.text, language)


def _varied(waveform: np.ndarray, phones: TimedPhones, rng: np.random.Generator) -> tuple[np.ndarray, TimedPhones]:
    """The recording played at another speed."""
    num_samples = round(len(waveform) / float(np.clip(np.exp(rng.normal(0, _SPEED_SPREAD)), *_SPEED_BOUNDS)))
    return resampled(waveform, num_samples), TimedPhones(
        phones.labels, phones.boundaries_s * num_samples / len(waveform)
    )
