"""A recogniser of speech: characters by CTC, and the phone of every frame, from a log-mel spectrogram.

Small, and trained on the corpus whose faces it helps to judge: read what it says of a face's speech beside what it says
of the speech itself. It has no language model, so that it writes what it hears.

Source: conformer and CTC as in Gulati et al., Interspeech 2020. Our choices: the conformer runs at 25 Hz, which halves its
cost, and each of its frames speaks for two of 20 ms, because fast speech has more than 20 characters a second; the phones
are learned beside the characters, which a network finds in minutes where their times are known.
"""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.audio.log_mel import LOG_FLOOR, MEL_RATE_HZ, NUM_BANDS
from stages.models.characters import decode
from stages.models.conformer import Conformer
from stages.models.ctc import beam_search, greedy_labels
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.config import Config

LABEL_RATE_HZ = 50
# Mel frames a frame of the conformer, which speaks for two labels.
_STRIDE = 4
# Attention over a whole recording would grow with the square of its length: longer ones are read in pieces, each with two
# seconds of its neighbours to either side. Whole strides.
_PIECE_FRAMES = 12 * MEL_RATE_HZ
_MARGIN_FRAMES = 2 * MEL_RATE_HZ


class RecogniserConfig(Config):
    """The numbers and names that rebuild the network.

    Attributes:
        characters: those it writes, each once.
        phones: those it names, without stress.
    """

    characters: str
    phones: tuple[str, ...]
    dim: int = 256
    num_layers: int = 16
    num_heads: int = 4
    kernel: int = 31
    dropout: float = 0.1


class Reading(NamedTuple):
    """What is read in every 20 ms.

    Attributes:
        characters: (B, n, 1 + number of characters) log-probabilities; label 0 is CTC's blank.
        phones: (B, n, number of phones) log-probabilities.
    """

    characters: Tensor
    phones: Tensor


class Recogniser(nn.Module):
    """The network, with the statistics it normalises by."""

    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.stem = nn.Sequential(
            nn.Conv1d(NUM_BANDS, dim, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv1d(dim, dim, 5, stride=2, padding=2),
            nn.SiLU(),
        )
        self.conformer = Conformer(
            dim, config.num_layers, num_heads=config.num_heads, kernel=config.kernel, dropout=config.dropout
        )
        self.to_characters = nn.Linear(dim, 2 * (1 + len(config.characters)))
        self.to_phones = nn.Linear(dim, 2 * len(config.phones))
        self.register_buffer("mel_mean", torch.zeros(NUM_BANDS))
        self.register_buffer("mel_scale", torch.ones(NUM_BANDS))

    def forward(self, log_mel: Tensor) -> Reading:
        """Reads (B, L, 80), natural logarithms as `speech_log_mel` gives them, at 50 Hz: n = L / 2, rounded up."""
        batch, length = log_mel.shape[:2]
        x = F.pad(log_mel, (0, 0, 0, -length % _STRIDE), value=LOG_FLOOR)
        x = (x - self.mel_mean) / self.mel_scale
        x = self.stem(x.transpose(1, 2)).transpose(1, 2)  # (B, ceil(L / 4), dim)
        x = self.conformer(x)
        labels, phones = (
            head(x).float().reshape(batch, 2 * x.shape[1], -1)[:, : (length + 1) // 2].log_softmax(-1)
            for head in (self.to_characters, self.to_phones)
        )  # (B, n, 1 + characters), (B, n, phones)
        return Reading(labels, phones)


@torch.no_grad()
def read_speech(model: Recogniser, log_mel: Tensor) -> Reading:
    """Reads speech of any length, in pieces where it is long.

    Args:
        log_mel: (N, L, 80), natural logarithm.

    Returns:
        n = L / 2 frames, rounded up.
    """
    length = log_mel.shape[1]
    if length <= _PIECE_FRAMES + 2 * _MARGIN_FRAMES:
        return model(log_mel)
    pieces = []
    for start in range(0, length, _PIECE_FRAMES):
        first = max(0, start - _MARGIN_FRAMES)
        stop = min(start + _PIECE_FRAMES, length)
        reading = model(log_mel[:, first : stop + _MARGIN_FRAMES])
        own = slice((start - first) // 2, (stop - first + 1) // 2)
        pieces.append(Reading(reading.characters[:, own], reading.phones[:, own]))
    return Reading(*(torch.cat(column, dim=1) for column in zip(*pieces, strict=True)))


def write_down(model: Recogniser, characters: Tensor, *, beam: int = 1) -> list[str]:
    """The texts that (N, n, 1 + characters) log-probabilities spell, by the likeliest path, or by a beam of prefixes."""
    labels = (greedy_labels(row) if beam == 1 else beam_search(row, beam) for row in characters)
    return [decode(row, model.config.characters) for row in labels]


def transcribe(model: Recogniser, log_mel: Tensor, *, beam: int = 1) -> list[str]:
    """What is heard in (N, L, 80) natural-log spectrograms, as normalised text; nothing in less than one frame."""
    if log_mel.shape[1] == 0:
        return [""] * len(log_mel)
    return write_down(model, read_speech(model, log_mel).characters, beam=beam)


def checkpoint_of(model: Recogniser, weights: dict[str, Tensor], curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given (averaged) weights."""
    buffers = {name: buffer.cpu().numpy() for name, buffer in model.named_buffers()}
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, curves=curves)


def load_recogniser(path: Path, device: torch.device | str = "cpu") -> Recogniser:
    """Reads a frozen model.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration.
    """
    checkpoint = read_checkpoint(path, "thunder.recogniser")
    model = Recogniser(RecogniserConfig.resolve(options=checkpoint.config))
    load_weights(model, checkpoint.weights | checkpoint.normalisation, path)
    return model.to(device).eval().requires_grad_(False)
