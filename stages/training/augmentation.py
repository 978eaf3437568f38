"""Other voices, rooms and microphones, imitated on log-mel spectrograms, so that an encoder hears what is said.

Each is drawn once a window: what differs between recordings hardly changes within one.
"""

import torch
from torch import Tensor

from stages.audio.log_mel import LOG_FLOOR


def vary_recording(log_mel: Tensor, generator: torch.Generator) -> Tensor:
    """Imitates another recording of the same words.

    The mel axis is stretched by up to 12 % (vocal-tract length, Jaitly and Hinton, 2013), a smooth filter of about 4 dB
    colours it (microphone, room), volume varies by 6 dB, and a noise floor fills it from 45 to 15 dB under its loudest
    bands, or not at all.

    Args:
        log_mel: (B, L, 80), natural logarithm of amplitudes.

    Returns:
        (B, L, 80).
    """
    batch, _, num_bands = log_mel.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(log_mel.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(log_mel.device)

    bands = torch.arange(num_bands, device=log_mel.device)
    source = (bands * uniform(0.88, 1.12, batch, 1)).clamp(0, num_bands - 1)  # (B, 80)
    lower = source.floor().long().clamp(max=num_bands - 2)
    fraction = (source - lower)[:, None]
    shape = (batch, log_mel.shape[1], num_bands)
    mel = torch.lerp(
        log_mel.gather(2, lower[:, None].expand(shape)), log_mel.gather(2, (lower + 1)[:, None].expand(shape)), fraction
    )
    # A sum of four slow cosines along the mel axis; 0.46 nepers are 4 dB.
    phase = torch.pi * torch.arange(1, 5, device=log_mel.device)[:, None] * bands / num_bands  # (4, 80)
    colour = (normal(batch, 4) * 0.46 / 2) @ phase.cos() + (normal(batch, 4) * 0.46 / 2) @ phase.sin()  # (B, 80)
    mel = mel + colour[:, None] + (normal(batch) * 0.35)[:, None, None]
    loudest = mel.flatten(1).amax(1)  # (B,)
    noise_shape = normal(batch, 4) * 0.5 @ phase.cos()  # (B, 80)
    level = loudest - uniform(15 / 8.686, 45 / 8.686, batch)
    level = torch.where(uniform(0, 1, batch) < 0.3, LOG_FLOOR - 3, level)
    flutter = normal(batch, log_mel.shape[1], num_bands) * 0.3
    noise = (level[:, None] + noise_shape)[:, None] + flutter
    return torch.logaddexp(mel, noise).clamp_min(LOG_FLOOR)
