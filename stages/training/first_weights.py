"""What a training begins with that another has learned: the speech encoder, which can hear, or all of an animator."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.artifacts.checkpoint import read_checkpoint
from stages.artifacts.files import inputs_of
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.models.animator import Animator, AnimatorConfig
from stages.models.animators import load_animator, resolve_animator
from stages.models.codetalker import CodeTalker
from stages.models.folder_of_model import speech_source
from stages.models.motion_denoiser import MotionDenoiser, MotionDenoiserConfig, load_motion_denoiser
from stages.models.speech_encoder import SpeechEncoder
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import hash_inputs


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
    checkpoint = read_checkpoint(path, "thunder.diffusion")
    _check_own_encoder(MotionDenoiserConfig.resolve(options=checkpoint.config), path, option)
    return load_motion_denoiser(path)


def _check_own_encoder(config: MotionDenoiserConfig | AnimatorConfig, path: Path, option: str) -> None:
    if config.speech_encoder != "mel":
        raise ThunderError(
            f"{path}: hears speech by {speech_source(config)}, and {option} wants a model with an encoder of its own; "
            f"give that folder by --speech-encoder in its place"
        )


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
    _check_motion(path, source_head, source.config.fps, head, fps)
    of_data = {"num_features", "fps", "emotions", "subjects", "names_phones", "regression", "freeze_encoder", "dropout"}
    return source, source.config.model_dump(exclude=of_data)


def load_animator_of(
    path: Path | None, architecture: str, head: HeadRecord, fps: float
) -> tuple[Animator | None, dict[str, Any]]:
    """A `thunder.animator` to go on from, as `load_denoiser` does.

    Raises:
        ThunderError: besides, one of another architecture.
    """
    if path is None:
        return None, {}
    values = read_checkpoint(path, "thunder.animator").config
    config = resolve_animator(str(values.get("animator")), values, str(path))
    if config.animator != architecture:
        raise ThunderError(f"{path}: --weights-from wants a {architecture}, found a {config.animator}")
    _check_own_encoder(config, path, "--weights-from")
    source, source_head = load_animator(path)
    _check_motion(path, source_head, config.fps, head, fps)
    return source, config.model_dump(exclude={"num_features", "fps", "subjects", "freeze_encoder", "dropout"})


def _check_motion(path: Path, found: HeadRecord, found_fps: float, head: HeadRecord, fps: float) -> None:
    if found.motion_fingerprint != head.motion_fingerprint:
        raise ThunderError(
            f"{path}: --weights-from wants motion of head {found.name} ({found.motion_fingerprint}), found that of head "
            f"{head.name} ({head.motion_fingerprint}); train a model of this head from nothing"
        )
    if found_fps != fps:
        raise ThunderError(
            f"{path}: --weights-from wants motion at {found_fps:g} fps, found {fps:g}; preprocess the corpus with "
            f"--fps {found_fps:g}"
        )


def go_on_from(network: MotionDenoiser, source: MotionDenoiser) -> None:
    """Gives a denoiser the weights and statistics of another of its sizes; what only one of them knows is left out.

    Emotions and subjects keep what was learned of them by name: those that the other does not know begin as "not told".
    """
    learned = source.state_dict()
    ours, theirs = network.config, source.config
    for table, wanted, known in (
        ("embed_emotion", ours.emotions, theirs.emotions),
        ("embed_intensity", ours.emotions, theirs.emotions),
        ("embed_subject", ours.subjects, theirs.subjects),
    ):
        rows = learned[f"{table}.weight"]
        # Row 0 is "not told", and zero.
        learned[f"{table}.weight"] = rows[[0, *(known.index(name) + 1 if name in known else 0 for name in wanted)]]
    own = network.state_dict()
    network.load_state_dict(own | {name: value for name, value in learned.items() if name in own})


def go_on_from_animator(network: Animator, source: Animator) -> None:
    """Gives an animator the weights and statistics of another of its sizes, the first stage of a CodeTalker to learn no more.

    Subjects keep the style that was learned of them by name: that of others begins as the mean of all, as of one not told.
    """
    learned = source.state_dict()
    styles, known = learned["style.weight"], source.config.subjects  # (dim, subjects)
    anyone = styles.mean(1)
    learned["style.weight"] = torch.stack(
        [styles[:, known.index(name)] if name in known else anyone for name in network.config.subjects], dim=1
    )
    network.load_state_dict(learned)
    if isinstance(network, CodeTalker):
        network.autoencoder.requires_grad_(False)


def inputs_of_training(
    folder: PretrainedSpeech | None, weights_from: Path | None, **paths: Path | None
) -> dict[str, str]:
    """SHA-256 of what a model is made of, and of those who taught the one it goes on from: they are no fair judges of it."""
    taught_by: dict[str, str] = {}
    if weights_from is not None:
        of_source = inputs_of(weights_from, "thunder.diffusion", "thunder.animator")
        taught_by = {name: of_source[name] for name in ("m2s", "lipreader") if name in of_source}
    hashes = taught_by | hash_inputs(weights_from=weights_from, **paths)
    return hashes if folder is None else hashes | {"speech_encoder": folder.identity}
