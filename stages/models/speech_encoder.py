"""Speech features for an animator: log-mel in, 50 Hz features out, trained with the animator.

Convolutions only, so that a feature depends on a bounded stretch of sound: speech of any length can be encoded in
pieces, with the same result as in one, and an animation may follow a microphone.
"""

from torch import Tensor, nn

from stages.audio.log_mel import LOG_FLOOR, NUM_BANDS
from stages.models.conformer import ConvolutionModule

ENCODER_RATE_HZ = 50


class SpeechEncoder(nn.Module):
    """Log-mel (B, L, 80) at 100 Hz -> features (B, L / 2, dim) at 50 Hz; feature j is centred on mel frame 2 j."""

    def __init__(self, dim: int, num_layers: int, kernel: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(NUM_BANDS, dim, 5, padding=2), nn.GELU(), nn.Conv1d(dim, dim, 3, stride=2, padding=1), nn.GELU()
        )
        self.blocks = nn.ModuleList(EncoderBlock(dim, kernel) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        # How far, in mel frames, a feature sees to either side.
        self.reach = 2 + 1 + 2 * num_layers * (kernel // 2)

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, L, 80) natural-log amplitudes, L even -> (B, L / 2, dim)."""
        x = log_mel / -LOG_FLOOR + 0.5  # silence is -0.5, loud speech about 0.5 to 1
        x = self.stem(x.transpose(1, 2)).transpose(1, 2)  # (B, L / 2, dim)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


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
