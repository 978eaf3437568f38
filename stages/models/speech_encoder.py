"""Speech features for an animator, at 50 Hz: by an encoder of our own, or by a user's wav2vec 2.0, HuBERT or WavLM.

Ours reads log-mels and is trained with the animator. It is made of convolutions only: apart from the mean and the deviation
of every band, a feature depends on a bounded stretch of sound, and an animation may follow a microphone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.audio.log_mel import LOG_FLOOR, MEL_RATE_HZ, NUM_BANDS, loudness_gain, speech_log_mel
from stages.audio.pretrained import FEATURE_RATE_HZ, PretrainedSpeech
from stages.models.conformer import ConvolutionModule

ENCODER_RATE_HZ = 50
# Samples that a user's network makes one feature of.
_BLOCK_SAMPLES = 320
# Sounding frames' worth of weight that the corpus's statistics have against a recording's own: a second.
_PRIOR_FRAMES = 100
# A frame sounds if its mean log amplitude is not this far under that of speech in the corpus: 26 dB.
_FAR_UNDER = 3.0
# Mel frames around a window that a trained network, whose attention sees all it is given, hears besides: a second.
_HEARD_BESIDES = 100


class SpeechEncoder(nn.Module):
    """Log-mel (B, L, 80) at 100 Hz -> features (B, L / 2, dim) at 50 Hz; feature j is centred on mel frame 2 j.

    Every band is brought to the mean and deviation that it has over the sounding frames of what is given, mixed with the
    corpus's own: people and microphones differ in them, and phones do not. A second of sound weighs as much as the corpus.

    Attributes:
        rate_hz: of what it reads, and `silence`, the value of that before and after a recording.
        reach: how far, in mel frames, a feature sees to either side.
        mel_mean, mel_scale: (80,) of the corpus's sounding frames; see `fit`.
    """

    mel_mean: Tensor
    mel_scale: Tensor
    rate_hz = MEL_RATE_HZ
    silence = LOG_FLOOR

    def __init__(self, dim: int, num_layers: int, kernel: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(NUM_BANDS, dim, 5, padding=2), nn.GELU(), nn.Conv1d(dim, dim, 3, stride=2, padding=1), nn.GELU()
        )
        self.blocks = nn.ModuleList(EncoderBlock(dim, kernel) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.reach = 2 + 1 + 2 * num_layers * (kernel // 2)
        self.register_buffer("mel_mean", torch.full((NUM_BANDS,), LOG_FLOOR / 4))
        self.register_buffer("mel_scale", torch.full((NUM_BANDS,), -LOG_FLOOR / 8))

    def fit(self, log_mels: Sequence[Tensor]) -> None:
        """Takes the corpus's statistics from some recordings (L, 80)."""
        mel = torch.cat(list(log_mels))
        loud = mel.mean(-1)
        # Half of a corpus and more is speech: what is far under its median is a pause.
        sounding = mel[loud > loud.median() - _FAR_UNDER]
        self.mel_mean.copy_(sounding.mean(0))
        self.mel_scale.copy_(sounding.std(0).clamp_min(0.1))

    def read(self, samples: Tensor) -> Tensor:
        """What it reads of a recording (S,) i16: the log-mel (L, 80)."""
        return speech_log_mel(samples)

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, L, 80) natural-log amplitudes, L even -> (B, L / 2, dim)."""
        x = self._normalise(log_mel)
        x = self.stem(x.transpose(1, 2)).transpose(1, 2)  # (B, L / 2, dim)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def _normalise(self, log_mel: Tensor) -> Tensor:
        sounding = (log_mel.mean(-1, keepdim=True) > self.mel_mean.mean() - _FAR_UNDER).float()  # (B, L, 1)
        weight = sounding.sum(1, keepdim=True) + _PRIOR_FRAMES
        mean = ((log_mel * sounding).sum(1, keepdim=True) + _PRIOR_FRAMES * self.mel_mean) / weight
        spread = ((log_mel - mean).square() * sounding).sum(1, keepdim=True)
        scale = ((spread + _PRIOR_FRAMES * self.mel_scale.square()) / weight).sqrt()
        return (log_mel - mean) / scale

    def encode_whole(self, samples: Tensor) -> Tensor:
        """Features (1, n, dim) of a whole recording (S,) i16."""
        return self(self.read(samples)[None])


class FolderEncoder(nn.Module):
    """Features of a user's network, brought to the animator's width: (B, n, C) at 50 Hz -> (B, n, dim).

    Frozen, the network is no part of the model, and reads every recording once and whole. Trained, its weights are the
    model's, and it reads every window by itself, with a second of sound to either side.

    Attributes:
        rate_hz, silence, reach: as of `SpeechEncoder`.

    Source: THUNDER (Daněček et al., 2025), variants F, frozen, and T, trained.
    """

    rate_hz = FEATURE_RATE_HZ
    silence = 0.0

    def __init__(self, network: PretrainedSpeech, dim: int, *, frozen: bool) -> None:
        super().__init__()
        # In a tuple, a frozen network is not a part of what is trained and saved.
        self._frozen = (network,) if frozen else ()
        if not frozen:
            self.network = network.thaw()
        self.project = nn.Sequential(nn.LayerNorm(network.dim), nn.Linear(network.dim, dim), nn.LayerNorm(dim))
        self.reach = 0 if frozen else _HEARD_BESIDES

    def read(self, samples: Tensor) -> Tensor:
        """What it reads of a recording (S,) i16: features (n, C) where it is frozen, else samples in blocks (n, 320)."""
        waveform = samples.float() / 32768
        waveform = waveform * loudness_gain(waveform)
        if self._frozen:
            (network,) = self._frozen
            return network.features_of(waveform.to(network.device))
        return nn.functional.pad(waveform, (0, -len(waveform) % _BLOCK_SAMPLES)).reshape(-1, _BLOCK_SAMPLES)

    def forward(self, sound: Tensor) -> Tensor:
        """(B, n, C or 320) -> (B, n, dim)."""
        sound = sound.float()
        return self.project(sound if self._frozen else self.network(sound.flatten(1)))

    def encode_whole(self, samples: Tensor) -> Tensor:
        """Features (1, n, dim) of a whole recording (S,) i16, of any length; without a gradient to the network."""
        sound = self.read(samples)
        return self.project((sound if self._frozen else self.network.features_of(sound.flatten()))[None])


class EncoderBlock(nn.Module):
    """A gated convolution over time and a feed-forward, each residual."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.convolution = ConvolutionModule(dim, kernel)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, dim) -> (B, n, dim)."""
        x = x + self.convolution(x)
        return x + self.feed_forward(x)
