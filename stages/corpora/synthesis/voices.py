"""Many speakers from one synthesiser: accent, pitch, vocal tract, tempo, breath and roughness drawn for each.

A vocal tract that is shorter by some factor raises every resonance by it. Most of that is done by playing the speech
faster, which moves hiss and bursts along with the vowels (the synthesiser's consonants are recordings, which its own
formant settings leave where they are); pitch and tempo are set lower beforehand by as much.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis.acoustics import resampled
from stages.corpora.synthesis.espeak import base_voice, speak
from stages.corpora.synthesis.phones import TimedPhones, timed_phones

SAMPLE_RATE_HZ = 16_000

# Accent -> its file below the synthesiser's `lang` folder, and how often a speaker has it.
ACCENTS: dict[str, tuple[str, float]] = {
    "en-us": ("gmw/en-US", 0.40),
    "en-gb": ("gmw/en", 0.18),
    "en-gb-x-rp": ("gmw/en-GB-x-rp", 0.14),
    "en-gb-scotland": ("gmw/en-GB-scotland", 0.10),
    "en-gb-x-gbclan": ("gmw/en-GB-x-gbclan", 0.08),
    "en-gb-x-gbcwmd": ("gmw/en-GB-x-gbcwmd", 0.05),
    "en-029": ("gmw/en-029", 0.05),
}

# What an emotion at full intensity does to the voice: factors of tempo, pitch, liveliness and loudness (in dB). Mild, so
# that the face's emotion cannot simply be read off the sound.
_EMOTION_PROSODY: dict[str, tuple[float, float, float, float]] = {
    "neutral": (1.0, 1.0, 1.0, 0.0),
    "happy": (1.04, 1.10, 1.25, 1.5),
    "sad": (0.90, 0.94, 0.70, -3.0),
    "angry": (1.05, 1.06, 1.20, 4.0),
    "surprised": (1.02, 1.14, 1.40, 1.5),
}

# The synthesiser has two ways of making sound: its own, by adding harmonics, and formant filters driven by four kinds of
# glottal pulse (D. H. Klatt, "Software for a cascade/parallel formant synthesizer", 1980). Half of the speakers get each.
_KLATT_SHARE = 0.5


@dataclass(frozen=True)
class Voice:
    """One speaker's voice.

    Attributes:
        accent: key of `ACCENTS`.
        traits: lines of an eSpeak NG voice file, added to those of the accent.
        speed_up: playing speed, the part of the vocal tract's shortness that is done by resampling.
        words_per_minute: of the speech that is heard.
        liveliness: 0..100, range of the intonation.
    """

    accent: str
    traits: str
    speed_up: float
    words_per_minute: float
    liveliness: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A speaker, drawn at random: about as many women as men, and some children."""
    accent = str(rng.choice(list(ACCENTS), p=[share for _, share in ACCENTS.values()]))
    kind = rng.choice(3, p=[0.44, 0.44, 0.12])
    pitch_hz = (112, 200, 258)[kind] * np.exp(rng.normal(0, 0.13))
    resonance = (1.0, 1.13, 1.22)[kind] * np.exp(rng.normal(0, 0.035))
    speed_up = float(np.clip(resonance**0.7, 0.88, 1.25))
    shift = resonance / speed_up
    # Each formant of a person lies a little off the rule, with its own strength and width.
    frequency = 100 * shift * np.exp(rng.normal(0, 0.025, 9))
    strength = 100 * np.exp(rng.normal(0, 0.12, 9))
    width = 100 * np.exp(rng.normal(0.08, 0.15, 9))
    lowest = pitch_hz / speed_up * 0.86
    lines = [f"pitch {lowest:.0f} {lowest * rng.uniform(1.3, 1.55):.0f}"]
    lines += [f"formant {k} {frequency[k]:.0f} {strength[k]:.0f} {width[k]:.0f}" for k in range(1, 9)]
    lines += [
        f"flutter {rng.integers(2, 12)}",
        f"roughness {rng.integers(0, 4)}",
        f"consonants {rng.integers(80, 125)}",
    ]
    # A lengthening or shortening of stressed syllables, the same for all degrees of stress.
    lines += ["stressAdd " + " ".join([str(rng.integers(-15, 25))] * 8)]
    if rng.random() < _KLATT_SHARE:
        lines += [f"klatt {rng.integers(3, 7)}"]
    if rng.random() < 0.4:
        lines += ["breath 0 " + " ".join([str(rng.integers(1, 5))] * 7)]
    return Voice(
        accent=accent,
        traits="\n".join(lines),
        speed_up=speed_up,
        words_per_minute=float(np.clip(rng.normal(182, 30), 120, 260)),
        liveliness=float(np.clip(rng.normal(52, 14), 20, 90)),
    )


def say(
    text: str, voice: Voice, rng: np.random.Generator, *, emotion: str = "neutral", intensity: float = 0.0
) -> tuple[NDArray[np.float32], TimedPhones]:
    """Speaks a text as this speaker would this time: tempo and pitch vary a little from one time to the next.

    Args:
        text: English.
        voice: who speaks.
        rng: of this clip.
        emotion: neutral, happy, sad, angry or surprised.
        intensity: of the emotion, 0..1.

    Returns:
        waveform: (S,) float32 at 16 kHz, without a room or a microphone.
        phones: labels and times, from 0 to the end of the waveform.
    """
    tempo, pitch, liveliness, level_db = _EMOTION_PROSODY[emotion]
    words_per_minute = voice.words_per_minute * tempo**intensity * np.exp(rng.normal(0, 0.07))
    # Fifty is the voice's own pitch; the scale spans about an octave and a half.
    pitch_step = 50 + 60 * np.log2(pitch) * intensity + rng.normal(0, 4)
    spoken = speak(
        text,
        base_voice(ACCENTS[voice.accent][0]) + "\n" + voice.traits + "\n",
        words_per_minute=round(float(np.clip(words_per_minute / voice.speed_up, 80, 300))),
        pitch=round(float(np.clip(pitch_step, 15, 90))),
        pitch_range=round(float(np.clip(voice.liveliness * liveliness**intensity + rng.normal(0, 5), 10, 99))),
    )
    num_samples = round(len(spoken.waveform) * SAMPLE_RATE_HZ / (spoken.sample_rate_hz * voice.speed_up))
    waveform = resampled(spoken.waveform, num_samples) * np.float32(10 ** (level_db * intensity / 20))
    stretch = num_samples / SAMPLE_RATE_HZ / spoken.boundaries_s[-1]
    return waveform, timed_phones(spoken.symbols, spoken.boundaries_s * stretch)
