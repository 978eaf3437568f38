"""From a log-mel spectrogram back to sound, without a trained vocoder."""

import torch
from torch import Tensor

from stages.audio.log_mel import HOP_SAMPLES, LOG_FLOOR, WINDOW_SAMPLES, mel_filters

# torchaudio mirrors half a window at either end, so there must be more sound than that.
_FEWEST_FRAMES = 3


def griffin_lim(log_mel: Tensor, *, num_iterations: int = 32) -> Tensor:
    """A waveform whose log-mel is near the given one; phases are found by Griffin and Lim's iterations.

    Args:
        log_mel: (L, 80), natural logarithm of amplitudes, 100 Hz.

    Returns:
        (L * 160,) at 16 kHz.

    Source: Griffin, Lim, "Signal estimation from modified short-time Fourier transform", 1984.
    """
    from torchaudio.functional import griffinlim

    length = len(log_mel)
    missing = max(0, _FEWEST_FRAMES - length)
    log_mel = torch.nn.functional.pad(log_mel, (0, 0, 0, missing), value=LOG_FLOOR)

    # The filters overlap, so the least-squares inverse may be negative where the true amplitude is not.
    inverse = torch.linalg.pinv(mel_filters().to(log_mel.device))
    amplitude = (log_mel.exp() @ inverse).clamp_min(0).T  # (321, L)
    # L hops of sound have L + 1 frames, of which log_mel drops the last.
    amplitude = torch.cat([amplitude, amplitude[:, -1:]], dim=1)  # (321, L + 1)
    return griffinlim(
        amplitude,
        window=torch.hann_window(WINDOW_SAMPLES, device=log_mel.device),
        n_fft=WINDOW_SAMPLES,
        hop_length=HOP_SAMPLES,
        win_length=WINDOW_SAMPLES,
        power=1.0,
        n_iter=num_iterations,
        momentum=0.99,
        length=len(log_mel) * HOP_SAMPLES,
        rand_init=False,
    )[: length * HOP_SAMPLES]
