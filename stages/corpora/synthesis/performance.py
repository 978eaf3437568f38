"""One person speaking one text once: sound, phones and motion that belong together."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.audio.waveform import to_int16
from stages.corpora.synthesis.acoustics import RecordingSetup, draw_recording_setup, record
from stages.corpora.synthesis.articulation import MouthStyle, articulate, draw_mouth_style
from stages.corpora.synthesis.expression import FaceStyle, draw_face_style, express
from stages.corpora.synthesis.phones import SILENCE, TimedPhones, between_silences
from stages.corpora.synthesis.voices import SAMPLE_RATE_HZ, Voice, draw_voice, say

_SENTENCE_END = re.compile(r"(?<=[.?!。？！])\s+")
_MEDIAN_PAUSE_S = 0.42
# Silences that are this long are pauses, which begin an utterance anew.
_PAUSE_S = 0.25


@dataclass(frozen=True)
class Person:
    """Everything that stays the same from clip to clip."""

    voice: Voice
    mouth: MouthStyle
    face: FaceStyle
    setup: RecordingSetup


@dataclass(frozen=True)
class Performance:
    """A clip.

    Attributes:
        waveform: (S,) int16 at 16 kHz; S / 16000 s is the length of T frames.
        phones: labels and times over the whole clip.
        motion: (T, 55), columns as in `ARKIT_FEATURES`.
        fps: of the motion.
    """

    waveform: NDArray[np.int16]
    phones: TimedPhones
    motion: NDArray[np.float32]
    fps: float


def draw_person(seed: int, number: int, role: tuple[str, str, str] = ("espeak", "en", "")) -> Person:
    """The person of this number under this seed, in a role (engine, language, voice) as `voices.casting` lists them."""
    # A stream of its own for each part: a change in how voices are drawn leaves the faces as they were.
    streams = [np.random.default_rng([seed, number, part]) for part in range(4)]
    return Person(
        draw_voice(streams[0], role),
        draw_mouth_style(streams[1]),
        draw_face_style(streams[2]),
        draw_recording_setup(streams[3]),
    )


def perform(
    text: str, person: Person, seed: tuple[int, ...], fps: float, *, emotion: str = "neutral", intensity: float = 0.0
) -> Performance:
    """Lets a person speak a text.

    Args:
        text: in the person's language; after each sentence there is a pause.
        person: who speaks.
        seed: of this clip; the sound and the face draw from separate streams of it.
        fps: frames per second of the motion.
        emotion: neutral, happy, sad, angry or surprised.
        intensity: of the emotion, 0..1.
    """
    of_sound, of_mouth, of_face = (np.random.default_rng([*seed, stream]) for stream in range(3))
    sentences = [
        say(sentence, person.voice, of_sound, emotion=emotion, intensity=intensity)
        for sentence in _SENTENCE_END.split(text.strip())
    ]
    lengths_s = np.clip(np.exp(of_sound.normal(np.log(_MEDIAN_PAUSE_S), 0.4, len(sentences) + 1)), 0.2, 1.2)
    # Whole frames, so that sound and motion are equally long; the last silence takes up what is left.
    silences = np.round(lengths_s * SAMPLE_RATE_HZ).astype(int)
    spoken = int(silences.sum()) + sum(len(speech) for speech, _ in sentences)
    num_frames = int(np.ceil(spoken / SAMPLE_RATE_HZ * fps))
    num_samples = round(num_frames / fps * SAMPLE_RATE_HZ)
    silences[-1] += num_samples - spoken
    clean = np.zeros(num_samples, np.float32)
    at = 0
    for silence, (speech, _) in zip(silences, sentences, strict=False):
        at += int(silence)
        clean[at : at + len(speech)] = speech
        at += len(speech)
    phones = between_silences([phones for _, phones in sentences], (silences / SAMPLE_RATE_HZ).tolist())
    pauses_s = phones.spans(SILENCE, at_least_s=_PAUSE_S)
    effort = _effort(num_frames, fps, pauses_s, of_mouth)
    mouth = articulate(phones, person.mouth, num_frames, fps, effort=effort)
    motion = express(mouth, phones, person.face, fps, of_face, emotion=emotion, intensity=intensity)
    return Performance(record(clean, pauses_s, person.setup, of_sound), phones, motion, fps)


def perform_recording(
    waveform: NDArray[np.float32],
    phones: TimedPhones,
    mouth: MouthStyle,
    face: FaceStyle,
    seed: tuple[int, ...],
    fps: float,
    *,
    emotion: str = "neutral",
    intensity: float = 0.0,
) -> Performance:
    """Gives a recording of somebody's speech a face that says it.

    Args:
        waveform: (S,) float32 at 16 kHz, left as it is but for its end, which is cut to a whole frame.
        phones: of all of the recording.
        mouth, face: the manner of the face.
        seed: of this clip's face.
        fps, emotion, intensity: as for `perform`.
    """
    of_mouth, of_face = (np.random.default_rng([*seed, stream]) for stream in (1, 2))
    num_frames = int(len(waveform) / SAMPLE_RATE_HZ * fps)
    effort = _effort(num_frames, fps, phones.spans(SILENCE, at_least_s=_PAUSE_S), of_mouth)
    curves = articulate(phones, mouth, num_frames, fps, effort=effort)
    motion = express(curves, phones, face, fps, of_face, emotion=emotion, intensity=intensity)
    return Performance(to_int16(waveform[: round(num_frames / fps * SAMPLE_RATE_HZ)]), phones, motion, fps)


def _effort(
    num_frames: int, fps: float, pauses_s: list[tuple[float, float]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(T,) in 0.72..1.28: how clearly this clip is spoken, falling along each phrase and wandering on the way."""
    of_clip = np.clip(rng.normal(1.0, 0.08), 0.8, 1.2)
    times = np.arange(num_frames) / fps
    ends = np.array([end for _, end in pauses_s] + [0.0])
    since_s = (times[:, None] - np.where(ends[None] <= times[:, None], ends[None], -np.inf)).min(axis=1)
    hz, phase = rng.uniform(0.15, 0.7, 3), rng.uniform(0, 2 * np.pi, 3)
    wander = np.sin(2 * np.pi * times[:, None] * hz + phase).mean(axis=1)
    return np.clip(of_clip * (1.05 - 0.05 * np.minimum(since_s, 2.0)) * (1 + 0.12 * wander), 0.72, 1.28)
