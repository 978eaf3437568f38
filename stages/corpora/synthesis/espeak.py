"""Speech with phone times from eSpeak NG (https://github.com/espeak-ng/espeak-ng), through its C library.

Where the times come from: the library reports every phone with the exact sample at which it begins to generate it. One
thing needs mending, measured on the waveforms: a voiceless stop is reported at its burst, and the silence of its closure
before that is left to the phone in front. That silence is digital zero, so its beginning is found to the sample.

What the library says depends on what the same library said before (it keeps phases and a noise generator between calls).
So each utterance is spoken by a fresh copy of the library: half a millisecond, and the same words in the same voice are
then the same samples, whatever the order of work.
"""

import ctypes
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.runtime.errors import ThunderError

# Names and values from the library's public header, speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_PHONEME_IPA, _INITIALIZE_DONT_EXIT = 0x0001, 0x0002, 0x8000
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_EVENT_LIST_TERMINATED, _EVENT_PHONEME = 0, 7
_CHARS_UTF8 = 1

# A closure longer than this is a pause in which the mouth did not have to be closed.
_LONGEST_CLOSURE_S = 0.13
# After a pause the lips and the tongue close first; the library begins with the burst.
_CLOSURE_AFTER_PAUSE_S = 0.06
_STOPS = tuple("ptkbdɡgʈɖcɟqʔ")
# Stops with breath, as the library writes those of Mandarin. The lips part at the burst, which is so long.
_ASPIRATED = ("ph", "th", "kh")
_BURST_S = 0.028


@dataclass(frozen=True)
class Utterance:
    """What was spoken, and when each phone begins and ends.

    Attributes:
        waveform: (S,) float32 in -1..1.
        sample_rate_hz: of the waveform.
        symbols: P phones in IPA, with stress marks; an empty string is a pause.
        boundaries_s: (P + 1,) seconds; phone p lasts from boundary p to p + 1, and they cover the waveform.
    """

    waveform: NDArray[np.float32]
    sample_rate_hz: int
    symbols: tuple[str, ...]
    boundaries_s: NDArray[np.float64]


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def version() -> str:
    """Version of the library, without its path."""
    with fresh_library() as (library, _, _):
        library.espeak_Info.restype = ctypes.c_char_p
        return bytes(library.espeak_Info(None)).decode("utf-8", "ignore")


def base_voice(accent: str) -> str:
    """The lines of an accent's own voice file, to which a speaker's traits are added.

    Args:
        accent: path below the library's `lang` folder, such as `gmw/en-US`.
    """
    path = _data_folder() / "lang" / accent
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ThunderError(f"{path}: eSpeak NG has no such language here; reinstall espeakng-loader") from error


def speak(text: str, voice: str, *, words_per_minute: int, pitch: int, pitch_range: int) -> Utterance:
    """Speaks a text.

    Args:
        text: what to say.
        voice: content of an eSpeak NG voice file (language, formants, pitch, breath ...).
        words_per_minute: 80..450.
        pitch: 0..100 within the voice's pitch range; 50 is the voice's own.
        pitch_range: 0..100, liveliness of the intonation; 50 is the voice's own.

    Raises:
        ThunderError: the library cannot be loaded, refuses the voice, or says nothing.
    """
    chunks: list[NDArray[np.int16]] = []
    events: list[tuple[int, str]] = []

    def collect(samples: ctypes.Array[ctypes.c_short], num_samples: int, reported: ctypes.Array[_Event]) -> int:
        if samples and num_samples > 0:
            chunks.append(np.ctypeslib.as_array(samples, (num_samples,)).copy())
        k = 0
        while reported[k].type != _EVENT_LIST_TERMINATED:
            if reported[k].type == _EVENT_PHONEME:
                events.append((reported[k].sample, bytes(reported[k].id.string).decode("utf-8", "ignore")))
            k += 1
        return 0

    callback = _SynthCallback(collect)
    encoded = text.encode()
    with fresh_library() as (library, sample_rate_hz, folder):
        library.espeak_SetSynthCallback(callback)
        voice_path = folder / "voice"
        voice_path.write_text(voice, encoding="utf-8")
        if library.espeak_ng_SetVoiceByFile(str(voice_path).encode()) != 0:
            raise ThunderError(f"eSpeak NG refused a voice that begins {voice.splitlines()[0]!r}")
        settings = {_PARAMETER_RATE: words_per_minute, _PARAMETER_PITCH: pitch, _PARAMETER_RANGE: pitch_range}
        for parameter, value in settings.items():
            library.espeak_SetParameter(parameter, int(value), 0)
        library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _CHARS_UTF8, None, None)
    if not chunks or not events:
        raise ThunderError(f"eSpeak NG said nothing for {text!r}")
    samples = np.concatenate(chunks)
    symbols, starts = _tidied(events, samples, sample_rate_hz)
    boundaries = np.array([*starts, len(samples)]) / sample_rate_hz
    return Utterance(samples.astype(np.float32) / np.float32(32768), sample_rate_hz, tuple(symbols), boundaries)


def _tidied(
    events: list[tuple[int, str]], samples: NDArray[np.int16], sample_rate_hz: int
) -> tuple[list[str], list[int]]:
    """Phones in order, without empty ones, stops beginning where their closure does and parted from their breath."""
    if events[0][0] > 0:
        events = [(0, ""), *events]
    symbols: list[str] = []
    starts: list[int] = []
    ends = [start for start, _ in events[1:]] + [len(samples)]
    for (start, symbol), end in zip(events, ends, strict=True):
        if symbol.startswith("("):  # a switch of language, no sound
            continue
        if symbol in _ASPIRATED and end > start:
            burst = min(int(_BURST_S * sample_rate_hz), (end - start) // 2)
            symbols += [symbol[0] + "ʰ", "h"]
            starts += [start, start + burst]
        elif end > start and not (symbol == "" and symbols and symbols[-1] == ""):
            symbols.append(symbol)
            starts.append(start)
    starts[0] = 0
    for k in range(1, len(symbols)):
        if symbols[k].lstrip("ˈˌ")[:1] in _STOPS:
            starts[k] -= _closure_before(samples, starts[k - 1], starts[k], sample_rate_hz, symbols[k - 1] == "")
    # A gap that was closure altogether is no pause.
    kept = [k for k in range(len(symbols)) if k + 1 == len(symbols) or starts[k + 1] > starts[k]]
    return [symbols[k] for k in kept], [starts[k] for k in kept]


def _closure_before(
    samples: NDArray[np.int16], previous: int, start: int, sample_rate_hz: int, after_pause: bool
) -> int:
    """How many samples before its burst a stop was already closed, when the phone or pause in front began at `previous`."""
    if after_pause:
        return min(int(_CLOSURE_AFTER_PAUSE_S * sample_rate_hz), start - previous)
    stretch = samples[max(previous, start - int(_LONGEST_CLOSURE_S * sample_rate_hz)) : start]
    sounding = np.flatnonzero(np.abs(stretch) > 1)
    closure = len(stretch) - (int(sounding[-1]) + 1 if len(sounding) else 0)
    # At least a third of the phone in front stays its own, should its end be inaudible.
    return min(closure, (start - previous) * 2 // 3)


@contextmanager
def fresh_library() -> Iterator[tuple[ctypes.CDLL, int, Path]]:
    """A copy of the library that has never spoken, its sample rate, and a folder for its voice."""
    import espeakng_loader

    source = Path(espeakng_loader.get_library_path()).resolve()
    with tempfile.TemporaryDirectory(prefix="thunder-espeak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        copy = folder / source.name
        try:
            shutil.copyfile(source, copy)
            library = ctypes.CDLL(str(copy))
        except OSError as error:
            raise ThunderError(f"{source}: eSpeak NG cannot be loaded ({error}); reinstall espeakng-loader") from error
        try:
            options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_PHONEME_IPA | _INITIALIZE_DONT_EXIT
            data = str(_data_folder()).encode()
            sample_rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, options)
            if sample_rate_hz <= 0:
                raise ThunderError(f"{_data_folder()}: eSpeak NG cannot read its data; reinstall espeakng-loader")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            yield library, sample_rate_hz, folder
            library.espeak_Terminate()
        finally:
            _unload(library)


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _data_folder() -> Path:
    import espeakng_loader

    return Path(espeakng_loader.get_data_path())
