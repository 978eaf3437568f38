"""The user's folder that a model was trained to hear speech by, asked for again when the model is loaded."""

from pathlib import Path
from typing import Any, Protocol

import torch

from stages.audio.pretrained import PretrainedSpeech, identity_of, load_pretrained
from stages.runtime.errors import ThunderError


class HearsByFolder(Protocol):
    """What the configuration of such a model says: `mel` or a kind of network, its layer, and the folder's SHA-256."""

    @property
    def speech_encoder(self) -> str:
        """`mel`, an encoder of its own, or the kind of the folder's network."""
        ...

    @property
    def folder_layer(self) -> int:
        """The layer whose output it hears."""
        ...

    @property
    def folder_sha256(self) -> str:
        """See `identity_of`."""
        ...


def values_of_folder(network: PretrainedSpeech | None) -> dict[str, Any]:
    """What `HearsByFolder` says of a network, for a configuration; nothing where there is none."""
    if network is None:
        return {}
    return {"speech_encoder": network.kind, "folder_layer": network.layer, "folder_sha256": network.identity}


def speech_source(config: HearsByFolder) -> str:
    """What speech is encoded by, in words."""
    if config.speech_encoder == "mel":
        return "an encoder of its own"
    return f"layer {config.folder_layer} of a {config.speech_encoder} folder of SHA-256 {config.folder_sha256[:12]}"


def load_folder_of(
    config: HearsByFolder, path: Path, folder: Path | None, device: torch.device | str
) -> PretrainedSpeech | None:
    """The network in the folder that the model of `path` was trained with; None for an encoder of its own.

    Raises:
        ThunderError: a folder that is missing, not wanted, or not the one it was trained with.
    """
    if config.speech_encoder == "mel":
        if folder is not None:
            raise ThunderError(f"{path}: encodes speech by itself; leave out --speech-encoder {folder}")
        return None
    if folder is None:
        raise ThunderError(
            f"{path}: hears speech by {speech_source(config)}; give that folder with --speech-encoder FOLDER"
        )
    found = identity_of(folder, option="--speech-encoder")
    if found != config.folder_sha256:
        raise ThunderError(
            f"{folder}: wanted {speech_source(config)}, by which {path} hears speech, found {found[:12]}; give the folder it "
            f"was trained with"
        )
    return load_pretrained(folder, layer=config.folder_layer, device=device, option="--speech-encoder")
