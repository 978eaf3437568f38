"""Many speakers from a few synthesisers: accent, pitch, vocal tract, tempo, breath and roughness drawn for each.

A vocal tract that is shorter by some factor raises every resonance by it. Most of that is done by playing the speech
faster, which moves hiss and bursts along with the vowels (the synthesiser's consonants are recordings, which its own
formant settings leave where they are); pitch and tempo are set lower beforehand by as much. A voice that was made of a person's
recordings is varied in this way alone, and less.

An engine is a module: `espeak` comes with the package and speaks every language here; `flite` and `festival` are used where
they are asked for and installed, so that what is made depends on the options alone, not on the machine.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis import espeak, festival, flite
from stages.corpora.synthesis.acoustics import resampled
from stages.corpora.synthesis.external import Manner
from stages.corpora.synthesis.phones import TimedPhones, timed_phones
from stages.runtime.errors import ThunderError, did_you_mean

SAMPLE_RATE_HZ = 16_000

# Accent -> its file below the synthesiser's `lang` folder, and how often a speaker of English has it.
ACCENTS: dict[str, tuple[str, float]] = {
    "en-us": ("gmw/en-US", 0.40),
    "en-gb": ("gmw/en", 0.18),
    "en-gb-x-rp": ("gmw/en-GB-x-rp", 0.14),
    "en-gb-scotland": ("gmw/en-GB-scotland", 0.10),
    "en-gb-x-gbclan": ("gmw/en-GB-x-gbclan", 0.08),
    "en-gb-x-gbcwmd": ("gmw/en-GB-x-gbcwmd", 0.05),
    "en-029": ("gmw/en-029", 0.05),
}

# The same for the other languages.
LANGUAGES: dict[str, dict[str, tuple[str, float]]] = {
    "en": ACCENTS,
    "de": {"de": ("gmw/de", 1.0)},
    "es": {"es": ("roa/es", 0.5), "es-419": ("roa/es-419", 0.5)},
    "fr": {"fr": ("roa/fr", 0.7), "fr-be": ("roa/fr-BE", 0.3)},
    "it": {"it": ("roa/it", 1.0)},
    "zh": {"zh": ("sit/cmn", 1.0)},
}
# How fast people speak, in the synthesiser's words per minute; its words of Mandarin are long.
_WORDS_PER_MINUTE = {"zh": 225}
ENGINES = ("espeak", "flite", "festival")
_PROGRAMS: dict[str, Any] = {"flite": flite, "festival": festival}

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
        accent: the language and accent that clips are labelled with, such as `en-us` or `de`.
        traits: lines of an eSpeak NG voice file, added to those of the accent; for another engine, its voice's name.
        speed_up: playing speed, the part of the vocal tract's shortness that is done by resampling.
        words_per_minute: of the speech that is heard.
        liveliness: 0..100, range of the intonation.
        language: that the texts are in, key of `LANGUAGES`.
        engine: one of `ENGINES`.
        pitch: factor on the pitch of another engine's voice as it is heard.
        natural_words_per_minute: of another engine's voice.
    """

    accent: str
    traits: str
    speed_up: float
    words_per_minute: float
    liveliness: float
    language: str = "en"
    engine: str = "espeak"
    pitch: float = 1.0
    natural_words_per_minute: float = 170.0


def engine_version(engine: str) -> str:
    """Version of an engine; raises ThunderError with the way to install it where it is missing."""
    return espeak.version() if engine == "espeak" else str(_PROGRAMS[engine].version())


def casting(engines: tuple[str, ...], languages: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Who can be cast: speakers take these roles in turn.

    Args:
        engines: some of `ENGINES`.
        languages: some of `LANGUAGES`; one that is named twice has twice the speakers.

    Returns:
        (engine, language, voice) triples, languages and then engines alternating, so that each engine that speaks a
        language has the same share of it; the voice is empty for espeak, which draws its own.

    Raises:
        ThunderError: an engine is not installed or has no voice, or none speaks a language.
    """
    unknown = [name for name in engines if name not in ENGINES] or [name for name in languages if name not in LANGUAGES]
    if unknown or not engines or not languages:
        wanted = f"wanted some of {', '.join(ENGINES)} and of {', '.join(LANGUAGES)}"
        near = did_you_mean(unknown[0], (*ENGINES, *LANGUAGES)) if unknown else ""
        raise ThunderError(f"--engine and --languages {wanted}, found {', '.join(unknown) or 'none'}{near}")
    able: dict[str, list[tuple[str, list[str]]]] = {}
    for language in languages:
        of_engine = [(e, [""] if e == "espeak" else list(_PROGRAMS[e].voices(language))) for e in engines]
        able[language] = [(engine, names) for engine, names in of_engine if names]
        if not able[language]:
            raise ThunderError(
                f"synthesize: none of {', '.join(engines)} has a voice for {language!r}; add --engine espeak"
            )
    silent = [e for e in engines if not any(e == engine for options in able.values() for engine, _ in options)]
    if silent:
        raise ThunderError(
            f"--engine {silent[0]}: no voice for {', '.join(languages)} is installed; install one or leave the engine out"
        )
    rounds = max(len(options) for options in able.values()) * max(
        len(names) for options in able.values() for _, names in options
    )
    roles = []
    turns = dict.fromkeys(able, 0)
    for _ in range(rounds):
        for language in languages:
            options, k = able[language], turns[language]
            engine, names = options[k % len(options)]
            roles.append((engine, language, names[k // len(options) % len(names)]))
            turns[language] += 1
    return roles


def draw_voice(rng: np.random.Generator, role: tuple[str, str, str] = ("espeak", "en", "")) -> Voice:
    """A speaker of a role, drawn at random: with espeak, about as many women as men, and some children."""
    engine, language, name = role
    if engine != "espeak":
        return _vary_recorded_voice(rng, engine, language, name)
    accents = LANGUAGES[language]
    accent = str(rng.choice(list(accents), p=[share for _, share in accents.values()]))
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
        words_per_minute=float(np.clip(rng.normal(_WORDS_PER_MINUTE.get(language, 182), 30), 120, 260)),
        liveliness=float(np.clip(rng.normal(52, 14), 20, 90)),
        language=language,
    )


def _vary_recorded_voice(rng: np.random.Generator, engine: str, language: str, name: str) -> Voice:
    accent, _, natural_words_per_minute = _PROGRAMS[engine].facts(name)
    speed_up = float(np.clip(np.exp(rng.normal(0.02, 0.07)), 0.86, 1.2))
    return Voice(
        accent=accent,
        traits=name,
        speed_up=speed_up,
        words_per_minute=float(natural_words_per_minute * np.clip(np.exp(rng.normal(0, 0.12)), 0.75, 1.35)),
        liveliness=float(np.clip(rng.normal(52, 14), 20, 90)),
        language=language,
        engine=engine,
        pitch=float(np.clip(speed_up * np.exp(rng.normal(0, 0.1)), 0.75, 1.4)),
        natural_words_per_minute=natural_words_per_minute,
    )


def say(
    text: str, voice: Voice, rng: np.random.Generator, *, emotion: str = "neutral", intensity: float = 0.0
) -> tuple[NDArray[np.float32], TimedPhones]:
    """Speaks a text as this speaker would this time: tempo and pitch vary a little from one time to the next.

    Args:
        text: in the voice's language.
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
    # In the synthesiser's steps: fifty is the voice's own pitch; the scale spans about an octave and a half.
    pitch_steps = 60 * np.log2(pitch) * intensity + rng.normal(0, 4)
    heard_range = float(np.clip(voice.liveliness * liveliness**intensity + rng.normal(0, 5), 10, 99))
    if voice.engine == "espeak":
        spoken = espeak.speak(
            text,
            espeak.base_voice(LANGUAGES[voice.language][voice.accent][0]) + "\n" + voice.traits + "\n",
            words_per_minute=round(float(np.clip(words_per_minute / voice.speed_up, 80, 300))),
            pitch=round(float(np.clip(50 + pitch_steps, 15, 90))),
            pitch_range=round(heard_range),
        )
        sound, rate_hz = spoken.waveform, spoken.sample_rate_hz
        phones = timed_phones(spoken.symbols, spoken.boundaries_s, voice.language)
    else:
        manner = Manner(
            tempo=float(words_per_minute / voice.natural_words_per_minute / voice.speed_up),
            pitch=float(voice.pitch * 2 ** (pitch_steps / 60) / voice.speed_up),
            liveliness=heard_range / 50,
        )
        sound, rate_hz, phones = _PROGRAMS[voice.engine].speak(text, voice.traits, manner)
    num_samples = round(len(sound) * SAMPLE_RATE_HZ / (rate_hz * voice.speed_up))
    waveform = resampled(sound, num_samples) * np.float32(10 ** (level_db * intensity / 20))
    stretch = num_samples / SAMPLE_RATE_HZ / phones.boundaries_s[-1]
    return waveform, TimedPhones(phones.labels, phones.boundaries_s * stretch)
