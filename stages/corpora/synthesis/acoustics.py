"""From clean synthetic speech to a recording: breath, microphone, room, noise, telephone, level.

None of it moves the speech in time: the direct sound comes first in every room, and every filter has zero phase.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class RecordingSetup:
    """Where and with what one person was recorded.

    Attributes:
        breathiness_db: level of the breath noise that rides on the voice, relative to it.
        inhalation_db: level of breathing in, relative to the voice.
        tone_db: (K,) gains of the microphone at K frequencies spread evenly over a logarithmic scale, 60 Hz to 8 kHz.
        low_cut_hz, high_cut_hz: where the microphone's band ends.
        reverberation_s: time in which the room's sound falls by 60 dB.
        direct_to_reverberant_db: level of the direct sound over that of the room.
        noise_slope_db: of the background noise, per octave; 0 is white, -6 is brown.
        signal_to_noise_db: of the speech over the background.
        telephone: whether eight-bit mu-law coding was in between.
    """

    breathiness_db: float
    inhalation_db: float
    tone_db: tuple[float, ...]
    low_cut_hz: float
    high_cut_hz: float
    reverberation_s: float
    direct_to_reverberant_db: float
    noise_slope_db: float
    signal_to_noise_db: float
    telephone: bool


def draw_recording_setup(rng: np.random.Generator) -> RecordingSetup:
    """A place and a microphone, drawn at random: mostly good, sometimes poor."""
    telephone = bool(rng.random() < 0.06)
    narrow = bool(rng.random() < 0.12)
    # The synthesiser's voices are brighter than people's: most setups are tilted down, some by as much as 3 dB an octave.
    tone = rng.normal(0, 3.0, 8) + rng.uniform(-21, 3) * np.linspace(0, 1, 8)
    return RecordingSetup(
        breathiness_db=float(rng.uniform(-38, -22)),
        inhalation_db=float(rng.uniform(-45, -18)),
        tone_db=tuple(np.round(tone, 2).tolist()),
        low_cut_hz=300.0 if telephone else float(rng.uniform(30, 130)),
        high_cut_hz=3400.0 if telephone else float(rng.uniform(4200, 7000)) if narrow else 7800.0,
        reverberation_s=float(np.clip(np.exp(rng.normal(np.log(0.25), 0.45)), 0.08, 0.8)),
        direct_to_reverberant_db=float(np.clip(rng.normal(12, 5), 2, 25)),
        noise_slope_db=float(rng.uniform(-7, -1)),
        signal_to_noise_db=float(np.clip(rng.normal(35, 9), 14, 60)),
        telephone=telephone,
    )


def resampled(waveform: NDArray[np.float32], num_samples: int) -> NDArray[np.float32]:
    """The same sound in another number of samples, band-limited to what both rates can hold.

    Args:
        waveform: (S,); sound at both ends should be silent, for it is treated as one period.
        num_samples: wanted length.

    Returns:
        (num_samples,) float32.
    """
    spectrum = np.fft.rfft(waveform)
    kept = min(len(spectrum), num_samples // 2 + 1)
    # The last twentieth of the band is faded out, lest a hard edge ring.
    fade = np.clip((kept - np.arange(kept)) / (0.05 * kept), 0, 1)
    shaped = np.zeros(num_samples // 2 + 1, complex)
    shaped[:kept] = spectrum[:kept] * fade
    return (np.fft.irfft(shaped, num_samples) * (num_samples / len(waveform))).astype(np.float32)


def record(
    waveform: NDArray[np.float32], pauses_s: list[tuple[float, float]], setup: RecordingSetup, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Records speech.

    Args:
        waveform: (S,) clean speech at 16 kHz, with silence around it.
        pauses_s: beginning and end of every pause; in some of them the speaker breathes in.
        setup: the room and the microphone.
        rng: of this clip: distance and level differ a little each time, the noise entirely.

    Returns:
        (S,) int16.
    """
    speech = np.asarray(waveform, np.float64)
    speech = speech + _breath(speech, setup.breathiness_db, rng)
    speech += _inhalations(len(speech), pauses_s, rng) * _active_level(speech) * 10 ** (setup.inhalation_db / 20)
    padded = _fast_length(len(speech) + SAMPLE_RATE_HZ)
    hz = np.asarray(np.fft.rfftfreq(padded, 1 / SAMPLE_RATE_HZ), np.float64)
    response = np.fft.rfft(_room(setup, rng), padded)
    heard = np.fft.irfft(np.fft.rfft(speech, padded) * response * _tone(hz, setup), padded)[: len(speech)]
    loudness = _active_level(heard)
    noise = np.fft.rfft(rng.standard_normal(padded)) * (np.maximum(hz, 60) / 1000) ** (setup.noise_slope_db / 6.02)
    background = np.fft.irfft(noise * _tone(hz, setup), padded)[: len(speech)]
    snr_db = setup.signal_to_noise_db + rng.normal(0, 2)
    mixed = heard / loudness + background / (background.std() + 1e-12) * 10 ** (-snr_db / 20)
    level_db = float(np.clip(rng.normal(-23, 4), -34, -15))
    mixed *= 10 ** (level_db / 20)
    # Loud peaks are rounded, as by a limiter; below half of full scale nothing changes.
    over = np.maximum(np.abs(mixed) - 0.5, 0)
    mixed = np.sign(mixed) * (np.minimum(np.abs(mixed), 0.5) + 0.45 * np.tanh(over / 0.45))
    if setup.telephone:
        mixed = _mu_law(mixed)
    return np.round(np.clip(mixed, -1, 1) * 32767).astype(np.int16)


def _breath(speech: NDArray[np.float64], level_db: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Hiss that is as strong as the voice is at each moment, mostly above 1.5 kHz."""
    window = SAMPLE_RATE_HZ // 100
    power = np.convolve(speech**2, np.full(window, 1 / window), mode="same") if len(speech) > window else speech**2
    hiss = np.diff(rng.standard_normal(len(speech)), prepend=0.0)
    return hiss * np.sqrt(np.maximum(power, 0)) * 10 ** (level_db / 20)


def _inhalations(
    num_samples: int, pauses_s: list[tuple[float, float]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """A swell of hiss that ends shortly before speech goes on, in about half of the pauses; the mouth may stay shut."""
    hiss = np.zeros(num_samples)
    for start_s, end_s in pauses_s:
        length = int(rng.uniform(0.5, 0.9) * min(end_s - start_s, 0.6) * SAMPLE_RATE_HZ)
        begin = int((end_s - rng.uniform(0.02, 0.08)) * SAMPLE_RATE_HZ) - length
        swell = np.sin(np.pi * np.linspace(0, 1, length) ** 1.5) ** 2
        noise = rng.standard_normal(length + 4)
        shaped = np.convolve(noise, [-0.5, -0.5, 0.0, 0.5, 0.5], mode="valid")  # most between 1 and 4 kHz
        if rng.random() < 0.5 and begin >= 0 and length > 0:
            hiss[begin : begin + length] = (swell * shaped)[: num_samples - begin]
    return hiss


def _tone(hz: NDArray[np.float64], setup: RecordingSetup) -> NDArray[np.float64]:
    knots = np.linspace(np.log(60), np.log(8000), len(setup.tone_db))
    gain = 10 ** (np.interp(np.log(np.maximum(hz, 1)), knots, setup.tone_db) / 20)
    low = 1 / np.sqrt(1 + (setup.low_cut_hz / np.maximum(hz, 1)) ** 6)
    high = 1 / np.sqrt(1 + (hz / setup.high_cut_hz) ** 16)
    return gain * low * high


def _room(setup: RecordingSetup, rng: np.random.Generator) -> NDArray[np.float64]:
    """Impulse response: the direct sound at sample 0, then noise that decays exponentially after a first gap."""
    times = np.arange(int(min(setup.reverberation_s, 0.9) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    first_s = rng.uniform(0.002, 0.012)
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / setup.reverberation_s) * (times > first_s)
    energy_db = setup.direct_to_reverberant_db + rng.normal(0, 1.5)
    tail *= 10 ** (-energy_db / 20) / np.sqrt((tail**2).sum() + 1e-12)
    tail[0] = 1.0
    return tail


def _active_level(speech: NDArray[np.float64]) -> float:
    """Root mean square of the half of the 20 ms blocks that is louder."""
    block = SAMPLE_RATE_HZ // 50
    power = (speech[: len(speech) // block * block].reshape(-1, block) ** 2).mean(axis=1)
    return float(np.sqrt(np.sort(power)[len(power) // 2 :].mean())) + 1e-9 if len(power) else 1.0


def _mu_law(waveform: NDArray[np.float64]) -> NDArray[np.float64]:
    compressed = np.sign(waveform) * np.log1p(255 * np.abs(waveform)) / np.log(256)
    compressed = np.round(compressed * 127) / 127
    return np.sign(compressed) * (256 ** np.abs(compressed) - 1) / 255


def _fast_length(length: int) -> int:
    """The next length of the form k 2^n with k <= 16, which a Fourier transform does quickly."""
    step = 1 << max(0, length.bit_length() - 4)
    return -(-length // step) * step
