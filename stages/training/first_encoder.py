"""The speech encoder that a training begins with: one that has learned to hear, from another model."""

from pathlib import Path
from typing import Any

from torch import nn

from stages.artifacts.checkpoint import read_checkpoint
from stages.models.folder_of_model import speech_source
from stages.models.motion_denoiser import MotionDenoiserConfig, load_motion_denoiser
from stages.models.speech_encoder import SpeechEncoder
from stages.runtime.errors import ThunderError


def check_encoder(*, frozen: bool, speech_encoder: Path | None, encoder_from: Path | None) -> None:
    """Refuses two encoders, and the freezing of one that has learned nothing.

    Raises:
        ThunderError: either of them.
    """
    if frozen and speech_encoder is None and encoder_from is None:
        raise ThunderError(
            "--freeze-encoder wants an encoder that has learned; give --speech-encoder or --encoder-from"
        )
    if speech_encoder is not None and encoder_from is not None:
        raise ThunderError("--speech-encoder and --encoder-from both say what hears the speech; give one of them")


def load_encoder(path: Path | None) -> tuple[SpeechEncoder | None, dict[str, Any]]:
    """The encoder of its own that a `thunder.diffusion` hears by, and its sizes for a configuration; nothing of None.

    Raises:
        ThunderError: no such model, or one that hears by a user's folder.
    """
    if path is None:
        return None, {}
    config = MotionDenoiserConfig.resolve(options=read_checkpoint(path, "thunder.diffusion").config)
    if config.speech_encoder != "mel":
        raise ThunderError(
            f"{path}: hears speech by {speech_source(config)}, and --encoder-from wants a model with an encoder of its own; "
            f"give that folder by --speech-encoder in its place"
        )
    source = load_motion_denoiser(path)[0]
    assert isinstance(source.speech_encoder, SpeechEncoder)
    return source.speech_encoder, source.config.model_dump(include={"encoder_dim", "encoder_layers", "encoder_kernel"})


def begin_with(encoder: nn.Module, source: SpeechEncoder | None, *, frozen: bool) -> None:
    """Gives an encoder the weights and statistics of another of its sizes, if there is one, to learn on or to stay so."""
    if source is not None:
        encoder.load_state_dict(source.state_dict())
        encoder.requires_grad_(not frozen)
