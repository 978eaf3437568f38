"""What a training begins with that another has learned: the speech encoder, which can hear, or all of an animator."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.head_record import HeadRecord
from stages.models.folder_of_model import speech_source
from stages.models.motion_denoiser import MotionDenoiser, MotionDenoiserConfig, load_motion_denoiser
from stages.models.speech_encoder import SpeechEncoder
from stages.runtime.errors import ThunderError


def check_encoder(
    *, frozen: bool, speech_encoder: Path | None, encoder_from: Path | None, weights_from: Path | None = None
) -> None:
    """Refuses two encoders, and the freezing of one that has learned nothing.

    Raises:
        ThunderError: either of them.
    """
    options = {"--speech-encoder": speech_encoder, "--encoder-from": encoder_from, "--weights-from": weights_from}
    given = [name for name, path in options.items() if path is not None]
    if frozen and not given:
        raise ThunderError(
            "--freeze-encoder wants an encoder that has learned; give --speech-encoder or --encoder-from"
        )
    if len(given) > 1:
        raise ThunderError(f"{' and '.join(given)} both say what hears the speech; give one of them")


def load_encoder(path: Path | None) -> tuple[SpeechEncoder | None, dict[str, Any]]:
    """The encoder of its own that a `thunder.diffusion` hears by, and its sizes for a configuration; nothing of None.

    Raises:
        ThunderError: no such model, or one that hears by a user's folder.
    """
    if path is None:
        return None, {}
    source, _ = _load_with_encoder(path, "--encoder-from")
    assert isinstance(source.speech_encoder, SpeechEncoder)
    return source.speech_encoder, source.config.model_dump(include={"encoder_dim", "encoder_layers", "encoder_kernel"})


def _load_with_encoder(path: Path, option: str) -> tuple[MotionDenoiser, HeadRecord]:
    config = MotionDenoiserConfig.resolve(options=read_checkpoint(path, "thunder.diffusion").config)
    if config.speech_encoder != "mel":
        raise ThunderError(
            f"{path}: hears speech by {speech_source(config)}, and {option} wants a model with an encoder of its own; "
            f"give that folder by --speech-encoder in its place"
        )
    return load_motion_denoiser(path)


def begin_with(encoder: nn.Module, source: SpeechEncoder | None, *, frozen: bool) -> None:
    """Gives an encoder the weights and statistics of another of its sizes, if there is one, to learn on or to stay so."""
    if source is not None:
        encoder.load_state_dict(source.state_dict())
        encoder.requires_grad_(not frozen)


def load_denoiser(path: Path | None, head: HeadRecord, fps: float) -> tuple[MotionDenoiser | None, dict[str, Any]]:
    """A `thunder.diffusion` to go on from, and its sizes for a configuration; nothing of None.

    Args:
        head, fps: of the motion that it is to learn.

    Raises:
        ThunderError: no such model, one that hears by a user's folder, or one of another head or fps.
    """
    if path is None:
        return None, {}
    source, source_head = _load_with_encoder(path, "--weights-from")
    if source_head.motion_fingerprint != head.motion_fingerprint:
        raise ThunderError(
            f"{path}: --weights-from wants motion of head {source_head.name} ({source_head.motion_fingerprint}), found "
            f"that of head {head.name} ({head.motion_fingerprint}); train a model of this head from nothing"
        )
    if source.config.fps != fps:
        raise ThunderError(
            f"{path}: --weights-from wants motion at {source.config.fps:g} fps, found {fps:g}; preprocess the corpus with "
            f"--fps {source.config.fps:g}"
        )
    of_data = {"num_features", "fps", "emotions", "subjects", "names_phones", "regression", "freeze_encoder", "dropout"}
    return source, source.config.model_dump(exclude=of_data)


def go_on_from(network: MotionDenoiser, source: MotionDenoiser) -> None:
    """Gives a denoiser the weights and statistics of another of its sizes; what only the one knows is left as it is.

    Emotions and subjects keep what was learned of them by name: those that the other does not know begin as "not told".
    """
    learned = source.state_dict()
    ours, theirs = network.config, source.config
    names = {"emotion": (ours.emotions, theirs.emotions), "intensity": (ours.emotions, theirs.emotions)}
    names["subject"] = (ours.subjects, theirs.subjects)
    for what, (wanted, known) in names.items():
        table = learned.pop(f"embed_{what}.weight")
        rows = torch.zeros(1 + len(wanted), table.shape[1])
        for index, name in enumerate(wanted, start=1):
            if name in known:
                rows[index] = table[1 + known.index(name)]
        learned[f"embed_{what}.weight"] = rows
    own = network.state_dict()
    network.load_state_dict(own | {name: value for name, value in learned.items() if name in own})
