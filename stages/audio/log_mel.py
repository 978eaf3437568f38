"""Log-mel spectrograms: 80 bands, n_fft = window = 640 (40 ms), hop 160 (100 Hz), 0 to 8000 Hz, at 16 kHz.

Source: Choi, Kim, Ro, "Intelligible Lip-to-Speech Synthesis with Speech Units", Interspeech 2023.
"""

import math
from functools import cache

import torch
from torch import Tensor

from stages.artifacts.clips import SAMPLE_RATE_HZ

NUM_BANDS = 80
WINDOW_SAMPLES = 640
HOP_SAMPLES = 160
MEL_RATE_HZ = SAMPLE_RATE_HZ // HOP_SAMPLES  # 100
# Amplitude below which a band counts as silent. Its logarithm, -11.5, is the value of silence everywhere.
FLOOR = 1e-5
LOG_FLOOR = -11.512925
_PIECE_FRAMES = 3000


def log_mel(waveform: Tensor) -> Tensor:
    """Natural logarithm of mel-band amplitudes.

    Args:
        waveform: (..., S) in [-1, 1], 16 kHz.

    Returns:
        (..., L, 80), L = S // 160; frame l is centred on second l / 100.
    """
    shape = waveform.shape[:-1]
    num_frames = waveform.shape[-1] // HOP_SAMPLES
    spectrum = torch.stft(
        waveform.reshape(-1, waveform.shape[-1]),
        WINDOW_SAMPLES,
        HOP_SAMPLES,
        window=_window(waveform.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )  # (B, 321, L + 1)
    amplitude = spectrum[..., :num_frames].abs().transpose(-1, -2)  # (B, L, 321)
    bands = amplitude @ mel_filters().to(waveform.device)  # (B, L, 80)
    return bands.clamp_min(FLOOR).log().reshape(*shape, num_frames, NUM_BANDS)


def long_log_mel(waveform: Tensor) -> Tensor:
    """`log_mel` of (S,), piece by piece, so that memory does not grow with a spectrum of the whole."""
    num_frames = len(waveform) // HOP_SAMPLES
    reach = WINDOW_SAMPLES // 2
    pieces = []
    for first in range(0, num_frames, _PIECE_FRAMES):
        last = min(first + _PIECE_FRAMES, num_frames)
        # One more hop on the left keeps the grid of hops; log_mel pads what lies beyond the ends with zeros.
        start = max(0, first * HOP_SAMPLES - 2 * reach)
        piece = waveform[start : (last - 1) * HOP_SAMPLES + 2 * reach]
        skip = first - start // HOP_SAMPLES
        pieces.append(log_mel(torch.nn.functional.pad(piece, (0, HOP_SAMPLES)))[skip : skip + last - first])
    return torch.cat(pieces) if pieces else waveform.new_zeros(0, NUM_BANDS)


def speech_log_mel(samples: Tensor) -> Tensor:
    """What every model hears of a recording: the log-mel (L, 80) of (S,) i16 samples, brought to the common loudness."""
    waveform = samples.float() / 32768
    return long_log_mel(waveform * loudness_gain(waveform))


def loudness_gain(waveform: Tensor) -> Tensor:
    """The factor that brings the loud parts of a recording to a common level, so that no model sees its volume.

    The level is the 95th percentile of the root mean square over 40 ms frames, brought to 0.1 (-20 dBFS). The gain is
    limited to 40 dB, so that a silent recording stays silent.

    Args:
        waveform: (S,).

    Returns:
        A scalar tensor.
    """
    num_frames = max(1, waveform.shape[-1] // WINDOW_SAMPLES)
    frames = waveform[: num_frames * WINDOW_SAMPLES].reshape(num_frames, -1)
    level = frames.square().mean(-1).sqrt().quantile(0.95)
    return (0.1 / level.clamp_min(1e-9)).clamp_max(100.0)


def cut_mel(mel: Tensor, start: int, length: int, silence: float = LOG_FLOOR) -> Tensor:
    """mel[start : start + length] of (L, 80), with silence before the first frame and after the last."""
    piece = mel[max(start, 0) : max(start + length, 0)]
    before = min(max(-start, 0), length)
    return torch.nn.functional.pad(piece, (0, 0, before, length - before - len(piece)), value=silence)


def mel_around(
    mel: Tensor,
    first_frame: int,
    num_frames: int,
    fps: float,
    margin: int,
    *,
    rate_hz: int = MEL_RATE_HZ,
    silence: float = LOG_FLOOR,
) -> tuple[Tensor, float]:
    """The mel frames that an encoder needs for a stretch of motion frames, out of those (L, 80) of the whole recording.

    Args:
        mel: or what else an encoder reads of a recording, at `rate_hz`, 100 or 50, and with `silence` beyond its ends.

    Returns:
        (L', 80), and the time of the first motion frame in it, in seconds; see `mel_stretch`, whose the other arguments are.
    """
    start, length, first_frame_s = mel_stretch(first_frame, num_frames, fps, margin)
    share = MEL_RATE_HZ // rate_hz  # start and length are even
    return cut_mel(mel, start // share, length // share, silence), first_frame_s


def mel_stretch(first_frame: int, num_frames: int, fps: float, margin: int) -> tuple[int, int, float]:
    """Which mel frames an encoder needs for a stretch of motion frames.

    Args:
        first_frame: motion frame, may be negative.
        num_frames: motion frames.
        margin: mel frames, even, that the encoder sees to either side.

    Returns:
        The first mel frame, even; how many, even and the same for any `first_frame`; and the time of the first motion
        frame after the first mel frame, in seconds.
    """
    first_s = first_frame / fps
    start = math.floor(first_s * MEL_RATE_HZ / 2) * 2 - margin
    length = math.ceil(num_frames / fps * MEL_RATE_HZ / 2) * 2 + 4 + 2 * margin
    return start, length, first_s - start / MEL_RATE_HZ


@cache
def mel_filters() -> Tensor:
    """Triangular filters (321, 80), HTK mel scale, unit peak."""
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(WINDOW_SAMPLES // 2 + 1, 0.0, SAMPLE_RATE_HZ / 2, NUM_BANDS, SAMPLE_RATE_HZ)


@cache
def _window(device: torch.device) -> Tensor:
    return torch.hann_window(WINDOW_SAMPLES, device=device)
