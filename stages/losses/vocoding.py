"""How far made speech is from recorded speech, by its spectra and by critics.

Sources: Kong et al., "HiFi-GAN", 2020, equations 1 to 4 (least-squares adversarial loss: Mao et al., 2017); for the STFT loss
at several resolutions, Yamamoto, Song, Kim, "Parallel WaveGAN", ICASSP 2020.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from stages.audio.log_mel import log_mel

# Window and hop in samples: 16, 32 and 64 ms.
STFT_RESOLUTIONS = ((256, 64), (512, 128), (1024, 256))
# Amplitudes below this are as good as silence.
_FLOOR = 1e-5


def mel_distance(made: Tensor, recorded: Tensor) -> Tensor:
    """Mean absolute difference of the log-mels of two sounds (B, S): a scalar, in nepers."""
    return (log_mel(made) - log_mel(recorded)).abs().mean()


def stft_distance(made: Tensor, recorded: Tensor) -> Tensor:
    """Spectral convergence plus mean absolute difference of log-amplitudes, averaged over three resolutions: a scalar.

    Args:
        made, recorded: (B, S).
    """
    total = made.new_zeros(())
    for window, hop in STFT_RESOLUTIONS:
        ours, theirs = _amplitudes(made, window, hop), _amplitudes(recorded, window, hop)
        convergence = (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1).clamp_min(_FLOOR)
        total = total + convergence.mean() + (ours.log() - theirs.log()).abs().mean()
    return total / len(STFT_RESOLUTIONS)


def _amplitudes(waveform: Tensor, window: int, hop: int) -> Tensor:
    shape = torch.hann_window(window, device=waveform.device)
    spectrum = torch.stft(waveform, window, hop, window=shape, pad_mode="constant", return_complex=True)
    # The floor goes below the root, whose slope at nothing is infinite.
    return (spectrum.real.square() + spectrum.imag.square()).clamp_min(_FLOOR**2).sqrt()


def critics_loss(of_recorded: Sequence[Tensor], of_made: Sequence[Tensor]) -> Tensor:
    """What the critics minimise: (1 - score)² of speech plus score² of what was made, summed over critics."""
    return _sum(
        (1 - real).square().mean() + made.square().mean() for real, made in zip(of_recorded, of_made, strict=True)
    )


def persuasion_loss(of_made: Sequence[Tensor]) -> Tensor:
    """What the generator minimises: (1 - score)² of what it made, summed over critics."""
    return _sum((1 - made).square().mean() for made in of_made)


def feature_matching(of_recorded: Sequence[Sequence[Tensor]], of_made: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean absolute difference of every layer's features, summed over layers and critics."""
    return _sum(
        (theirs.detach() - ours).abs().mean()
        for real, made in zip(of_recorded, of_made, strict=True)
        for theirs, ours in zip(real, made, strict=True)
    )


def _sum(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()
