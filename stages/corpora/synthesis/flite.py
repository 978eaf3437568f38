"""Speech with phone times from Flite (http://cmuflite.org), through its program.

Its voices were built from recordings of people: kal16 joins pieces of them, awb, rms and slt are statistical. `-psdur` prints
every phone with its end time. Against the waveforms, onsets of vowels after pauses and after voiceless stops lie within 10
ms of these times (awb, slt), within 25 ms (kal16, whose pieces end at pitch marks) and mostly within 30 ms (rms); the
closure of a stop belongs to the stop. kal16's waveform ends in the middle of the last pause.
"""

import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis.external import Manner, find, radio_label, read_speech, run, timed
from stages.corpora.synthesis.phones import TimedPhones
from stages.runtime.errors import ThunderError

# Voice -> the accent its clips are labelled with, its own pitch in Hz, and its words per minute.
VOICES: dict[str, tuple[str, float, float]] = {
    "slt": ("en-us", 170.0, 165.0),
    "rms": ("en-us", 103.0, 150.0),
    "awb": ("en-gb-scotland", 128.0, 178.0),
    "kal16": ("en-us", 88.0, 170.0),
}

_SEGMENT = re.compile(r"([a-z#@]+):([0-9]+\.[0-9]+)")


def version() -> str:
    """As the program says it."""
    find("flite")
    # `--version` ends with 1 although nothing failed.
    said = run(["sh", "-c", "flite --version || true"])
    found = re.search(r"version: (\S+)", said)
    return found[1] if found else "unknown"


def facts(voice: str) -> tuple[str, float, float]:
    """Accent, pitch in Hz and words per minute of a voice."""
    return VOICES[voice]


def voices(language: str) -> dict[str, tuple[str, float, float]]:
    """The voices of this engine that are installed and speak a language."""
    if language != "en":
        return {}
    installed = run([find("flite"), "-lv"]).split(":", 1)[-1].split()
    return {name: facts for name, facts in VOICES.items() if name in installed}


def parse_segments(printed: str) -> tuple[list[str], list[float]]:
    """Labels and end times (seconds) from what `flite -psdur` prints, `pau:0.222 ax:0.278 m:0.433 ...`."""
    found = _SEGMENT.findall(printed)
    if not found:
        raise ThunderError(f"flite: printed no phones, wanted `name:end ...`, found {printed[:60]!r}")
    return [radio_label(name) for name, _ in found], [float(end) for _, end in found]


def speak(text: str, voice: str, manner: Manner) -> tuple[NDArray[np.float32], int, TimedPhones]:
    """Speaks a text.

    Args:
        text: English.
        voice: one of `VOICES`.
        manner: tempo, pitch and liveliness; rms has a pitch that cannot be changed.

    Returns:
        waveform (S,) float32, its sample rate, and phones that cover it.
    """
    _, pitch_hz, _ = VOICES[voice]
    with tempfile.TemporaryDirectory(prefix="thunder-flite-") as folder:
        path = Path(folder) / "speech.wav"
        settings = {
            "duration_stretch": 1 / manner.tempo,
            "int_f0_target_mean": pitch_hz * manner.pitch,
            "int_f0_target_stddev": 15 * manner.liveliness * pitch_hz / 100,
        }
        options = [part for name, value in settings.items() for part in ("--setf", f"{name}={value:.4f}")]
        # A space lets the program take one word as text too.
        command = [find("flite"), "-voice", voice, *options, "-psdur", "-t", text + " ", "-o", str(path)]
        labels, ends_s = parse_segments(run(command))
        waveform, rate_hz = read_speech(path, "flite")
    return waveform, rate_hz, timed(labels, ends_s, len(waveform) / rate_hz)
