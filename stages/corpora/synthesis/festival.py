"""Speech with phone times from Festival (http://www.cstr.ed.ac.uk/projects/festival), through a short Scheme program.

Its Debian voices were built from recordings of people: English kal, ked (joined pieces) and slt (statistical), Italian lp
and pc. Phones, end times and the stress of their syllable are read off the utterance after it has been spoken; as in
`flite`, the closure of a stop belongs to the stop, and the waveform may end within 0.03 s of the last time.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis.external import Manner, find, radio_label, read_speech, run, timed
from stages.corpora.synthesis.phones import SILENCE, TimedPhones, arpabet
from stages.runtime.errors import ThunderError

# Voice -> language, accent its clips are labelled with, its own pitch in Hz, its words per minute.
VOICES: dict[str, tuple[str, str, float, float]] = {
    "cmu_us_slt_arctic_hts": ("en", "en-us", 175.0, 165.0),
    "kal_diphone": ("en", "en-us", 105.0, 160.0),
    "ked_diphone": ("en", "en-us", 105.0, 160.0),
    "lp_diphone": ("it", "it", 200.0, 150.0),
    "pc_diphone": ("it", "it", 115.0, 150.0),
}

# Debian's packages of these voices.
PACKAGES: dict[str, str] = {
    "cmu_us_slt_arctic_hts": "festvox-us-slt-hts",
    "kal_diphone": "festvox-kallpc16k",
    "ked_diphone": "festvox-kdlpc16k",
    "lp_diphone": "festvox-italp16k",
    "pc_diphone": "festvox-itapc16k",
}

# Italian phones, as this engine names them, in IPA; a final 1 is stress.
_ITALIAN: dict[str, str] = {
    "#": "", "a": "a", "e": "e", "E": "ɛ", "i": "i", "o": "o", "O": "ɔ", "u": "u", "j": "j", "w": "w", "p": "p", "t": "t",
    "k": "k", "b": "b", "d": "d", "g": "ɡ", "f": "f", "s": "s", "S": "ʃ", "v": "v", "z": "z", "Z": "ʒ", "ts": "ts",
    "tS": "tʃ", "dz": "dz", "dZ": "dʒ", "m": "m", "n": "n", "J": "ɲ", "ng": "ŋ", "nf": "ɱ", "l": "l", "L": "ʎ", "r": "r",
}  # fmt: skip

# Of the interpreter. Its own default takes 300 MB, and three times as long to fetch them as a sentence takes to speak.
_HEAP_CELLS = "1000000"

_SCHEME = """
(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch:.4f})
{intonation}
(set! u (utt.synth (Utterance Text "{text}")))
(mapcar
  (lambda (s) (format t "phone %s %f %s\\n" (item.name s) (item.feat s "end") (item.feat s "R:SylStructure.parent.stress")))
  (utt.relation.items u 'Segment))
(utt.save.wave u "{path}" 'riff)
"""
_INTONATION = (
    "(set! int_lr_params '((target_f0_mean {mean:.2f}) (target_f0_std {spread:.2f})"
    " (model_f0_mean 170) (model_f0_std 34)))"
)


def version() -> str:
    """As the program says it."""
    return run([find("festival"), "--version"]).strip().rpartition("System: ")[2]


def facts(voice: str) -> tuple[str, float, float]:
    """Accent, pitch in Hz and words per minute of a voice."""
    return VOICES[voice][1:]


def voices(language: str) -> dict[str, tuple[str, float, float]]:
    """The voices of this engine that are installed and speak a language: accent, pitch in Hz, words per minute."""
    said = _evaluate("(print (voice.list))").replace("(", " ").replace(")", " ").split()
    return {name: facts[1:] for name, facts in VOICES.items() if name in said and facts[0] == language}


def parse_segments(printed: str, language: str) -> tuple[list[str], list[float]]:
    """Labels and end times (seconds) from lines `phone NAME END STRESS`; other lines are talk.

    A phone that stands for two (/ts/) is cut in halves.
    """
    labels: list[str] = []
    ends_s: list[float] = []
    for line in printed.splitlines():
        if not line.startswith("phone "):
            continue
        try:
            _, name, end, stressed = line.split()
            parts = _labels(name, stressed, language)
            start_s, end_s = (ends_s[-1] if ends_s else 0.0), float(end)
        except (ValueError, KeyError) as error:
            raise ThunderError(f"festival: printed {line!r}, wanted `phone NAME END STRESS`") from error
        labels += parts
        ends_s += [start_s + (end_s - start_s) * (k + 1) / len(parts) for k in range(len(parts))]
    if not labels:
        raise ThunderError("festival: printed no phones; is a voice installed? `apt-get install festvox-kallpc16k`")
    return labels, ends_s


def speak(text: str, voice: str, manner: Manner) -> tuple[NDArray[np.float32], int, TimedPhones]:
    """Speaks a text.

    Args:
        text: English, or Italian for an Italian voice.
        voice: one of `VOICES`.
        manner: tempo, pitch and liveliness; only kal and ked follow the last two.

    Returns:
        waveform (S,) float32, its sample rate, and phones that cover it.
    """
    language, _, pitch_hz, _ = VOICES[voice]
    intonation = ""
    if voice in ("kal_diphone", "ked_diphone"):
        intonation = _INTONATION.format(mean=pitch_hz * manner.pitch, spread=15 * manner.liveliness)
    with tempfile.TemporaryDirectory(prefix="thunder-festival-") as folder:
        path = Path(folder) / "speech.wav"
        quoted = text.replace("\\", " ").replace('"', " ")
        printed = _evaluate(
            _SCHEME.format(
                voice=voice, stretch=1 / manner.tempo, intonation=intonation, text=quoted, path=path.as_posix()
            )
        )
        labels, ends_s = parse_segments(printed, language)
        waveform, rate_hz = read_speech(path, "festival")
    return waveform, rate_hz, timed(labels, ends_s, len(waveform) / rate_hz)


def _labels(name: str, stressed: str, language: str) -> list[str]:
    if language == "en":
        return [radio_label(name, stressed)]
    mark = "ˈ" if name.endswith("1") else ""
    symbol = _ITALIAN[name.removesuffix("1")]
    return list(arpabet(mark + symbol)) if symbol else [SILENCE]


def _evaluate(program: str) -> str:
    with tempfile.TemporaryDirectory(prefix="thunder-festival-") as folder:
        path = Path(folder) / "speak.scm"
        # The voices' letter-to-sound rules are written for Latin-1.
        path.write_text(program, encoding="latin-1", errors="replace")
        return run([find("festival"), "--heap", _HEAP_CELLS, "-b", str(path)])
