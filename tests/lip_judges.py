"""A small lip reader of random weights that reads something in every mouth, for the tests of what judges by it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.models.characters import BLANK
from stages.models.lip_reader import LipReader, LipReaderConfig, checkpoint_of
from stages.runtime.provenance import Provenance

Streams = Literal["both", "picture", "sound"]


def babbling_lip_reader(
    path: Path,
    *,
    seed: int = 0,
    characters: str = " aehlo",
    max_frames: int = 750,
    inputs: Mapping[str, str] | None = None,
    streams: Streams = "both",
) -> Path:
    """Writes a `thunder.lipreader` that was never trained, but seldom reads nothing; returns `path`."""
    torch.manual_seed(seed)
    config = LipReaderConfig(
        characters=characters, channels=4, dim=16, num_layers=1, num_heads=2, kernel=7, decoder_layers=1, fusion_dim=32,
        dropout=0.0, max_frames=max_frames, streams=streams,
    )  # fmt: skip
    model = LipReader(config)
    with torch.no_grad():
        # Crops of a small head differ little: what tells them apart is made louder, and silence unlikely.
        model.to_labels.weight *= 20
        model.to_labels.bias[BLANK :: config.num_labels] -= 3
        model.picture_scale.fill_(0.02)
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    provenance = Provenance(seed=seed, inputs=dict(inputs or {}))
    write_checkpoint(path, "thunder.lipreader", checkpoint_of(model, weights, {}), provenance, force=True)
    return path
