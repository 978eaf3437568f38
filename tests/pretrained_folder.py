"""Folders as `save_pretrained` of `transformers` writes them, with a tiny network of random weights."""

import json
from pathlib import Path
from typing import Any

import torch

NUM_LAYERS = 3
DIM = 24
_SIZES: dict[str, Any] = {
    "hidden_size": DIM,
    "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    # Random weights as small as is usual would make every frame nearly the same.
    "initializer_range": 0.2,
}


def write_pretrained_folder(
    folder: Path, kind: str = "hubert", *, large: bool = False, do_normalize: bool = True, seed: int = 0, **config: Any
) -> Any:
    """Writes a folder and returns the network in it.

    Args:
        kind: `hubert`, `wav2vec2` or `wavlm`.
        large: with the norms of the large models (of every convolution, before every layer) or those of the base models.
    """
    import transformers

    model_class = {
        "hubert": transformers.HubertModel,
        "wav2vec2": transformers.Wav2Vec2Model,
        "wavlm": transformers.WavLMModel,
    }[kind]
    norms = {"do_stable_layer_norm": large, "feat_extract_norm": "layer" if large else "group", "conv_bias": large}
    torch.manual_seed(seed)
    network = model_class(model_class.config_class(**(_SIZES | norms | config))).eval()
    network.save_pretrained(folder)
    preprocessor = {"do_normalize": do_normalize, "sampling_rate": 16000, "feature_size": 1}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return network
