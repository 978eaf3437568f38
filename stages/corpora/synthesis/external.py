"""What the engines that are programs of their own share: running them, their phone names, and how they are asked to speak.

`flite` and `festival` were made in one house and name the sounds of English alike ("radio" phones). Their voices differ
from person to person by a factor of the vocal tract only, because they were built from recordings of people.
"""

import shutil
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis.phones import SILENCE, VISEMES, VOWELS, TimedPhones
from stages.runtime.errors import ThunderError

# Longer than any sentence takes on a busy machine.
_TIMEOUT_S = 120

# Phone names that are not simply an ARPAbet label in small letters.
_RADIO: dict[str, str] = {"pau": SILENCE, "h#": SILENCE, "brth": SILENCE, "ax": "AH", "ix": "IH", "axr": "ER", "dx": "D",
                          "el": "L", "em": "M", "en": "N", "nx": "N", "hv": "HH"}  # fmt: skip
_REDUCED = frozenset(("ax", "ix", "axr"))


@dataclass(frozen=True)
class Manner:
    """How a text is to be spoken this time.

    Attributes:
        tempo: 1 is the voice's own; above is faster.
        pitch: factor on the voice's own pitch.
        liveliness: factor on the range of its intonation.
    """

    tempo: float
    pitch: float
    liveliness: float


def radio_label(name: str, stress: str | None = None) -> str:
    """The ARPAbet label of a phone as these engines name it.

    Args:
        name: such as `ax`, `iy`, `pau`.
        stress: "0" or "1" where the engine says which. Where it does not, a reduced vowel is unstressed, a high vowel or
            /ER OW/ (which end many words without stress) half stressed, any other stressed.

    Raises:
        ThunderError: no such phone is known.
    """
    label = _RADIO.get(name, name.upper())
    if label in VOWELS:
        guessed = "0" if name in _REDUCED else "2" if label in ("IY", "IH", "UW", "ER", "OW") else "1"
        return label + ("0" if name in _REDUCED else guessed if stress is None else stress)
    if label != SILENCE and label not in _CONSONANTS:
        raise ThunderError(f"a speech engine named a phone {name!r} that is none of English; wanted one of ARPAbet")
    return label


_CONSONANTS = frozenset(VISEMES) - VOWELS - {SILENCE}


def timed(labels: list[str], ends_s: list[float], duration_s: float) -> TimedPhones:
    """Labels with end times, as phones that cover a waveform; pauses that touch are joined.

    Args:
        labels: P labels.
        ends_s: P end times, not decreasing; the last may lie on either side of the waveform's end.
        duration_s: of the waveform.

    Raises:
        ThunderError: no phones, or times that go backwards or leave the sound by more than 0.3 s.
    """
    if not labels or np.any(np.diff([0.0, *ends_s]) < 0) or abs(ends_s[-1] - duration_s) > 0.3:
        wanted = f"wanted times that increase up to {duration_s:.3f} s"
        raise ThunderError(f"a speech engine reported unusable phone times, {wanted}; found {ends_s[-3:]}")
    kept: list[str] = []
    boundaries: list[float] = []
    start = 0.0
    for label, end in zip(labels, ends_s, strict=True):
        # A phone of no length is none, and a waveform may end in the middle of the last pause.
        if end > start and start < duration_s and not (label == SILENCE and kept and kept[-1] == SILENCE):
            kept.append(label)
            boundaries.append(start)
        start = end
    return TimedPhones(tuple(kept), np.array([*boundaries, duration_s]))


def find(program: str) -> str:
    """Path of an engine's program.

    Raises:
        ThunderError: it is not installed; the message says how to install it.
    """
    path = shutil.which(program)
    if path is None:
        packages = {"flite": "flite", "festival": "festival festvox-kallpc16k"}[program]
        raise ThunderError(
            f"--engine {program}: not found on this machine; `apt-get install {packages}`, or leave it out"
        )
    return path


def run(command: list[str], text: str | None = None) -> str:
    """Runs an engine; returns what it printed.

    Raises:
        ThunderError: it failed or did not end.
    """
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, encoding="latin-1", timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ThunderError(f"{command[0]}: failed ({error}); is it installed whole?") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ThunderError(f"{command[0]}: ended with {done.returncode} ({said}); is it installed whole?")
    return done.stdout


def read_speech(path: Path, engine: str) -> tuple[NDArray[np.float32], int]:
    """(S,) float32 in -1..1 and the sample rate of a mono 16-bit file that an engine wrote."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise ThunderError(f"{engine}: wrote {file.getnchannels()} channels, wanted one of 16 bit")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            rate_hz = file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise ThunderError(f"{engine}: wrote no sound ({error}); is it installed whole?") from error
    if len(samples) < rate_hz // 20 or not samples.any():
        raise ThunderError(f"{engine}: said nothing")
    return samples.astype(np.float32) / np.float32(32768), rate_hz
